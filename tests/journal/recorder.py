"""A process that records, for tests that kill it, starve it or watch it. Says on stdout what it was told is on disk."""

from __future__ import annotations

import asyncio
import inspect
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from antiphon.errors import AntiphonError
from antiphon.events import Event
from antiphon.journal import Journal
from fakes.recording import ask, begin, finish, say

TURNS = 8


def announce(events: list[Event]) -> None:
    os.write(1, "".join(f"seq {event.seq}\n" for event in events).encode())


async def one_run(journal: Journal, run: str, *, wait: bool) -> None:
    """A run of a few turns with calls, long texts and an end."""
    log = begin(journal, run, on_commit=announce, sources={"a.yaml": "a: 1"}, inputs={"document": "bee " * 2000})
    for turn in range(1, TURNS + 1):
        call = f"writer#{turn}/1"
        ask(log, call, messages={f"d{turn}": {"role": "user", "content": "go on"}})
        say(log, f"turn {turn} " + "buzz " * (1500 if turn % 3 == 0 else 1), visit=turn)
        log.settle(call=call, status="done", outcome={"turn": turn})
        if wait:
            await log.committed()
            os.write(1, f"call {turn}\n".encode())
    finish(log)
    await log.close()


def killed_at(folder: Path, run: str, statement: int, *, wait: bool) -> None:
    """Records, and dies by SIGKILL when the n-th statement is about to be executed, from the making of the file on."""
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    plain = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = plain(*arguments, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    journal = Journal.open(folder)
    asyncio.run(one_run(journal, run, wait=wait))
    journal.close()


def sweep(folder: str, first: int, last: int, wait: bool) -> None:
    """Forks one process per statement, each with a folder of its own, and reports how each ended."""
    for statement in range(first, last):
        child = os.fork()
        if child == 0:
            output = os.open(f"{folder}/{statement}.out", os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(output, 1)
            killed_at(Path(folder) / str(statement), "r1", statement, wait=wait)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{statement} {'killed' if os.WIFSIGNALED(status) else 'finished'}\n".encode())
        if not os.WIFSIGNALED(status):
            return


async def endless(folder: str, run: str) -> None:
    """Records until it is killed."""
    log = begin(Journal.open(Path(folder)), run, on_commit=announce)
    number = 0
    while True:
        number += 1
        say(log, f"line {number}")
        if number % 50 == 0:
            await log.committed()


async def quiet(folder: str, run: str) -> None:
    """Records one line, then only lives until stdin closes."""
    log = begin(Journal.open(Path(folder)), run, on_commit=announce)
    say(log, "only line")
    await log.committed()
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


async def many(folder: str, prefix: str, count: str) -> None:
    """So many runs at once."""
    with Journal.open(Path(folder)) as journal:
        await asyncio.gather(*(one_run(journal, f"{prefix}-{number}", wait=True) for number in range(int(count))))


async def starved(folder: str, run: str, limit: str) -> None:
    """Records until the file may not grow any more, then says what it is told."""
    journal = Journal.open(Path(folder))
    log = begin(journal, run, on_commit=announce)
    await log.committed()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        for number in range(10_000):
            say(log, f"{number} " + "x" * 2000)
            await log.committed()
    except AntiphonError as error:
        report("committed", error)
    report("record", attempt(lambda: say(log, "more")))
    await log.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    other = begin(journal, f"{run}-later", on_commit=None)
    say(other, "space again")
    await other.close()
    journal.close()


def attempt(action: Callable[[], object]) -> AntiphonError | None:
    try:
        action()
    except AntiphonError as error:
        return error
    return None


def report(what: str, error: AntiphonError | None) -> None:
    os.write(1, f"{what} {type(error).__name__} {error!s}\n".encode())


def reader(folder: str, run: str) -> None:
    """Reads over and over until it is killed."""
    journal = Journal.open_for_reading(Path(folder))
    while True:
        for event in journal.events(run):
            os.write(1, f"seq {event['seq']}\n".encode())


def exiting(folder: str, run: str) -> None:
    """Ends without closing anything."""

    async def record() -> None:
        log = begin(Journal.open(Path(folder)), run)
        for number in range(500):
            say(log, str(number))

    asyncio.run(record())


def forbidden(folder: str, verb: str) -> None:
    """Uses a folder as a user who may only read it."""
    journal = Journal.open_for_reading(Path(folder))
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    if verb == "open":
        report("open", attempt(lambda: Journal.open(Path(folder))))
    else:
        sys.stdout.write(f"{len(list(journal.events('r1')))} {journal.runs()[0].status}\n")


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "sweep":
        sweep(arguments[0], int(arguments[1]), int(arguments[2]), arguments[3] == "wait")
    elif inspect.iscoroutinefunction(globals()[verb]):
        asyncio.run(globals()[verb](*arguments))
    else:
        globals()[verb](*arguments)
