"""Text that no terminal obeys."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.plain_text import MARKS_PER_CHARACTER, plain, plain_line

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NASTY = st.sampled_from(
    [
        "\x1b",
        "[",
        "]",
        "31m",
        "\x9b",
        "\x07",
        "\r",
        "\n",
        "\t",
        "\x00",
        "\x7f",
        "\u0301",
        "\u200d",
        "\u200b",
        "\u202e",
        "\ud800",
    ]
)
texts = st.one_of(st.text(), st.text(st.characters()), st.lists(NASTY | st.characters(), max_size=60).map("".join))


@given(texts)
def test_no_control_byte_survives(text: str) -> None:
    for character in plain(text):
        assert character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert character not in BIDI


@given(texts)
def test_twice_is_the_same_as_once(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(texts)
def test_the_result_can_be_encoded_and_has_the_same_lines(text: str) -> None:
    plain(text).encode("utf-8")
    assert plain(text).count("\n") == text.count("\n")


@given(texts)
def test_no_character_carries_a_flood_of_marks(text: str) -> None:
    marks = 0
    for character in plain(text):
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        assert marks <= MARKS_PER_CHARACTER


@given(texts, st.integers(1, 50))
def test_a_line_is_one_line_of_at_most_the_limit(text: str, limit: int) -> None:
    line = plain_line(text, limit)
    assert len(line) <= limit
    assert not set(line) & set("\n\t")


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"), codec="utf-8")))
def test_letters_numbers_and_punctuation_stay_as_they_are(text: str) -> None:
    invisible = {"\u115f", "\u1160", "\u3164", "\uffa0"}
    if not set(text) & invisible:
        assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛red␛"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b]52;c;aGk=\x1b\\", "␛]52;c;aGk=␛\\"),
        ("\x9b2J", "⟦U+009B⟧2J"),
        ("a\u202eb", "a⟦RLO⟧b"),
        ("10%\r20%\r\n", "10%␍20%\n"),
        ("zero\u200b\u2060\ufeffwidth", "zerowidth"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * MARKS_PER_CHARACTER),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
        ("a" + "\u200d" * 1000 + "b", "a\u200db"),
        ("\ud800", "\ufffd"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_what_is_taken_out_is_seen(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_huge_line_is_kept() -> None:
    assert len(plain("x" * 5_000_000 + "é")) == 5_000_001
