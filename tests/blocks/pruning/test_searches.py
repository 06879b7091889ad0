"""Searches on a real block. Covers also: blocks.pruning.masked, blocks.pruning.pruning_net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.pruning.allocation import PruningProblem, Target, pose, uniform
from legodnn.blocks.pruning.masked import keep_mask, loss_by_widths, outputs_by_widths, run_masked
from legodnn.blocks.pruning.pruning_net import PruningNet, train_pruning_net
from legodnn.blocks.pruning.reconstruct import refit
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
    rng = np.random.default_rng(2)
    for _ in range(3):
        widths = rng.integers(1, problem.full + 1)
        wanted = keras.ops.convert_to_numpy(problem.pruned(widths)(x, training=False))
        (found,) = run_masked(block, problem.channels, [x], keep_mask(problem, widths))
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_a_channel_that_is_the_same_everywhere_costs_nothing_because_its_mean_stays() -> None:
    inputs = keras.Input((6, 6, 2))
    made = layers.Conv2D(4, 1, name="made")
    block = keras.Model(inputs, layers.Conv2D(3, 1, name="reads")(made(inputs)))
    kernel, bias = made.get_weights()
    kernel[..., 2], bias[2] = 0, 5.0
    made.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 2)).astype(np.float32)
    problem = pose(block, Target("macs", 0.5), x=x)
    # What is left is rounding: one float32 in the loss, 1 - r², is worth 6e-8. How many depends on the weights drawn.
    assert loss_by_widths(problem)(np.array([3])) < 1e-6


def test_widths_that_let_nothing_through_lose_more_than_uniform_ones() -> None:
    """By the plain relative error they lose less: a constant is nearer to the original than what is not refitted."""
    problem = small_problem(0.3)
    even, shut = uniform(problem), np.ones_like(problem.full)
    loss, outputs, wanted = loss_by_widths(problem), outputs_by_widths(problem), [problem.block(problem.x)]
    assert relative_error(outputs(shut), wanted) < relative_error(outputs(even), wanted)
    assert loss(even) < loss(shut) <= 1


def test_batch_norms_take_the_statistics_of_the_images() -> None:
    problem = small_problem()
    (found,) = outputs_by_widths(problem)(problem.full)
    for norm in (layer for layer in problem.block.layers if isinstance(layer, layers.BatchNormalization)):
        norm.momentum = 0.0
    assert np.allclose(found, problem.block(problem.x, training=True), atol=1e-4)


def refitted_error(problem: PruningProblem, widths: np.ndarray) -> float:
    pruned = problem.pruned(widths)
    refit(problem.block, pruned, problem.channels, problem.removed(widths), [problem.x])
    return float(relative_error([pruned(problem.x[40:])], [problem.block(problem.x[40:])]))


@pytest.mark.parametrize("name", ["exact"])
def test_a_search_beats_uniform_widths_by_the_outputs_error(name: str) -> None:
    problem = small_problem()
    widths = SEARCHING_ALLOCATORS[name](problem)
    assert problem.holds(widths)
    assert refitted_error(problem, widths) < refitted_error(problem, uniform(problem))
    assert SEARCHING_ALLOCATORS[name](problem).tolist() == widths.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "exact"])
def test_every_learned_search_beats_uniform_widths_and_is_determined_by_its_seed(name: str) -> None:
    problem = small_problem()
    before = problem.block.get_weights()
    widths = SEARCHING_ALLOCATORS[name](problem)
    assert problem.holds(widths)
    assert refitted_error(problem, widths) < refitted_error(problem, uniform(problem))
    assert SEARCHING_ALLOCATORS[name](problem).tolist() == widths.tolist()
    for old, now in zip(before, problem.block.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


def test_without_inputs_the_problems_own_loss_is_what_counts() -> None:
    """The first group matters and nothing else does."""
    problem = small_problem()
    problem = replace(problem, x=None, loss=lambda block: -float(block.get_layer("conv0").filters))
    assert searched_widths(problem, SEARCHES["exact"])[0] == 8


def test_without_anything_to_measure_a_search_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be searched for without sample inputs or a loss"):
        searched_widths(replace(small_problem(), x=None), SEARCHES["exact"])


def test_a_target_out_of_reach_is_refused() -> None:
    with pytest.raises(TargetError, match="cannot be pruned to"):
        searched_widths(small_problem(0.001), SEARCHES["amc"])


def test_a_target_that_is_met_already_leaves_the_block_whole() -> None:
    problem = small_problem(1.0)
    assert searched_widths(problem, SEARCHES["amc"]).tolist() == problem.full.tolist()


def test_causal_convolutions_keep_their_kernels_in_a_pruning_net() -> None:
    inputs = keras.Input((12, 4))
    y = layers.Conv1D(8, 3, padding="causal", activation="relu")(inputs)
    block = keras.Model(inputs, layers.Conv1D(4, 1)(y))
    x = np.random.default_rng(0).normal(size=(16, 12, 4)).astype(np.float32)
    (made,) = PruningNet(pose(block, Target("sparsity", 0.5), x=x)).run([x], np.ones(analyse(block).count, np.float32))
    np.testing.assert_allclose(made, block(x), atol=1e-5)


def test_a_pruning_net_begins_with_the_blocks_own_kernels_and_learns_kernels_for_other_widths() -> None:
    problem = small_problem()
    net = PruningNet(problem)
    (made,) = net.run([problem.x], np.ones(analyse(problem.block).count, np.float32))
    for norm in (layer for layer in problem.block.layers if isinstance(layer, layers.BatchNormalization)):
        norm.momentum = 0.0
    wanted = problem.block(problem.x, training=True)  # statistics of these images, as the net takes them
    assert np.allclose(made, wanted, atol=1e-3)
    before = problem.block.get_weights()
    untrained, trained = (train_pruning_net(problem, steps) for steps in (0, 60))
    widths = np.array([4, 6, 4])
    assert trained(widths) < untrained(widths)
    for old, now in zip(before, problem.block.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
