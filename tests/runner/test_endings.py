"""How runs end: status, exit code and error of every kind of end, and a journal that can be read afterwards."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.errors import MachineError
from antiphon.journal import Journal
from antiphon.runner import RunResult, journal_folder
from fakes.openai_server import FakeOpenAI, Reply
from fakes.projects import AGENTS, CHAIN, kinds, project, recorded

CHILD = """
import resource, signal, sys
size = int(sys.argv[1])
if size:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from antiphon.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


LONG_LOOP = AGENTS + "flow:\n  - a -> b\n  - b -> a: {at_most: 200}\n  - b -> end: else\n"
LONG_LINES = {"*": [" ".join(str(n * k) for n in range(700)) for k in range(1, 10)]}
LITTLE_ROOM = 1_000_000
"""Bytes; the start of such a run fits into it, the whole does not."""


def command(root: Path, *arguments: str, largest_file: int = 0) -> subprocess.CompletedProcess[str]:
    """`antiphon` in a process of its own, which may not write files beyond a size."""
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(largest_file), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )


def ended(root: Path, result: RunResult) -> dict[str, Any]:
    """The last event of a run, which says what the result says."""
    last = recorded(root, result.run)[-1]
    assert last["kind"] == "run.finished"
    assert last["status"] == result.status
    assert last["error"] == (result.error.to_json() if result.error is not None else None)
    return last


async def test_a_backend_that_fails_ends_the_run_as_failed_with_the_line_of_the_node(tmp_path: Path) -> None:
    async with FakeOpenAI([Reply(text="ok"), Reply(status=401)]) as server:
        root = project(tmp_path, base_url=server.base_url)
        async with await antiphon.start("play", root=root) as run:
            result = await run.result()
    error = result.error
    assert error is not None
    assert (result.status, result.exit_code, error.type, error.node) == ("failed", 3, "BackendError", "b#1")
    assert error.file is not None and error.file.endswith("play.yaml")
    assert error.line == 4
    ended(root, result)


def test_a_server_that_is_not_there_ends_the_run_with_3(tmp_path: Path) -> None:
    root = project(tmp_path, base_url="http://127.0.0.1:9/v1")
    done = command(root, "run", "play", "--plain")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scripted_error_counts_as_that_of_a_backend(tmp_path: Path) -> None:
    root = project(tmp_path, replies={"a": "ok", "b": {"error": {"kind": "overloaded", "message": "too busy"}}})
    result = antiphon.run("play", root=root)
    assert (result.status, result.exit_code) == ("failed", 3)
    assert result.error is not None and result.error.message == "too busy"
    ended(root, result)


def test_a_budget_stops_the_run_with_4(tmp_path: Path) -> None:
    flow = AGENTS + "budget: {turns: 3}\nflow:\n  - a -> b\n  - b -> a: {at_most: 9}\n  - b -> end: else\n"
    root = project(tmp_path, flow)
    result = antiphon.run("play", root=root)
    assert (result.status, result.exit_code, result.turns) == ("stopped", 4, 3)
    assert result.error is not None and "budget.turns" in result.error.hint
    ended(root, result)


def test_a_budget_of_time_holds_inside_a_tool_that_blocks_its_thread(tmp_path: Path) -> None:
    code = (
        'import threading\n\n\ndef look() -> str:\n    """Looks."""\n    threading.Event().wait(20)\n    return "x"\n'
    )
    text = CHAIN.replace("a: {prompt: A}", 'a: {prompt: A, tools: ["python:blocking.look"]}')
    root = project(
        tmp_path,
        "budget: {time: 0.2}\n" + text,
        replies={"a": [[{"tool": "look"}, "done"]]},
        trust=("python:blocking.*",),
        files={"blocking.py": code},
    )
    result = antiphon.run("play", root=root)
    assert (result.status, result.exit_code) == ("stopped", 4)
    assert result.duration_s < 5
    assert "tool.returned" in kinds(recorded(root, result.run))
    ended(root, result)


def test_a_question_without_a_person_leaves_the_run_waiting_with_5(tmp_path: Path) -> None:
    root = project(tmp_path, "nodes: {ask: {human: Publish?}}\nflow:\n  - ask -> end\n")
    result = antiphon.run("play", root=root)
    assert (result.status, result.exit_code) == ("waiting", 5)
    assert "input.requested" in kinds(recorded(root, result.run))
    ended(root, result)


def test_a_dead_end_fails_the_run_with_6_and_names_the_node(tmp_path: Path) -> None:
    flow = AGENTS + "flow:\n  - a -> b: {when: \"a.text == 'never'\"}\n  - b -> end\n"
    root = project(tmp_path, flow)
    result = antiphon.run("play", root=root)
    assert (result.status, result.exit_code) == ("failed", 6)
    assert result.error is not None and "a#1" in result.error.message
    ended(root, result)


def test_what_a_function_for_answers_raises_fails_the_run_and_keeps_its_type(tmp_path: Path) -> None:
    class OddError(Exception):
        pass

    async def answer(question: antiphon.Question) -> str:
        raise OddError("nobody home")

    root = project(tmp_path, "nodes: {ask: {human: Publish?}}\nflow:\n  - ask -> end\n")

    async def play() -> RunResult:
        async with await antiphon.start("play", root=root, answer=answer) as run:
            return await run.result()

    result = asyncio.run(play())
    assert result.error is not None
    assert (result.exit_code, result.error.type, result.error.node) == (6, "OddError", "ask#1")
    ended(root, result)


@pytest.mark.slow
def test_a_tool_that_cannot_be_imported_fails_before_any_model_is_asked(tmp_path: Path) -> None:
    text = CHAIN.replace("b: {prompt: B}", 'b: {prompt: B, tools: ["python:absent.look"]}')
    root = project(tmp_path, text, trust=("python:absent.*",))
    done = command(root, "run", "play", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert "model.asked" not in kinds(events)
    assert "absent" in events[-1]["error"]["message"]


# -- this machine -----------------------------------------------------------------------------------------------------


def test_a_folder_in_which_no_journal_can_be_made_is_an_error_of_the_machine(tmp_path: Path) -> None:
    root = project(tmp_path, files={".antiphon": "a file where the folder belongs"})
    with pytest.raises(MachineError):
        antiphon.run("play", root=root)
    done = command(root, "run", "play", "--plain")
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    assert ".antiphon" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("output", ["--plain", "--json", "--quiet"])
def test_a_disk_that_fills_up_in_the_middle_ends_with_7_and_keeps_what_was_committed(
    tmp_path: Path, output: str
) -> None:
    root = project(tmp_path, LONG_LOOP, replies=LONG_LINES)
    done = command(root, "run", "play", output, largest_file=LITTLE_ROOM)
    assert done.returncode == 7, done.stderr
    assert "Traceback" not in done.stderr
    assert "disk" in (done.stderr + done.stdout).lower()

    with Journal.open_for_reading(journal_folder(root)) as journal:
        [summary] = journal.runs()
        kept = list(journal.events(summary.run))
    assert [event["seq"] for event in kept] == list(range(1, len(kept) + 1))
    assert "message.sent" in kinds(kept)
    if output == "--json":
        shown = [json.loads(line) for line in done.stdout.splitlines()]
        recorded_ones = [event for event in shown if event["seq"] <= len(kept)]
        assert recorded_ones == kept[: len(recorded_ones)], "nothing is shown that was not committed"
    again = command(root, "show", summary.run)
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_once_there_is_room_again_the_next_run_works_on_the_same_journal(tmp_path: Path) -> None:
    root = project(tmp_path, LONG_LOOP, replies=LONG_LINES)
    assert command(root, "run", "play", "--quiet", largest_file=LITTLE_ROOM).returncode == 7
    assert command(root, "run", "play", "--quiet").returncode == 0
