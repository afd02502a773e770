"""Two runs side by side, aligned by node and visit. Pure: records in, differences out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.journal.comparison import Change, request_changes, text_diff, value_lines
from antiphon.journal.lookup import CallRecord, RunSummary
from antiphon.journal.records import Records
from antiphon.journal.savings import Price, place_of, prices_of

JsonObject = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Stay:
    """What one run did at a place: in a visit, a turn of a chat, or an item of a map."""

    calls: dict[str, CallRecord] = field(default_factory=dict)
    """By the last part of their place."""
    text: str | None = None
    """What was said there; null when nothing was."""
    reply: Any = None
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None

    @property
    def prompts(self) -> dict[str, str]:
        """The hash of every request, tools' included."""
        return {name: call.request_hash for name, call in self.calls.items()}

    def to_json(self) -> JsonObject:
        return {
            "calls": [call.call for call in self.calls.values()],
            "text": self.text,
            "reply": self.reply,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same place in both runs; null where one has not been there."""

    place: str
    a: Stay | None
    b: Stay | None

    @property
    def prompts(self) -> str:
        """`same`, `different`, `only a`, `only b`, or empty when nothing was asked."""
        if self.a is None or self.b is None:
            return "only b" if self.a is None else "only a"
        if not self.a.calls and not self.b.calls:
            return ""
        return "same" if self.a.prompts == self.b.prompts else "different"

    @property
    def outputs(self) -> str:
        """`same`, `different`, `only a`, `only b`, or empty when nothing was said."""
        a, b = (stay if stay is not None and stay.text is not None else None for stay in (self.a, self.b))
        if a is None or b is None:
            return "" if a is b else "only b" if a is None else "only a"
        return "same" if (a.text, a.reply) == (b.text, b.reply) else "different"

    @property
    def is_same(self) -> bool:
        return {self.prompts, self.outputs} <= {"same", ""}

    def changes(self) -> list[Change]:
        """What differs: in the first request that does, and in what was said."""
        if self.a is None or self.b is None:
            return []
        found: list[Change] = []
        for name in dict.fromkeys((*self.a.calls, *self.b.calls)):
            one, other = self.a.calls.get(name), self.b.calls.get(name)
            if one is None or other is None:
                found.append(Change("call", one.call if one else None, other.call if other else None))
            elif one.request_hash != other.request_hash:
                found += request_changes(one.request, other.request)
            if found:
                break
        if self.outputs == "different":
            diff = text_diff(value_lines(self.a.text), value_lines(self.b.text))
            found.append(Change("output", self.a.text, self.b.text, diff))
        return found

    def to_json(self) -> JsonObject:
        return {
            "place": self.place,
            "prompts": self.prompts,
            "outputs": self.outputs,
            "a": self.a.to_json() if self.a is not None else None,
            "b": self.b.to_json() if self.b is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two runs differ."""

    a: RunSummary
    b: RunSummary
    files: tuple[Change, ...]
    """By path: the YAML that differs, or that only one has."""
    settings: tuple[Change, ...]
    """What else they were made from: `workflow`, `version`, `models.NAME`, `inputs.NAME`."""
    pairs: tuple[Pair, ...]
    output: Change | None
    """The output of the whole, when it differs."""

    @property
    def divergence(self) -> Pair | None:
        """The first place at which they differ; null when they are the same throughout."""
        return next((pair for pair in self.pairs if not pair.is_same), None)

    def to_json(self) -> JsonObject:
        first = self.divergence
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "configuration": {
                "files": [change.to_json() for change in self.files],
                "settings": [change.to_json() for change in self.settings],
            },
            "first_divergence": None
            if first is None
            else {"place": first.place, "changes": [change.to_json() for change in first.changes()]},
            "visits": [pair.to_json() for pair in self.pairs],
            "output": self.output.to_json() if self.output is not None else None,
        }


def compare(one: Records, a: str, other: Records, b: str) -> Comparison:
    """The differences between run `a` of one record and run `b` of another."""
    before, after = one.summary(a), other.summary(b)
    events = list(one.events(a)), list(other.events(b))
    mine, theirs = _stays(events[0], one.calls(a)), _stays(events[1], other.calls(b))
    places = _merged(list(mine), list(theirs))
    return Comparison(
        a=before,
        b=after,
        files=tuple(_file_changes(one.sources(a), other.sources(b))),
        settings=tuple(_setting_changes(before, after)),
        pairs=tuple(Pair(place=place, a=mine.get(place), b=theirs.get(place)) for place in places),
        output=_output_change(_output(events[0]), _output(events[1])),
    )


def _stays(events: Iterable[JsonObject], calls: Iterable[CallRecord]) -> dict[str, Stay]:
    """What a run did, by place, in the order in which it came there."""
    stays: dict[str, Stay] = {}
    bodies = list(events)
    for body in bodies:
        kind = body["kind"]
        if kind in ("model.asked", "tool.called"):
            stays.setdefault(place_of(body["call"]), Stay())
        elif kind in ("message.sent", "input.given"):
            stay = stays.setdefault(_said_at(body), Stay())
            stay.text, stay.reply = body["text"], body.get("reply")
    for call in calls:
        place = place_of(call.call)
        stays.setdefault(place, Stay()).calls[call.call[len(place) + 1 :]] = call
    prices = prices_of(bodies)
    for stay in stays.values():
        _add_up(stay, [prices[call.call] for call in stay.calls.values() if call.call in prices])
    return stays


def _said_at(body: JsonObject) -> str:
    place = f"{body['node']}#{body['visit']}"
    number = body.get("turn") or body.get("item")
    return place if number is None else f"{place}/{body['agent']}#{number}"


def _add_up(stay: Stay, prices: list[Price]) -> None:
    tokens = [price.tokens for price in prices if price.tokens is not None]
    money = [price.usd for price in prices if price.is_model]
    times = [price.seconds for price in prices if price.seconds is not None]
    stay.tokens = sum(tokens) if tokens else None
    stay.cost_usd = sum(usd for usd in money if usd is not None) if money and None not in money else None
    stay.seconds = round(sum(times), 6) if times else None


def _merged(first: list[str], second: list[str]) -> list[str]:
    """All places in the order of the first run; what only the second has follows what it followed there."""
    known = set(first)
    after: dict[str | None, list[str]] = {}
    last: str | None = None
    for place in second:
        if place in known:
            last = place
        else:
            after.setdefault(last, []).append(place)
    merged = list(after.get(None, ()))
    for place in first:
        merged += [place, *after.get(place, ())]
    return merged


def _file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    old, new = _by_short_path(before), _by_short_path(after)
    changes: list[Change] = []
    for path in dict.fromkeys((*old, *new)):
        one, other = old.get(path), new.get(path)
        if one is None or other is None:
            changes.append(
                Change(path, "is there" if one is not None else None, "is there" if other is not None else None)
            )
        elif one != other:
            changes.append(Change(path, diff=text_diff(one.split("\n"), other.split("\n"))))
    return changes


def _by_short_path(sources: Mapping[str, str]) -> dict[str, str]:
    """Texts by folder and name, which are the same wherever a project lies."""
    short: dict[str, str] = {}
    for path, text in sources.items():
        parts = path.replace("\\", "/").split("/")
        name = "/".join(parts[-2:]) if len(parts) > 1 and parts[-2] in ("agents", "workflows") else parts[-1]
        short[path if name in short else name] = text
    return short


def _setting_changes(a: RunSummary, b: RunSummary) -> list[Change]:
    changes = [
        Change(name, getattr(a, name), getattr(b, name))
        for name in ("workflow", "version")
        if getattr(a, name) != getattr(b, name)
    ]
    for group in ("models", "inputs"):
        old, new = getattr(a, group), getattr(b, group)
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name) or (name in old) != (name in new):
                changes.append(_value_change(f"{group}.{name}", old.get(name), new.get(name)))
    return changes


def _value_change(what: str, before: Any, after: Any) -> Change:
    old, new = value_lines(before), value_lines(after)
    return Change(what, before, after, text_diff(old, new) if max(len(old), len(new)) > 1 else ())


def _output(events: list[JsonObject]) -> Any:
    return next((body["output"] for body in reversed(events) if body["kind"] == "run.finished"), None)


def _output_change(before: Any, after: Any) -> Change | None:
    return None if before == after else _value_change("output", before, after)
