"""Operators of constants are computed as TensorFlow Lite computes them, and none makes a constant without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.runtime.tflite.constant_folding import MOST_CONSTANT_ELEMENTS, fold
from legodnn.runtime.tflite.model_file import Refused

ROWS = np.arange(12, dtype=np.int32).reshape(3, 4)
PLAIN = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_mask": 0, "offset": False}


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def strided(*numbers: np.ndarray, **masks: int) -> tuple[list[np.ndarray], dict[str, Any]]:
    return [ROWS, *numbers], {**PLAIN, **masks}


FOLDED: dict[str, tuple[str, list[np.ndarray], dict[str, Any], list[Any]]] = {
    "a slice": ("SLICE", [ROWS, whole(1, 1), whole(2, 2)], {}, [[5, 6], [9, 10]]),
    "the rest of a slice": ("SLICE", [ROWS, whole(1, 2), whole(-1, -1)], {}, [[6, 7], [10, 11]]),
    "nothing of a slice": ("SLICE", [ROWS, whole(1, 2), whole(0, 1)], {}, []),
    "every second": ("STRIDED_SLICE", *strided(whole(0, 1), whole(3, 4), whole(2, 2)), [[1, 3], [9, 11]]),
    "one row": ("STRIDED_SLICE", *strided(whole(1, 0), whole(2, 4), whole(1, 1), shrink_mask=1), [4, 5, 6, 7]),
    "open ends": (
        "STRIDED_SLICE",
        *strided(whole(2, 2), whole(1, 1), whole(1, 1), begin_mask=1, end_mask=2),
        [[2, 3]],
    ),
    "a quotient": ("DIV", [whole(-7, 7), whole(2, 2)], {}, [-3, 3]),
    "a quotient rounded down": ("FLOOR_DIV", [whole(-7, 7), whole(2, 2)], {}, [-4, 3]),
    "a range": ("RANGE", [np.array(1, np.int32), np.array(8, np.int32), np.array(3, np.int32)], {}, [1, 4, 7]),
    "a product": ("REDUCE_PROD", [ROWS + 1, whole(0)], {"keep_dims": True}, [[45, 120, 231, 384]]),
    "a stack": ("PACK", [whole(1, 2), whole(3, 4)], {"axis": 1}, [[1, 3], [2, 4]]),
    "dimensions of 1 left out": ("SQUEEZE", [ROWS[:, :1, None]], {"dims": whole(2)}, [[0], [4], [8]]),
    "repeated": ("BROADCAST_TO", [whole(1, 2), whole(2, 2)], {}, [[1, 2], [1, 2]]),
}


@pytest.mark.parametrize("name", FOLDED)
def test_constants_are_computed(name: str) -> None:
    kind, inputs, options, expected = FOLDED[name]
    found = fold(kind, inputs, options, "int32")
    assert (found.dtype, found.tolist()) == (np.dtype("int32"), expected)


def test_floats_stay_floats_of_32_bits() -> None:
    found = fold("RSQRT", [np.array([4.0, 16.0])], {}, "float32")
    assert (found.dtype, found.tolist()) == (np.dtype("float32"), [0.5, 0.25])


@pytest.mark.parametrize("mask", ["ellipsis_mask", "new_axis_mask", "offset"])
def test_slices_in_a_way_that_is_not_known_are_refused(mask: str) -> None:
    inputs, options = strided(whole(0, 0), whole(3, 4), whole(1, 1), **{mask: 1})
    with pytest.raises(Refused, match="it slices with an ellipsis, a new axis or offsets"):
        fold("STRIDED_SLICE", inputs, options, "int32")


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("FILL", [whole(MOST_CONSTANT_ELEMENTS, 2), whole(1)]),
        ("FILL", [whole(-1), whole(1)]),
        ("BROADCAST_TO", [whole(1), whole(1 << 15, 1 << 15)]),
        ("RANGE", [whole(0), whole(1 << 30), whole(1)]),
    ],
)
def test_constants_without_end_are_refused(kind: str, inputs: list[np.ndarray]) -> None:
    with pytest.raises(Refused, match="it makes a constant of shape"):
        fold(kind, inputs, {}, "int32")


def test_what_computes_no_constants_is_refused() -> None:
    with pytest.raises(Refused, match="all its inputs are constant"):
        fold("CONV_2D", [ROWS], {}, "float32")
