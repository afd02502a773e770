"""Random graphs, recorded on disk and cut anywhere: what resume, fork and rerun make, and what they spare."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import antiphon
from antiphon.backends.model_file import FILE_VARIABLE, model_file
from antiphon.engine.session import RunResult
from antiphon.journal import Journal
from antiphon.runner import Run, journal_folder, replay, rerun, resume
from fakes.graphs import Shape, workflow_text
from fakes.openai_server import Exchange, FakeOpenAI, in_thread
from fakes.projects import project, recorded

JsonObject = dict[str, Any]

shapes = st.builds(
    Shape, nodes=st.integers(2, 6), any_joins=st.booleans(), loops=st.integers(0, 2), seed=st.integers(0, 2**32 - 1)
)
a_few = settings(max_examples=5, deadline=None)
many = settings(max_examples=80, deadline=None)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAI]:
    """A model whose replies depend on every word of the request."""

    def reply(exchange: Exchange) -> str:
        return f"said {hashlib.sha256(json.dumps(exchange.body['messages']).encode()).hexdigest()[:8]}"

    with in_thread(reply) as started:
        yield started


class Stage:
    """A project with a random graph on a model: a served one, or without a server on a scripted one that echoes."""

    def __init__(self, folder: Path, shape: Shape, server: FakeOpenAI | None) -> None:
        self.text = workflow_text(shape)
        self._server = server
        self._base_url = f"{server.base_url.removesuffix('/v1')}/{folder.name}/v1" if server is not None else None
        self.root = folder
        self.write(self.text)
        self.asked = 0

    def write(self, text: str) -> None:
        project(self.root, text, replies={"nobody": "nothing"}, base_url=self._base_url)

    def requests(self) -> int:
        """How many requests came to the server since this was last asked; for a scripted model, none."""
        if self._server is None:
            return 0
        before = self.asked
        self.asked = sum(f"/{self.root.name}/" in exchange.path for exchange in self._server.exchanges)
        return self.asked - before

    def is_counted(self) -> bool:
        return self._server is not None


async def to_the_end(run: Run | RunResult) -> RunResult:
    assert isinstance(run, Run)
    async with run:
        result = await run.result()
    assert result.status == "completed", result.error
    return result


async def played(stage: Stage) -> RunResult:
    return await to_the_end(await antiphon.start("play", root=stage.root))


def tokens(result: RunResult) -> tuple[int | None, int | None]:
    return result.usage["prompt_tokens"], result.usage["completion_tokens"]


def said(events: list[JsonObject]) -> dict[Any, Any]:
    return {(e["node"], e["visit"], e["turn"], e["item"]): e["text"] for e in events if e["kind"] == "message.sent"}


def edges(events: list[JsonObject]) -> dict[Any, Any]:
    return {(e["node"], e["visit"], e["target"]): (e["why"], e["taken"]) for e in events if e["kind"] == "edge.taken"}


def live(events: list[JsonObject]) -> set[str]:
    return {event["call"] for event in events if event["kind"] == "model.replied" and not event["from_journal"]}


def calls(root: Path, run: str) -> dict[str, Any]:
    with Journal.open_for_reading(journal_folder(root)) as journal:
        return {call.call: call for call in journal.calls(run)}


def cut(root: Path, run: str, until: int, *, with_calls: bool) -> None:
    """Leaves what a process that died then had written: the events up to one, and what was queued before the next."""
    after = until + 1 if with_calls else until
    connection = sqlite3.connect(journal_folder(root) / "journal.db")
    with connection:
        connection.execute("DELETE FROM events WHERE run = ? AND seq > ?", (run, until))
        connection.execute("DELETE FROM outcomes WHERE run = ? AND settled_after >= ?", (run, after))
        connection.execute("DELETE FROM calls WHERE run = ? AND asked_after >= ?", (run, after))
        connection.execute(
            "UPDATE runs SET status = 'running', finished_at = NULL, summary = NULL WHERE run = ?", (run,)
        )
    connection.close()


async def check_resume(stage: Stage, at: float, with_calls: bool) -> None:
    result = await played(stage)
    whole = recorded(stage.root, result.run)
    made = calls(stage.root, result.run)
    until = round(at * (len(whole) - 1))
    cut(stage.root, result.run, until, with_calls=with_calls)
    known = {name for name, call in calls(stage.root, result.run).items() if call.status == "done"}
    stage.requests()

    again = await to_the_end(await resume(result.run, root=stage.root))

    events = recorded(stage.root, result.run)
    assert (again.output, again.turns, tokens(again)) == (result.output, result.turns, tokens(result))
    assert (said(events), edges(events)) == (said(whole), edges(whole))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert live(events[until:]) == made.keys() - known
    if stage.is_counted():
        assert stage.requests() == len(made.keys() - known), "no outcome that was there is asked for again"
    after = calls(stage.root, result.run)
    assert {name: call.request_hash for name, call in after.items()} == {n: c.request_hash for n, c in made.items()}


async def check_fork(stage: Stage, at: float) -> None:
    result = await played(stage)
    whole, made = recorded(stage.root, result.run), calls(stage.root, result.run)
    until = max(1, round(at * len(whole)))
    shared = {name for name, call in made.items() if call.status == "done" and call.settled_after < until}
    stage.requests()

    fork = await to_the_end(await rerun(result.run, root=stage.root, recorded=True, until=until))

    events = recorded(stage.root, fork.run)
    assert live(events) == made.keys() - shared, "exactly the past is shared"
    if stage.is_counted():
        assert stage.requests() == len(made.keys() - shared)
    assert (said(events), edges(events), fork.output) == (said(whole), edges(whole), result.output)
    assert recorded(stage.root, result.run) == whole, "a fork leaves the run alone that it comes from"


async def check_rerun(stage: Stage, which: int) -> None:
    result = await played(stage)
    made = calls(stage.root, result.run)
    stage.requests()

    same = await to_the_end(await rerun(result.run, root=stage.root))
    assert live(recorded(stage.root, same.run)) == set()
    assert (same.output, stage.requests()) == (result.output, 0)
    assert (await replay(same.run, root=stage.root)).status == "completed"

    name = f"n{which % stage.text.count('I am n')}"
    stage.write(stage.text.replace(f"I am {name}.", f"I am another {name}."))
    changed = await to_the_end(await rerun(result.run, root=stage.root))
    events = recorded(stage.root, changed.run)
    stage.requests()
    fresh = await played(stage)
    wanted = calls(stage.root, fresh.run)
    assert changed.output == fresh.output, "a rerun ends as a run from nothing"
    assert said(events) == said(recorded(stage.root, fresh.run))
    spared = {n for n, c in wanted.items() if n in made and made[n].request_hash == c.request_hash}
    assert live(events) == wanted.keys() - spared
    assert {call for call in wanted if call.startswith(f"{name}#")} <= live(events)
    if stage.is_counted():
        dependent = depends_on(name, events)
        assert {call for call in wanted if call.split("/")[0] in dependent} <= live(events)
    else:
        # The same reply to another prompt ends the change right there.
        assert live(events) == {call for call in wanted if call.startswith(f"{name}#")}


def depends_on(name: str, events: list[JsonObject]) -> set[str]:
    """The visits of a node and all that came after them along the edges."""
    found: set[str] = set()
    for event in events:
        if event["kind"] == "node.entered":
            visit = f"{event['node']}#{event['visit']}"
            if event["node"] == name or found & set(event["heard"]):
                found.add(visit)
    return found


async def check_everything(shape: Shape, server: FakeOpenAI | None, at: float, which: int, with_calls: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await check_resume(Stage(Path(folder), shape, server), at, with_calls)
        shutil.rmtree(journal_folder(folder))
        await check_fork(Stage(Path(folder), shape, server), at)
        await check_rerun(Stage(Path(folder), shape, server), which)


arguments = given(shape=shapes, at=st.floats(0, 1), which=st.integers(0, 5), with_calls=st.booleans())


@a_few
@arguments
def test_runs_on_a_scripted_model_are_resumed_forked_and_rerun_without_a_call_too_many(
    shape: Shape, at: float, which: int, with_calls: bool
) -> None:
    asyncio.run(check_everything(shape, None, at, which, with_calls))


@a_few
@arguments
def test_runs_on_a_server_are_resumed_forked_and_rerun_without_a_request_too_many(
    server: FakeOpenAI, shape: Shape, at: float, which: int, with_calls: bool
) -> None:
    asyncio.run(check_everything(shape, server, at, which, with_calls))


@pytest.mark.slow
@pytest.mark.timeout(600)
@many
@arguments
def test_many_runs_on_a_scripted_model_are_resumed_forked_and_rerun_without_a_call_too_many(
    shape: Shape, at: float, which: int, with_calls: bool
) -> None:
    asyncio.run(check_everything(shape, None, at, which, with_calls))


@pytest.mark.slow
@pytest.mark.timeout(600)
@many
@arguments
def test_many_runs_on_a_server_are_resumed_forked_and_rerun_without_a_request_too_many(
    server: FakeOpenAI, shape: Shape, at: float, which: int, with_calls: bool
) -> None:
    asyncio.run(check_everything(shape, server, at, which, with_calls))


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(600)
async def test_runs_on_the_embedded_model_are_resumed_and_rerun_without_a_call_too_many(
    tmp_path: Path, real_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as whose:
        whose.setenv("HOME", str(real_home))
        whose.delenv("ANTIPHON_HOME")
        file = await model_file("smollm2-135m")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    agents = ", ".join(f"n{n}: {{prompt: I am n{n}., settings: {{max_tokens: 8, temperature: 0}}}}" for n in range(3))
    stage = Stage(tmp_path, Shape(1, False, 0, 0), None)
    stage.text = f"agents: {{{agents}}}\ntask: Go.\nflow:\n  - n0 -> n1, n2 -> end\n"

    def write(text: str) -> None:
        project(tmp_path, text, files={"antiphon.yaml": "models: {default: 'embedded:smollm2-135m'}\n"})

    write(stage.text)
    await check_resume(stage, 0.4, False)
    whole = await played(stage)
    same = await to_the_end(await rerun(whole.run, root=tmp_path))
    assert live(recorded(tmp_path, same.run)) == set()
    write(stage.text.replace("I am n1.", "I am another n1."))
    changed = await to_the_end(await rerun(whole.run, root=tmp_path))
    assert live(recorded(tmp_path, changed.run)) == {"n1#1/1"}
