"""A model is read as calls in order, cut and rebuilt without changing what it computes, and counted right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks import zoo
from legodnn.blocks.importing.graph import calls, live_after, rebuild, submodel
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import as_given, functional
from legodnn.errors import ModelError


def residual_model() -> keras.Model:
    x = inputs = keras.Input((8, 8, 4), name="image")
    y = layers.Conv2D(4, 3, padding="same", name="a")(x)
    y = layers.BatchNormalization(name="bn")(y)
    x = layers.Add(name="add")([y, x])
    x = ops.relu(x) * 2.0
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))


def images(model: keras.Model, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *model.input_shape[1:])).astype(np.float32)


def run(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(x, training=False)))


def test_calls_come_in_topological_order_without_input_layers() -> None:
    model = zoo.resnet18(0.05)
    known = {id(t) for t in model.inputs}
    for call in calls(model):
        assert all(id(t) in known for t in call.inputs), call.name
        known |= {id(t) for t in call.outputs}
    assert {id(t) for t in model.outputs} <= known
    assert "InputLayer" not in {call.kind for call in calls(model)}


def test_a_call_tells_its_name_and_kind_of_layers_and_operations_alike() -> None:
    kinds = [(call.kind, call.name) for call in calls(residual_model())]
    assert kinds[:3] == [("Conv2D", "a"), ("BatchNormalization", "bn"), ("Add", "add")]
    assert [kind for kind, _ in kinds[3:]] == ["Relu", "Multiply", "GlobalAveragePooling2D", "Dense"]


def test_live_tensors_say_where_a_model_can_be_cut() -> None:
    model = residual_model()
    live = live_after(calls(model), model.inputs)
    # The image is needed until the addition, so there is no cut before it.
    assert [len(tensors) for tensors in live] == [2, 2, 1, 1, 1, 1, 0]
    assert live[-2][0] is model.layers[-1].input


def test_a_submodel_shares_its_layers_with_the_whole() -> None:
    model = residual_model()
    order = calls(model)
    piece = submodel(order[0].inputs, order[2].outputs, "piece")
    x = images(model)
    before = run(piece, x)
    model.get_layer("a").kernel.assign(model.get_layer("a").kernel * 2)
    assert np.abs(run(piece, x) - before).max() > 0.01


def test_a_submodel_may_call_a_layer_that_made_what_it_reads() -> None:
    tower = layers.Conv2D(4, 3, padding="same")
    left, right = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    apart = ops.abs(tower(left) - tower(right))
    model = keras.Model([left, right], tower(apart))
    first, second, *_ = calls(model)  # the tower sees one image after the other
    x, y = (np.random.default_rng(n).normal(size=(3, 8, 8, 4)).astype(np.float32) for n in range(2))
    seen = [ops.convert_to_numpy(tower(image)) for image in (x, y)]
    one_seen = submodel([first.outputs[0], second.inputs[0]], [apart], "part")
    wanted = np.abs(seen[0] - seen[1])
    np.testing.assert_allclose(ops.convert_to_numpy(one_seen([seen[0], y], training=False)), wanted, atol=1e-5)
    both_seen = submodel([first.outputs[0], second.outputs[0]], model.outputs, "part")
    found = ops.convert_to_numpy(both_seen(seen, training=False))
    np.testing.assert_allclose(found, ops.convert_to_numpy(tower(wanted)), atol=1e-5)


def test_rebuilding_with_the_same_operations_gives_the_same_model() -> None:
    for model in (residual_model(), zoo.resnet20(0.25), zoo.vgg16(0.05)):
        again = rebuild(model, lambda call: call.operation)
        x = images(model)
        np.testing.assert_array_equal(run(again, x), run(model, x))
        assert again.name == model.name


def test_rebuilding_puts_the_replacement_in_place() -> None:
    model = residual_model()
    other = rebuild(model, lambda call: layers.Dense(4) if call.name == "a" else call.operation)
    assert [call.kind for call in calls(other)][:2] == ["Dense", "BatchNormalization"]
    assert [call.kind for call in calls(model)][:2] == ["Conv2D", "BatchNormalization"]


def test_a_sequential_model_has_the_same_calls_as_a_functional_one() -> None:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.ReLU()])
    assert [call.kind for call in calls(functional(model))] == ["Dense", "ReLU"]


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed(name="mine"), "'mine' .Subclassed. has no graph of layers: rebuild it with Keras' functional API"),
        (keras.Sequential([layers.Dense(3)], name="mine"), "'mine' is not built: give its first layer an input shape"),
        (keras.Sequential([], name="mine"), "'mine' is not built"),
    ],
)
def test_a_model_without_a_graph_is_refused_with_the_remedy(model: keras.Model, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        functional(model)


def test_resnet20_has_the_published_40_6_million() -> None:
    stem, head = 32 * 32 * 27 * 16, 64 * 10
    stage1 = 6 * 32 * 32 * 9 * 16 * 16
    stage2 = 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32)
    stage3 = 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64)
    assert macs(zoo.resnet20()) == stem + stage1 + stage2 + stage3 + head == 40_551_040


def test_rebuilding_keeps_the_names_of_inputs_and_outputs() -> None:
    image, meta = keras.Input((4, 4, 3), name="image"), keras.Input((3,), name="input_0")
    x = layers.Conv2D(2, 1, name="input_1")(image)
    model = functional(keras.Model({"z": image, "m": meta}, {"map": x, "score": layers.Dense(1)(meta)}))
    again = rebuild(model, lambda call: call.operation)
    assert [t.name for t in again.inputs] == ["input_0", "image"]  # as Keras orders a dict
    assert again.output_names == ["map", "score"]
    given = as_given(model, again)
    outputs = given({"z": np.ones((1, 4, 4, 3), np.float32), "m": np.ones((1, 3), np.float32)})
    assert {name: tuple(y.shape) for name, y in outputs.items()} == {"map": (1, 4, 4, 2), "score": (1, 1)}


ATTENTION = layers.MultiHeadAttention(2, 6)


@pytest.mark.parametrize(
    ("shapes", "call", "expected"),
    [
        ([(64, 12)], lambda x: ATTENTION(x, x), 4 * 64 * 12 * 12 + 2 * 64 * 64 * 12),
        ([(4, 12), (64, 12)], lambda q, v: ATTENTION(value=v, query=q), 2 * 68 * 12 * 12 + 2 * 4 * 64 * 12),
        (
            [(4, 64, 12)],
            lambda x: layers.MultiHeadAttention(2, 6, attention_axes=(2,))(x, x),
            4 * (4 * 64 * 12 * 12 + 2 * 64 * 64 * 12),
        ),
        (
            [(64, 12)],
            lambda x: layers.GroupQueryAttention(6, 2, 1)(x, x),
            64 * 12 * (12 + 6 + 6 + 12) + 2 * 64 * 64 * 12,
        ),
        ([(4, 8, 8, 3)], lambda x: layers.TimeDistributed(layers.Conv2D(5, 3))(x), 4 * 36 * 27 * 5),
        ([(4, 8, 8, 3)], lambda x: layers.TimeDistributed(per_frame())(x), 4 * 36 * 27 * 5),
        ([(8, 8, 3)], lambda x: layers.SpectralNormalization(layers.Conv2D(5, 3))(x), 36 * 27 * 5),
    ],
)
def test_attention_and_layers_inside_others_are_counted(
    shapes: list[tuple[int, ...]], call: Callable[..., Any], expected: int
) -> None:
    inputs = [keras.Input(shape) for shape in shapes]
    assert macs(keras.Model(inputs, call(*inputs))) == expected


def per_frame() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(5, 3), layers.ReLU()])
