"""One call to a model: budget, intent, request, outcome, events."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.backends.model import Message, Model, ModelReply, ModelRequest, digest_of, digests_of
from antiphon.engine.limits import Ledger
from antiphon.engine.past import Past
from antiphon.engine.record import Recorder
from antiphon.errors import BackendError, Failure, Place
from antiphon.events import Delta, ModelAsked, ModelFailed, ModelReplied, RunWarned

JsonObject = dict[str, Any]

_NO_SETTINGS: Mapping[str, Any] = {}
_MOST_QUEUED = 1000
"""A run that is this many records ahead of the disk waits for it."""


class ModelSource(Protocol):
    """Who turns a model's name into a model."""

    async def get(self, name: str) -> Model: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where in the run somebody speaks."""

    node: str
    visit: int
    agent: str | None
    place: str
    """`writer#2`, `panel#1/critic#4`, `parts#1/writer#3`, with the path of the workflow in front."""
    nth: int
    """The visit of the node, the turn of the chat or the item of the map."""
    yaml: Place
    ledger: Ledger
    """Counts what is spent here."""


class _Watch:
    """Passes what a call streams to the viewer, and its failed attempts to the record."""

    __slots__ = ("_call", "_on_delta", "_recorder", "_spot")

    def __init__(self, spot: Spot, call: str, recorder: Recorder, on_delta: Callable[[Delta], None] | None) -> None:
        self._spot = spot
        self._call = call
        self._recorder = recorder
        self._on_delta = on_delta

    def delta(self, channel: str, text: str) -> None:
        if self._on_delta is not None:
            spot = self._spot
            self._on_delta(
                Delta(node=spot.node, visit=spot.visit, agent=spot.agent, call=self._call, channel=channel, text=text)
            )

    def attempt_failed(self, attempt: int, error: BackendError, retry_in_s: float | None) -> None:
        spot = self._spot
        self._recorder.record(
            ModelFailed,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=self._call,
            attempt=attempt,
            error={**Failure.of(error).to_json(), "kind": error.kind},
            retry_in_s=retry_in_s,
        )
        self.delta("void", "")


class Caller:
    """Makes the model calls of one run and keeps their record."""

    def __init__(
        self,
        models: ModelSource,
        recorder: Recorder,
        past: Past,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> None:
        self._models = models
        self._recorder = recorder
        self._past = past
        self._on_delta = on_delta
        self._stored: set[str] = set()
        self._settings: dict[tuple[str, int], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        self._headers: dict[int, tuple[Any, str]] = {}

    async def ask(
        self,
        spot: Spot,
        model_name: str,
        messages: Sequence[Message],
        *,
        step: int,
        purpose: str = "turn",
        tools: tuple[JsonObject, ...] = (),
        reply_schema: JsonObject | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> ModelReply:
        """Makes one call. Raises `LimitReached` before it and `BackendError` after its last attempt."""
        spot.ledger.before_call()
        if self._recorder.queued > _MOST_QUEUED:
            await self._recorder.committed()
        call = f"{spot.place}/{step}"
        try:
            model = await self._models.get(model_name)
        except BackendError as error:
            error.at(spot.yaml)
            raise
        request = ModelRequest(
            messages=tuple(messages),
            tools=tools,
            reply_schema=reply_schema,
            settings=self._merged(model_name, model, settings),
            agent=spot.agent or "",
            call=call,
            visit=spot.nth,
            step=step,
        )
        recorded = self._announce(spot, call, purpose, model_name, model, request)
        if recorded is not None:
            reply = ModelReply.from_json(recorded)
            if self._past.counts(call):
                spot.ledger.settle(reply, reply.served_model or model_name)
            self._report(spot, call, purpose, model, reply, from_journal=True)
            return reply
        try:
            reply = await model.ask(request, _Watch(spot, call, self._recorder, self._on_delta))
        except asyncio.CancelledError:
            self._recorder.settle(call=call, status="unknown", outcome={"cancelled": True})
            raise
        except BackendError as error:
            outcome = {**Failure.of(error).to_json(), "kind": error.kind}
            self._recorder.settle(call=call, status="failed", outcome=outcome)
            error.at(spot.yaml)
            raise
        spot.ledger.settle(reply, reply.served_model or model_name)
        self._report(spot, call, purpose, model, reply, from_journal=False)
        return reply

    def _announce(
        self, spot: Spot, call: str, purpose: str, model_name: str, model: Model, request: ModelRequest
    ) -> JsonObject | None:
        """Records that the call is about to be made, and returns its outcome when the past has it."""
        digests = digests_of(request.messages)
        header = self._header_digest(request)
        served = model.served_model
        request_hash = hashlib.sha256(f"{served}\n{header}\n{' '.join(digests)}".encode()).hexdigest()
        fresh: dict[str, JsonObject] = {}
        if not self._stored.issuperset(digests):
            fresh = {m.digest: m.wire for m in request.messages if m.digest not in self._stored}
            self._stored.update(fresh)
        if header not in self._stored:
            self._stored.add(header)
            fresh[header] = request.header()
        spelled = {
            "model": model_name,
            "backend": model.backend,
            "served_model": served,
            "purpose": purpose,
            "header": header,
            "messages": digests,
        }
        self._recorder.intend(
            call=call,
            node=spot.node,
            visit=spot.visit,
            kind="model",
            effect="pure",
            request_hash=request_hash,
            request=spelled,
            blobs=fresh,
        )
        self._recorder.record(
            ModelAsked,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=call,
            purpose=purpose,
            model=model_name,
            backend=model.backend,
            request=request_hash,
            messages=len(digests),
        )
        return self._past.recall(call, request_hash, spelled)

    def _merged(self, name: str, model: Model, settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The model's settings under the agent's, made once for each pair."""
        own = settings if settings is not None else _NO_SETTINGS
        key = (name, id(own))
        kept = self._settings.get(key)
        if kept is None:
            kept = self._settings[key] = (own, {**model.settings, **own})
        return kept[1]

    def _header_digest(self, request: ModelRequest) -> str:
        """The digest of tools, schema and settings; agents keep theirs, so it is made once for each."""
        key = hash((id(request.tools), id(request.reply_schema), id(request.settings)))
        kept = self._headers.get(key)
        if kept is not None and kept[0] == (request.tools, request.reply_schema, request.settings):
            return kept[1]
        digest = digest_of(request.header())
        self._headers[key] = ((request.tools, request.reply_schema, request.settings), digest)
        return digest

    def _report(
        self, spot: Spot, call: str, purpose: str, model: Model, reply: ModelReply, *, from_journal: bool
    ) -> None:
        record = self._recorder.record
        body = reply.to_json()
        self._recorder.settle(call=call, status="done", outcome=body)
        record(
            ModelReplied,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=call,
            purpose=purpose,
            model=reply.served_model or model.served_model,
            backend=model.backend,
            text=reply.text,
            reasoning=reply.reasoning,
            tool_calls=body["tool_calls"],
            finish_reason=reply.finish_reason,
            usage=body["usage"],
            cost_usd=reply.cost_usd,
            latency_s=reply.latency_s,
            ttft_s=reply.ttft_s,
            attempts=reply.attempts,
            from_journal=from_journal,
            scripted=reply.scripted,
        )
        if reply.finish_reason == "length":
            record(
                RunWarned,
                node=spot.node,
                visit=spot.visit,
                message=f"the reply to {call} was cut at its token limit (settings.max_tokens)",
            )
        elif reply.finish_reason == "content_filter":
            record(RunWarned, node=spot.node, visit=spot.visit, message=f"the reply to {call} was cut by a filter")
        elif not (reply.tool_calls or reply.text.strip()):
            said = "is only reasoning" if reply.reasoning.strip() else "is empty"
            record(RunWarned, node=spot.node, visit=spot.visit, message=f"the reply to {call} {said}")
