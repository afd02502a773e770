"""What goes into the journal as JSON comes out of it as it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.journal.payload import CHUNK, LARGE_TEXT, pack, unpack

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
swollen_values = json_values.map(lambda value: [value, ["x" * (LARGE_TEXT + 1), value], ["digest"] * (CHUNK + 3)])


@given(json_values | swollen_values)
def test_every_json_value_is_kept_as_it_is(value: Any) -> None:
    blobs: dict[str, bytes] = {}
    text, parts = pack(value, blobs)
    text.encode()
    assert unpack(text, parts, lambda digest: json.loads(blobs[digest])) == value
