"""What the tests of the backends share: somebody who looks on, and models of the fake server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.model_file import FILE_VARIABLE, model_file
from antiphon.backends.openai_protocol import OpenAIModel
from fakes.onlooker import Onlooker
from fakes.openai_server import FakeOpenAI


@pytest.fixture
def watch() -> Onlooker:
    return Onlooker()


@pytest.fixture
async def shared_model_file(real_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded model's file, kept in the home of whoever runs the tests; the first run fetches it."""
    with monkeypatch.context() as whose:
        whose.setenv("HOME", str(real_home))
        whose.delenv("ANTIPHON_HOME")
        file = await model_file("smollm2-135m")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    return file


ModelOf = Callable[..., OpenAIModel]


@pytest.fixture
async def model_of() -> AsyncIterator[ModelOf]:
    """Makes a model of a fake server, without waits between attempts, and closes it after the test."""
    opened: list[OpenAIModel] = []

    def make(
        server: FakeOpenAI | str, *, model: str = "fake", timeouts: Mapping[str, float] | None = None, **options: Any
    ) -> OpenAIModel:
        base_url = server if isinstance(server, str) else server.base_url
        options.setdefault("retry_base_s", 0.001)
        opened.append(OpenAIModel(model, base_url, timeouts=timeouts, **options))
        return opened[-1]

    yield make
    for model in opened:
        await model.close()
