"""What goes to stdout as JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.out import json_text
from antiphon.plain_text import plain

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()), lambda inner: st.lists(inner)
)


@given(values)
def test_a_json_line_is_one_line_that_no_terminal_obeys_and_keeps_the_value(value: Any) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert not set(text) & {chr(code) for code in (*range(32), *range(127, 160), 0x202E, 0x2028)}
    text.encode("utf-8")


def test_escapes_are_the_usual_ones() -> None:
    assert json_text({"a": "\x1b[31m\u202e\ud800 é"}) == '{"a": "\\u001b[31m\\u202e\\ud800 é"}'
    assert plain(json_text("\x9b")) == '"\\u009b"'
