"""Everything Antiphon raises, grouped by who can fix it.

AntiphonError
├── SpecError          the YAML is wrong                -> edit the file           (exit 2)
├── UsageError         the command or an input is wrong -> call it differently     (exit 2)
├── BackendError       a model server let us down       -> retry, or another model (exit 3)
├── LimitReached       a budget or limit was reached    -> raise the limit         (exit 4)
├── PersonNeeded       nobody is there to answer        -> answer, then resume     (exit 5)
├── WorkflowFailed     an agent, a tool or a dead end   -> change the workflow     (exit 6)
├── MachineError       disk, permissions, packages      -> mend this machine       (exit 7)
└── RunCancelled       somebody pressed stop                                       (exit 130)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file that the user wrote. Lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file: where, what, and what to do about it."""

    place: Place
    code: str
    """Stable and kebab-case, such as `unknown-agent`."""
    message: str
    hint: str = ""
    source: str = ""
    """The line of the file, for the caret line; empty when there is none."""

    def to_json(self) -> dict[str, Any]:
        """The object that `antiphon validate --json` prints."""
        return {
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.message} [{self.code}]"]
        if self.source:
            text = self.source.replace("\t", " ")
            lines += [f"  | {text}", f"  | {' ' * (self.place.column - 1)}^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class AntiphonError(Exception):
    """Catch this to catch everything that Antiphon raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def at(self, place: Place | None) -> Self:
        """This error with a place in the YAML, unless it has one already."""
        if self.place is None:
            self.place = place
        return self

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n  hint: {self.hint}" if self.hint else head


class SpecError(AntiphonError):
    """The YAML is wrong. Carries every problem that was found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the YAML")

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(AntiphonError):
    """The command line or an input value is wrong."""

    exit_code = 2


class BackendError(AntiphonError):
    """A model server did not give an answer.

    `kind` is one of `unreachable`, `timeout`, `rate_limited`, `overloaded`, `auth`, `bad_request`, `not_found`,
    `context_length`, `cut`, `malformed`, `no_model` (no served model or model file).
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
        status: int | None = None,
        hint: str = "",
        place: Place | None = None,
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.kind = kind
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.status = status


class LimitReached(AntiphonError):
    """The run spent a budget. `limit` says which: `turns`, `time`, `tokens` or `usd`."""

    exit_code = 4

    def __init__(self, message: str, *, limit: str, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message, hint=hint, place=place)
        self.limit = limit


class PersonNeeded(AntiphonError):
    """A question is open and nobody is there to answer it."""

    exit_code = 5


class WorkflowFailed(AntiphonError):
    """The workflow could not go on: a dead end, a reply that does not fit, an agent or a tool that failed."""

    exit_code = 6


class Drift(WorkflowFailed):
    """A strict replay came to a call that is not recorded just so."""

    def __init__(self, call: str, recorded: dict[str, Any] | None, request: dict[str, Any]) -> None:
        """`recorded` is the request in the record, null when it has no such call; `request` the one to be made."""
        self.call = call
        self.recorded = recorded
        self.request = request
        if recorded is None:
            super().__init__(f"{call} is not in the record")
        else:
            super().__init__(f"the request of {call} is not the recorded one")


class MachineError(AntiphonError):
    """This machine is in the way: a full disk, a folder that may not be written, a missing package."""

    exit_code = 7


class RunCancelled(AntiphonError):
    """Somebody stopped the run. What was recorded until then is kept."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the journal and the events keep it: plain data, never a pickled exception."""

    type: str
    message: str
    hint: str = ""
    file: str | None = None
    line: int | None = None
    node: str | None = None
    exit_code: int = 1

    @classmethod
    def of(cls, error: BaseException, *, node: str | None = None) -> Failure:
        """The record of any exception; foreign ones keep their own type name and count as a failed workflow."""
        name = type(error).__name__
        if isinstance(error, AntiphonError):
            place = error.place
            failure = cls(name, error.message, error.hint, exit_code=error.exit_code)
            if isinstance(error, SpecError):
                failure = replace(failure, message=str(error))
            if place is not None:
                failure = replace(failure, file=place.file, line=place.line)
        else:
            failure = cls(name, str(error) or name, exit_code=WorkflowFailed.exit_code)
        return replace(failure, node=node)

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "message": self.message,
            "hint": self.hint,
            "file": self.file,
            "line": self.line,
            "node": self.node,
            "exit_code": self.exit_code,
        }
