"""What is measured: who plays which case, and what it is to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OURS = "Antiphon"
STOCK = "AutoGen, stock"
EVENTS = f"{OURS}, making its events alone"
STOCK_WHEN_AIMED = {"chat, 3 agents": 0.6, "chat, 50 agents": 2.8}
"""What stock AutoGen took, in CPU ms per turn, on the machine where the aims for the engine were set."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One figure of one contestant, measured once per round in a process of its own."""

    table: str
    column: str
    contestant: str
    case: str
    """`module:function` in tests.bench."""
    options: dict[str, Any]
    warm_up: dict[str, Any]
    """What the contestant plays before the first round, so that imports and caches do not count."""
    figure: str = "cpu_ms_per_turn"
    needs_server: bool = False
    elsewhere: bool = False
    """True when it plays in the environment for comparisons."""
    aim: float | None = None
    note: str = ""
    """What a reader of the table should know about this contestant."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    engine_turns: int = 300
    runs: int = 100
    http_turns: tuple[int, ...] = (30, 150)
    starts: int = 9


SMALL = Sizes(rounds=1, engine_turns=100, runs=3, http_turns=(6,), starts=1)

ENGINE = "engine"
CROWD = "crowd"
HTTP = "http"


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant of the HTTP table."""

    contestant: str
    case: str
    note: str
    elsewhere: bool = False
    aims: dict[int, float] = field(default_factory=dict)


HTTP_LINES = (
    Line("bare HTTP loop", "http_cases:bare_http", "a socket and `json`, no checks at all"),
    Line("`httpx2` loop", "http_cases:httpx_alone", "the HTTP library under the SDK, raw bytes read by us"),
    Line("`openai` loop, raw", "http_cases:raw_sdk", "the SDK alone: request as bytes, raw response read by us"),
    Line(
        OURS,
        "http_cases:ours",
        "the public API: engine, journal on disk, events and streamed pieces",
        aims={30: 2.5, 150: 3.0},
    ),
    Line("`openai` loop, plain", "http_cases:plain_sdk", "typed messages and chunks, as its manual shows"),
    Line(
        "AutoGen, own client",
        "autogen_cases:over_http",
        "`RoundRobinGroupChat` with `OpenAIChatCompletionClient`, streamed",
        elsewhere=True,
    ),
)


def trials(sizes: Sizes) -> list[Trial]:
    """Everything but the starts of commands, in the order in which a round plays it."""
    return [*_engine(sizes), *_crowd(sizes), *_http(sizes)]


def _engine(sizes: Sizes) -> Iterator[Trial]:
    turns = sizes.engine_turns
    for agents in (3, 50):
        shape = {"agents": agents, "turns": turns // agents * agents}
        small = {"agents": agents, "turns": agents * 2}
        for form in ("chat", "loop"):
            column = f"{form}, {agents} agents"
            for contestant, case, aim, note in (
                (OURS, "engine_cases:in_memory", 0.1, "its record kept in memory"),
                (EVENTS, "engine_cases:events_alone", None, "a part of the line above"),
                (
                    f"{OURS}, journal on disk",
                    "engine_cases:on_disk",
                    None,
                    "full synchronisation, last commit included",
                ),
            ):
                options = {"form": form, **shape}
                yield Trial(ENGINE, column, contestant, case, options, {"form": form, **small}, aim=aim, note=note)
        note = "`RoundRobinGroupChat` of `AssistantAgent`s, no record; it has no loop form"
        yield Trial(ENGINE, f"chat, {agents} agents", STOCK, "autogen_cases:instant", shape, small, note=note)


def _crowd(sizes: Sizes) -> Iterator[Trial]:
    options = {"runs": sizes.runs, "agents": 3, "turns": 10, "delay_s": 0.05}
    small = {**options, "runs": 3}
    column = f"{sizes.runs} runs"
    for contestant, case, aim, note in (
        (f"{OURS}, journal on disk", "engine_cases:crowd", 0.75, "full synchronisation, last commit included"),
        (STOCK, "autogen_cases:crowd", None, "no record"),
    ):
        yield Trial(CROWD, column, contestant, case, options, small, figure="wall_s", aim=aim, note=note)


def _http(sizes: Sizes) -> Iterator[Trial]:
    for turns in sizes.http_turns:
        for line in HTTP_LINES:
            yield Trial(
                HTTP,
                f"{turns} turns",
                line.contestant,
                line.case,
                {"agents": 3, "turns": turns},
                {"agents": 3, "turns": 6},
                needs_server=True,
                elsewhere=line.elsewhere,
                aim=line.aims.get(turns),
                note=line.note,
            )
