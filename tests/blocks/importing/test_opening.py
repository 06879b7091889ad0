"""A user's model is opened as the same function, in float32, or refused before anything is trained.

Covers also: blocks.importing.float_types.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.cutting.extract import compose_pieces, extract, output_names
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.graph import as_list, calls
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.pruning.surgery import check_copy
from legodnn.errors import ModelError

SHAPE = (8, 8, 3)


@pytest.fixture(autouse=True)
def _policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")


def pixels(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def classifier(dtype: str = "float32", first: Any = None, **options: Any) -> keras.Model:
    image = keras.Input(SHAPE, dtype=dtype, name="image")
    x = (first or layers.Rescaling(1 / 255))(image)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(image, layers.Dense(4, name="scores", **options)(x), name="mine")


@pytest.mark.parametrize("nested", [False, True])
def test_weights_of_activations_are_there_although_the_model_never_ran(nested: bool) -> None:
    """Keras makes them when it first runs such an activation, and in every copy it would draw others."""
    prelu = layers.PReLU(alpha_initializer=keras.initializers.RandomUniform(0.1, 0.5), shared_axes=[1, 2])
    parts = [layers.Conv2D(8, 3, activation=prelu, name="learned"), layers.Conv2D(4, 3), layers.Conv2D(4, 3)]
    inner = keras.Sequential([keras.Input(SHAPE), *parts])
    image = keras.Input(SHAPE)
    opened = functional(keras.Model(image, layers.ReLU(name="learned")(inner(image))) if nested else inner)
    assert sum(layer.count_params() for layer in opened.layers) == 9 * (3 * 8 + 8 * 4 + 4 * 4) + 8 + 8 + 4 + 4
    for piece in extract(opened, min_share=0):
        check_copy(piece.model)


def array(y: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(ops.cast(y, "float32")))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("nested", [False, True])
def test_every_policy_becomes_float32(policy: str, nested: bool) -> None:
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model = classifier()
    if nested:
        image = keras.Input(SHAPE, name="image")
        x = layers.TimeDistributed(layers.Dense(2))(layers.Reshape((2, 2))(model(image)))
        model = keras.Model(image, layers.Dense(3)(x[:, 0]))
    wanted = array(model(pixels().astype("float32"), training=False))
    opened = functional(model)
    pieces = extract(model, min_share=0)
    assert keras.config.dtype_policy().name == policy  # it is the user's
    keras.config.set_dtype_policy("float32")
    assert {v.dtype for v in opened.weights} == {"float32"}
    for piece in pieces:
        assert {t.dtype for t in (*piece.model.inputs, *piece.model.outputs)} == {"float32"}
    found = opened(pixels().astype("float32"), training=False)
    composed = compose_pieces(pieces, {"image": pixels().astype("float32")})[output_names(pieces)[0]]
    tolerance = 0.05 if "bfloat16" in policy else 0.005
    for y in (found, composed):
        assert y.dtype == "float32"
        np.testing.assert_allclose(array(y), wanted, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("nested", [False, True])
def test_a_quantised_model_is_refused_by_the_name_of_its_layer(nested: bool) -> None:
    model = classifier()
    model.quantize("int8")
    if nested:
        image = keras.Input(SHAPE)
        model = keras.Model(image, layers.Dense(3, name="last")(model(image)))
    with pytest.raises(
        ModelError, match=r"layer 'scores' \(Dense\) .* is quantised \(int8\): build from the float model"
    ):
        functional(model)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float64"])
def test_an_input_of_another_type_takes_the_same_values_as_float32(dtype: str) -> None:
    model = classifier(dtype)
    x = pixels()
    wanted = array(model(x.astype(dtype), training=False))
    opened = functional(model)
    assert opened.inputs[0].dtype == "float32"
    np.testing.assert_allclose(array(opened(x.astype("float32"), training=False)), wanted, atol=1e-4)


def test_a_model_in_float32_is_shared_as_it_is() -> None:
    model = classifier()
    assert functional(model) is model


OTHER_FLOATS: dict[str, Callable[[Any], Any]] = {
    "a number of NumPy's": lambda x: x / np.sqrt(8.0),
    "a number before": lambda x: ops.subtract(np.float64(1.5), x),
    "an array": lambda x: (x - np.array([0.5, 0.25, 0.125])) * np.ones((1, 1, 3)),
    "a tensor": lambda x: ops.maximum(x, ops.cast(0.25, "float64")),
    "a list of tensors": lambda x: ops.where(x > np.float64(0.5), x, ops.zeros((1, 1, 3), "float64")),
    "a cast": lambda x: ops.relu(ops.cast(x, "float64")),
    "a cast to half precision": lambda x: ops.relu(ops.cast(x, "float16")),
}


@pytest.mark.parametrize("change", OTHER_FLOATS.values(), ids=OTHER_FLOATS)
@pytest.mark.parametrize("nested", [False, True])
def test_constants_and_casts_of_other_float_types_become_float32(change: Callable[[Any], Any], nested: bool) -> None:
    keras.utils.set_random_seed(0)
    model = classifier(first=lambda x: change(x / 255))
    if nested:
        image = keras.Input(SHAPE, name="image")
        model = keras.Model(image, layers.Dense(4, name="last")(model(image)))
    x = pixels().astype("float32")
    wanted = array(model(x, training=False))
    opened = functional(model)
    assert {t.dtype for call in calls(opened) for t in call.outputs} <= {"float32", "bool"}
    for y in (opened(x, training=False), Runner(convert(opened))(x)[0]):
        np.testing.assert_allclose(array(y), wanted, atol=0.005 * np.abs(wanted).max())


def test_a_model_that_counts_on_whole_numbers_is_refused() -> None:
    with pytest.raises(ModelError, match=r"another function .* 'scores' differs by .* count on whole numbers"):
        functional(classifier("uint8", first=lambda x: ops.cast(x + x, "float32") / 100))  # overflows in uint8


def two_outputs(make: Callable[[Any, Any], Any]) -> keras.Model:
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(4, 3)(layers.Conv2D(8, 3)(image))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, make(layers.Dense(3, name="cls")(x), layers.Dense(4, name="box")(x)), name="mine")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: two_outputs(lambda a, b: [ops.argmax(a, axis=-1), b]),
            r"output '.*' of model 'mine' is int32.* scores",
        ),
        (
            lambda: two_outputs(lambda a, b: {"klass": ops.argmax(a, axis=-1)}),
            "output 'klass' of model 'mine' is int32",
        ),
        (lambda: two_outputs(lambda a, b: [a > 0, b]), "of model 'mine' is bool"),
        (lambda: two_outputs(lambda a, b: [a, b, a]), r"gives the output of 'cls' twice \(output 3\); leave one"),
        (lambda: two_outputs(lambda a, b: {"x": a, "y": a}), "gives the output of 'y' twice"),
        (
            lambda: keras.Model(i := keras.Input((1,), dtype="string"), layers.Hashing(4)(i)),
            "takes strings; a store's inputs are numbers",
        ),
    ],
)
def test_outputs_that_no_store_can_hold_are_refused(make: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        extract(make(), min_share=0)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("make", [lambda a, b: [a, b], lambda a, b: [b, a], lambda a, b: {"cls": a, "box": b}])
def test_outputs_keep_the_users_names_and_order(make: Callable[[Any, Any], Any]) -> None:
    model = two_outputs(make)
    names = list(model.output) if isinstance(model.output, dict) else model.output_names
    pieces = extract(model, min_share=0)
    assert list(output_names(pieces)) == names
    x = pixels().astype("float32")
    tensors, own = compose_pieces(pieces, {"image": x}), model(x, training=False)
    for name, y in zip(names, own.values() if isinstance(own, dict) else as_list(own), strict=True):
        np.testing.assert_allclose(array(tensors[name]), array(y), rtol=1e-4, atol=1e-3)


def tower(name: str, low: float) -> keras.Model:
    norm = layers.Normalization(name="norm")
    norm.adapt(np.random.default_rng(0).uniform(low, low + 50, (20, *SHAPE)))
    inner = keras.Sequential([keras.Input(SHAPE), norm, layers.Conv2D(6, 3, name="conv")], name="inner")
    return keras.Sequential([keras.Input(SHAPE), inner, layers.ReLU()], name=name)


def test_layers_of_the_same_name_in_nested_models_keep_their_own_state() -> None:
    image = keras.Input(SHAPE, name="image")
    parts = [tower(name, low)(image) for name, low in (("a", 0), ("b", 100), ("c", 200))]
    model = keras.Model(image, layers.Conv2D(4, 3)(layers.Conv2D(8, 3)(layers.Concatenate()(parts))))
    x = pixels().astype("float32")
    wanted = array(model(x, training=False))
    np.testing.assert_allclose(array(functional(model)(x, training=False)), wanted, rtol=1e-4, atol=1e-4)
    pieces = extract(model, min_share=0)
    composed = compose_pieces(pieces, {"image": x})[output_names(pieces)[0]]
    np.testing.assert_allclose(array(composed), wanted, rtol=1e-4, atol=1e-4)


class Forgetful(layers.Layer):
    """Keeps a factor that neither its configuration nor its weights hold."""

    factor = 1.0

    def call(self, x: Any) -> Any:
        return self.factor * x


def test_a_model_that_is_another_function_when_opened_is_refused() -> None:
    def nested(name: str) -> keras.Model:
        layer = Forgetful(name="factor")
        layer.factor = 2.0
        return keras.Sequential([keras.Input(SHAPE), layer, layers.Conv2D(4, 3, name="conv")], name=name)

    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Add()([nested("a")(image), nested("b")(image)]), name="mine")
    with pytest.raises(ModelError, match=r"'mine' is another function .*copied layers: factor .Forgetful., conv"):
        functional(model)


def test_a_mask_does_not_cross_segments() -> None:
    x = series = keras.Input((6, 4), name="series")
    x = layers.Conv1D(6, 1)(layers.Conv1D(8, 1)(x))
    x = layers.LSTM(5, return_sequences=True)(layers.Dropout(0.1)(layers.Masking()(x)))
    x = layers.Conv1D(6, 1)(layers.Conv1D(8, 1)(x))
    model = keras.Model(series, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    for piece in extract(model, min_share=0):
        assert all(getattr(t, "_keras_mask", None) is None for t in (*piece.model.inputs, *piece.model.outputs))


@pytest.mark.parametrize(
    "recurrent",
    [
        lambda: layers.LSTM(3, return_sequences=True),
        lambda: layers.GRU(3, reset_after=False),
        lambda: layers.Bidirectional(layers.SimpleRNN(3)),
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]),
    ],
)
def test_recurrent_layers_are_unrolled_so_that_devices_run_them(recurrent: Any) -> None:
    inputs = keras.Input((6, 4, 2))
    model = keras.Model(inputs, recurrent()(layers.Reshape((6, 8))(inputs)))
    opened = functional(model)
    x = np.random.default_rng(0).normal(size=(5, 6, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(opened(x), model(x), atol=1e-5)
    content = convert(opened)  # refused if it had a loop
    np.testing.assert_allclose(Runner(content)(x[:1])[0], np.asarray(model(x[:1])), atol=1e-5)


def saved_and_loaded(name: str, folder: Path) -> keras.Model:
    """A model whose operations have the names that those of any other one have."""
    keras.backend.clear_session()
    x = keras.Input(SHAPE)
    y = layers.Conv2D(4, 3, padding="same")(x)
    keras.Model(x, y + layers.Conv2D(4, 3, padding="same")(ops.relu(y)), name=name).save(folder / f"{name}.keras")
    keras.backend.clear_session()
    return keras.models.load_model(folder / f"{name}.keras")


def test_operations_of_the_same_name_in_nested_models_are_told_apart(tmp_path: Path) -> None:
    parts = [saved_and_loaded(name, tmp_path) for name in "ab"]
    image = keras.Input(SHAPE, name="image")
    model = keras.Model(image, layers.Conv2D(2, 3)(layers.Concatenate()([part(image) for part in parts])))
    x = pixels().astype("float32")
    opened = functional(model)
    names = [call.name for call in calls(opened)]
    assert sorted(set(names)) == sorted(names)
    np.testing.assert_allclose(array(opened(x)), array(model(x)), rtol=1e-4, atol=1e-3)


def test_a_layer_with_the_name_of_an_input_gets_another() -> None:
    inner = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255, name="image")])
    image = keras.Input(SHAPE, name="image")
    opened = functional(keras.Model(image, layers.Conv2D(2, 3)(inner(image))))
    assert [t.name for t in opened.inputs] == ["image"]


def test_a_nested_model_that_is_called_with_a_dict_takes_each_by_its_name() -> None:
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    inner = keras.Model([b, a], layers.Subtract()([b, a]))
    p, q = keras.Input((4,), name="p"), keras.Input((4,), name="q")
    model = keras.Model([p, q], layers.Dense(3)(inner({"a": p, "b": q})))
    x = [np.random.default_rng(i).normal(size=(5, 4)).astype("float32") for i in range(2)]
    np.testing.assert_allclose(array(functional(model)(x)), array(model(x)), rtol=1e-5, atol=1e-5)


def test_a_model_of_a_fixed_number_of_images_takes_any() -> None:
    image = keras.Input(batch_shape=(1, *SHAPE))
    opened = functional(keras.Model(image, layers.Conv2D(4, 3)(image)))
    assert opened(np.zeros((3, *SHAPE), "float32")).shape == (3, 6, 6, 4)


def test_an_operation_that_makes_one_row_whatever_the_images_is_refused() -> None:
    image = keras.Input(batch_shape=(1, *SHAPE))
    y = layers.Conv2D(4, 3)(layers.Conv2D(4, 3, padding="same")(image))
    with pytest.raises(ModelError, match="which is the number of images"):
        extract(keras.Model(image, layers.Dense(2)(ops.reshape(y, (1, -1)))), min_share=0)
    opened = functional(keras.Model(image, y + ops.ones((1, 6, 6, 4))))
    assert opened.output_shape == (None, 6, 6, 4)


class Tabled(layers.Layer):
    """A layer whose configuration Keras cannot make."""

    def __init__(self, table: Any, **options: Any) -> None:
        super().__init__(**options)
        self.table, self.factor = table, self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.factor * ops.cast(self.table, x.dtype)


def test_a_layer_without_configuration_that_would_have_to_be_copied_is_named() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Conv2D(2, 3)(Tabled(np.arange(6.0), name="mine")(layers.Conv2D(6, 3)(image))))
    with pytest.raises(ModelError, match=r"mine \(Tabled\) cannot be copied from its configuration"):
        functional(model)


def test_a_lambda_of_a_partial_function_becomes_float32() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    image = keras.Input(SHAPE)
    doubled = layers.Lambda(functools.partial(ops.multiply, 2.0))(layers.Conv2D(4, 3)(image))
    opened = functional(keras.Model(image, layers.Conv2D(2, 3, dtype="float32")(doubled)))
    assert {call.outputs[0].dtype for call in calls(opened)} == {"float32"}


def test_images_of_a_clip_that_are_rows_of_their_own_stay_within_a_segment() -> None:
    clip = keras.Input((4, 16, 16, 3), name="clip")
    x = ops.reshape(clip, (-1, 16, 16, 3))
    for width in (8, 8, 12, 12):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    x = ops.mean(ops.reshape(layers.GlobalAveragePooling2D()(x), (-1, 4, 12)), axis=1)
    for width in (16, 16, 3):
        x = layers.Dense(width, activation="relu")(x)
    pieces = extract(keras.Model(clip, x), min_share=0)
    tensors = {"clip": np.random.default_rng(0).normal(size=(2, 4, 16, 16, 3)).astype("float32")}
    assert all(len(y) == 2 for y in compose_pieces(pieces, tensors).values())
