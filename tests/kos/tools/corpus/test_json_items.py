from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from kos.tools.corpus.imports import json_items

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


class Slow(io.BytesIO):
    """A file that gives one byte at a time."""

    def read(self, size=-1):
        return super().read(1)


@given(st.lists(plain, max_size=5), st.booleans())
def test_a_stream_gives_the_items_of_the_array_however_it_is_cut(items, is_keyed):
    whole = {"meta": {"n": 1}, "results": items} if is_keyed else items
    key = "results" if is_keyed else ""
    found = json_items.read_items(Slow(json.dumps(whole).encode()), "x", key=key)
    assert list(found) == items
