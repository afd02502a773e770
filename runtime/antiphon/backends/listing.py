"""What a server says that it serves: `/v1/models`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LIMIT_S = 5.0
"""How long a server may take to list its models."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that a server lists, and how many tokens its context holds where the server says so."""

    id: str
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer to a request for the served models. `status` is null when no answer came, and `problem` says why."""

    models: tuple[Served, ...] = ()
    status: int | None = None
    problem: str = ""

    def context_of(self, model: str) -> int | None:
        return next((served.context for served in self.models if served.id == model), None)

    @property
    def names(self) -> str:
        """The first ten models, for a message."""
        shown = ", ".join(served.id for served in self.models[:10])
        return f"{shown}, ..." if len(self.models) > 10 else shown


async def served_models(sdk: AsyncOpenAI, limit_s: float = LIMIT_S) -> Listing:
    """Never raises: a server that cannot tell is a listing with a problem."""
    import httpx2
    import openai

    try:
        async with asyncio.timeout(limit_s) as timer:
            timeout = httpx2.Timeout(limit_s, connect=min(limit_s, 5.0))
            response = await sdk.get("/models", cast_to=httpx2.Response, options={"timeout": timeout})
            return Listing(_models_in(response.json()), response.status_code)
    except TimeoutError:
        if not timer.expired():
            raise
        return Listing(problem=f"no answer within {limit_s:g} s")
    except openai.APIStatusError as error:
        return Listing(status=error.status_code, problem=f"status {error.status_code}")
    except openai.APIConnectionError as error:
        return Listing(problem=str(error.__cause__ or error) or "no connection")
    except (httpx2.HTTPError, ValueError) as error:
        return Listing(status=200, problem=f"an answer that is not understood ({error})")


def _models_in(body: Any) -> tuple[Served, ...]:
    listed = body.get("data") if isinstance(body, dict) else body
    if not isinstance(listed, list):
        raise ValueError("no list of models")
    return tuple(
        Served(str(model["id"]), _context_in(model)) for model in listed if isinstance(model, dict) and "id" in model
    )


def _context_in(model: dict[str, Any]) -> int | None:
    meta = model.get("meta")
    places = [model, meta if isinstance(meta, dict) else {}]
    for name in ("max_model_len", "n_ctx", "context_length", "context_window", "max_context_length", "n_ctx_train"):
        for place in places:
            if isinstance(place.get(name), int):
                return int(place[name])
    return None
