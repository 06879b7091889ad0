"""Conversions in a process of their own give the same files, and what ends that process costs one file."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.export.convert import convert
from legodnn.blocks.export.isolated_conversion import IsolatedConverter
from legodnn.errors import ModelError


def test_a_crash_costs_one_file_and_the_others_are_the_same_as_here() -> None:
    rng = np.random.default_rng(0)
    words = keras.Input((6, 8))
    crashing = keras.Model(words, layers.LSTM(4, return_sequences=True)(words), name="reader")
    a, b = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    good = keras.Model([a, b], [layers.Conv2D(3, 1)(b), layers.Conv2D(2, 3)(a)], name="good")
    xs = [rng.normal(size=(16, *t.shape[1:])).astype(np.float32) for t in good.inputs]
    with IsolatedConverter() as isolated:
        assert isolated.convert(good, 2, "int8", xs) == convert(good, 2, "int8", xs)
        with pytest.raises(ModelError, match=r"converting reader to int8 ended the process that did it \(SIG"):
            isolated.convert(crashing, 1, "int8", [rng.normal(size=(16, 6, 8)).astype(np.float32)])
        assert isolated.convert(good, 1, "float32", xs) == convert(good, 1, "float32", xs)
        text = keras.Model(a, layers.Lambda(lambda x: keras.ops.erfinv(x))(a), name="strange")
        with pytest.raises(ModelError, match="strange cannot be converted to TensorFlow Lite"):
            isolated.convert(text, 1, "float32", xs[:1])
        assert isolated.convert(good, 2, "int8", xs) == convert(good, 2, "int8", xs)
