"""The façade's `resume`, and looking on while a run goes on after an end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import antiphon
from antiphon.engine.session import RunResult
from antiphon.journal import Journal
from antiphon.runner import Run, journal_folder, resume
from fakes.openai_server import FakeOpenAI, Reply
from fakes.projects import kinds, project, recorded


async def stopped_in_the_second_call(root: Path) -> str:
    async with await antiphon.start("play", root=root) as run:
        async for event in run.events():
            if event.kind == "message.sent":
                run.cancel()
        assert (await run.result()).status == "cancelled"
    return run.id


async def gone_on(root: Path, run: str) -> RunResult:
    found = await resume(run, root=root)
    assert isinstance(found, Run)
    async with found as under_way:
        return await under_way.result()


async def test_who_follows_a_run_sees_it_go_on_after_an_end(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, base_url=server.base_url)
        run = await stopped_in_the_second_call(root)
        with Journal.open_for_reading(journal_folder(root)) as journal:
            alone = [body async for body in journal.follow(run)]
            found = await resume(run, root=root)
            assert isinstance(found, Run)
            async with found as under_way:
                async for _ in under_way.events():
                    break
                seen: list[dict[str, Any]] = [body async for body in journal.follow(run)]
                assert (await under_way.result()).status == "completed"
            again = [body async for body in journal.follow(run)]
    assert kinds(alone)[-1] == "run.finished"
    assert seen == again == recorded(root, run)
    assert kinds(seen).count("run.finished") == 2 and kinds(seen)[-1] == "run.finished"


async def test_a_resumed_run_asks_only_for_what_has_no_outcome(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, base_url=server.base_url)
        run = await stopped_in_the_second_call(root)
        before = len(server.requests)
        result = await gone_on(root, run)
        assert result.status == "completed"
        assert len(server.requests) == before + 1
    asked = [body["call"] for body in recorded(root, run) if body["kind"] == "model.replied"]
    assert asked == ["a#1/1", "b#1/1"]


async def test_a_run_that_is_completed_is_left_alone(tmp_path: Path) -> None:
    root = project(tmp_path)
    async with await antiphon.start("play", root=root) as run:
        result = await run.result()
    before = recorded(root, run.id)
    assert await resume(run.id, root=root) == result or recorded(root, run.id) == before


async def test_two_who_resume_at_once_do_not_both_get_the_run(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, base_url=server.base_url)
        run = await stopped_in_the_second_call(root)
        first = await resume(run, root=root)
        assert isinstance(first, Run)
        async with first:
            async for _ in first.events():
                break
            try:
                await resume(run, root=root)
            except antiphon.UsageError as error:
                assert "under way" in error.message
            else:
                raise AssertionError("the run was taken twice")
            assert (await first.result()).status == "completed"
    assert asyncio.all_tasks() == {asyncio.current_task()}
