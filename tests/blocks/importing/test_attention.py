"""Attention layers are opened as dense layers and products, from which channels go as from any others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.export.convert import convert
from legodnn.blocks.importing.graph import alone, calls
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import functional
from tests.blocks.importing.tflite.compared import by_interpreter

TOKENS = (9, 8)


def attention(heads: int = 2, **options: Any) -> layers.MultiHeadAttention:
    return layers.MultiHeadAttention(heads, 4, name="att", **options)


def opened(body: Callable[[Any], Any], *shapes: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    """A model with random weights, and what it is opened as, which computes the same."""
    inputs = [keras.Input(shape) for shape in shapes or (TOKENS,)]
    model = keras.Model(alone(inputs), body(*inputs))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    found = functional(model)
    x = [rng.normal(size=(3, *shape)).astype(np.float32) for shape in shapes or (TOKENS,)]
    np.testing.assert_allclose(np.array(found(alone(x))), np.array(model(alone(x))), rtol=1e-4, atol=1e-5)
    return model, found


def kinds(model: keras.Model) -> list[str]:
    return [call.kind for call in calls(model)]


@pytest.mark.parametrize(
    "layer",
    [
        attention(),
        attention(3),
        attention(value_dim=6),
        attention(use_bias=False, dropout=0.2),
        attention(output_shape=5),
        attention(attention_axes=(1,), kernel_regularizer="l2"),
    ],
)
def test_an_attention_layer_is_opened(layer: Any) -> None:
    model, found = opened(lambda x: layer(x, x))
    assert "MultiHeadAttention" not in kinds(found)
    assert found.count_params() == model.count_params()
    assert macs(found) == macs(model)
    sizes = (layer.key_dim, layer.value_dim)
    makers = (f"att_query x {layer.num_heads} + att_key x {layer.num_heads}", f"att_value x {layer.num_heads}")
    expected = [f"{n} channels made by {by}" for n, by in zip(sizes, makers, strict=True)]
    channels = analyse(found)
    assert [str(group) for group in channels.groups] == expected
    assert [*channels.reasons] == ["att_weights"]


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        (lambda x, y: attention()(x, y), (TOKENS, (5, 6))),
        (lambda x, y: attention()(x, y, key=y * 2.0), (TOKENS, (5, 6))),
        (lambda x, y, z: attention()(query=x, value=y, key=z), (TOKENS, (5, 6), (5, 7))),
        (lambda x: attention()(x, x), ((4, 9, 8),)),  # over all positions, as MobileViT has them
        (lambda x: attention(attention_axes=(2,))(x, x), ((4, 9, 8),)),
        (lambda x: attention(attention_axes=(-2,))(x, x), ((4, 9, 8),)),
    ],
)
def test_attention_between_tensors_and_over_some_axes_is_opened(body: Any, shapes: Any) -> None:
    model, found = opened(body, *shapes)
    assert "MultiHeadAttention" not in kinds(found)
    assert macs(found) == macs(model)
    assert len(analyse(found).groups) == 2


def test_calls_of_one_layer_share_their_weights() -> None:
    shared = attention()
    model, found = opened(lambda x: shared(shared(x, x), x))
    assert found.count_params() == model.count_params()
    assert kinds(found).count("Dense") == 8
    assert len({id(call.operation) for call in calls(found) if call.kind == "Dense"}) == 4


def test_layers_in_another_float_type_are_opened_in_float32() -> None:
    inputs = keras.Input(TOKENS)
    model = keras.Model(inputs, layers.Dense(3)(attention(dtype="mixed_float16")(inputs, inputs)))
    found = functional(model)
    assert "MultiHeadAttention" not in kinds(found)
    assert {t.dtype for call in calls(found) for t in call.outputs} == {"float32"}


def test_attention_inside_a_layer_of_ones_own_is_opened() -> None:
    class Encoder(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.norm = attention(), layers.LayerNormalization()

        def call(self, x: Any) -> Any:
            y = self.norm(x)
            return x + self.attention(y, y)

    model, found = opened(lambda x: Encoder()(x))
    assert {"Dense", "Einsum"} <= {*kinds(found)}
    assert found.count_params() == model.count_params()


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (lambda x: attention()(x, x, use_causal_mask=True), TOKENS),
        (lambda x: attention()(x, x, attention_mask=ops.ones((1, 9, 9), "bool")), TOKENS),
        (lambda x: attention()(x, x, return_attention_scores=True)[0], TOKENS),
        (lambda x: attention(output_shape=(3, 2))(x, x), TOKENS),
        (lambda x: attention(kernel_constraint="non_neg")(x, x), TOKENS),
        (lambda x: attention(activity_regularizer="l2")(x, x), TOKENS),
        (lambda x: type("Own", (layers.MultiHeadAttention,), {})(2, 4, name="att")(x, x), TOKENS),
        (lambda x: ops.mean(attention()(x, x), axis=1), (None, 8)),
    ],
)
def test_what_an_attention_layer_does_besides_keeps_it_whole(body: Any, shape: Any) -> None:
    inputs = keras.Input(shape)
    found = functional(keras.Model(inputs, body(inputs)))
    assert not any(name.startswith("att_") for name in (call.name for call in calls(found)))


def test_attention_that_is_adapted_stays_whole() -> None:
    inputs, layer = keras.Input(TOKENS), attention()
    model = keras.Model(inputs, layer(inputs, inputs))
    layer.query_dense.enable_lora(2)
    assert "MultiHeadAttention" in kinds(functional(model))


@pytest.mark.parametrize("axes", [(2,), (1, 2)])
def test_attention_over_some_axes_is_exported(axes: tuple[int, ...]) -> None:
    """A softmax of a `.tflite` file takes four dimensions at most; the scores have five and six."""
    model, found = opened(lambda x: attention(attention_axes=axes)(x, x), (4, 9, 8))
    x = np.random.default_rng(1).normal(size=(1, 4, 9, 8)).astype(np.float32)
    (exported,) = by_interpreter(convert(found), [x])
    np.testing.assert_allclose(exported, np.array(model(x)), rtol=1e-4, atol=1e-5)
