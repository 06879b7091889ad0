"""Layers and models of somebody's own are opened where their `call` calls Keras' layers and operations.

Covers also: blocks.importing.input_size.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.cutting.extract import check_composed, compose_pieces, extract, output_names
from legodnn.blocks.importing.difference import sample_inputs
from legodnn.blocks.importing.graph import as_list, calls
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.opening import functional
from legodnn.errors import ModelError

SHAPE = (8, 8, 3)
HERE = "tests.blocks.importing.test_own_layers"


class Residual(layers.Layer):
    """Two convolutions of fixed names beside a shortcut; it has no `get_config`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = layers.Conv2D(2 * width, 3, padding="same", activation="relu", name="first")
        self.second = layers.Conv2D(width, 3, padding="same", name="second")
        self.norm, self.drop = layers.BatchNormalization(name="norm"), layers.Dropout(0.5)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.relu(x + self.drop(self.norm(self.second(self.first(x)), training=training), training=training))


class DropPath(layers.Layer):
    """Leaves out whole images in training."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return keras.random.dropout(x, 0.5, (None, 1, 1, 1), seed=self.seeds) if training else x


class Scaled(layers.Layer):
    """Has a weight of its own, and a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = layers.Conv2D(width, 3, padding="same")

    def build(self, shape: Any) -> None:
        self.inner.build(shape)
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.factor


class Folded(layers.Layer):
    """Asks for the number of images, which symbolic tensors do not have."""

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        return ops.reshape(ops.relu(ops.reshape(x, (shape[0], shape[1] * shape[2], shape[3]))), shape)


class ByKernel(layers.Layer):
    """Uses the weights of a layer inside it without calling that."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = layers.Conv2D(width, 3)

    def build(self, shape: Any) -> None:
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return ops.conv(x, self.inner.kernel, padding="same")


class Placed(layers.Layer):
    """Looks its input up, and adds what it looks up by the place, which is no tensor of the graph."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.word, self.place = layers.Embedding(30, 8), layers.Embedding(12, 8)

    def build(self, shape: Any) -> None:
        self.word.build(shape)
        self.place.build(None)

    def call(self, x: Any) -> Any:
        return self.word(x) + self.place(ops.arange(12))


class Network(keras.Model):
    """A model without a graph."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.stem, self.body = layers.Conv2D(4, 3, padding="same"), [Residual(4), Residual(4)]
        self.scores = layers.Dense(3, name="scores")

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.stem(x)
        for part in self.body:
            x = part(x, training=training)
        return self.scores(ops.mean(x, axis=(1, 2)))


class Pair(keras.Model):
    """A model without a graph that takes and gives dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.near, self.far = layers.Dense(8, activation="relu"), layers.Dense(2), layers.Dense(3)

    def call(self, x: Any) -> Any:
        hidden = self.hidden(ops.concatenate([x["left"], x["right"]], axis=-1))
        return {"near": self.near(hidden), "far": self.far(hidden)}


def network() -> keras.Model:
    model = Network(name="mine")
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def never_called() -> keras.Model:
    return Network(name="mine")


def model_of(body: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input(SHAPE, name="image")
    return keras.Model(inputs, body(inputs), name="mine")


def conv(filters: int, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", **options)


def randomise(model: keras.Model) -> None:
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 0.8, w.shape) for w in model.get_weights()])


def check_segments(model: keras.Model, opened: keras.Model) -> list[Any]:
    """Compare the segments of an opened model with the user's; return the segments."""
    x = np.random.default_rng(0).uniform(size=(4, *SHAPE)).astype(np.float32)
    pieces = extract(opened, min_share=0)
    found = compose_pieces(pieces, {opened.inputs[0].name: x})
    wanted = as_list(model(x, training=False))
    for name, y in zip(output_names(pieces), wanted, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(found[name]), ops.convert_to_numpy(y), rtol=1e-5, atol=1e-5)
    return pieces


def test_layers_inside_a_layer_of_ones_own_become_calls_of_the_graph() -> None:
    shared = Residual(4)
    model = model_of(lambda x: conv(2)(shared(Residual(4)(shared(DropPath()(conv(4)(x)))))))
    randomise(model)
    opened = functional(model)
    kinds = [call.kind for call in calls(opened)]
    assert kinds.count("Conv2D") == 8
    assert not {"Residual", "DropPath"} & {*kinds}
    assert len({call.name for call in calls(opened) if call.kind == "Conv2D"}) == 6
    pieces = check_segments(model, opened)
    assert [p.kind for p in pieces].count("block") == 3
    assert functional(opened) is opened


def test_a_layer_of_ones_own_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    call = Residual.call

    def counted(layer: Residual, x: Any, training: bool | None = None) -> Any:
        tried.append("on tensors" if isinstance(x, keras.KerasTensor) else "on values")
        return call(layer, x, training)

    model = model_of(lambda x: conv(2)(Residual(4)(conv(4)(x))))
    monkeypatch.setattr(Residual, "call", counted)
    functional(model)
    assert tried.count("on tensors") == 1


def test_a_lambda_of_kerass_operations_is_opened() -> None:
    swish = layers.Lambda(lambda x: x * ops.sigmoid(x))
    model = model_of(lambda x: conv(2)(swish(conv(4)(x))))
    assert [call.kind for call in calls(functional(model))] == ["Conv2D", "Sigmoid", "Multiply", "Conv2D"]
    check_segments(model, functional(model))


@pytest.mark.parametrize("own", [Scaled(4), Folded(), ByKernel(4), layers.Lambda(np.abs, output_shape=(8, 8, 4))])
def test_what_does_more_than_call_layers_stays_one_call(own: Any) -> None:
    model = model_of(lambda x: conv(2)(own(conv(4)(x))))
    assert functional(model) is model


def test_what_is_random_or_scales_the_image_stays_one_call() -> None:
    noisy = layers.Lambda(lambda x: x + keras.random.normal((8, 8, 4)), name="noisy")
    scaling = layers.Lambda(lambda x: x / 127.5 - 1, name="scaling")
    model = model_of(lambda x: conv(2)(noisy(conv(4)(scaling(x)))))
    assert functional(model) is model


def test_for_training_on_labels_a_layer_without_weights_stays() -> None:
    model = model_of(lambda x: conv(2)(DropPath()(Residual(4)(conv(4)(x)))))
    kinds = [call.kind for call in calls(functional(model, augmented=True))]
    assert "DropPath" in kinds
    assert "Dropout" in kinds  # which a step of training makes random
    again = functional(functional(model, augmented=True))
    assert [w.shape for w in again.weights] == [w.shape for w in functional(model).weights]


def test_layers_in_half_precision_are_opened_too() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = model_of(lambda x: layers.Activation("linear", dtype="float32")(Residual(4)(conv(4)(x))))
    finally:
        keras.config.set_dtype_policy("float32")
    opened = functional(model)
    assert {call.outputs[0].dtype for call in calls(opened)} == {"float32"}


@pytest.mark.parametrize("where", ["whole", "nested", "sequential"])
def test_a_model_without_a_graph_is_opened(where: str) -> None:
    inner = network()
    model = {
        "whole": lambda: inner,
        "nested": lambda: model_of(lambda x: layers.Dense(2)(inner(conv(3)(x)))),
        "sequential": lambda: keras.Sequential([keras.Input(SHAPE), conv(3), inner]),
    }[where]()
    randomise(model)
    opened = functional(model)
    assert "Network" not in [call.kind for call in calls(opened)]
    pieces = check_segments(model, opened)
    assert [p.kind for p in pieces].count("block") >= 2
    if where == "whole":
        assert (opened.name, opened.inputs[0].name) == ("mine", "input")


def test_a_model_without_a_graph_may_take_and_give_dicts() -> None:
    model = Pair()
    x = {
        name: np.random.default_rng(n).normal(size=(5, 6)).astype("float32") for n, name in enumerate(("left", "right"))
    }
    wanted = model(x)
    pieces = extract(model, min_share=0)
    found = compose_pieces(pieces, x)
    assert {*output_names(pieces)} == {"near", "far"}
    for name, y in wanted.items():
        np.testing.assert_allclose(ops.convert_to_numpy(found[name]), ops.convert_to_numpy(y), atol=1e-5)


def test_an_input_shape_opens_a_model_that_was_never_called() -> None:
    assert open_model(f"{HERE}:never_called", input_shape=SHAPE).input_shape == (None, *SHAPE)
    with pytest.raises(ModelError, match=r"'mine' \(Network\) has no graph.*or call it on an image .* input_shape"):
        open_model(f"{HERE}:never_called")
    with pytest.raises(ModelError, match=r"'mine' \(Network\) has no graph of layers, and cannot be called to find it"):
        open_model(f"{HERE}:never_called", input_shape=(7,))


def test_a_saved_model_without_a_graph_is_opened(tmp_path: Path) -> None:
    network().save(tmp_path / "mine.keras")
    with pytest.raises(ModelError):
        open_model(str(tmp_path / "mine.keras"))
    opened = open_model(str(tmp_path / "mine.keras"), custom=[HERE])
    assert [call.kind for call in calls(opened)].count("Conv2D") == 5


def test_samples_for_a_layer_with_an_embedding_are_places_of_it() -> None:
    words = keras.Input((12,), dtype="int32", name="words")
    x = layers.Conv1D(8, 3, activation="relu")(layers.Conv1D(6, 3, activation="relu")(Placed()(words)))
    opened = functional(keras.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(x)), name="mine"))
    assert "Placed" in [call.kind for call in calls(opened)]
    (x,) = sample_inputs(opened)
    assert set(x.ravel()) <= set(range(12))
    check_composed(opened, extract(opened, min_share=0))
