"""The models of a run by name: opened when first asked for, shared, and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.backends import secrets
from antiphon.backends.model import Model, ModelReply, ModelRequest, Watch
from antiphon.backends.model_file import Progress
from antiphon.errors import BackendError
from antiphon.spec.program import ModelSpec, Secret

_DEFAULT_BASE_URLS = {"openai": "https://api.openai.com/v1", "vllm": "http://127.0.0.1:8000/v1"}
_OPENAI_PROTOCOL = ("openai_compatible", "openai", "vllm")


class Models:
    """Opens each model once. Use it on one event loop, and `close` it there."""

    def __init__(
        self,
        specs: Mapping[str, ModelSpec],
        *,
        progress: Callable[[Progress], None] | None = None,
        retry_base_s: float = 0.5,
    ) -> None:
        """`progress` hears of downloads and starts; `retry_base_s` is the first wait between attempts."""
        self._specs = dict(specs)
        self._progress = progress
        self._retry_base_s = retry_base_s
        self._declared: dict[str, Model] = {}
        self._opened: dict[str, Model] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, name: str) -> Model:
        """The model of this name, which opens with its first request. Raises `BackendError` when none is declared."""
        model = self._declared.get(name)
        if model is None:
            model = self._declared[name] = _Declared(self._spec(name), self)
        return model

    async def open(self, name: str) -> Model:
        """The model itself, ready to answer.

        Raises `BackendError` when it cannot be had, `MachineError` when this machine is in the way.
        """
        model = self._opened.get(name)
        if model is not None:
            return model
        async with self._locks.setdefault(name, asyncio.Lock()):
            if name not in self._opened:
                spec = self._spec(name)
                try:
                    self._opened[name] = await open_model(spec, self._progress, self._retry_base_s)
                except BackendError as error:
                    error.at(spec.place)
                    raise
            return self._opened[name]

    def describe(self, name: str) -> str:
        """`provider:model`, as the start of a run records it."""
        return str(self._spec(name))

    async def close(self) -> None:
        """Gives back connections and processes. Idempotent."""
        opened, self._opened = self._opened, {}
        for model in opened.values():
            await model.close()

    def _spec(self, name: str) -> ModelSpec:
        spec = self._specs.get(name)
        if spec is None:
            known = ", ".join(sorted(self._specs)) or "none"
            raise BackendError(
                f"there is no model named {name!r}", kind="no_model", hint=f"models that there are: {known}"
            )
        return spec


class _Declared:
    """A model as `models:` declares it. It is opened for its first request: a run that is served from its record needs
    neither server nor file.
    """

    def __init__(self, spec: ModelSpec, models: Models) -> None:
        self._spec = spec
        self._models = models

    @property
    def backend(self) -> str:
        return self._spec.provider

    @property
    def served_model(self) -> str:
        return self._spec.model

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._spec.settings

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        model = await self._models.open(self._spec.name)
        return await model.ask(request, watch)

    async def close(self) -> None:
        """The opened model is closed with the others."""


async def open_model(
    spec: ModelSpec, progress: Callable[[Progress], None] | None = None, retry_base_s: float = 0.5
) -> Model:
    """A model as its spec says. The caller closes it."""
    if spec.provider == "scripted":
        from antiphon.backends.scripted import ScriptedModel

        return ScriptedModel.of(spec)
    if spec.provider == "embedded":
        from antiphon.backends.embedded import EmbeddedModel

        return await EmbeddedModel.open(spec, progress, folder=folder_of(spec), retry_base_s=retry_base_s)
    if spec.provider in _OPENAI_PROTOCOL:
        return await _open_server_model(spec, retry_base_s)
    raise BackendError(
        f"model {spec.name!r}: the provider {spec.provider!r} is not supported in this version",
        kind="no_model",
        hint=f"use one of embedded, scripted, {', '.join(_OPENAI_PROTOCOL)}; for Anthropic's models, a gateway that "
        "speaks the OpenAI protocol can be named as openai_compatible",
    )


async def _open_server_model(spec: ModelSpec, retry_base_s: float) -> Model:
    from antiphon.backends.openai_protocol import OpenAIModel

    base_url = spec.base_url or _DEFAULT_BASE_URLS.get(spec.provider)
    if base_url is None:
        hint = 'add it, such as base_url: "http://127.0.0.1:8000/v1"'
        raise BackendError(f"model {spec.name!r} names no base_url", kind="bad_request", hint=hint)
    reference = key_reference(spec)
    model = OpenAIModel(
        spec.model,
        base_url,
        backend=spec.provider,
        secret=await secrets.resolve(reference, folder_of(spec)) if reference else "",
        key_source=str(reference or ""),
        settings=spec.settings,
        timeouts=spec.timeouts,
        retry_base_s=retry_base_s,
    )
    if not spec.model:
        await model.take_only_model()
    return model


def key_reference(spec: ModelSpec) -> Secret | None:
    """Where the key of a model comes from; that of OpenAI's own server has a usual place."""
    if spec.api_key is None and spec.provider == "openai" and spec.base_url is None:
        return Secret(kind="env", value="OPENAI_API_KEY")
    return spec.api_key


def folder_of(spec: ModelSpec) -> Path:
    """The folder that relative paths in a spec start at: that of its file, or the current one."""
    file = Path(spec.place.file)
    return file.parent if file.is_file() else Path.cwd()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a model can be used now, in one line, and what to do if not."""

    ok: bool
    line: str
    hint: str = ""


async def check(spec: ModelSpec) -> CheckResult:
    """Looks whether a model is there, without asking it anything: the server answers and serves it, the file is there.

    Fetches nothing, starts nothing and never raises a `BackendError`.
    """
    if spec.provider == "embedded":
        from antiphon.backends.model_file import check_file

        ok, line, hint = check_file(spec.model)
        return CheckResult(ok, line, hint)
    try:
        model = await open_model(spec)
    except BackendError as error:
        return CheckResult(False, error.message, error.hint)
    try:
        from antiphon.backends.openai_protocol import OpenAIModel

        if not isinstance(model, OpenAIModel):
            return CheckResult(True, f"{spec}: plays its own replies")
        ok, line, hint = await model.check()
        return CheckResult(ok, line, hint)
    finally:
        await model.close()
