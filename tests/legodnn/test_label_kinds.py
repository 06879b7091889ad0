"""Labels tell what an output is, and which metric fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.label_kinds import chosen_kind, kinds_of_values, labels_fit


def test_labels_have_a_value_for_each_value_or_a_class_number_for_each_set_of_scores() -> None:
    assert labels_fit((5,), (5,)) == labels_fit((1,), ()) == labels_fit((6, 4, 1), (6, 4)) == "value"
    assert labels_fit((5,), ()) == labels_fit((6, 4, 3), (6, 4, 1)) == "number"
    assert labels_fit((5,), (4,)) is labels_fit((6, 4, 3), (4, 6)) is None


@pytest.mark.parametrize(
    ("shape", "labels", "kinds", "yes"),
    [
        ((3,), [[1, 0, 0], [0, 0, 1]], ["classes", "binary", "numbers"], 1),
        ((3,), [[1, 0, 1], [0, 0, 0]], ["binary", "numbers"], 1),
        ((3,), [[0.9, 0.05, 0.05], [0.2, 0.3, 0.5]], ["classes", "numbers"], 1),
        ((3,), [[0.9, 0.5, 0.5], [0.2, 0.3, 0.5]], ["numbers"], 1),
        ((1,), [[0], [255]], ["numbers"], 1),
        ((1, 2, 1), [[[0, 255]]], ["binary", "numbers"], 255),
        ((1, 3, 1), [[[0, 1, 255]]], ["binary", "numbers"], 1),
        ((1, 3, 1), [[[0, 1, -1]]], ["binary", "numbers"], 1),
    ],
)
def test_values_tell_what_an_output_is(shape: tuple[int, ...], labels: Any, kinds: list[str], yes: int) -> None:
    assert kinds_of_values(shape, [np.array(labels)]) == (kinds, yes)


def test_a_metric_judges_some_kinds() -> None:
    assert chosen_kind(["classes", "binary", "numbers"], (8,), None) == ("classes", "top1")
    assert chosen_kind(["classes", "binary", "numbers"], (8,), "r2") == ("numbers", "r2")
    assert chosen_kind(["binary", "numbers"], (6, 4, 1), None) == ("binary", "mean_iou")
    assert chosen_kind(["numbers"], (8,), "top1") is None
    assert chosen_kind(["classes"], (5,), "top5") is None
