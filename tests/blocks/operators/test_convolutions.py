"""Convolutions of every kind lose the right rows and columns of their kernels, and their groups stay equal in size."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers


def conv(filters: int, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", **options)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_depthwise_convolution_follows_its_input(check_body: Any, multiplier: int) -> None:
    depthwise = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=multiplier, activation="relu", name="d")
    channels, pruned = check_body(lambda x: conv(3)(depthwise(conv(6, name="a")(x))))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert pruned.get_layer("d").kernel.shape == (3, 3, 3, multiplier)
    assert pruned.get_layer("d").bias.shape == (3 * multiplier,)


def test_an_inverted_residual_loses_the_channels_it_expands_to(check_body: Any) -> None:
    def body(x: Any) -> Any:
        y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(12, 1, use_bias=False, name="expand")(x)))
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="d")(y))
        return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(3, 1, name="project")(layers.ReLU(6.0)(y)))])

    channels, pruned = check_body(body, sparsity=0.75)
    assert [str(g) for g in channels.groups] == ["12 channels made by expand"]
    assert pruned.get_layer("d").kernel.shape == (3, 3, 3, 1)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_separable_convolution_follows_its_input_and_makes_channels(check_body: Any, multiplier: int) -> None:
    separable = layers.SeparableConv2D(4, 3, depth_multiplier=multiplier, activation="relu", name="s")
    channels, pruned = check_body(lambda x: conv(3)(separable(conv(6, name="a")(x))))
    assert [str(g) for g in channels.groups] == ["6 channels made by a", "4 channels made by s"]
    assert pruned.get_layer("s").depthwise_kernel.shape == (3, 3, 3, multiplier)
    assert pruned.get_layer("s").pointwise_kernel.shape == (1, 1, 3 * multiplier, 2)


def test_a_transposed_convolution_has_its_kernel_the_other_way_round(check_body: Any) -> None:
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu", name="up")
    channels, pruned = check_body(lambda x: conv(3)(up(conv(6, name="a")(x))))
    assert [str(g) for g in channels.groups] == ["6 channels made by a", "4 channels made by up"]
    assert pruned.get_layer("up").kernel.shape == (3, 3, 2, 3)


def test_groups_of_a_convolution_stay_equal_on_both_sides(check_body: Any) -> None:
    grouped = conv(8, groups=2, activation="relu", name="g")
    channels, pruned = check_body(lambda x: conv(3)(grouped(conv(12, name="a")(x))))
    assert [str(g) for g in channels.groups] == ["6 channels made by a x 2", "4 channels made by g x 2"]
    assert pruned.get_layer("g").kernel.shape == (3, 3, 3, 4)
    assert (pruned.get_layer("a").filters, pruned.get_layer("g").filters, pruned.get_layer("g").groups) == (6, 4, 2)


def test_groups_over_joined_tensors_tie_across_them(check_body: Any) -> None:
    def body(x: Any) -> Any:
        return conv(3)(conv(4, groups=2, name="g")(layers.Concatenate()([conv(2, name="a")(x), conv(4, name="b")(x)])))

    channels, _ = check_body(body)
    # Joined channels a0 a1 b0 | b1 b2 b3: the groups' i-th channels hang together.
    ties = ["2 channels made by a + b", "1 channels made by b x 2", "2 channels made by g x 2"]
    assert [str(g) for g in channels.groups] == ties


@pytest.mark.parametrize("filters", [6, 12])
def test_a_group_for_each_channel_is_a_depthwise_convolution(check_body: Any, filters: int) -> None:
    channels, pruned = check_body(lambda x: conv(3)(conv(filters, groups=6, name="g")(conv(6, name="a")(x))))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert (pruned.get_layer("g").groups, pruned.get_layer("g").filters) == (3, filters // 2)


def test_one_and_three_dimensions_work_alike(check_body: Any) -> None:
    for nd, make, shape in ((1, layers.Conv1D, (8, 3)), (3, layers.Conv3D, (4, 4, 4, 3))):
        more = [layers.SeparableConv1D(4, 3, name="s"), layers.DepthwiseConv1D(3)] if nd == 1 else []
        up = (layers.Conv1DTranspose if nd == 1 else layers.Conv3DTranspose)(4, 2, name="up")

        def body(x: Any, make: Any = make, chain: Any = (*more, up)) -> Any:
            x = make(6, 2, name="a")(x)
            for layer in chain:
                x = layer(x)
            return make(2, 1)(x)

        channels, pruned = check_body(body, shape)
        assert "6 channels made by a" in [str(g) for g in channels.groups]
        assert pruned.get_layer("up").filters == 2
