"""How outputs are read, row by row of the table in `heads`; refusals of labels are tested with the metrics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head, heads_of

N = 12


def vector(size: int, activation: str | None = None) -> keras.Model:
    x = keras.Input((8, 8, 3))
    return keras.Model(x, layers.Dense(size, activation)(layers.GlobalAveragePooling2D()(x)), name="mine")


def mask(size: int, activation: str | None = None) -> keras.Model:
    x = keras.Input((8, 8, 3))
    return keras.Model(x, layers.Conv2D(size, 1, activation=activation)(x), name="mine")


def data(y: Any, labels: tuple[str, ...] = ()) -> Dataset:
    split = Split(np.zeros((N, 8, 8, 3), np.float32), y)
    return Dataset("photos", labels, split, split, split)


ZEROS_AND_ONES = np.arange(N) % 2
ONE_HOT = np.eye(3)[np.arange(N) % 3]
SEVERAL_YES = np.random.default_rng(0).integers(0, 2, (N, 3))
MASKS = np.zeros((N, 8, 8, 1), np.uint8)
MASKS[:, :4] = 255
VOIDS = np.zeros((N, 8, 8), np.int16)
VOIDS[:, :4], VOIDS[:, 6:] = 1, -1


@pytest.mark.parametrize(
    ("model", "y", "head"),
    [
        (vector(1, "sigmoid"), ZEROS_AND_ONES, Head("binary", "binary_accuracy", "sigmoid")),
        (mask(1, "sigmoid"), MASKS, Head("binary", "mean_iou", "sigmoid", yes=255)),
        (mask(1, "sigmoid"), VOIDS, Head("binary", "mean_iou", "sigmoid")),
        (mask(1), np.minimum(VOIDS, 0), Head("binary", "mean_iou", "linear")),
        (mask(1), np.where(VOIDS == 0, 1, VOIDS), Head("numbers", "r2", "linear")),
        (vector(1), ZEROS_AND_ONES * np.arange(-1, N - 1), Head("numbers", "r2", "linear")),
        (vector(1), np.linspace(0, 90, N), Head("numbers", "r2", "linear")),
        (vector(3, "softmax"), np.arange(N) % 3, Head("classes", "top1", "softmax")),
        (vector(3), ONE_HOT, Head("classes", "top1", "linear")),
        (mask(3), np.arange(N * 64).reshape(N, 8, 8) % 3, Head("classes", "mean_iou", "linear")),
        (vector(3, "sigmoid"), SEVERAL_YES, Head("binary", "binary_accuracy", "sigmoid")),
        (vector(3), np.random.default_rng(0).normal(size=(N, 3)), Head("numbers", "r2", "linear")),
        (vector(3, "softmax"), None, Head("classes", "top1", "softmax")),
        (vector(3, "sigmoid"), None, Head("binary", "binary_accuracy", "sigmoid")),
        (vector(3), None, Head("numbers", "r2", "linear")),
    ],
)
def test_the_table_of_heads(model: keras.Model, y: Any, head: Head) -> None:
    assert heads_of(model, data(y)) == [head]


def test_without_labels_names_of_classes_or_the_caller_tell_that_outputs_are_scores() -> None:
    scores = [Head("classes", "top1", "linear")]
    assert heads_of(vector(3), data(None, ("ant", "bee", "cat"))) == scores
    assert heads_of(vector(3), data(None), classifier=True) == scores


def test_a_sigmoid_is_yes_from_a_half_and_a_logit_from_zero() -> None:
    assert Head("binary", "binary_accuracy", "sigmoid").threshold == 0.5
    assert Head("binary", "binary_accuracy", "linear").threshold == 0.0
