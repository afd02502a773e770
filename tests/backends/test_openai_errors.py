"""What errors say: both sizes of a prompt that is too long, what a server serves, where a key came from."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.backends.openai_errors import Target, unreachable
from antiphon.errors import BackendError
from fakes.onlooker import Onlooker, ask
from fakes.openai_server import FakeOpenAI, Reply, chunk

TOO_LONG: dict[str, tuple[int, Any, int, int]] = {
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (5031 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5031,
                "n_ctx": 4096,
            }
        },
        5031,
        4096,
    ),
    "llama.cpp, words only": (
        500,
        {
            "error": {
                "message": "request (5031 tokens) exceeds the available context size (4096 tokens), try increasing it"
            }
        },
        5031,
        4096,
    ),
    "OpenAI": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in "
                "150001 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            }
        },
        150001,
        128000,
    ),
    "OpenAI, with the completion": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4097 tokens. However, you requested 5000 tokens "
                "(4800 in "
                "the messages, 200 in the completion). Please reduce the length of the messages or completion.",
            }
        },
        4800,
        4097,
    ),
    "vLLM": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, your request has 6123 input "
            "tokens. "
            "Please reduce the length of the input messages.",
            "type": "BadRequestError",
            "code": 400,
        },
        6123,
        4096,
    ),
    "vLLM, nested": (
        400,
        {
            "error": {
                "message": "You passed 6123 input tokens and requested 200 output tokens. However, the model's "
                "context length "
                "is only 4096 tokens, resulting in a maximum input length of 3896 tokens. Please reduce the length "
                "of the "
                "input prompt. (parameter=input_tokens, value=6123)",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
        6123,
        4096,
    ),
    "vLLM, the engine": (
        400,
        {
            "error": {
                "message": "The decoder prompt (length 6123) is longer than the maximum model length of 4096. Make "
                "sure that "
                "`max_model_len` is no smaller than the number of text tokens.",
            }
        },
        6123,
        4096,
    ),
    "Mistral": (
        422,
        {
            "message": "Prompt contains 40960 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context "
            "length",
            "type": "invalid_request_prompt",
        },
        40960,
        32768,
    ),
    "Anthropic": (
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
        210000,
        200000,
    ),
    "Gemini": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200000) exceeds the maximum number of tokens allowed "
                    "(1048576).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        1200000,
        1048576,
    ),
    "SGLang": (
        400,
        {"error": {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."}},
        5000,
        4096,
    ),
    "TGI": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 "
            "`inputs` tokens "
            "and 100 `max_new_tokens`",
            "error_type": "validation",
        },
        5000,
        4096,
    ),
    "with separators": (
        400,
        {"error": {"message": "Maximum context length is 32,768 tokens, but the prompt has 40,000 tokens."}},
        40000,
        32768,
    ),
}


@pytest.mark.parametrize("server_kind", TOO_LONG)
async def test_a_prompt_too_long_is_told_with_both_sizes(server_kind: str, model_of: Any, watch: Onlooker) -> None:
    status, body, prompt, limit = TOO_LONG[server_kind]
    async with FakeOpenAI(lambda exchange: reply_of(status, body)) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
        assert len(server.exchanges) == 1
    assert caught.value.kind == "context_length"
    assert not caught.value.retryable
    assert f"the prompt of {prompt} tokens is too long; its context holds {limit} tokens" in caught.value.message
    assert "shorten" in caught.value.hint


def reply_of(status: int, body: Any) -> Reply:
    return Reply(status=status, body=body)


async def test_a_prompt_too_long_inside_a_stream_is_the_same_error(model_of: Any, watch: Onlooker) -> None:
    _, body, _, _ = TOO_LONG["llama.cpp"]
    async with FakeOpenAI(Reply(events=[body])) as server:
        with pytest.raises(BackendError, match="5031 tokens is too long; its context holds 4096") as caught:
            await model_of(server).ask(ask(), watch)
    assert caught.value.kind == "context_length"


async def test_room_for_the_reply_that_does_not_fit_is_told_as_that(model_of: Any, watch: Onlooker) -> None:
    message = (
        "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 "
        "tokens and "
        "your request has 30 input tokens (9000 > 4096 - 30)."
    )
    async with FakeOpenAI(Reply(status=400, body={"error": {"message": message}})) as server:
        with pytest.raises(BackendError, match="prompt of 30 tokens and max_tokens 9000 do not fit") as caught:
            await model_of(server).ask(ask(settings={"max_tokens": 9000}), watch)
    assert caught.value.kind == "context_length"
    assert "lower max_tokens" in caught.value.hint


async def test_a_size_that_the_server_does_not_say_is_estimated_or_looked_up(model_of: Any, watch: Onlooker) -> None:
    body = {"error": {"message": "context length exceeded", "code": "context_length_exceeded"}}
    async with FakeOpenAI(Reply(status=400, body=body), max_model_len=2048) as server:
        with pytest.raises(BackendError, match=r"about 10\d\d tokens \(estimated\).* holds 2048 tokens") as caught:
            await model_of(server).ask(ask("four" * 1000), watch)
    assert caught.value.kind == "context_length"
    async with FakeOpenAI(Reply(status=400, body=body)) as server:
        with pytest.raises(BackendError, match="the server does not say what it can hold"):
            await model_of(server).ask(ask(), watch)


@pytest.mark.parametrize(
    "message",
    ["temperature must be at most 2", "Invalid schema for response_format 'reply'", "unknown field `context`"],
)
async def test_another_bad_request_is_not_taken_for_a_long_prompt(message: str, model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=400, body={"error": {"message": message}})) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
    assert caught.value.kind == "bad_request"
    assert f"answered 400: {message}" in caught.value.message


async def test_an_unknown_model_is_told_with_those_that_are_served(model_of: Any, watch: Onlooker) -> None:
    body = {"error": {"message": "The model `gpt` does not exist.", "code": 404}}
    async with FakeOpenAI(Reply(status=404, body=body), models=["qwen", "llama"]) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server, model="gpt").ask(ask(), watch)
    assert caught.value.kind == "not_found"
    assert caught.value.hint == "it serves: qwen, llama"


async def test_an_unknown_model_of_a_server_without_a_list_says_what_to_look_at(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=404), models_status=404, models=[]) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
        assert f"curl {server.base_url}/models" in caught.value.hint


def test_a_certificate_that_cannot_be_trusted_is_not_tried_again() -> None:
    reason = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
    error = unreachable(Target("qwen", "https://host/v1", ""), reason)
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert "SSL_CERT_FILE" in error.hint


async def test_a_refused_key_is_told_by_its_reference_and_never_shown(model_of: Any, watch: Onlooker) -> None:
    secret = "key-0123456789"
    body = {"error": {"message": f"Incorrect API key provided: {secret}. Find yours in the console."}}
    async with FakeOpenAI(Reply(status=401, body=body)) as server:
        model = model_of(server, secret=secret, key_source="${env:MY_KEY}")
        with pytest.raises(BackendError) as caught:
            await model.ask(ask(), watch)
    assert caught.value.kind == "auth"
    assert "${env:MY_KEY}" in caught.value.hint
    assert secret not in str(caught.value) + repr(caught.value) + repr(vars(model))
    assert "[key]" in caught.value.message


async def test_a_server_that_wants_a_key_says_how_to_give_one(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=401)) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
    assert "api_key" in caught.value.hint


async def test_a_password_in_the_url_is_not_shown(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=400)) as server:
        url = server.base_url.replace("http://", "http://someone:hush@") + "?token=hush"
        with pytest.raises(BackendError) as caught:
            await model_of(url).ask(ask(), watch)
        assert server.exchanges[0].path == "/v1/chat/completions?token=hush"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://host:port/v1", "/v1"])
def test_a_base_url_that_is_none_is_refused(url: str, model_of: Any) -> None:
    with pytest.raises(BackendError, match="base_url is not an http or https URL"):
        model_of(url)


async def test_long_and_many_lined_words_of_a_server_are_shortened(model_of: Any, watch: Onlooker) -> None:
    text = "line\n" * 1000
    async with FakeOpenAI(Reply(events=[chunk({"content": "x"}), {"error": {"message": text, "code": 400}}])) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("secret", ["with\nbreak", "with\rreturn"])
async def test_a_key_with_a_line_break_is_never_sent(secret: str, model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI() as server:
        with pytest.raises(BackendError):
            await model_of(server, secret=secret).ask(ask(), watch)
        assert server.exchanges == []
