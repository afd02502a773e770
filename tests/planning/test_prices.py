"""What a token costs, and that what is not known stays unknown."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import Place
from antiphon.planning.plan import plan_workflow
from antiphon.planning.prices import Prices
from antiphon.spec.load import find_project, load_workflow
from antiphon.spec.program import ModelSpec, Price
from fakes.plays import loaded

PLACE = Place("antiphon.yaml")


def spec(provider: str, model: str = "m", **more: Any) -> ModelSpec:
    return ModelSpec(name="default", provider=provider, model=model, place=PLACE, **more)


def prices(one: ModelSpec) -> Prices:
    return Prices({"default": one})


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (spec("embedded", "smollm2-135m"), "is local"),
        (spec("vllm", "Qwen/Qwen3-32B-FP8"), "is local"),
        (spec("scripted"), "is local"),
        (spec("openai_compatible", base_url="http://127.0.0.1:8000/v1"), "is local"),
        (spec("openai", "gpt-nonsense-9000"), "does not list openai:gpt-nonsense-9000"),
        (spec("openai_compatible", base_url="https://models.example.org/v1"), "does not list"),
    ],
)
def test_a_price_that_nobody_knows_is_unknown_with_the_reason(one: ModelSpec, says: str) -> None:
    quote = prices(one).quote("default")
    assert quote.rates is None
    assert says in quote.source
    assert prices(one).rates("default", 1000) is None


def test_the_yaml_has_the_last_word_on_a_price() -> None:
    for provider in ("embedded", "openai"):
        rates = prices(spec(provider, "gpt-5-mini", price=Price(3.0, 15.0))).rates("default", 10**7, least=True)
        assert rates is not None
        assert (rates.prompt, rates.completion) == (3e-6, 15e-6)


@pytest.mark.parametrize(
    "one",
    [
        spec("openai", "gpt-5-mini"),
        spec("anthropic", "claude-sonnet-4-5"),
        spec("openai_compatible", "mistral-large-latest", base_url="https://api.mistral.ai/v1"),
    ],
    ids=lambda one: one.provider,
)
def test_known_models_have_their_price_without_a_network(one: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    quote = prices(one).quote("default")
    assert quote.source.startswith("genai-prices")
    assert quote.rates is not None
    assert 0 < quote.rates.prompt < quote.rates.completion < 1e-3


def test_long_prompts_may_cost_more_per_token_and_cached_ones_less() -> None:
    known = prices(spec("anthropic", "claude-sonnet-4-5"))
    short, long = known.rates("default", 1_000), known.rates("default", 900_000)
    cached = known.rates("default", 1_000, least=True)
    assert short is not None and long is not None and cached is not None
    assert cached.prompt < short.prompt < long.prompt


WORKFLOW = """\
agents:
  a: {prompt: Speak., settings: {max_tokens: 1000}}
  b: {model: other, prompt: Speak., settings: {max_tokens: 1000}}
task: Go.
flow:
  - a -> b -> end
"""
PROJECT = """\
models:
  default: {provider: openai_compatible, base_url: "http://127.0.0.1:9/v1", model: m, price: {prompt: 1, completion: 2}}
  other: {provider: embedded}
"""


def test_money_is_summed_over_what_has_a_price_and_unknown_where_something_has_none(tmp_path: Path) -> None:
    loaded(tmp_path, WORKFLOW, {"antiphon.yaml": PROJECT})
    workflow, project = load_workflow(str(tmp_path / "workflows" / "play.yaml"), project=find_project(tmp_path))
    plan = plan_workflow(workflow, {}, project.models)
    a, b, total = (line.cases["worst"].to_json() for line in (*plan.lines, plan.total))
    assert a["cost_usd"] == pytest.approx((a["prompt_tokens"] + 2 * a["completion_tokens"]) / 1e6, abs=1e-6)
    assert b["cost_usd"] is None
    assert "known" not in b
    assert total["cost_usd"] is None
    assert total["known"] == {"cost_usd": a["cost_usd"]}


@pytest.mark.parametrize(
    ("price", "code"),
    [("{prompt: -1, completion: 2}", "bad-value"), ("{prompt: 1}", "missing-key"), ("free", "wrong-type")],
)
def test_a_price_that_makes_no_sense_is_refused(price: str, code: str, tmp_path: Path) -> None:
    from antiphon.spec.load import check_paths

    text = f"models:\n  default: {{provider: embedded, price: {price}}}\n"
    (tmp_path / "antiphon.yaml").write_text(text, encoding="utf-8")
    problems = check_paths([str(tmp_path / "antiphon.yaml")])
    assert [(problem.code, problem.place.line) for problem in problems] == [(code, 2)]
