"""Whatever is nested comes back as it was, by way of a file as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from legodnn.array_files import read_arrays, write_arrays
from legodnn.blocks.array_tree import flatten, unflatten
from legodnn.errors import StoreError

# Names that could be mistaken for paths, for numbers, or for names that an archive or NumPy has a use for.
keys = st.sampled_from(["", "a", "a/b", "/", "0", "1", "structure", "file", "arr_0", "..", "a.npy", "\0", "\\", "é"])
arrays = stn.arrays(
    st.sampled_from([np.dtype(t) for t in ("float32", "float64", "int64", "uint8", "bool")]),
    stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
nodes = st.recursive(
    arrays, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(), inner, max_size=3)
)
trees = st.dictionaries(keys | st.text(), nodes, max_size=4)


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@given(tree=trees)
def test_any_nested_dict_comes_back(tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    flat = flatten(tree)
    assert_same(unflatten(flat), tree)
    path = tmp_path_factory.getbasetemp() / "tree.npz"
    write_arrays(path, flat)
    assert_same(unflatten(read_arrays(path, StoreError, "")), tree)


def test_numbers_become_arrays_and_tuples_lists() -> None:
    found = unflatten(flatten({"a": 3, "b": (1.5, True)}))
    assert_same(found, {"a": np.array(3), "b": [np.array(1.5), np.array(True)]})


def test_as_many_arrays_as_large_models_have_come_back(tmp_path: Path) -> None:
    """A checkpoint of EfficientNetB7 at six sparsities: a thousand variables each, their moments and best values."""
    tree = {"weights": [np.array(i) for i in range(20_000)]}
    write_arrays(tmp_path / "many.npz", flatten(tree))
    found = unflatten(read_arrays(tmp_path / "many.npz", StoreError, ""))
    assert [int(a) for a in found["weights"]] == list(range(20_000))


@pytest.mark.parametrize(
    "structure", [b"", b"[0]", b"0", b"null", b'{"a": 1}', b'{"a": "0"', b'{"a": null}', b"[" * 100_000, b"\xff\xfe"]
)
def test_arrays_that_are_no_tree_are_refused(structure: bytes) -> None:
    with pytest.raises(ValueError, match="do not say how they belong together"):
        unflatten({"0": np.zeros(2), "structure": np.frombuffer(structure, np.uint8)})
    with pytest.raises(ValueError, match="do not say"):
        unflatten({"0": np.zeros(2)})
