"""The only writer to stderr, and the home of the exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from antiphon.errors import AntiphonError, Failure, Place, Problem, SpecError
from antiphon.plain_text import plain, plain_line
from antiphon.spec.home import home_folder


class ExitCode(IntEnum):
    """What the caller of the command learns from its exit status."""

    COMPLETED = 0
    BUG = 1
    USAGE = 2
    BACKEND = 3
    LIMIT = 4
    PERSON = 5
    WORKFLOW = 6
    MACHINE = 7
    CANCELLED = 130


_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
_SOURCE_WIDTH = 160


def write(text: str) -> None:
    """Writes to stderr; text that stderr cannot take is lost quietly, as there is nowhere left to say so."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text.encode(sys.stderr.encoding or "utf-8", "replace").decode(sys.stderr.encoding or "utf-8"))
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def note(text: str) -> None:
    """Something to know."""
    write(f"{plain(text)}\n")


def warning(text: str) -> None:
    write(f"{_bold('warning:')} {plain(text)}\n")


def error(message: str, *, hint: str = "") -> None:
    """What is wrong and what to do."""
    write(f"{_bold('error:')} {plain(message)}\n" + (f"  hint: {plain(hint)}\n" if hint else ""))


def report(problem: BaseException) -> int:
    """Says on stderr what went wrong and gives the exit code that belongs to it."""
    if isinstance(problem, SpecError):
        write(problem_report(problem.problems, colour=has_colour()) + "\n")
        return problem.exit_code
    if isinstance(problem, AntiphonError):
        head = f"{problem.place}: {problem.message}" if problem.place else problem.message
        error("\n".join([head, *source_lines(problem.place)]), hint=problem.hint)
        return problem.exit_code
    if isinstance(problem, KeyboardInterrupt):
        return ExitCode.CANCELLED
    if isinstance(problem, OSError) and problem.errno in _DISK_TROUBLE:
        where = f": {problem.filename}" if problem.filename else ""
        error(f"{problem.strerror}{where}", hint="free some space, or check the permissions")
        return ExitCode.MACHINE
    return _report_bug(problem)


def report_failure(failure: Failure) -> None:
    """Says on stderr why a run did not complete."""
    error("\n".join([failure_text(failure), *failure_source(failure)]), hint=failure.hint)


def failure_text(failure: Failure) -> str:
    """One failure in words: where in the YAML, which node, what."""
    where = f"{failure.file}:{failure.line}: " if failure.file and failure.line else ""
    who = f"{failure.node}: " if failure.node and not failure.message.startswith(failure.node) else ""
    kind = "" if failure.type in _OURS else f"{failure.type}: "
    return f"{where}{who}{kind}{failure.message}"


def failure_source(failure: Failure) -> list[str]:
    """The line of the YAML that the failure names; its column is not known."""
    if not failure.file or not failure.line or "\n" in failure.message:
        return []
    return source_lines(Place(failure.file, failure.line))[:1]


def source_lines(place: Place | None) -> list[str]:
    """The line of the file and a caret under the column; nothing when the file cannot be read."""
    if place is None:
        return []
    try:
        with Path(place.file).open(encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                if number == place.line:
                    return _caret(text.rstrip("\n"), place.column)
                if number > 100_000:
                    break
    except (OSError, ValueError):
        pass
    return []


def problem_report(problems: Sequence[Problem], *, colour: bool = False) -> str:
    """The problems grouped by file, each with its caret line and hint, and how many there are."""
    files: dict[str, list[Problem]] = {}
    for problem in problems:
        files.setdefault(problem.place.file, []).append(problem)
    lines: list[str] = []
    for file, found in files.items():
        lines.append(_bold(plain_line(file), colour))
        for problem in sorted(found, key=lambda each: (each.place.line, each.place.column)):
            spot = f"{problem.place.line}:{problem.place.column}"
            lines.append(f"  {spot}  {plain(problem.message)}  [{plain_line(problem.code)}]")
            lines += [f"  {row}" for row in _caret(problem.source, problem.place.column)] if problem.source else []
            if problem.hint:
                lines.append(f"    hint: {plain(problem.hint)}")
        lines.append("")
    count = len(problems)
    where = f" in {len(files)} files" if len(files) > 1 else ""
    return "\n".join([*lines, f"{count} problem{'s' if count != 1 else ''}{where}"])


def has_colour() -> bool:
    return (
        sys.stderr is not None
        and sys.stderr.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in {"", "dumb"}
    )


def is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


_OURS = {
    "AntiphonError", "SpecError", "UsageError", "BackendError", "LimitReached", "PersonNeeded", "WorkflowFailed",
    "MachineError", "RunCancelled",
}  # fmt: skip


def _caret(source: str, column: int) -> list[str]:
    """A long line is shown around the column."""
    start = max(0, column - _SOURCE_WIDTH // 2) if len(source) > _SOURCE_WIDTH else 0
    shown = source[start : start + _SOURCE_WIDTH].replace("\t", " ")
    before = plain(shown[: column - 1 - start])
    return [f"  | {before}{plain(shown[column - 1 - start :])}", f"  | {' ' * _cells(before)}^"]


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _bold(text: str, colour: bool | None = None) -> str:
    return f"\x1b[1m{text}\x1b[0m" if (has_colour() if colour is None else colour) else text


def _report_bug(problem: BaseException) -> int:
    """One line for the person; the traceback goes to a file, or to stderr with `ANTIPHON_DEBUG=1`."""
    what = plain_line(f"{type(problem).__name__}: {problem}", 300)
    trace = "".join(traceback.format_exception(problem))
    hint = "set ANTIPHON_DEBUG=1 to see the traceback"
    if os.environ.get("ANTIPHON_DEBUG"):
        write(plain(trace))
        hint = ""
    elif (file := _keep(trace)) is not None:
        hint = f"the traceback is in {file}"
    error(f"this is a bug in Antiphon: {what}", hint=hint)
    return ExitCode.BUG


def _keep(trace: str) -> Path | None:
    try:
        home = home_folder()
        home.mkdir(parents=True, exist_ok=True)
        file = home / "last-bug.txt"
        file.write_text(trace, encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return file
