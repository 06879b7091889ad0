"""Searches on a real block. Covers also: blocks.pruning.masked, blocks.pruning.pruning_net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.pruning.allocation import Target, pose, uniform
from legodnn.blocks.pruning.masked import loss_by_widths, outputs_by_widths
from legodnn.blocks.pruning.pruning_net import PruningNet, train_pruning_net
from legodnn.blocks.pruning.searches import SEARCHES, SEARCHING_ALLOCATORS, searched_widths
from legodnn.errors import ModelError, TargetError
from tests.blocks.pruning.width_problems import small_problem


def residual() -> keras.Model:
    """A block with a residual connection, a depthwise convolution, a squeeze-and-excite and a concatenation."""
    inputs = keras.Input((8, 8, 4))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(inputs))
    y = layers.Conv2D(8, 3, padding="same")(layers.ReLU()(x))
    x = layers.DepthwiseConv2D(3, padding="same")(layers.Add()([x, y]))
    gate = layers.Dense(8, activation="sigmoid")(layers.Dense(4)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
    x = layers.Concatenate()([layers.Multiply()([x, gate]), layers.Conv2D(6, 1)(x)])
    return keras.Model(inputs, layers.Conv2D(5, 1)(x), name="residual")


def test_a_masked_block_computes_what_the_pruned_block_does(random_weights: Callable[..., keras.Model]) -> None:
    block = random_weights(residual())
    x = np.random.default_rng(1).normal(size=(9, 8, 8, 4)).astype(np.float32)
    problem = pose(block, Target("macs", 0.5), x=x)
    outputs = outputs_by_widths(problem, batch=4)
    rng = np.random.default_rng(2)
    for _ in range(3):
        widths = rng.integers(1, problem.full + 1)
        wanted = keras.ops.convert_to_numpy(problem.pruned(widths)(x, training=False))
        (found,) = outputs(widths)
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["exact"])
def test_a_search_beats_uniform_widths_by_the_outputs_error(name: str) -> None:
    problem = small_problem()
    widths, loss = SEARCHING_ALLOCATORS[name](problem), loss_by_widths(problem)
    assert problem.holds(widths)
    assert loss(widths) < loss(uniform(problem))
    assert SEARCHING_ALLOCATORS[name](problem).tolist() == widths.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "exact"])
def test_every_learned_search_beats_uniform_widths_and_is_determined_by_its_seed(name: str) -> None:
    problem = small_problem()
    widths, loss = SEARCHING_ALLOCATORS[name](problem), loss_by_widths(problem)
    assert problem.holds(widths)
    assert loss(widths) < loss(uniform(problem))
    assert SEARCHING_ALLOCATORS[name](problem).tolist() == widths.tolist()


def test_a_loss_of_the_problems_own_is_what_counts() -> None:
    """The first group matters and nothing else does."""
    problem = small_problem()
    problem = replace(problem, loss=lambda block: -float(block.get_layer("conv0").filters))
    assert searched_widths(problem, "exact")[0] == 8


def test_without_anything_to_measure_a_search_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be searched for without sample inputs or a loss"):
        searched_widths(replace(small_problem(), x=None), "exact")


def test_a_target_out_of_reach_is_refused() -> None:
    with pytest.raises(TargetError, match="cannot be pruned to"):
        searched_widths(small_problem(0.001), "amc")


def test_a_target_that_is_met_already_leaves_the_block_whole() -> None:
    problem = small_problem(1.0)
    assert searched_widths(problem, "amc").tolist() == problem.full.tolist()


def test_a_pruning_net_begins_with_the_blocks_own_kernels_and_learns_kernels_for_other_widths() -> None:
    problem = small_problem()
    net = PruningNet(problem)
    (made,) = net.run([problem.x], np.ones(analyse(problem.block).count, np.float32))
    for norm in (layer for layer in problem.block.layers if isinstance(layer, layers.BatchNormalization)):
        norm.momentum = 0.0
    wanted = problem.block(problem.x, training=True)  # statistics of these images, as the net takes them
    assert np.allclose(made, wanted, atol=1e-3)
    untrained, trained = (train_pruning_net(problem, steps) for steps in (0, 60))
    widths = np.array([4, 6, 4])
    assert trained(widths) < untrained(widths)
