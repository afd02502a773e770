"""The façade: start a run, read its events, get its result; on the real journal and real models."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import antiphon
from antiphon.errors import SpecError, UsageError
from antiphon.events import Delta, Event, MessageSent
from antiphon.journal import Journal
from antiphon.runner import Question, Run, journal_folder
from fakes.openai_server import FakeOpenAI, Reply
from fakes.projects import AGENTS, CHAIN, kinds, project, recorded


async def events_of(run: Run) -> list[Event]:
    return [event async for event in run.events()]


async def test_a_run_yields_its_events_in_order_and_then_its_result(tmp_path: Path) -> None:
    root = project(tmp_path, replies={"a": "first", "b": "second"})
    async with await antiphon.start("play", root=root) as run:
        events = await events_of(run)
        result = await run.result()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert (events[0].kind, events[-1].kind) == ("run.started", "run.finished")
    assert (result.status, result.output, result.exit_code, result.run) == ("completed", "second", 0, run.id)
    assert [event.to_json() for event in events] == recorded(root, run.id)


async def test_no_event_is_seen_before_it_is_on_disk(tmp_path: Path) -> None:
    root = project(tmp_path)
    with Journal.open_for_reading(journal_folder(root)) as journal:
        async with await antiphon.start("play", root=root) as run:
            async for event in run.events():
                on_disk = [body["seq"] for body in journal.events(run.id)]
                assert event.seq in on_disk


async def test_pieces_of_replies_arrive_while_they_stream_and_are_not_recorded(tmp_path: Path) -> None:
    pieces: list[Delta] = []
    async with FakeOpenAI(Reply(text="one two three", chunks=3)) as server:
        root = project(tmp_path, base_url=server.base_url)
        async with await antiphon.start("play", root=root, on_delta=pieces.append) as run:
            events = await events_of(run)
    assert "".join(piece.text for piece in pieces if piece.call == "a#1/1") == "one two three"
    assert [event.text for event in events if isinstance(event, MessageSent)] == ["one two three"] * 2


async def test_reading_events_after_the_end_gives_nothing_and_does_not_wait(tmp_path: Path) -> None:
    async with await antiphon.start("play", root=project(tmp_path)) as run:
        await events_of(run)
        for _ in range(3):
            assert await asyncio.wait_for(events_of(run), 10) == []


async def test_a_result_needs_no_reader_of_events(tmp_path: Path) -> None:
    async with await antiphon.start("play", root=project(tmp_path)) as run:
        assert (await run.result()).status == "completed"
        assert (await run.result()).status == "completed"


async def test_giving_up_on_the_result_leaves_the_run_alone(tmp_path: Path) -> None:
    async with (
        FakeOpenAI(Reply(text="ok", before_s=0.1)) as server,
        await antiphon.start("play", root=project(tmp_path, base_url=server.base_url)) as run,
    ):
        waiting = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
        waiting.cancel()
        assert (await run.result()).status == "completed"


async def test_breaking_out_of_the_events_leaves_the_run_alone(tmp_path: Path) -> None:
    root = project(tmp_path)
    async with await antiphon.start("play", root=root) as run:
        async for _ in run.events():
            break
        assert (await run.result()).status == "completed"
    assert kinds(recorded(root, run.id))[-1] == "run.finished"


async def test_two_runs_of_a_workflow_at_once_do_not_touch_each_other(tmp_path: Path) -> None:
    root = project(
        tmp_path, "inputs: {who: {type: string}}\n" + CHAIN.replace("prompt: A", 'prompt: "${{ inputs.who }}"')
    )
    async with (
        await antiphon.start("play", root=root, inputs={"who": "anna"}) as first,
        await antiphon.start("play", root=root, inputs={"who": "bert"}) as second,
    ):
        results = await asyncio.gather(first.result(), second.result())
    assert [result.status for result in results] == ["completed", "completed"]
    assert first.id != second.id
    assert recorded(root, first.id)[0]["inputs"] == {"who": "anna"}
    assert recorded(root, second.id)[0]["inputs"] == {"who": "bert"}


async def test_20_runs_at_once_in_one_process_each_keep_their_own_record(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.02)) as server:
        root = project(tmp_path, base_url=server.base_url)

        async def one() -> list[Event]:
            async with await antiphon.start("play", root=root) as run:
                return await events_of(run)

        all_events = await asyncio.gather(*(one() for _ in range(20)))
    assert len({events[0].run for events in all_events}) == 20
    for events in all_events:
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.to_json() for event in events] == recorded(root, events[0].run)
        assert events[-1].to_json()["status"] == "completed"


def test_run_waits_for_the_end_and_gives_the_result(tmp_path: Path) -> None:
    result = antiphon.run("play", root=project(tmp_path, replies={"a": "1", "b": "2"}))
    assert (result.status, result.output) == ("completed", "2")


async def test_run_on_a_running_loop_says_what_to_call_instead(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="start"):
        antiphon.run("play", root=project(tmp_path))


def test_a_loaded_workflow_runs_on_the_models_that_it_was_loaded_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "there", replies={"*": "from there"})
    elsewhere = project(tmp_path / "here", replies={"*": "from here"})
    workflow = antiphon.load("play", root=root)
    assert list(workflow.nodes) == ["a", "b"]
    monkeypatch.chdir(elsewhere)
    assert antiphon.run(workflow).output == "from there"


def test_models_can_be_replaced_for_a_name_and_for_a_loaded_workflow(tmp_path: Path) -> None:
    root = project(tmp_path, files={"other.yaml": '"*": [replaced]\n'})
    by_name = antiphon.run("play", root=root, models={"default": f"scripted:{root / 'other.yaml'}"})
    loaded = antiphon.run(
        antiphon.load("play", root=root), root=root, models={"default": f"scripted:{root / 'other.yaml'}"}
    )
    assert (by_name.output, loaded.output) == ("replaced", "replaced")


def test_what_is_wrong_with_the_yaml_the_name_or_an_input_is_raised_before_anything_starts(tmp_path: Path) -> None:
    root = project(tmp_path, "inputs: {n: {type: integer}}\n" + CHAIN, files={"workflows/bad.yaml": "flow: [a -> ]\n"})
    with pytest.raises(SpecError) as spec:
        antiphon.run("bad", root=root)
    assert spec.value.problems
    with pytest.raises(UsageError, match="nosuch"):
        antiphon.run("nosuch", root=root)
    with pytest.raises(UsageError, match="n"):
        antiphon.run("play", root=root)
    with pytest.raises(UsageError, match="whole number"):
        antiphon.run("play", root=root, inputs={"n": "many"})
    assert not journal_folder(root).exists()


async def test_a_person_is_asked_through_the_function_that_start_was_given(tmp_path: Path) -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> str:
        asked.append(question)
        # What a person is asked about is on disk by then.
        assert "input.requested" in kinds(recorded(tmp_path, question.run))
        return "yes"

    text = "nodes: {ask: {human: Publish?, choices: [yes, no]}}\nflow:\n  - ask -> end\n"
    async with await antiphon.start("play", root=project(tmp_path, text), answer=answer) as run:
        result = await run.result()
    assert (result.status, result.output) == ("completed", "yes")
    assert [question.question for question in asked] == ["Publish?"]


def test_the_api_is_small_and_every_name_in_it_is_documented() -> None:
    assert len(antiphon.__all__) <= 15
    for name in antiphon.__all__:
        assert (getattr(antiphon, name).__doc__ or "").strip(), f"{name} has no docstring"
    assert set(antiphon.__all__) <= set(dir(antiphon))


def test_importing_antiphon_imports_nothing_heavy() -> None:
    heavy = ["openai", "autogen_core", "pydantic", "celpy", "jsonschema", "xllamacpp", "rich", "textual", "yaml"]
    code = f"import sys, antiphon; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_parallel_branches_are_recorded_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    slow = {"a": "go", "b": [{"text": "late", "delay_s": 0.2}], "c": "early", "d": "joined"}
    root = project(tmp_path, AGENTS + "flow:\n  - a -> b, c -> d -> end\n", replies=slow)
    result = antiphon.run("play", root=root)
    said = [event["text"] for event in recorded(root, result.run) if event["kind"] == "message.sent"]
    assert said == ["go", "early", "late", "joined"]
