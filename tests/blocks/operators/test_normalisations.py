"""Channels are removed through normalisations of single channels; normalisations over several channels keep all."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers


def between(layer: Any) -> Any:
    return lambda x: layers.Conv2D(3, 3)(layer(layers.Conv2D(6, 3, name="a")(x)))


def test_group_normalisation_with_a_group_for_each_channel_lets_channels_go(check_body: Any) -> None:
    for groups in (-1, 6):
        channels, pruned = check_body(between(layers.GroupNormalization(groups, name="it")))
        assert [str(g) for g in channels.groups] == ["6 channels made by a"]
        assert pruned.get_layer("it").groups == 3
        assert pruned.get_layer("it").gamma.shape == (3,)


@pytest.mark.parametrize(("groups", "size"), [(2, 3), (3, 2)])
def test_a_whole_group_of_a_group_normalisation_goes_at_once(check_body: Any, groups: int, size: int) -> None:
    channels, pruned = check_body(between(layers.GroupNormalization(groups, name="it")), sparsity=0.4)
    assert [str(g) for g in channels.groups] == [f"{groups} channels made by a x {size}"]
    assert pruned.get_layer("it").groups == groups - 1
    assert pruned.get_layer("it").gamma.shape == ((groups - 1) * size,)


def test_groups_of_a_normalisation_that_hold_an_input_stay(check_body: Any) -> None:
    def body(x: Any) -> Any:
        joined = layers.Concatenate()([x, layers.Conv2D(5, 3, padding="same", name="a")(x)])
        return layers.Conv2D(3, 3)(layers.GroupNormalization(4, name="it")(joined))

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["2 channels made by a x 2"]
    assert pruned.get_layer("a").filters == 3


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.LayerNormalization(name="it"), "it normalises over the channels, which depend on one another"),
        (layers.RMSNormalization(name="it"), "it normalises over the channels"),
        (layers.UnitNormalization(name="it"), "it normalises over the channels"),
        (layers.UnitNormalization((1, 2, 3), name="it"), "it normalises over the channels"),
        (layers.GroupNormalization(1, name="it"), "it normalises over all channels"),
        (layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6, name="it"), "it reads a constant for each channel"),
        (layers.Softmax(name="it"), "it normalises over the channels"),
    ],
)
def test_what_normalises_over_channels_keeps_them_all(check_body: Any, layer: Any, reason: str) -> None:
    channels, pruned = check_body(between(layer))
    assert not channels.groups
    assert channels.kept_whole["it"].startswith(reason)
    assert pruned.get_layer("a").filters == 6


@pytest.mark.parametrize(
    "layer",
    [
        *(layers.LayerNormalization((1, 2)), layers.Softmax((1, 2)), layers.Softmax(2)),
        *(layers.Rescaling(0.1, -0.5), layers.Rescaling([2.0])),
    ],
)
def test_what_normalises_over_positions_or_by_one_number_lets_channels_go(check_body: Any, layer: Any) -> None:
    _, pruned = check_body(between(layer))
    assert pruned.get_layer("a").filters == 3


@pytest.mark.parametrize(("shared", "shape"), [(None, (4, 4, 3)), ([1, 2], (1, 1, 3)), ([1, 2, 3], (1, 1, 1))])
def test_prelu_loses_the_slopes_of_removed_channels(check_body: Any, shared: Any, shape: Any) -> None:
    _, pruned = check_body(between(layers.PReLU(shared_axes=shared, name="it")))
    assert pruned.get_layer("it").alpha.shape == shape


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_batch_normalisation_loses_scale_shift_and_statistics(check_body: Any, options: Any) -> None:
    channels, pruned = check_body(between(layers.BatchNormalization(name="it", **options)))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert {w.shape for w in pruned.get_layer("it").weights} == {(3,)}


def test_normalisation_of_the_input_leaves_what_comes_after_it_free(check_body: Any) -> None:
    first = layers.Normalization(mean=[0.5, 0.4, 0.3], variance=[2.0, 1.0, 0.5])
    channels, pruned = check_body(lambda x: between(layers.ReLU())(first(x)))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert pruned.get_layer("a").filters == 3
