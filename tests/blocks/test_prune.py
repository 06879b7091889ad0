"""A pruned block computes what the block computes when the readers of removed channels get zeros for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from legodnn.blocks import zoo
from legodnn.blocks.channels import analyse
from legodnn.blocks.extract import extract
from legodnn.blocks.graph import calls, macs
from legodnn.blocks.prune import choose, descendant, l1, remove
from legodnn.errors import ModelError

# Shrinking a counterexample would build models for minutes; they are small as they are.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Ramp(keras.layers.Layer):
    """An operation that pruning cannot know: its result depends on a channel's place."""

    def call(self, x: Any) -> Any:
        return x * ops.arange(1, x.shape[-1] + 1, dtype="float32")


def conv(filters: int, **options: Any) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", **options)


def _step(draw: Draw, tensors: list[Any]) -> Any:
    """One more tensor of the same height and width."""
    x = draw(st.sampled_from(tensors[-3:]))
    others = [t for t in tensors if t is not x and t.shape == x.shape]
    kind = draw(st.integers(0, 13))
    if kind <= 3:
        act = draw(st.sampled_from([None, "relu", "sigmoid", "tanh"]))
        return conv(draw(st.integers(1, 6)), activation=act, use_bias=draw(st.booleans()))(x)
    if kind <= 6 and others:
        return draw(st.sampled_from([layers.Add(), layers.Multiply(), layers.Maximum()]))([x, others[-1]])
    if kind == 7:
        return layers.Concatenate()([x, draw(st.sampled_from(tensors))])
    if kind == 8:
        return draw(st.sampled_from([Ramp, lambda: layers.DepthwiseConv2D(3, padding="same")]))()(x)
    if kind == 9:
        return layers.MaxPooling2D(2, 1, padding="same")(x)
    if kind == 10:
        return layers.Dropout(0.5)(x)
    if kind == 11:
        return ops.relu(x) if draw(st.booleans()) else layers.ReLU()(x)
    return layers.BatchNormalization()(x)


def small_model(draw: Draw) -> keras.Model:
    """A small Functional model with random weights and batch-norm statistics."""
    inputs = keras.Input((4, 4, draw(st.integers(1, 3))))
    tensors = [inputs, conv(draw(st.integers(2, 6)))(inputs)]
    for _ in range(draw(st.integers(1, 7))):
        tensors.append(_step(draw, tensors))
    x, end = tensors[-1], draw(st.integers(0, 3))
    if end == 0:
        x = conv(3)(x)
    elif end == 1:
        x = layers.Dense(3)(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    elif end == 2:
        x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    model.set_weights([rng.uniform(0.3, 1.5, w.shape) * rng.choice([-1, 1], w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance))
    return model


def zeroed(model: keras.Model, gone: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The model's output when convolutions and dense layers read zeros for whatever depends on removed filters.

    Shares nothing with the code under test but which filters went. What depends on them is found out by trying: in
    further runs these filters give noise, and every feature that differs between the runs depends on them.
    """
    rng, runs = np.random.default_rng(5), 4
    values: list[dict[int, Any]] = [{id(model.inputs[0]): ops.convert_to_tensor(x)} for _ in range(runs)]
    for call in calls(model):
        if isinstance(call.operation, layers.Conv2D | layers.Dense):
            read = [np.array(v[id(call.inputs[0])]) for v in values]
            keep = np.all([(r == read[0]).all(axis=tuple(range(r.ndim - 1))) for r in read], axis=0)
            values = [
                {**v, id(call.inputs[0]): ops.convert_to_tensor(r * keep)} for v, r in zip(values, read, strict=True)
            ]
        for number, known in enumerate(values):
            args, kwargs = call.node.arguments.fill_in(known)
            result = np.array(call.operation(*args, **kwargs))
            if number and call.name in gone:
                result[..., gone[call.name]] = rng.normal(0, 3, result[..., gone[call.name]].shape)
            known[id(call.outputs[0])] = ops.convert_to_tensor(result)
    outputs = [np.array(v[id(model.outputs[0])]) for v in values]
    assert all((o == outputs[0]).all() for o in outputs), "the output depends on what was removed"
    return outputs[0]


def check_pruned(model: keras.Model, sparsity: float) -> None:
    channels = analyse(model)
    removed = choose(model, channels, sparsity)
    pruned = remove(model, channels, removed)
    gone = {layer: np.isin(ids, removed) for layer, ids in channels.made.items()}
    x = np.random.default_rng(3).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    expected = zeroed(model, gone, x)
    found = ops.convert_to_numpy(pruned(x, training=False))
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
    assert pruned.input_shape == model.input_shape
    assert pruned.output_shape == model.output_shape
    assert all(not mask.all() for mask in gone.values())
    assert pruned.count_params() <= model.count_params()
    assert macs(pruned) <= macs(model)
    if any(round(sparsity * len(group.classes)) and len(group.classes) > 1 for group in channels.groups):
        assert removed.size
        assert pruned.count_params() < model.count_params()
        assert macs(pruned) < macs(model)


@settings(max_examples=50, phases=NO_SHRINKING)
@given(st.data(), st.sampled_from([0.25, 0.5, 0.75, 0.99]))
def test_a_pruned_block_equals_the_block_with_zeros_for_removed_channels(data: st.DataObject, sparsity: float) -> None:
    check_pruned(small_model(data.draw), sparsity)


@pytest.mark.slow
@settings(max_examples=500, phases=NO_SHRINKING)
@given(st.data(), st.floats(0, 0.99))
def test_the_same_on_many_more_graphs(data: st.DataObject, sparsity: float) -> None:
    check_pruned(small_model(data.draw), sparsity)


@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18, zoo.resnet20])
def test_the_same_on_the_blocks_of_the_zoo(make: Callable[..., keras.Model]) -> None:
    blocks = [piece.model for piece in extract(make(0.06), max_blocks=3) if piece.kind == "block"]
    for block, sparsity in zip(blocks, (0.3, 0.6, 0.9), strict=True):
        check_pruned(block, sparsity)


def two_convs() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, conv(3, name="z")(conv(6, name="a")(inputs)))


def test_half_the_channels_go_at_sparsity_one_half() -> None:
    smaller = descendant(two_convs(), 0.5)
    assert smaller.get_layer("a").filters == 3
    assert smaller.get_layer("z").kernel.shape == (3, 3, 3, 3)


@pytest.mark.parametrize("sparsity", [0.9, 0.99, 0.999999])
def test_the_last_channel_is_never_removed(sparsity: float) -> None:
    assert descendant(two_convs(), sparsity).get_layer("a").filters == 1


def test_sparsity_0_gives_a_copy_that_shares_nothing() -> None:
    block = two_convs()
    copy = descendant(block, 0)
    before = [np.array(w) for w in block.get_weights()]
    copy.set_weights([w + 1 for w in copy.get_weights()])
    for a, b in zip(block.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_l1_is_the_sum_of_absolute_weights_of_each_filter() -> None:
    block = two_convs()
    kernel = np.zeros((3, 3, 2, 6), np.float32)
    kernel[0, 0, 0] = [1, -2, 3, 0, 0.5, -1]
    kernel[2, 1, 1] = [1, 1, 1, 1, 1, -1]
    block.get_layer("a").kernel.assign(kernel)
    np.testing.assert_allclose(l1(block.get_layer("a")), [2, 3, 4, 1, 1.5, 2])


def test_the_largest_filters_stay_in_their_order() -> None:
    block = two_convs()
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 6)).astype(np.float32)
    kernel[..., [1, 4]] *= 10
    block.get_layer("a").kernel.assign(kernel)
    np.testing.assert_array_equal(descendant(block, 0.67).get_layer("a").kernel, kernel[..., [1, 4]])


def test_any_function_of_a_layer_serves_as_criterion() -> None:
    block = two_convs()
    last_first = descendant(block, 0.5, lambda layer: np.arange(layer.filters, dtype=np.float32))
    np.testing.assert_array_equal(last_first.get_layer("a").kernel, block.get_layer("a").kernel[..., 3:])


def test_a_descendant_of_a_frozen_block_can_be_trained() -> None:
    block = two_convs()
    block.trainable = False
    assert len(descendant(block, 0.5).trainable_variables) == 4


def test_a_block_with_nothing_to_remove_is_refused_with_the_reason() -> None:
    inputs = keras.Input((4, 4, 2), name="in")
    block = keras.Model(inputs, conv(3)(Ramp(name="ramp")(conv(6)(inputs))), name="mine")
    with pytest.raises(ModelError, match=r"'mine' has no inner channels.*\(ramp: Ramp is not known"):
        descendant(block, 0.5)


def test_a_layer_that_cannot_be_copied_is_refused_by_name() -> None:
    inputs = keras.Input((4, 4, 2))
    block = keras.Model(inputs, conv(3)(conv(6)(layers.Lambda(lambda x: x * 2, name="double")(inputs))))
    with pytest.raises(ModelError, match=r"layer double .Lambda. cannot be copied from its configuration"):
        descendant(block, 0.5)
