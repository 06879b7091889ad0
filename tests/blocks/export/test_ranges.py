"""Outputs of int8 files have the range that is asked for, through what only moves values, and are limited to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.export.convert import Runner, convert
from legodnn.runtime.tflite.model_file import FileGraph, parse_model_file
from legodnn.runtime.tflite.quantised_ends import quantised_ends

RANGE = (0.0, 1.5)
X = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)


def made(end: Callable[[Any], Any]) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    return keras.Model(image, end(layers.Conv2D(4, 3, padding="same", activation="relu")(image)))


def written(graph: FileGraph) -> tuple[float, int] | None:
    """Scale and zero point that the output is made with."""
    (end,) = quantised_ends(graph).outputs
    tensor = graph.tensors[end.inner]
    return float(tensor.scales[0]), int(tensor.zero_points[0])


ENDS: dict[str, Callable[[Any], Any]] = {
    "a convolution": lambda x: x,
    "max pooling": lambda x: layers.MaxPooling2D()(x),
    "max pooling of padded, repeated pixels": lambda x: layers.MaxPooling2D()(
        layers.ZeroPadding2D(1)(layers.UpSampling2D()(x))
    ),
    "a reshape": lambda x: layers.Reshape((256,))(x),
    "a concatenation": lambda x: layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(3, 1)(x)]),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_outputs_have_the_range_that_is_asked_for(end: Callable[[Any], Any]) -> None:
    model = made(end)
    content = convert(model, 1, "int8", [X], [RANGE])
    assert written(parse_model_file(content)) == (np.float32(1.5) / np.float32(255), -128)
    found, expected = Runner(content)(X)[0], np.clip(Runner(convert(model))(X)[0], *RANGE)
    assert expected.max() == RANGE[1]  # some values are beyond it
    assert np.abs(found - expected).max() < 0.05


def test_without_a_range_an_output_has_its_own() -> None:
    model = made(ENDS["max pooling"])
    own = convert(model, 1, "int8", [X])
    assert convert(model, 1, "int8", [X], [None]) == own
    scale, _ = written(parse_model_file(own)) or (0.0, 0)
    assert 255 * scale == pytest.approx(Runner(convert(model))(X)[0].max(), rel=0.01)


def test_what_something_else_reads_keeps_its_range() -> None:
    """The pixels before the pooling are an output as well, which reaches further than the range of the pooled ones."""
    model = made(lambda x: x)
    both = keras.Model(model.input, [layers.MaxPooling2D()(model.output), model.output])
    expected = Runner(convert(both))(X)
    assert expected[1].max() > RANGE[1] + 0.5
    for found, of in zip(Runner(convert(both, 1, "int8", [X], [RANGE, None]))(X), expected, strict=True):
        assert np.abs(found - of).max() < 0.05


def test_files_for_one_and_for_many_images_have_the_same_ranges() -> None:
    """Though the last images do not fill a run of three."""
    one, many = (parse_model_file(convert(made(ENDS["max pooling"]), n, "int8", [X], [RANGE])) for n in (1, 3))
    assert written(one) == written(many)
    assert [e.form for e in quantised_ends(one).inputs] == [e.form for e in quantised_ends(many).inputs]
