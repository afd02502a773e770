"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def seconds(value: float | None) -> str:
    """A duration: `4 ms`, `0.4 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min`."""
    if value is None:
        return ""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(number: int, noun: str) -> str:
    """`1 turn`, `1,204 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tokens(usage: Mapping[str, Any]) -> str:
    """`812 in, 48 out`, as far as the server reported it."""
    asked, replied = usage.get("prompt_tokens"), usage.get("completion_tokens")
    parts = [f"{asked:,} in" if isinstance(asked, int) else "", f"{replied:,} out" if isinstance(replied, int) else ""]
    shown = ", ".join(part for part in parts if part)
    cached = usage.get("cached_tokens")
    return f"{shown} ({cached:,} cached)" if shown and isinstance(cached, int) and cached else shown


def total_tokens(usage: Mapping[str, Any] | None) -> int | None:
    """Prompt and completion tokens together; null when nothing was reported."""
    counts = [(usage or {}).get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [each for each in counts if isinstance(each, int)]
    return sum(known) if known else None


def dollars(cost: float | None) -> str:
    """`$0.0012`; empty when the price is not known."""
    if cost is None:
        return ""
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def bytes_of(done: int | None, total: int | None) -> str:
    """`60 of 138 MB`, `60 MB`, or nothing."""
    if done is None or not (done or total):
        return ""
    so_far = f"{done / 1e6:.0f}"
    return f"{so_far} of {total / 1e6:.0f} MB" if total else f"{so_far} MB"
