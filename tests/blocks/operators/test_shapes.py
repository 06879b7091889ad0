"""Channels are removed through reshaping, transposing, padding, resizing and pooling, in layers and in keras.ops."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers, ops


def between(middle: Any) -> Any:
    """Return the body of a block: 6 channels `a` of (6, 6), `middle`, and a dense layer, which reads any rank."""
    return lambda x: layers.Dense(3)(middle(layers.Conv2D(6, 3, padding="same", name="a")(x)))


@pytest.mark.parametrize(
    "middle",
    [
        layers.Flatten(),
        layers.Reshape((36, 6)),
        layers.Reshape((-1, 6)),
        layers.Reshape((6, 36)),
        layers.Reshape((3, 3, 24)),
        layers.Permute((2, 1, 3)),
        layers.ZeroPadding2D(1),
        layers.Cropping2D(1),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Resizing(4, 4),
        layers.MaxPooling2D(2),
        layers.AveragePooling2D(3, 1, padding="same"),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.AdaptiveAveragePooling2D(2),
        lambda x: layers.MaxPooling1D(2)(layers.ZeroPadding1D(1)(layers.Reshape((36, 6))(x))),
        lambda x: layers.GlobalAveragePooling3D()(layers.UpSampling3D(2)(layers.Reshape((2, 3, 6, 6))(x))),
        lambda x: ops.reshape(x, (-1, 36, 6)),
        lambda x: ops.transpose(x, (0, 2, 1, 3)),
        lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0))),
        lambda x: ops.pad(x, ((0, 0), (0, 1), (0, 0), (2, 3)), constant_values=0.5),
        lambda x: ops.take(x, [0, 2, 2], axis=1),
        lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
        lambda x: ops.concatenate([x[:, ::2, ::2], x[:, 1::2, ::2, :], x[:, 0:6:2, 1::2, ...]], axis=-1),
        lambda x: ops.average_pool(ops.max_pool(x, 2), 3),
        lambda x: ops.image.resize(x, (3, 3)),
        lambda x: ops.hard_silu(ops.clip(ops.sigmoid(x) / 2.0 - 1.0, -0.9, 5.0)),
        lambda x: x * ops.relu6(x + 3.0) * (1.0 / 6.0),
        lambda x: ops.concatenate(ops.split(x, 2, axis=1), axis=-1),
        lambda x: ops.nn.space_to_depth(x, 2),
        lambda x: ops.nn.depth_to_space(ops.nn.space_to_depth(x, 3), 3),
        layers.CenterCrop(4, 4),
        lambda x: layers.RepeatVector(3)(layers.GlobalAveragePooling2D()(x)),
        lambda x: ops.flip(ops.roll(x, 1, axis=2), axis=(1, 2)),
        lambda x: ops.cumsum(ops.repeat(x, 2, axis=1), axis=2),
        lambda x: ops.swapaxes(ops.moveaxis(x, 1, 2), 1, -2),
        lambda x: ops.sum(ops.stack([x, ops.log2(ops.exp2(x)), ops.mod(x, 2.0)], axis=-2), axis=3),
        lambda x: ops.logaddexp(ops.prod(ops.tanh(x), axis=1), ops.logsumexp(x, axis=2)),
        lambda x: ops.floor(x) + ops.sin(x) - ops.ceil(ops.cos(x)),
    ],
)
def test_channels_that_stay_on_the_last_axis_can_go(check_body: Any, middle: Any) -> None:
    channels, pruned = check_body(between(middle))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert pruned.get_layer("a").filters == 3


def test_a_vector_that_becomes_an_image_goes_by_channels(check_body: Any) -> None:
    def body(x: Any) -> Any:
        return layers.Conv2D(3, 2)(layers.Reshape((2, 3, 4), name="image")(layers.Dense(24, name="d")(x)))

    channels, pruned = check_body(body, (5,))
    assert [str(g) for g in channels.groups] == ["4 channels made by d x 6"]
    assert pruned.get_layer("image").target_shape == (2, 3, 2)


@pytest.mark.parametrize(
    ("middle", "found"),
    [
        (lambda x: x[..., :2], ["2 channels made by a", "4 channels made by a"]),
        (lambda x: x[..., :-2, 2:], ["2 channels made by a", "4 channels made by a"]),
        (lambda x: x[:, 1:, 0, -4:], ["2 channels made by a", "4 channels made by a"]),
        (lambda x: x[..., :6], ["6 channels made by a"]),
        (lambda x: x[..., :3] * ops.sigmoid(x[..., 3:]), ["3 channels made by a x 2"]),
        (lambda x: ops.multiply(*ops.split(x, 2, axis=-1)), ["3 channels made by a x 2"]),
        (
            lambda x: layers.Concatenate()(ops.split(x, [4], axis=3)[::-1]),
            ["4 channels made by a", "2 channels made by a"],
        ),
        (
            lambda x: layers.Concatenate()([x, ops.split(x, 3, axis=-1)[1]]),
            ["2 channels made by a"] * 3,
        ),
    ],
)
def test_channels_are_followed_through_slices_and_splits(check_body: Any, middle: Any, found: list[str]) -> None:
    channels, pruned = check_body(between(middle))
    assert sorted(str(g) for g in channels.groups) == sorted(found)
    assert pruned.get_layer("a").filters < 6


def test_channels_that_a_shortcut_adds_go_with_those_of_its_block(check_body: Any) -> None:
    def body(x: Any) -> Any:
        x = layers.Conv2D(4, 3, padding="same", name="a")(x)
        shortcut = ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2)))
        x = layers.Add()([shortcut, layers.Conv2D(8, 3, 2, padding="same", name="b")(x)])
        return layers.Conv2D(3, 3)(x)

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["4 channels made by a + b", "4 channels made by b"]
    assert (pruned.get_layer("a").filters, pruned.get_layer("b").filters) == (2, 4)


def test_channels_that_depth_to_space_spreads_over_positions_go_together(check_body: Any) -> None:
    def body(x: Any) -> Any:
        x = ops.nn.depth_to_space(layers.Conv2D(12, 3, name="a")(x), 2)
        return layers.Conv2D(3, 3)(x)

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["3 channels made by a x 4"]
    assert pruned.get_layer("a").filters == 4


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (layers.Permute((3, 1, 2)), "it moves the channels"),
        (layers.Reshape((6, 9, 4)), "it divides channels among positions"),
        (lambda x: ops.transpose(x, (0, 3, 1, 2)), "it moves the channels"),
        (lambda x: ops.expand_dims(x, -1), "it moves the channels"),
        (lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (1, 0)), "reflect"), "it repeats channels"),
        (lambda x: ops.sum(x, -1, keepdims=True), "it reduces over the channels"),
        (lambda x: ops.squeeze(ops.max(x, 1, keepdims=True)), "it may remove the channels' axis"),
        (lambda x: x[..., ::-1], "it picks channels"),
        (lambda x: ops.take(x, [0, 2, 2], axis=-1), "it picks channels"),
        (lambda x: x[..., 1::2], "it picks channels"),
        (lambda x: x[..., 2][..., None] + x, "it picks channels"),
        (lambda x: x[:, :, 0, 3:4, None] + x, "it picks channels"),
        (lambda x: ops.reshape(x, (-1, 6, 6)), "it changes the number of images"),
        (lambda x: ops.cumsum(x, -1), "it moves or sums channels"),
        (lambda x: ops.flip(x), "it moves or sums channels"),
        (lambda x: ops.roll(x, 1, axis=3), "it moves or sums channels"),
        (lambda x: ops.swapaxes(x, 1, -1), "it moves the channels"),
        (lambda x: ops.moveaxis(x, (1, 3), (2, 1)), "it moves the channels"),
        (lambda x: ops.stack([x, x], axis=-1)[..., 0], "it moves the channels"),
        (lambda x: ops.argsort(x, axis=1) * 1.0, "Argsort is not known"),
    ],
)
def test_channels_that_leave_the_last_axis_stay(check_body: Any, middle: Any, reason: str) -> None:
    channels, pruned = check_body(between(middle))
    assert not channels.groups
    assert any(why.startswith(reason) for why in channels.kept_whole.values())
    assert pruned.get_layer("a").filters == 6
