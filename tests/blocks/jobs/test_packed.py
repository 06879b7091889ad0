"""Trees of arrays come back from bytes as they were, without copies."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.jobs.packed import file_array, packed, unpacked

ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "<i8", "<f4", "<f8", "?", "<U3"]), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
)
TREES = st.recursive(
    ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(st.dictionaries(st.text(max_size=3), TREES, max_size=3))
def test_a_tree_comes_back_as_it_was(tree: dict[str, Any]) -> None:
    assert same(unpacked(np.concatenate(packed(tree))), tree)


def test_arrays_are_views_and_texts_and_files_are_what_they_were() -> None:
    content = np.concatenate(
        packed({"x": np.ones((2, 3), np.float32).T, "text": "grün", "file": file_array(b"a\0b\0")})
    )
    found = unpacked(content.tobytes())
    assert str(found["text"]) == "grün"
    assert found["file"].tobytes() == b"a\0b\0"
    x = unpacked(content)["x"]
    assert np.shares_memory(x, content)
    assert x.shape == (3, 2)
    assert x.ctypes.data % 64 == content.ctypes.data % 64
