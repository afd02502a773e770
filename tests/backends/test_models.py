"""Models by name: opened once, their keys found where the references say, and looked at by `doctor`."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.models import Models, check
from antiphon.errors import BackendError, Place
from antiphon.spec.program import ModelSpec, Secret
from fakes.onlooker import Onlooker, ask
from fakes.openai_server import FakeOpenAI, Reply


def spec(name: str = "default", provider: str = "openai_compatible", **fields: Any) -> ModelSpec:
    fields.setdefault("place", Place("antiphon.yaml", 2, 3))
    return ModelSpec(name=name, provider=provider, **fields)


async def opened_and_asked(given: ModelSpec) -> Any:
    models = Models({given.name: given}, retry_base_s=0.001)
    try:
        return await (await models.open(given.name)).ask(ask(), Onlooker())
    finally:
        await models.close()


async def test_a_model_is_opened_once_and_shared() -> None:
    async with FakeOpenAI("hi") as server:
        models = Models({"default": spec(base_url=server.base_url, model="fake", settings={"temperature": 0})})
        first, second = await asyncio.gather(models.open("default"), models.open("default"))
        assert first is second is await models.open("default")
        assert (first.backend, first.served_model) == ("openai_compatible", "fake")
        assert (await first.ask(ask(), Onlooker())).text == "hi"
        assert server.requests[0]["temperature"] == 0
        await models.close()
        await models.close()


async def test_what_a_model_is_can_be_told_without_opening_it() -> None:
    models = Models({"default": spec(base_url="http://127.0.0.1:1/v1", model="qwen")})
    assert models.describe("default") == "openai_compatible:qwen"
    await models.close()


async def test_a_name_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(BackendError, match="no model named 'small'") as caught:
        await Models({"default": spec()}).open("small")
    assert "default" in caught.value.hint


async def test_a_provider_that_is_not_supported_is_refused_clearly() -> None:
    with pytest.raises(BackendError, match="'anthropic' is not supported") as caught:
        await Models({"default": spec(provider="anthropic", model="claude")}).open("default")
    assert caught.value.place == Place("antiphon.yaml", 2, 3)
    assert "openai_compatible" in caught.value.hint


async def test_openai_takes_its_key_from_the_usual_place_and_misses_it_clearly() -> None:
    with pytest.raises(BackendError, match=r"no key in \$\{env:OPENAI_API_KEY\}: .* not set") as caught:
        await Models({"default": spec(provider="openai", model="gpt")}).open("default")
    assert caught.value.kind == "auth"


async def test_the_usual_key_of_openai_does_not_go_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    async with FakeOpenAI() as server:
        await opened_and_asked(spec(provider="openai", base_url=server.base_url, model="fake"))
        assert "authorization" not in server.exchanges[0].headers


async def key_sent_for(secret: Secret, folder: Path) -> str:
    async with FakeOpenAI() as server:
        given = spec(base_url=server.base_url, model="fake", api_key=secret, place=Place(str(folder / "antiphon.yaml")))
        (folder / "antiphon.yaml").touch()
        await opened_and_asked(given)
        return server.exchanges[0].headers["authorization"]


async def test_a_key_comes_from_the_environment_a_file_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "from-env")
    (tmp_path / "key.txt").write_text("from-file\n", encoding="utf-8")
    (Path(os.environ["HOME"]) / "key.txt").write_text("from-home", encoding="utf-8")
    found = {
        "from-env": Secret(kind="env", value="MY_KEY"),
        "from-file": Secret(kind="file", value="key.txt"),
        "from-home": Secret(kind="file", value="~/key.txt"),
        "from-command": Secret(kind="cmd", value="printf '%s\\n' from-command"),
        "here": Secret(kind="cmd", value="sh -c 'test -f key.txt && echo here'"),
    }
    for key, secret in found.items():
        assert await key_sent_for(secret, tmp_path) == f"Bearer {key}"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret(kind="env", value="NOT_SET"), r"\$\{env:NOT_SET\}: the environment variable is not set"),
        (Secret(kind="env", value="BLANK"), r"\$\{env:BLANK\}"),
        (Secret(kind="env", value="TWO_LINES"), r"line breaks"),
        (Secret(kind="file", value="gone.txt"), r"\$\{file:gone.txt\}: .*gone.txt cannot be read"),
        (Secret(kind="file", value="empty.txt"), r"\$\{file:empty.txt\}: it is empty"),
        (Secret(kind="file", value="binary"), "is not text"),
        (Secret(kind="cmd", value="false"), "false ended with status 1"),
        (Secret(kind="cmd", value="no-such-command-here"), "cannot be started"),
        (Secret(kind="cmd", value="echo 'unclosed"), "quotation"),
        (Secret(kind="cmd", value=""), "the command is empty"),
        (Secret(kind="cmd", value="true"), "it is empty"),
        (Secret(kind="vault", value="x"), "does not exist"),
    ],
)
async def test_a_key_that_is_not_there_is_told_by_its_reference(
    secret: Secret, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLANK", "  ")
    monkeypatch.setenv("TWO_LINES", "a\nb")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BackendError, match=words) as caught:
        await key_sent_for(secret, tmp_path)
    assert caught.value.kind == "auth"
    assert caught.value.hint


async def test_without_a_model_the_only_served_one_is_taken() -> None:
    async with FakeOpenAI("hi", models=["alone"]) as server:
        assert (await opened_and_asked(spec(base_url=server.base_url))).served_model == "alone"
        assert server.requests[0]["model"] == "alone"


async def test_without_a_model_several_or_none_is_an_error_that_lists_them() -> None:
    async with FakeOpenAI(models=["one", "two"]) as server:
        with pytest.raises(BackendError, match="serves several") as caught:
            await opened_and_asked(spec(base_url=server.base_url))
        assert caught.value.hint == "name one of them: one, two"
    async with FakeOpenAI(models=[]) as server:
        with pytest.raises(BackendError, match="no model that it serves"):
            await opened_and_asked(spec(base_url=server.base_url))


async def test_timeouts_and_settings_of_the_spec_are_used() -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        given = spec(base_url=server.base_url, model="fake", timeouts={"first_token_s": 0.05})
        with pytest.raises(BackendError, match=r"within 0.05 s"):
            await opened_and_asked(given)


async def test_a_scripted_model_is_opened_like_any_other() -> None:
    reply = await opened_and_asked(spec(provider="scripted", replies={"*": ["played"]}))
    assert (reply.text, reply.scripted) == ("played", True)


async def test_looking_at_a_server_that_is_there() -> None:
    async with FakeOpenAI(models=["qwen"]) as server:
        result = await check(spec(base_url=server.base_url, model="qwen"))
        assert result.ok and "reachable and served" in result.line and server.base_url in result.line
        missing = await check(spec(base_url=server.base_url, model="llama"))
        assert not missing.ok and missing.hint == "it serves: qwen"
        assert server.exchanges == []


async def test_looking_at_a_server_that_is_not_there_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    down = await check(spec(base_url=f"http://127.0.0.1:{port}/v1", model="qwen"))
    assert not down.ok and "not reachable" in down.line and down.hint
    monkeypatch.setenv("MY_KEY", "k")
    async with FakeOpenAI(models_status=401) as server:
        key = Secret(kind="env", value="MY_KEY")
        refused = await check(spec(base_url=server.base_url, model="qwen", api_key=key))
        assert not refused.ok and "${env:MY_KEY}" in refused.hint
    async with FakeOpenAI(models_status=404) as server:
        unlisted = await check(spec(base_url=server.base_url, model="qwen"))
        assert unlisted.ok and "reachable" in unlisted.line


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai_compatible"])
async def test_looking_at_what_cannot_be_opened_tells_why(provider: str) -> None:
    result = await check(spec(provider=provider, model="x"))
    assert not result.ok and result.line and result.hint


async def test_looking_at_the_embedded_model_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ANTIPHON_HOME", str(home))
    result = await check(spec(provider="embedded", model="smollm2-135m"))
    assert not result.ok and "not here yet" in result.line and "98 MB" in result.hint
    assert not home.exists()
    unknown = await check(spec(provider="embedded", model="llama"))
    assert not unknown.ok and "smollm2-135m" in unknown.hint
