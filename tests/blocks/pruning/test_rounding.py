"""Rounded widths are ones that kernels like, as near as the target lets them be, and never the whole group."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.pruning.allocation import PruningProblem, Target, pose, uniform
from legodnn.blocks.pruning.criteria import l1
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.rounding import layer_kind, liked_widths, rounded, rounded_up
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.pruning.surgery import remove
from legodnn.recipe import RoundTo
from legodnn.widths_table import WidthSteps
from tests.blocks.random_graphs import conv

AVX512 = WidthSteps(conv=(16, 32, 64), pointwise=(16, 32), depthwise=(8, 16))
ROUNDINGS: list[RoundTo] = [1, 4, 8, 16, AVX512]


def chain(*filters: int) -> keras.Model:
    """Convolutions named a, b, c, ... one after another; the last one keeps its filters."""
    x = inputs = keras.Input((4, 4, 3))
    for name, n in zip("abcdefgh", (*filters, 2), strict=False):
        x = conv(n, name=name)(x)
    return keras.Model(inputs, x, name="mine")


BLOCK = chain(48, 80, 20)
WIDTHS = st.tuples(*(st.integers(1, n) for n in (48, 80, 20))).map(lambda w: np.array(w, np.int64))


def problem_of(target: Target, block: keras.Model = BLOCK) -> PruningProblem:
    return pose(block, target, l1)


@given(WIDTHS, st.sampled_from(ROUNDINGS))
def test_for_a_sparsity_widths_go_to_the_nearest_that_kernels_like(widths: Any, round_to: RoundTo) -> None:
    problem = problem_of(Target("sparsity", 0.5))
    found = rounded(problem, widths, round_to)
    assert found.dtype == np.int64
    for width, new, full in zip(widths.tolist(), found.tolist(), problem.full.tolist(), strict=True):
        liked = liked_widths("conv", full, round_to)
        if width == full or not liked or 2 * width < liked[0]:
            assert new == width
        else:
            assert new in liked
            assert new < full
            assert abs(new - width) == min(abs(step - width) for step in liked)
    assert rounded(problem, found, round_to).tolist() == found.tolist()


@given(WIDTHS, st.sampled_from(ROUNDINGS), st.sampled_from(["macs", "parameters", "bytes"]))
def test_a_limit_that_held_still_holds_and_widths_are_ones_that_kernels_like(
    widths: Any, round_to: RoundTo, measure: Any
) -> None:
    limit = problem_of(Target(measure, 1.0)).cost(widths)
    problem = problem_of(Target(measure, limit=float(limit)))
    found = rounded(problem, widths, round_to)
    assert problem.holds(found)
    for width, new, full in zip(widths.tolist(), found.tolist(), problem.full.tolist(), strict=True):
        liked = liked_widths("conv", full, round_to)
        assert new == width or new in liked
        if width == full or not liked or width < liked[0]:
            assert new == width


def test_a_limit_lets_widths_up_again_where_there_is_room() -> None:
    """Both are nearer to 48 than to 32; what the second one saves is enough for the first, which lost more."""
    block = chain(64, 64)
    for widths, expected in (((47, 41), [48, 32]), ((41, 47), [32, 48]), ((33, 34), [32, 32]), ((50, 63), [48, 48])):
        limit = problem_of(Target("macs", 1.0), block).cost(np.array(widths))
        problem = problem_of(Target("macs", limit=float(limit)), block)
        assert rounded(problem, np.array(widths), 16).tolist() == expected


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    [(0.05, 56), (0.2, 48), (0.4, 40), (0.6, 24), (0.8, 16), (0.9, 8), (0.97, 2)],
)
def test_multiples_of_eight_of_64_channels(sparsity: float, kept: int) -> None:
    """38.4 channels go up, 51.2 down; 60.8 stay below 64; two are within the first tile and stay."""
    problem = problem_of(Target("sparsity", sparsity), chain(64))
    assert rounded(problem, uniform(problem), 8).tolist() == [kept]


def test_small_layers_and_a_rounding_of_one_leave_widths_alone() -> None:
    assert liked_widths("conv", 31, 8) == ()
    assert liked_widths("conv", 32, 8) == (8, 16, 24)
    assert liked_widths("conv", 32, 16) == ()
    assert liked_widths("pointwise", 1000, 1) == ()


def test_the_steps_of_a_device_count_by_the_kind_of_layers() -> None:
    assert liked_widths("conv", 128, AVX512) == (16, 32, 64, 96)
    assert liked_widths("pointwise", 33, AVX512) == (16, 32)
    assert liked_widths("depthwise", 16, AVX512) == (8,)
    assert liked_widths("conv", 16, AVX512) == ()
    assert liked_widths("conv", 16, WidthSteps()) == ()


def test_what_reads_a_group_tells_its_kind() -> None:
    inputs = keras.Input((4, 4, 3))
    x = conv(8, name="a")(inputs)
    x = layers.Conv2D(8, 1, name="b")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU()(x))
    x = layers.Conv2D(8, 1, name="c")(x)
    x = layers.Dense(8, name="d")(layers.Flatten()(x))
    block = keras.Model(inputs, layers.Dense(2)(x))
    channels = analyse(block)
    kinds = {group.makers[0]: layer_kind(block, channels, group) for group in channels.groups}
    assert kinds == {"a": "conv", "b": "depthwise", "c": "pointwise", "d": "pointwise"}


def test_a_flattened_group_counts_filters_and_what_is_concatenated_counts_apart() -> None:
    """Each of 32 filters is read at 9 places by the dense layer; 40 and 48 are rounded before they are joined."""
    inputs = keras.Input((3, 3, 2))
    joined = layers.Concatenate()([conv(40, name="left")(inputs), conv(48, name="right")(inputs)])
    flat = layers.Flatten()(conv(32, name="last")(joined))
    block = keras.Model(inputs, layers.Dense(2, name="dense")(flat))
    channels = analyse(block)
    for sparsity, left, right, last in ((0.3, 32, 32, 24), (0.5, 24, 24, 16)):
        gone = choose(block, channels, Target("sparsity", sparsity), round_to=8)
        pruned = remove(block, channels, gone)
        assert pruned.get_layer("left").filters == left
        assert pruned.get_layer("right").filters == right
        assert pruned.get_layer("last").kernel.shape == (3, 3, left + right, last)
        assert pruned.get_layer("dense").kernel.shape == (9 * last, 2)


def test_a_grouped_convolution_counts_the_filters_of_one_group() -> None:
    """128 filters in 4 groups are 32 for a kernel; 12.8 of them go to 16."""
    inputs = keras.Input((4, 4, 8))
    block = keras.Model(inputs, conv(2)(conv(128, groups=4, name="grouped")(inputs)))
    channels = analyse(block)
    pruned = remove(block, channels, choose(block, channels, Target("sparsity", 0.6), round_to=8))
    assert pruned.get_layer("grouped").filters == 4 * 16


def test_sparsities_that_come_to_the_same_channels_share_one_descendant() -> None:
    targets = [Target("sparsity", s) for s in (0.2, 0.4, 0.5, 0.9)]
    x = [np.zeros((2, 4, 4, 3), np.float32)]
    found = descendants(chain(32), targets, STRATEGIES["l1"], x, fitted=False, round_to=8)
    assert [model.get_layer("a").filters for _, model in found] == [24, 16, 16, 3]
    assert found[1] is found[2]
    assert len({id(model) for _, model in found}) == 3


@given(WIDTHS, WIDTHS, st.sampled_from(ROUNDINGS), st.sampled_from(["sparsity", "macs"]))
def test_widths_that_are_rounded_up_leave_room_for_all_that_rounding_may_choose(
    widths: Any, less: Any, round_to: RoundTo, measure: Any
) -> None:
    problem, less = problem_of(Target(measure, 0.5)), np.minimum(widths, less)
    wide = rounded_up(problem, widths, round_to)
    assert (wide >= widths).all()
    assert (rounded(problem, widths, round_to) <= wide).all()
    assert (rounded(problem, less, round_to) <= wide).all()
    assert rounded_up(problem, wide, round_to).tolist() == wide.tolist()


@pytest.mark.parametrize("name", ["gradual_l1", "gradual_taylor"])
@pytest.mark.parametrize("filters", [40, 64])
def test_widths_of_several_steps_are_rounded_by_the_sizes_of_the_whole_block(name: str, filters: int) -> None:
    block = chain(filters, filters)
    x = [np.random.default_rng(0).normal(size=(20, 4, 4, 3)).astype(np.float32)]
    targets = [Target("sparsity", s) for s in (0.2, 0.4, 0.6, 0.8)] + [Target("macs", s) for s in (0.5, 0.2)]
    found = descendants(block, targets, STRATEGIES[name], x, round_to=8)
    wanted = descendants(block, targets, STRATEGIES["l1"], x, round_to=8)
    for target, (_, model), (_, once) in zip(targets, found, wanted, strict=True):
        widths = [model.get_layer(layer).filters for layer in "ab"]
        assert all(width % 8 == 0 for width in widths)
        if target.measure == "sparsity" and name == "gradual_l1":  # both keep the same share of all layers
            assert sum(widths) == pytest.approx(sum(once.get_layer(layer).filters for layer in "ab"), abs=8)
        if target.measure == "macs":
            assert pose(block, target).holds(np.array(widths))
