"""Weights that are zero in blocks, as benchmarks/schemes.py makes, stores and compares them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("keras")

from legodnn.blocks.export.convert import Runner, convert
from tests.benchmarks import scripts

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

BENCHMARK: ModuleType = scripts.load("schemes")
SPARSE: ModuleType = scripts.load("support.sparse_layers")


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 1), st.integers(0, 9))
def test_the_least_blocks_go_whole_and_as_many_as_said(blocks: int, outputs: int, sparsity: float, seed: int) -> None:
    kernel = np.random.default_rng(seed).normal(size=(4 * blocks, outputs))
    mask = SPARSE.block_mask(kernel, sparsity).reshape(blocks, 4, outputs)
    assert (mask == mask[:, :1]).all(), "the weights of a block go together"
    kept, size = mask[:, 0] > 0, np.abs(kernel).reshape(mask.shape).sum(axis=1)
    assert (~kept).sum() == round(sparsity * blocks * outputs)
    assert max(size[~kept], default=-1.0) <= min(size[kept], default=np.inf)


def model(layer: keras.layers.Layer, *shape: int) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, layer(x))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(keras.layers.Dense(64), (128,)), (keras.layers.Conv2D(32, 3, padding="same"), (6, 6, 16))],
)
def test_a_sparse_file_is_smaller_and_computes_the_same_and_stores_refuse_it(
    layer: Any, shape: tuple[int, ...]
) -> None:
    made = model(layer, *shape)
    SPARSE.set_to_zero(layer, 0.9)
    dense, sparse = convert(made), SPARSE.convert_sparse(made)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    np.testing.assert_allclose(Runner(sparse)(x)[0], Runner(dense)(x)[0], atol=1e-5)
    assert len(sparse) < 0.5 * len(dense)


def test_training_leaves_zero_what_was_set_to_zero() -> None:
    layer = keras.layers.Dense(4)
    made = model(layer, 8)
    SPARSE.set_to_zero(layer, 0.5)
    before = layer.kernel.numpy()
    made.compile(keras.optimizers.Adam(0.1), "mse")
    rng = np.random.default_rng(0)
    made.fit(rng.normal(size=(32, 8)), rng.normal(size=(32, 4)), verbose=0)
    after = layer.kernel.numpy()
    assert ((before == 0) == (after == 0)).all()
    assert (before != after).any()


def row(option: str, accuracy: float, size: int, share: float = 1.0) -> dict[str, Any]:
    costs = {"trunk_bytes": 1000, "head_bytes": size, "trunk_ms": 1.0, "head_ms": size / 1000}
    return {"head": "1024", "share": share, "option": option, "accuracy": [accuracy], **costs}


def test_a_front_tells_what_is_least_without_and_with_blocks_among_those_that_are_accurate_enough() -> None:
    rows = [row("original", 0.9, 1000), row("channels 0.5", 0.895, 500), row("block1x4 0.9", 0.885, 200)]
    found = {front["points"]: front for front in BENCHMARK.fronts(rows)}
    assert found[0.25]["bytes"] == {
        **{"channels": 2000, "with_blocks": 2000, "ratio": 1},
        **{"channels_option": "trunk 1, original", "with_blocks_option": "trunk 1, original"},
    }
    assert (found[1.0]["bytes"]["channels"], found[1.0]["bytes"]["with_blocks"]) == (1500, 1500)
    assert (found[10.0]["bytes"]["channels"], found[10.0]["bytes"]["with_blocks"]) == (1500, 1200)
    assert found[10.0]["ms"]["ratio"] == pytest.approx(1.2 / 1.5)
    assert [bar["holds"] for bar in BENCHMARK.bars_of({"fronts": list(found.values())})] == [True, True]
