"""The originals, run one after another, have to give what the undivided model gives."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.undivided import check_undivided
from legodnn.errors import ModelError


def test_originals_that_are_not_the_model_end_the_build(tiny_keras_file: Path) -> None:
    model = keras.saving.load_model(tiny_keras_file)
    x = np.random.default_rng(0).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    pieces = extract(model)
    originals = [Runner(convert(p.model)) for p in pieces]
    check_undivided(pieces, originals, model, x)
    weights = model.layers[-1].get_weights()
    for wrong in (1.01, np.nan):
        model.layers[-1].set_weights([w * wrong for w in weights])
        with pytest.raises(ModelError, match=rf"the composed originals differ from {model.name} by"):
            check_undivided(pieces, originals, model, x)


def test_a_model_that_magnifies_rounding_may_differ_as_much_as_kernels_do() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(512, 64)).astype(np.float32)
    inputs = keras.Input((1024,))
    model = keras.Model(inputs, layers.Dense(64)(layers.ReLU()(layers.Dense(64, use_bias=False)(inputs))))
    weights = 3e3 * np.concatenate([half, -half])  # what is left of the sum is rounding
    model.layers[-1].set_weights([np.eye(64), np.zeros(64)])
    model.layers[1].set_weights([weights])
    x = np.tile(rng.random((16, 512), np.float32), 2)
    pieces = extract(model)
    originals = [Runner(convert(p.model)) for p in pieces]
    check_undivided(pieces, originals, model, x)
    model.layers[1].set_weights([weights + 1.0])
    with pytest.raises(ModelError, match="the composed originals differ"):
        check_undivided(pieces, originals, model, x)
