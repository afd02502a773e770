"""What all visits of a run share: the record, models, tools and the people who may be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.backends.model import Message
from antiphon.engine.calls import Caller
from antiphon.engine.past import Past
from antiphon.engine.people import Answer
from antiphon.engine.record import Recorder
from antiphon.engine.speaker import Said, Turn
from antiphon.engine.toolbox import Toolbox
from antiphon.errors import Failure
from antiphon.spec.program import Node


@dataclass(slots=True, eq=False)
class Blame:
    """A visit that failed, and the error as it was raised."""

    error: BaseException
    place: str
    node: Node

    def failure(self) -> Failure:
        """The error with the YAML line of the node, unless it knows a better one itself."""
        failure = Failure.of(self.error, node=self.place)
        if failure.line is not None:
            return failure
        at = self.node.place
        return Failure(
            failure.type, failure.message, failure.hint, at.file, at.line, self.place, exit_code=failure.exit_code
        )


@dataclass(slots=True, eq=False, kw_only=True)
class Stage:
    """The surroundings of a run."""

    recorder: Recorder
    caller: Caller
    toolbox: Toolbox
    past: Past
    answer: Answer | None
    run: Mapping[str, Any]
    """What expressions find under `run`."""
    say: Callable[[Turn], Awaitable[Said]] = field(init=False)
    """Lets an agent speak, through the group chat's manager, who sets it when the chat starts."""
    systems: dict[str, Message] = field(default_factory=dict)
    """System messages by their text."""
    blame: list[Blame] = field(default_factory=list)
    """Failures in the order in which they happened, the innermost first."""
