"""Costs that are told for widths are those of the pruned model, built."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import full_widths, removed_ids, width_costs, widths_at
from tests.blocks.random_graphs import NO_SHRINKING, conv, small_model


def check_costs(block: keras.Model, seed: int) -> None:
    rng, channels = np.random.default_rng(seed), analyse(block)
    costs, full = width_costs(block, channels), full_widths(channels)
    for widths in (full, np.ones_like(full), rng.integers(1, full + 1)):
        importance = [rng.permutation(n).astype(float) for n in full.tolist()]
        removed = removed_ids(channels, widths, importance)
        pruned = remove(block, channels, removed)
        assert costs.of("macs", widths) == macs(pruned)
        assert costs.of("parameters", widths) == pruned.count_params()
        assert costs.of("bytes", widths) == sum(w.nbytes for w in pruned.get_weights())
        for measure, whole in (("macs", macs(pruned)), ("parameters", pruned.count_params())):
            assert sum(costs.by_layer(measure, widths).values()) == whole  # type: ignore[arg-type]
        assert len(removed) == len(set(removed.tolist()))


@settings(max_examples=10, phases=NO_SHRINKING)
@given(data=st.data(), seed=st.integers(0, 99))
def test_costs_of_widths_are_those_of_the_pruned_model(data: st.DataObject, seed: int) -> None:
    check_costs(small_model(data.draw), seed)


@pytest.mark.slow
@settings(max_examples=500, phases=NO_SHRINKING)
@given(data=st.data(), seed=st.integers(0, 99))
def test_the_same_on_many_more_graphs(data: st.DataObject, seed: int) -> None:
    check_costs(small_model(data.draw), seed)


@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18])
def test_the_same_on_blocks_of_the_zoo(make: Any) -> None:
    check_costs(next(p.model for p in extract(make(0.06), max_blocks=3) if p.kind == "block"), 0)


def test_a_shared_layer_has_its_weights_once_and_its_work_twice() -> None:
    inputs = keras.Input((4, 4, 3))
    twice, scaled = conv(3), layers.ReLU()
    check_costs(keras.Model(inputs, conv(2)(scaled(conv(4)(scaled(twice(twice(inputs))))))), 0)


def test_sets_of_channels_that_become_positions_or_are_held_twice_are_counted_as_often() -> None:
    inputs = keras.Input((4, 4, 2))
    a = conv(4, name="a")(inputs)
    united = layers.Reshape((8, 4, 2))(a)
    flat = layers.Dense(3)(layers.Flatten()(layers.Concatenate()([a, conv(4, groups=2)(a), a])))
    check_costs(keras.Model(inputs, [flat, conv(2)(united)]), 1)


@pytest.mark.parametrize(("sparsity", "expected"), [(0, [6, 5]), (0.25, [4, 4]), (0.5, [3, 3]), (0.99, [1, 1])])
def test_widths_at_a_sparsity_are_rounded_and_never_0(sparsity: float, expected: list[int]) -> None:
    inputs = keras.Input((4, 4, 2))
    channels = analyse(keras.Model(inputs, conv(3)(conv(5)(conv(6)(inputs)))))
    assert widths_at(channels, sparsity).tolist() == expected


def test_the_most_important_sets_stay() -> None:
    inputs = keras.Input((4, 4, 2))
    channels = analyse(keras.Model(inputs, conv(3)(conv(4, name="a")(inputs))))
    removed = removed_ids(channels, np.array([2]), [np.array([3.0, 1.0, 2.0, 1.0])])
    assert removed.tolist() == channels.made["a"][[1, 3]].tolist()
