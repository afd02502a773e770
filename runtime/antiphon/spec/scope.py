"""Do the names in an expression exist, and can they have a value where it stands?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.errors import Place
from antiphon.spec.expressions import NameUse
from antiphon.spec.program import Input
from antiphon.spec.reading import Reading
from antiphon.spec.reply_schema import lacking
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.yaml_tree import YamlScalar

RUN_FIELDS = ("id", "workflow")
NODE_FIELDS = ("text", "reply", "visits")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an expression can see."""

    who: str
    """For messages, such as `the edge critic -> writer`."""
    inputs: Mapping[str, Input | None]
    replies: Mapping[str, Mapping[str, Any] | None]
    """Node -> the JSON Schema of its `.reply`; null when it has none and its reply is always null."""
    past: frozenset[str] | None = None
    """The nodes that can have run before; null when all can."""
    item: str | None = None
    """The name of a map's item."""
    agents: frozenset[str] = frozenset()
    """Agents of the workflow, for hints."""
    inputs_known: bool = True
    nodes_known: bool = True
    """False when some of the names are unknown because of other problems; then unknown names are passed over."""


def check_names(reading: Reading, scalar: YamlScalar, uses: Iterable[NameUse], view: View) -> None:
    """Notes every name that does not exist, cannot have run yet, or has no such field."""
    for use in uses:
        if reading.is_full(scalar.document):
            return
        wrong = _Check(view, use.path).find()
        if wrong is not None:
            code, message, hint = wrong
            place: Place = scalar.locate(use.offset) if isinstance(scalar.value, str) else scalar.place
            reading.report(scalar.document, place, code, message, hint)


_Wrong = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Check:
    """One use of a name."""

    view: View
    path: tuple[str, ...]

    def find(self) -> _Wrong | None:
        root = self.path[0]
        if root == self.view.item:
            return None
        if root == "inputs":
            return self._input()
        if root == "run":
            return self._run()
        if root in self.view.replies:
            return self._node(root)
        return self._unknown(root)

    def _input(self) -> _Wrong | None:
        if len(self.path) < 2 or self.path[1] == "[]":
            return None
        name = self.path[1]
        if name not in self.view.inputs:
            if not self.view.inputs_known:
                return None
            hint = did_you_mean(name, self.view.inputs, otherwise=f"declare it: `inputs: {{{name}: {{type: string}}}}`")
            return "unknown-input", f"there is no input `{name}`", hint
        declared = self.view.inputs[name]
        if declared is not None and len(self.path) > 2 and declared.type not in ("object", "array"):
            return "unknown-field", f"the input `{name}` is a {declared.type} and has no fields", ""
        return None

    def _run(self) -> _Wrong | None:
        if len(self.path) < 2 or self.path[1] in (*RUN_FIELDS, "[]"):
            return None
        return "unknown-field", f"`run` has no field `{self.path[1]}`", did_you_mean(self.path[1], RUN_FIELDS)

    def _unknown(self, root: str) -> _Wrong | None:
        view = self.view
        if root == "task":
            return "unknown-name", "`task` cannot be used in expressions", "repeat what you need from `inputs`"
        if root in view.agents:
            message = f"`{root}` is an agent, and no node of the flow has that name"
            return None if not view.nodes_known else ("unknown-name", message, "name the node that it speaks in")
        if root in view.inputs:
            return "unknown-name", f"nothing is called `{root}`", f"did you mean `inputs.{root}`?"
        if not view.nodes_known:
            return None
        names = [*view.replies, "inputs", "run", *([view.item] if view.item else [])]
        return "unknown-name", f"nothing is called `{root}`", did_you_mean(root, names)

    def _node(self, root: str) -> _Wrong | None:
        view = self.view
        if view.past is not None and root not in view.past:
            message = f"`{root}` cannot have run before {view.who}"
            return "cannot-have-run", message, _runs_before(view)
        if len(self.path) == 1:
            hint = f"write `{root}.text`, `{root}.reply` or `{root}.visits`"
            return "missing-field", f"`{root}` is a node, not a value", hint
        field = self.path[1]
        if field == "[]":
            return None
        if field not in NODE_FIELDS:
            return self._unknown_field(root, field)
        if field == "reply":
            return self._reply(root)
        if len(self.path) > 2:
            kind = "a text" if field == "text" else "a number"
            return "unknown-field", f"`{root}.{field}` is {kind} and has no fields", ""
        return None

    def _unknown_field(self, root: str, field: str) -> _Wrong:
        schema = self.view.replies[root]
        message = f"a node has no field `{field}`"
        if schema and field in (schema.get("properties") or {}):
            return "unknown-field", message, f"did you mean `{root}.reply.{field}`?"
        return "unknown-field", message, did_you_mean(field, NODE_FIELDS)

    def _reply(self, root: str) -> _Wrong | None:
        schema = self.view.replies[root]
        if schema is None:
            message = f"`{root}` has no `reply:` schema, so `{root}.reply` is always null"
            return "no-reply", message, f"use `{root}.text`, or give its agent a `reply:` schema"
        lack = lacking(schema, self.path[2:])
        if lack is None:
            return None
        count, known = lack
        steps = self.path[2:]
        written = steps[count]
        owner = ".".join((root, "reply", *steps[:count])).replace(".[]", "[]")
        if written == "[]":
            return "unknown-field", f"`{owner}` is not a list", ""
        return "unknown-field", f"`{owner}` has no field `{written}`", did_you_mean(written, known)


def _runs_before(view: View) -> str:
    before = sorted(view.past or ())
    if not before:
        return "only `inputs` and `run` have values here"
    return f"before it can have run: {', '.join(before[:8])}"
