"""What went wrong with a request over the OpenAI protocol, told as a `BackendError` that says what to do."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.backends.listing import Listing
from antiphon.backends.model import ModelRequest
from antiphon.errors import BackendError

JsonObject = dict[str, Any]

LONGEST_WAIT_S = 60.0
"""The longest Retry-After that is waited for."""

_TOO_LONG = re.compile(
    r"context.{0,10}(length|size|window)|maximum (model|context|input|prompt) length|prompt is too long|"
    r"longer than the (maximum )?model|exceed_context|input token count|max_model_len|too large for model|"
    r"`inputs` tokens",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:(?:maximum|max|available|model'?s) (?:context |model |input |prompt )?(?:length|size|window)(?: of tokens)?"
    r"|context (?:length|size|window)|maximum number of tokens allowed|must be <=|>)"
    r"\D{0,20}?(\d[\d,_]*)",
    re.IGNORECASE,
)
_LIMIT_BEFORE = re.compile(r"(?:with|>) (\d[\d,_]*) (?:tokens? )?(?:maximum|max)", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,_]*")
_PROMPT = (
    re.compile(
        r"(?:resulted in|passed|has|contains|given:?|count|length|prompt of|request|input) \(?(\d[\d,_]*)", re.I
    ),
    re.compile(r"(\d[\d,_]*) (?:tokens )?in (?:the|your) (?:messages|prompt)", re.I),
    re.compile(r"(?:too long|request|input):? \(?(\d[\d,_]*) tokens", re.I),
    re.compile(r"(\d[\d,_]*) (?:input|prompt) tokens", re.I),
    re.compile(r"requested (\d[\d,_]*) tokens", re.I),
)


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, for messages: never a key, never a header."""

    model: str
    base_url: str
    """Without user names and queries."""
    key_source: str
    """The reference that the key came from, such as `${env:OPENAI_API_KEY}`; empty without a key."""
    secret: str = ""
    """The key itself, to cut it out of what a server says."""

    def __repr__(self) -> str:
        return f"Target({self.model!r}, {self.base_url!r})"

    def __str__(self) -> str:
        return f"model {self.model!r} at {self.base_url}"

    def clean(self, text: str) -> str:
        """A server's words on one line of at most 400 characters, without the key."""
        if self.secret:
            text = text.replace(self.secret, "[key]")
        text = " ".join(text.split())
        return text if len(text) <= 400 else text[:397] + "..."


def unreachable(target: Target, reason: str) -> BackendError:
    """Nothing listens there, the name does not resolve, or the connection broke before an answer."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return BackendError(
            f"{target} cannot be trusted: {target.clean(reason)}",
            kind="unreachable",
            hint="check the host's name in base_url; for a certificate of your own, set SSL_CERT_FILE to its CA",
        )
    return BackendError(
        f"{target} cannot be reached: {target.clean(reason) or 'no connection'}",
        kind="unreachable",
        retryable=True,
        hint=f"is it running? try: curl {target.base_url}/models",
    )


def timed_out(target: Target, phase: str, limit_s: float) -> BackendError:
    """`phase` is `connect_s`, `first_token_s` or `stall_s`, as in the model's `timeouts`."""
    what = {
        "connect_s": "took no connection within",
        "first_token_s": "sent no first token within",
        "stall_s": "stopped in the middle of a reply: nothing came for",
    }[phase]
    where = f"is it running? try: curl {target.base_url}/models" if phase == "connect_s" else "is it overloaded?"
    return BackendError(
        f"{target} {what} {limit_s:g} s",
        kind="timeout",
        retryable=True,
        hint=f"{where} if it is only slow, raise timeouts.{phase} of the model",
    )


def cut(target: Target, reason: str) -> BackendError:
    """The stream ended before the reply did."""
    return BackendError(
        f"{target} cut the stream before the reply was complete: {target.clean(reason)}",
        kind="cut",
        retryable=True,
        hint="look into the server's log; a proxy between here and it may limit how long a reply may take",
    )


def malformed(target: Target, reason: str, *, retryable: bool, hint: str = "") -> BackendError:
    """The answer is not the OpenAI protocol."""
    return BackendError(
        f"{target} sent an answer that is not understood: {target.clean(reason)}",
        kind="malformed",
        retryable=retryable,
        hint=hint or "check that base_url points at an OpenAI-compatible API; it usually ends with /v1",
    )


def of_answer(
    target: Target,
    request: ModelRequest,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    listing: Listing | None = None,
) -> BackendError:
    """The error for an answer with a status of 400 or more, or for an error object inside a stream.

    `listing` fills in what the answer leaves out: see `wants_listing`.
    """
    text = body.decode("utf-8", "replace")
    error = error_object(text)
    message = target.clean(_message_of(error, text) or f"status {status}")
    code = str(error.get("code") or "") + " " + str(error.get("type") or "")
    if status not in (401, 403, 404, 429) and (_TOO_LONG.search(message) or "context" in code):
        return _too_long(target, request, status, message, error, listing)
    wait_s = retry_after(headers)
    told = f"{target} answered {status}: {message}"
    if status in (401, 403):
        return BackendError(told, kind="auth", status=status, hint=_key_hint(target))
    if status == 404:
        hint = f"check the model's name and base_url; what it serves: curl {target.base_url}/models"
        if listing is not None and listing.models:
            hint = f"it serves: {listing.names}"
        return BackendError(told, kind="not_found", status=status, hint=hint)
    if status == 429:
        return _rate_limited(target, told, code, message, wait_s)
    if status == 408:
        return BackendError(told, kind="timeout", retryable=True, retry_after_s=wait_s, status=status)
    if status >= 500:
        error_of_server = BackendError(
            told,
            kind="overloaded",
            retryable=True,
            retry_after_s=wait_s,
            status=status,
            hint="the server failed or is overloaded: look into its log, or try again later",
        )
        return _bounded(error_of_server, target)
    hint = "the request does not suit this model: see its settings, tools and reply schema"
    return BackendError(told, kind="bad_request", status=status, hint=hint)


def _rate_limited(target: Target, told: str, code: str, message: str, wait_s: float | None) -> BackendError:
    if "insufficient_quota" in code or "insufficient_quota" in message or "exceeded your current quota" in message:
        hint = "the account has no quota left: see its billing page, or name another model"
        return BackendError(told, kind="rate_limited", status=429, hint=hint)
    hint = "too many requests at once for this account: lower the parallelism, or wait"
    error = BackendError(told, kind="rate_limited", retryable=True, retry_after_s=wait_s, status=429, hint=hint)
    return _bounded(error, target)


def _bounded(error: BackendError, target: Target) -> BackendError:
    """The same error, final when the server asks for a longer wait than is given to it."""
    wait_s = error.retry_after_s
    if wait_s is None or wait_s <= LONGEST_WAIT_S:
        return error
    return BackendError(
        f"{error.message}; it asks to wait {wait_s:.0f} s, longer than the {LONGEST_WAIT_S:.0f} s that are waited",
        kind=error.kind,
        retry_after_s=wait_s,
        status=error.status,
        hint=f"run again in {wait_s:.0f} s, or name another model",
    )


def _key_hint(target: Target) -> str:
    if target.key_source:
        return f"the key came from {target.key_source}: is it the right one, and valid for this server?"
    return 'the server wants a key: give the model an api_key, such as "${env:API_KEY}"'


def error_object(text: str) -> JsonObject:
    """The error that a body holds, whatever a server wraps it in; empty when it is no JSON object."""
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    error = body.get("error", body)
    if isinstance(error, str):
        return {**body, "message": error}
    return error if isinstance(error, dict) else body


def _message_of(error: JsonObject, text: str) -> str:
    message = error.get("message") or error.get("detail") or error.get("msg")
    if message:
        return message if isinstance(message, str) else json.dumps(message)
    if "<html" in text[:1000].lower() or text.lstrip().startswith("<"):
        title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
        return f"an HTML page, {title.group(2).strip()!r}" if title else "an HTML page"
    return text.strip()


def said(text: str) -> str:
    """A body in a few words: its error message, the title of a page, or the text itself."""
    return _message_of(error_object(text), text)


def status_inside(chunk: JsonObject) -> int:
    """The status that an error object inside a stream stands for; 500 when it does not say."""
    error = chunk.get("error")
    error = error if isinstance(error, dict) else chunk
    for field in ("code", "status", "status_code"):
        value = str(error.get(field))
        if value.isdigit() and 400 <= int(value) < 600:
            return int(value)
    words = f"{error.get('type')} {error.get('code')}".lower()
    if "invalid" in words or "badrequest" in words or "bad_request" in words:
        return 400
    return 429 if "rate_limit" in words else 500


def retry_after(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """The wait a server asks for, in seconds: `retry-after-ms`, or `Retry-After` as seconds or as a date."""
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    parsed = email.utils.parsedate_tz(value)
    if parsed is None:
        return None
    return max(0.0, email.utils.mktime_tz(parsed) - (time.time() if now_s is None else now_s))


def _seconds(value: str | None) -> float | None:
    """A number that is not negative; null for what is no finite number."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def wants_listing(status: int, body: bytes) -> bool:
    """Whether the list of served models would make the error clearer: an unknown model, or a context of unsaid size."""
    if status == 404:
        return True
    if status not in (400, 413, 422, 500):
        return False
    text = body.decode("utf-8", "replace")
    error = error_object(text)
    return bool(_TOO_LONG.search(text)) and _sizes(_message_of(error, text), error)[1] is None


def _too_long(
    target: Target, request: ModelRequest, status: int, message: str, error: JsonObject, listing: Listing | None
) -> BackendError:
    prompt, limit = _sizes(message, error)
    if limit is None and listing is not None:
        limit = listing.context_of(target.model)
    told_prompt = f"{prompt} tokens" if prompt is not None else f"about {estimate_tokens(request)} tokens (estimated)"
    told_limit = (
        f"its context holds {limit} tokens" if limit is not None else "the server does not say what it can hold"
    )
    reserved = request.settings.get("max_tokens") or request.settings.get("max_completion_tokens")
    fits_alone = prompt is not None and limit is not None and prompt <= limit
    if fits_alone and isinstance(reserved, int):
        problem = f"the prompt of {told_prompt} and max_tokens {reserved} do not fit together"
        hint = "lower max_tokens, shorten the input, or name a model with a longer context"
    else:
        problem = f"the prompt of {told_prompt} is too long"
        hint = "shorten the input, narrow what the node sees (`sees: last`), or name a model with a longer context"
    return BackendError(
        f"{target}: {problem}; {told_limit}. It says: {message}",
        kind="context_length",
        status=status,
        hint=hint,
    )


def _sizes(message: str, error: JsonObject) -> tuple[int | None, int | None]:
    """The prompt's size and the context's, as far as the server says them."""
    prompt, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(prompt, int) and isinstance(limit, int):
        return prompt, limit
    found = _LIMIT_BEFORE.search(message) or _LIMIT.search(message)
    limit = _number(found.group(1)) if found else None
    for pattern in _PROMPT:
        for match in pattern.finditer(message):
            size = _number(match.group(1))
            if size != limit or limit is None:
                return size, limit
    numbers = sorted({_number(text) for text in _NUMBER.findall(message)} - {limit}, reverse=True)
    return (numbers[0] if numbers else None), limit


def _number(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))


def estimate_tokens(request: ModelRequest) -> int:
    """A guess at the size of a prompt: four bytes of text to a token."""
    size = sum(len(json.dumps(message.wire, ensure_ascii=False).encode()) for message in request.messages)
    size += sum(len(json.dumps(tool)) for tool in request.tools)
    return max(1, size // 4)
