"""The embedded model, with a real child process and the real file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest

from antiphon.backends.embedded import MOST_STARTS, SLOT_TOKENS, EmbeddedModel
from antiphon.backends.models import Models
from antiphon.errors import BackendError, Place
from antiphon.spec.home import home_folder
from antiphon.spec.program import ModelSpec
from fakes.onlooker import Onlooker, ask

pytestmark = [pytest.mark.slow, pytest.mark.embedded, pytest.mark.timeout(300)]

SPEC = ModelSpec(name="default", provider="embedded", model="smollm2-135m", place=Place("antiphon.yaml"))
SHORT = {"max_tokens": 6, "temperature": 0}


def alive(process_id: int) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


async def opened(models: Models) -> EmbeddedModel:
    model = await models.open("default")
    assert isinstance(model, EmbeddedModel)
    return model


async def test_it_answers_keeps_to_a_schema_and_says_when_a_prompt_is_too_long(
    shared_model_file: Path, watch: Onlooker
) -> None:
    stages: list[str] = []
    models = Models({"default": SPEC}, progress=lambda progress: stages.append(progress.stage), retry_base_s=0.01)
    try:
        model = await opened(models)
        assert stages == ["starting"]
        reply = await model.ask(ask("Say hello.", settings=SHORT), watch)
        assert reply.text and reply.text == watch.streamed("text")
        assert (model.backend, model.served_model, reply.served_model) == ("embedded", "smollm2-135m", "smollm2-135m")
        assert reply.usage.completion_tokens == 6 and (reply.usage.prompt_tokens or 0) > 0
        assert reply.finish_reason == "length"

        schema: dict[str, Any] = {"enum": ["writer", "critic"]}
        choice = await model.ask(ask("Who speaks next?", settings={"max_tokens": 30}, reply_schema=schema), watch)
        jsonschema.validate(json.loads(choice.text), schema)

        with pytest.raises(
            BackendError, match=rf"\d{{4}} tokens is too long; its context holds {SLOT_TOKENS}"
        ) as caught:
            await model.ask(ask("word " * 5000), watch)
        assert caught.value.kind == "context_length"
    finally:
        await models.close()


async def test_one_child_serves_all_and_is_gone_after_the_last(shared_model_file: Path, watch: Onlooker) -> None:
    one, other = Models({"default": SPEC}), Models({"default": SPEC})
    try:
        first, second = await asyncio.gather(opened(one), opened(other))
        child = first.server.process_id
        assert child is not None and child == second.server.process_id
        await one.close()
        assert alive(child)
        assert (await second.ask(ask("Say hello.", settings=SHORT), watch)).text
    finally:
        await one.close()
        await other.close()
    assert not alive(child)
    assert list(second.server.log_file.parent.iterdir()) == []


async def test_a_child_that_crashes_is_started_again_and_the_call_goes_on(
    shared_model_file: Path, watch: Onlooker
) -> None:
    models = Models({"default": SPEC}, retry_base_s=0.01)
    try:
        model = await opened(models)
        first = model.server.process_id
        assert first is not None

        class Killer(Onlooker):
            """Kills the child with the first piece of the reply."""

            def delta(self, channel: str, text: str) -> None:
                super().delta(channel, text)
                if model.server.process_id == first:
                    os.kill(first, signal.SIGKILL)

        killer = Killer()
        reply = await model.ask(ask("Count to twenty.", settings={"max_tokens": 24}), killer)
        assert reply.attempts == 2
        assert killer.kinds == ["cut"]
        assert reply.text == killer.streamed("text")
        assert model.server.process_id not in (None, first)

        for _ in range(MOST_STARTS - 2):
            await kill_child(model)
            assert (await model.ask(ask("Say hello.", settings=SHORT), watch)).text
        await kill_child(model)
        with pytest.raises(BackendError, match=f"has crashed {MOST_STARTS} times"):
            await model.ask(ask("Say hello.", settings=SHORT), watch)
    finally:
        await models.close()


async def kill_child(model: EmbeddedModel) -> None:
    child = model.server.process_id
    assert child is not None
    os.kill(child, signal.SIGKILL)
    await model.server.ended()


async def test_the_child_dies_with_a_parent_that_is_killed(shared_model_file: Path) -> None:
    script = dedent("""
        import asyncio
        from antiphon.backends.models import Models
        from antiphon.errors import Place
        from antiphon.spec.program import ModelSpec

        async def main():
            spec = ModelSpec(name="default", provider="embedded", model="smollm2-135m", place=Place("antiphon.yaml"))
            model = await Models({"default": spec}).open("default")
            print(model.server.process_id, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert alive(child)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(20):
        for _ in range(2000):
            if alive(child):
                await asyncio.sleep(0.01)
    assert not alive(child)


async def test_a_file_that_is_no_model_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing that makes sense")
    spec = ModelSpec(name="default", provider="embedded", model=str(broken), place=Place("antiphon.yaml"))
    models = Models({"default": spec})
    with pytest.raises(BackendError, match="did not start; it ended with status") as caught:
        await models.open("default")
    await models.close()
    (log,) = (home_folder() / "logs").iterdir()
    assert str(log) in caught.value.hint
    assert "broken.gguf" in log.read_text(encoding="utf-8")


async def test_a_cancel_while_it_starts_leaves_no_child(shared_model_file: Path) -> None:
    models = Models({"default": SPEC}, progress=lambda progress: starting.set())
    starting = asyncio.Event()
    task = asyncio.create_task(models.open("default"))
    await starting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await models.close()
    assert children_of(os.getpid()) == []


def children_of(process_id: int) -> list[int]:
    """The processes whose parent this is and that serve a model."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            try:
                parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == process_id and b"embedded_server" in command:
                found.append(int(entry.name))
    return found
