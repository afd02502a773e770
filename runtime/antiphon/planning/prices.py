"""What a token costs: as `price:` in the YAML says, else from the price list of `genai-prices`, else unknown.

The list comes with the package and is never fetched. A model on this machine has no price of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.planning.bound import Number
from antiphon.spec.program import ModelSpec

_MILLION = 1_000_000
_LISTED = {"openai": "openai", "anthropic": "anthropic"}
_LOCAL = ("embedded", "vllm", "scripted")


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per token."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class Quote:
    """Where a model's price comes from: `rates` for a short prompt, or null with the reason."""

    rates: Rates | None
    source: str
    """`antiphon.yaml`, `genai-prices 0.2.3`, or why there is none."""


class Prices:
    """The prices of a project's models, by the names that agents use."""

    def __init__(self, models: Mapping[str, ModelSpec]) -> None:
        self._models = models
        self._quotes: dict[str, Quote] = {}

    def quote(self, name: str) -> Quote:
        """The price of a model and its source."""
        if name not in self._quotes:
            self._quotes[name] = self._find(name)
        return self._quotes[name]

    def rates(self, name: str, prompt_tokens: Number = 0, *, least: bool = False) -> Rates | None:
        """Rates for prompts of at most this size; with `least`, for prompts that are cached as far as may be.

        Null when the price is not known.
        """
        quote = self.quote(name)
        spec = self._models.get(name)
        if quote.rates is None or spec is None or spec.price is not None:
            return quote.rates
        return _listed(spec, min(prompt_tokens, 10**12), cached=least) or quote.rates

    def _find(self, name: str) -> Quote:
        spec = self._models.get(name)
        if spec is None:
            return Quote(None, "it is Python, and what it asks for is not known")
        if spec.price is not None:
            declared = Rates(spec.price.prompt_usd / _MILLION, spec.price.completion_usd / _MILLION)
            return Quote(declared, "antiphon.yaml")
        if spec.provider in _LOCAL or _is_here(spec):
            return Quote(None, f"{spec.provider} is local and has no price: set one in the YAML")
        from importlib.metadata import version as version_of

        rates, version = _listed(spec, 0), version_of("genai-prices")
        if rates is None:
            return Quote(None, f"genai-prices {version} does not list {spec}")
        return Quote(rates, f"genai-prices {version}")


def _is_here(spec: ModelSpec) -> bool:
    if spec.base_url is None:
        return False
    from antiphon.backends.clients import is_loopback

    return is_loopback(spec.base_url)


def _listed(spec: ModelSpec, prompt_tokens: Number, *, cached: bool = False) -> Rates | None:
    """The list's price. Some models cost more per token behind long prompts."""
    from genai_prices import Usage, calc_price

    where: dict[str, Any] = {}
    if spec.base_url is not None:
        where["provider_api_url"] = spec.base_url
    elif spec.provider in _LISTED:
        where["provider_id"] = _LISTED[spec.provider]
    else:
        return None
    asked = max(1, int(prompt_tokens))
    try:
        usage = Usage(input_tokens=asked, output_tokens=_MILLION, cache_read_tokens=asked if cached else None)
        found = calc_price(usage, spec.model, **where)
    except (LookupError, ValueError):
        return None
    return Rates(float(found.input_price) / asked, float(found.output_price) / _MILLION)
