"""Lines that fit."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.wrapping import cells, cut, cut_left, hang_of, wrap

LINES = st.text(st.sampled_from("ab é夢 -🚀"), max_size=80)
WIDTHS = st.integers(2, 30)


@given(LINES, WIDTHS)
def test_rows_fit_and_nothing_but_a_space_is_lost(text: str, width: int) -> None:
    hang = hang_of(text, width)
    rows = wrap(text, width, hang)
    assert all(cells(text[start:end]) <= max(width - (hang if start else 0), 2) for start, end in rows)
    gaps = [text[end:start] for (_, end), (start, _) in pairwise(rows)]
    assert rows[0][0] == 0 and rows[-1][1] == len(text)
    assert all(gap in {"", " "} for gap in gaps)


@given(LINES, LINES, WIDTHS)
def test_more_text_changes_no_row_but_the_last(text: str, more: str, width: int) -> None:
    before, after = wrap(text, width, 1), wrap(text + more, width, 1)
    assert after[: len(before) - 1] == before[:-1]


@given(LINES, WIDTHS)
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, width: int) -> None:
    for short in (cut(text, width), cut_left(text, width)):
        assert cells(short) <= width
        assert short == text or "…" in short


def test_words_stay_whole_where_they_can() -> None:
    text = "one two three"
    assert [text[start:end] for start, end in wrap(text, 8)] == ["one two", "three"]


def test_the_rows_of_a_list_item_stand_under_its_text() -> None:
    assert [hang_of(line, 60) for line in ("- one", "  12. two", "three", "    code", "-5 degrees")] == [2, 6, 0, 4, 0]
