"""The client of everything that speaks the OpenAI protocol: vLLM, llama.cpp, OpenAI and the many that imitate it.

It asks through the official SDK, with the SDK's own retries off and its raw response read here: the request is made
into JSON once, and a streamed chunk costs one `json` parse.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.backends.clients import Client, checked_base_url, shown_url
from antiphon.backends.model import JsonObject, ModelReply, ModelRequest, Watch
from antiphon.backends.openai_errors import Target
from antiphon.backends.openai_exchange import Exchange, Limits
from antiphon.backends.structured import response_format
from antiphon.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ATTEMPTS = 3
_LONGEST_BACK_OFF_S = 8.0
_without_stream_options: set[str] = set()
"""Base URLs of servers that reject `stream_options`."""


class OpenAIModel:
    """A served model of one server. Implements `Model`."""

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        backend: str = "openai_compatible",
        secret: str = "",
        key_source: str = "",
        settings: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        retry_base_s: float = 0.5,
    ) -> None:
        """Opens nothing yet. `retry_base_s` is the first wait between attempts; it doubles with each.

        Raises `BackendError` when `base_url` is none.
        """
        self._base_url = checked_base_url(base_url)
        self._backend = backend
        self._model = model
        self._secret = secret
        self._settings = dict(settings or {})
        self._limits = limits or Limits.of(self._base_url)
        self._retry_base_s = retry_base_s
        self._target = Target(model, shown_url(self._base_url), key_source, secret)
        self._client: Client | None = None

    @property
    def backend(self) -> str:
        return self._backend

    @property
    def served_model(self) -> str:
        return self._model

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        sdk = self._sdk()
        started = time.perf_counter()
        body = self._body(request)
        attempt = 1
        while True:
            exchange = Exchange(sdk, self._target, self._limits, request, watch)
            try:
                payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
                reply = await exchange.run(payload)
            except BackendError as error:
                if self._adapt(body, error):
                    continue
                wait_s = self._wait_s(error, attempt)
                watch.attempt_failed(attempt, error, wait_s)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
                attempt += 1
                continue
            return ModelReply(
                text=reply.text,
                reasoning=reply.reasoning,
                tool_calls=reply.tool_calls,
                usage=reply.usage,
                finish_reason=reply.finish_reason,
                served_model=reply.served_model or self._model,
                latency_s=time.perf_counter() - started,
                ttft_s=reply.ttft_s,
                attempts=attempt,
            )

    def _body(self, request: ModelRequest) -> JsonObject:
        """The request as it goes over the wire. Nothing in it is null."""
        body: JsonObject = {"model": self._model, "messages": [message.wire for message in request.messages]}
        for name, value in {**self._settings, **request.settings}.items():
            if value is not None:
                body.setdefault(name, value)
        if request.tools:
            body["tools"] = list(request.tools)
        else:
            body.pop("tool_choice", None)
            body.pop("parallel_tool_calls", None)
        if request.reply_schema is not None:
            body["response_format"] = response_format(request.reply_schema)
        body["stream"] = True
        if self._base_url not in _without_stream_options:
            body["stream_options"] = {"include_usage": True}
        return body

    def _adapt(self, body: JsonObject, error: BackendError) -> bool:
        """Leaves out what this server said that it does not know, and remembers it."""
        if error.status not in (400, 422):
            return False
        if "stream_options" in body and ("stream_options" in error.message or "include_usage" in error.message):
            del body["stream_options"]
            _without_stream_options.add(self._base_url)
            return True
        if "max_tokens" in body and "max_completion_tokens' instead" in error.message:
            body["max_completion_tokens"] = body.pop("max_tokens")
            return True
        return False

    def _wait_s(self, error: BackendError, attempt: int) -> float | None:
        """How long to wait before the next attempt; null when there is none."""
        if not error.retryable or attempt >= ATTEMPTS:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s
        back_off_s: float = min(self._retry_base_s * 2.0 ** (attempt - 1), _LONGEST_BACK_OFF_S)
        return back_off_s * random.uniform(0.75, 1.25)

    def _sdk(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = Client.of(self._base_url, self._secret)
        return self._client.sdk

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
