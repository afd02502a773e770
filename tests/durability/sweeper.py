"""Lets runs live and die in forked processes. Each line of its input is a case, each line of its output a verdict.

Everything is imported before the first fork, so that a life costs tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from antiphon import runner
from antiphon.engine.people import Question
from antiphon.engine.session import RunResult
from antiphon.errors import AntiphonError
from durability import doom, play, verdict

PRELOADED = (
    "antiphon.backends.openai_protocol",
    "antiphon.backends.openai_exchange",
    "antiphon.engine.foreign",
    "antiphon.engine.team",
    "celpy",
    "jsonschema",
    "openai",
)

JsonObject = dict[str, Any]


def forked(work: Callable[[], Any], report: Path) -> int:
    """Does something in a process of its own, and returns how that ended, as `os.waitpid` says it."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        found = work()
        report.write_text(json.dumps(found), encoding="utf-8")
        status = 0
    except BaseException:  # noqa: BLE001 - told to the parent, which ends the case
        report.with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(status)


def live(root: Path, life: int, fate: JsonObject) -> JsonObject:
    """Starts the run, or goes on with it, until its end or until its fate strikes; returns how it ended."""
    before = verdict.look(root)
    if "racers" not in fate:
        (root / f"look-{life - 1}.json").write_text(json.dumps(before), encoding="utf-8")
    number = signal.Signals[fate.get("signal", "SIGKILL")]
    doom.install((fate["kind"], fate["n"], number) if "kind" in fate else None)
    room = fate.get("room")
    if room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        result = asyncio.run(play_on(root, life, fate, before["account"]))
    except AntiphonError as error:
        return {"status": "refused", "error": {"type": type(error).__name__, "message": error.message}}
    return {"status": result.status, "error": result.error.to_json() if result.error else None, **doom.reached()}


async def play_on(root: Path, life: int, fate: JsonObject, before: JsonObject | None) -> RunResult:
    async def answer(question: Question) -> str:
        doom.reach("person")
        told = {"life": life, "node": question.node, "visit": question.visit, "question": question.question}
        with (root / "answers.log").open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")
        doom.reach("answered")
        return "yes" if question.is_event else fate.get("in_doubt", "repeat it")

    stopping: list[Callable[[], None]] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: [stop() for stop in stopping])
    options: JsonObject = {"root": root, "answer": answer, "on_delta": lambda _: doom.reach("delta")}
    under_way = await (runner.start("play", **options) if before is None else runner.resume(before["run"], **options))
    if isinstance(under_way, RunResult):
        return under_way
    stopping.append(under_way.cancel)
    async with under_way:
        return await under_way.result()


def rival(root: Path) -> str:
    """Tries to go on with a run that another process has; returns what came of it."""
    found = verdict.account(root)
    if found is None:
        return "no run yet"

    async def go_on() -> str:
        try:
            under_way = await runner.resume(found["run"], root=root)
        except AntiphonError as error:
            return f"{type(error).__name__}: {error.message}"
        if isinstance(under_way, RunResult):
            return under_way.status
        async with under_way:
            return "went on"

    return asyncio.run(go_on())


def ended(child: int, root: Path) -> str:
    """How a process ended. While it is stopped, another one tries its luck."""
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        ended(forked(lambda: rival(root), root / "rival.json"), root)
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def one_life(root: Path, life: int, fate: JsonObject) -> str:
    """A life in a process of its own, or several at once that want to live it."""
    if "racers" in fate:
        ended(forked(lambda: verdict.look(root), root / f"look-{life - 1}.json"), root)
    racers = [
        forked(lambda racer=racer: live(root, life, fate), root / f"life-{life}-{racer}.json")  # type: ignore[misc]
        for racer in range(fate.get("racers", 1))
    ]
    return " ".join(ended(racer, root) for racer in racers)


def try_case(case: JsonObject, reference: JsonObject | None) -> JsonObject:
    """One run through all of its lives. The last has no fate."""
    root = Path(case["root"])
    play.write(root, case["base_url"])
    fates = [*case.get("lives", ()), {}]
    ends = [one_life(root, life, fate) for life, fate in enumerate(fates[:-1], 1)]
    ends.append(ended(forked(lambda: last_life(root, len(fates), reference), root / "last.json"), root))
    found: JsonObject = {"ends": ends, "lives": _reports(root, "life-*.json"), "rivals": _reports(root, "rival.json")}
    if ends[-1] != "exit 0":
        return {**found, "faults": [(root / "last.error").read_text("utf-8")]}
    return {**found, **json.loads((root / "last.json").read_text("utf-8"))}


def _reports(root: Path, pattern: str) -> list[Any]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(root.glob(pattern))]


def last_life(root: Path, life: int, reference: JsonObject | None) -> JsonObject:
    """Goes on to the end, and compares all lives together with the undisturbed run."""
    told = live(root, life, {})
    if reference is None:
        return {"last": told, "faults": [], "account": verdict.account(root)}
    looks = [json.loads((root / f"look-{number}.json").read_text("utf-8")) for number in range(1, life)]
    return {"last": told, "faults": verdict.judge(root, reference, looks)}


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    reference: JsonObject | None = None
    for line in sys.stdin:
        case = json.loads(line)
        found = try_case(case, reference)
        reference = reference or found["account"]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
