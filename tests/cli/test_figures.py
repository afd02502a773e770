"""Numbers as people read them."""

from __future__ import annotations

import pytest

from antiphon.cli.figures import bytes_of, count, dollars, seconds, tokens, total_tokens


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 ms"),
        (0.0042, "4 ms"),
        (0.0996, "0.1 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (None, ""),
    ],
)
def test_durations(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


def test_counts_and_costs() -> None:
    assert [count(1, "turn"), count(1204, "token")] == ["1 turn", "1,204 tokens"]
    assert [dollars(None), dollars(0.0), dollars(0.00123), dollars(12.5)] == ["", "$0.00", "$0.0012", "$12.50"]
    assert [bytes_of(None, 5), bytes_of(60_000_000, 138_000_000), bytes_of(60_000_000, 0)] == [
        "",
        "60 of 138 MB",
        "60 MB",
    ]


def test_tokens_that_were_not_reported_are_not_zero() -> None:
    assert tokens({"prompt_tokens": 812, "completion_tokens": None}) == "812 in"
    assert (
        tokens({"prompt_tokens": 812, "completion_tokens": 48, "cached_tokens": 700}) == "812 in, 48 out (700 cached)"
    )
    assert total_tokens({"prompt_tokens": None, "completion_tokens": None}) is None
    assert total_tokens(None) is None
