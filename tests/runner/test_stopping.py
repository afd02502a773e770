"""Stopping a run through the façade: within a second wherever it is, with its record closed and nothing left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.runner import Question, Run
from fakes.openai_server import FakeOpenAI, Reply
from fakes.projects import AGENTS, CHAIN, kinds, project, recorded
from fakes.stock import left_tasks

WITHIN_S = 1.0
"""What the product promises; what a test has to wait for before the cancel does not count."""

BLOCKING = '''
import threading

from antiphon import tool

started = threading.Event()


@tool(effect="pure")
def look() -> str:
    """Looks."""
    started.set()
    threading.Event().wait(20)
    return "never"
'''
THREAD = CHAIN.replace("a: {prompt: A}", 'a: {prompt: A, tools: ["python:blocking.look"]}')
MAP = """
agents: {w: {prompt: W}}
nodes: {parts: {map: "${{ [1, 2, 3, 4, 5] }}", as: part, agent: w, at_once: 3}}
flow:
  - parts -> end
"""
PERSON = "nodes: {ask: {human: Publish?}}\nflow:\n  - ask -> end\n"
SILENT = Reply(text="one two three four five six", between_s=0.01, stall_after=3)


@asynccontextmanager
async def a_run(root: Path, **options: Any) -> AsyncIterator[Run]:
    """A run that is cancelled inside, checked for all that a cancelled run owes."""
    async with left_tasks() as running:
        async with await antiphon.start("play", root=root, **options) as run:
            yield run
            cancelled_at = time.monotonic()
            run.cancel()
            result = await run.result()
            assert time.monotonic() - cancelled_at < WITHIN_S
        assert running() == set()
    assert (result.status, result.exit_code) == ("cancelled", 130)
    events = recorded(root, run.id)
    assert kinds(events)[0] == "run.started"
    assert kinds(events)[-1] == "run.finished"
    assert events[-1]["status"] == "cancelled"
    assert kinds(events).count("node.entered") == kinds(events).count("node.left")


async def seen(run: Run, kind: str, times: int = 1) -> None:
    """Reads events until one of this kind has come so many times."""
    async for event in run.events():
        times -= event.kind == kind
        if not times:
            return


async def test_cancel_in_the_stream_of_a_model_closes_the_connection(tmp_path: Path) -> None:
    streaming = asyncio.Event()
    async with FakeOpenAI(SILENT) as server:
        async with a_run(project(tmp_path, base_url=server.base_url), on_delta=lambda _: streaming.set()):
            await streaming.wait()
        await asyncio.wait_for(server.exchanges[0].ended.wait(), 10)
        assert server.ledger()["cut_off"] == 1


async def test_cancel_while_a_server_says_nothing_at_all(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server, a_run(project(tmp_path, base_url=server.base_url)) as run:
        await seen(run, "model.asked")


async def test_cancel_between_two_attempts_of_a_call(tmp_path: Path) -> None:
    async with (
        FakeOpenAI(Reply(status=429, headers={"retry-after": "30"})) as server,
        a_run(project(tmp_path, base_url=server.base_url)) as run,
    ):
        await seen(run, "model.failed")


async def test_cancel_in_a_tool_that_blocks_its_thread(tmp_path: Path) -> None:
    replies = {"a": [[{"tool": "look"}, "done"]]}
    root = project(tmp_path, THREAD, replies=replies, trust=("python:blocking.*",), files={"blocking.py": BLOCKING})
    async with a_run(root) as run:
        await seen(run, "tool.called")
    returned = next(event for event in recorded(root, run.id) if event["kind"] == "tool.returned")
    assert not returned["ok"]


async def test_cancel_while_a_person_is_asked(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def answer(question: Question) -> str:
        asked.set()
        await asyncio.Event().wait()
        return "never"

    async with a_run(project(tmp_path, PERSON), answer=answer):
        await asked.wait()


async def test_cancel_in_a_map_stops_every_item(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        root = project(tmp_path, MAP, base_url=server.base_url)
        async with a_run(root) as run:
            await seen(run, "model.asked", times=3)
        await asyncio.wait_for(server.empty.wait(), 10)
        assert len(server.exchanges) <= 3


async def test_cancel_in_parallel_branches_and_in_a_nested_workflow(tmp_path: Path) -> None:
    outer = AGENTS + "nodes: {deep: {workflow: inner}}\nflow:\n  - a -> b, deep -> end\n"
    async with FakeOpenAI([Reply(text="ok"), Reply(silent=True)]) as server:
        root = project(tmp_path, outer, base_url=server.base_url, files={"workflows/inner.yaml": CHAIN})
        async with a_run(root) as run:
            await seen(run, "model.asked", times=3)
    left = {e["node"]: e["status"] for e in recorded(root, run.id) if e["kind"] == "node.left"}
    assert left == {"a": "completed", "b": "cancelled", "deep": "cancelled", "deep#1/a": "cancelled"}


async def test_a_run_cancelled_before_its_first_step_still_has_a_beginning_and_an_end(tmp_path: Path) -> None:
    async with a_run(project(tmp_path)):
        pass


async def test_the_events_of_a_run_that_was_cancelled_at_once_end_with_its_end(tmp_path: Path) -> None:
    async with await antiphon.start("play", root=project(tmp_path)) as run:
        run.cancel()
        events = [event.kind async for event in run.events()]
    assert (events[0], events[-1]) == ("run.started", "run.finished")


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_leaving_early_cancels_the_run_and_closes_its_record(tmp_path: Path, when: str) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        root = project(tmp_path, base_url=server.base_url)
        async with left_tasks() as running:
            async with await antiphon.start("play", root=root) as run:
                if when == "later":
                    await seen(run, "model.asked")
            assert running() == set()
    assert recorded(root, run.id)[-1]["status"] == "cancelled"


async def test_an_error_of_the_caller_cancels_the_run_and_is_raised_as_it_is(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        root = project(tmp_path, base_url=server.base_url)
        with pytest.raises(ZeroDivisionError):
            async with await antiphon.start("play", root=root) as run:
                await seen(run, "model.asked")
                raise ZeroDivisionError
    assert recorded(root, run.id)[-1]["status"] == "cancelled"


async def test_cancelling_the_callers_task_cancels_the_run(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        root = project(tmp_path, base_url=server.base_url)
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def watch() -> None:
            async with await antiphon.start("play", root=root) as run:
                started.set_result(run.id)
                await run.result()

        watching = asyncio.ensure_future(watch())
        run_id = await started
        await asyncio.sleep(0)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
    assert recorded(root, run_id)[-1]["status"] == "cancelled"


async def test_cancelling_again_and_again_does_not_cut_the_record_short(tmp_path: Path) -> None:
    replies = {"a": [[{"tool": "look"}, "done"]]}
    root = project(tmp_path, THREAD, replies=replies, trust=("python:blocking.*",), files={"blocking.py": BLOCKING})
    async with await antiphon.start("play", root=root) as run:
        await seen(run, "tool.called")
        ending = asyncio.ensure_future(run.result())
        while not ending.done():
            run.cancel()
            await asyncio.sleep(0.01)
        assert ending.result().status == "cancelled"
    events = recorded(root, run.id)
    assert kinds(events)[-1] == "run.finished"
    assert "tool.returned" in kinds(events)


async def test_cancelling_a_run_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    async with await antiphon.start("play", root=project(tmp_path)) as run:
        result = await run.result()
        run.cancel()
        await asyncio.sleep(0)
        assert await run.result() == result
    assert result.status == "completed"


async def test_a_run_that_is_cancelled_leaves_another_one_alone(tmp_path: Path) -> None:
    async with FakeOpenAI(lambda exchange: Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, base_url=server.base_url)
        async with (
            await antiphon.start("play", root=root) as first,
            await antiphon.start("play", root=root) as second,
        ):
            await seen(first, "model.asked")
            first.cancel()
            assert (await first.result()).status == "cancelled"
            assert (await second.result()).status == "completed"
