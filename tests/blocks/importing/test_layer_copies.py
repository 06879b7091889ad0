"""A copy with nothing removed is the same function, whatever layers of Keras are in it, or the layer is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.graph import alone
from legodnn.blocks.importing.opening import functional, in_float32
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.pruning.surgery import check_copy, remove
from legodnn.errors import ModelError

IMAGE, SEQUENCE, SPACE = (8, 8, 3), (5, 3), {"1": (8, 3), "2": (8, 8, 3), "3": (4, 4, 4, 3)}
PIXELS = {"value_range": (0.0, 1.0)}
Made = Callable[[], Any]


def floats(make: Made, *shapes: tuple[int, ...]) -> tuple[Made, list[Any]]:
    """A layer, and its inputs: numbers."""
    rng = np.random.default_rng(1)
    return make, [rng.uniform(0.1, 0.9, (3, *shape)).astype(np.float32) for shape in shapes]


def numbers(make: Made, *shapes: tuple[int, ...]) -> tuple[Made, list[Any]]:
    """A layer, and its inputs: whole numbers from 0 to 3."""
    rng = np.random.default_rng(1)
    return make, [rng.integers(0, 4, (3, *shape)).astype(np.int32) for shape in shapes]


def adapted(layer: Any, data: Any) -> Any:
    layer.adapt(data)
    return layer


def samples(low: float, high: float, shape: tuple[int, ...] = IMAGE) -> np.ndarray:
    return np.random.default_rng(2).uniform(low, high, (20, *shape)).astype(np.float32)


# What is made otherwise than by `Layer()` on an image: the layer, and what it is called with.
CASES: dict[str, tuple[Made, list[Any]]] = {
    "Activation": floats(lambda: layers.Activation("tanh"), IMAGE),
    "AdditiveAttention": floats(layers.AdditiveAttention, SEQUENCE, (4, 3)),
    "Attention": floats(lambda: layers.Attention(use_scale=True), SEQUENCE, (4, 3)),
    "AlphaDropout": floats(lambda: layers.AlphaDropout(0.5), IMAGE),
    "Bidirectional": floats(lambda: layers.Bidirectional(layers.LSTM(3)), SEQUENCE),
    "CategoryEncoding": numbers(lambda: layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot"), (5,)),
    "CenterCrop": floats(lambda: layers.CenterCrop(4, 4), IMAGE),
    "Dense": floats(lambda: layers.Dense(4), IMAGE),
    "Discretization": floats(lambda: adapted(layers.Discretization(num_bins=4), samples(0, 1)), IMAGE),
    "Dot": floats(lambda: layers.Dot(axes=-1), SEQUENCE, (4, 3)),
    "Dropout": floats(lambda: layers.Dropout(0.5), IMAGE),
    "EinsumDense": floats(lambda: layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"), SEQUENCE),
    "Embedding": numbers(lambda: layers.Embedding(4, 3), (5,)),
    "GRU": floats(lambda: layers.GRU(4), SEQUENCE),
    "GRUCell": floats(lambda: layers.GRUCell(4), (3,), (4,)),
    "GaussianDropout": floats(lambda: layers.GaussianDropout(0.5), IMAGE),
    "GaussianNoise": floats(lambda: layers.GaussianNoise(0.5), IMAGE),
    "GroupNormalization": floats(lambda: layers.GroupNormalization(3), IMAGE),
    "GroupedQueryAttention": floats(lambda: layers.GroupQueryAttention(3, 4, 2), SEQUENCE, (4, 3)),
    "Hashing": numbers(lambda: layers.Hashing(num_bins=5), (5,)),
    "HashedCrossing": numbers(lambda: layers.HashedCrossing(num_bins=5), (1,), (1,)),
    "IntegerLookup": numbers(lambda: adapted(layers.IntegerLookup(), np.array([[1], [3], [3]])), (5,)),
    "LSTM": floats(lambda: layers.LSTM(4), SEQUENCE),
    "LSTMCell": floats(lambda: layers.LSTMCell(4), (3,), (4,), (4,)),
    "Lambda": floats(lambda: layers.Lambda(lambda x: x * 2), IMAGE),
    "MelSpectrogram": floats(lambda: layers.MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8), (400,)),
    "MultiHeadAttention": floats(lambda: layers.MultiHeadAttention(2, 3), SEQUENCE, (4, 3)),
    "Normalization": floats(lambda: adapted(layers.Normalization(), samples(50, 200)), IMAGE),
    "Permute": floats(lambda: layers.Permute((2, 1, 3)), IMAGE),
    "Pipeline": floats(lambda: layers.Pipeline([layers.Rescaling(0.5), layers.Resizing(4, 4)]), IMAGE),
    "RNN": floats(lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)]), SEQUENCE),
    "RandomBrightness": floats(lambda: layers.RandomBrightness(0.5, **PIXELS), IMAGE),
    "RandomColorDegeneration": floats(lambda: layers.RandomColorDegeneration(0.5, **PIXELS), IMAGE),
    "RandomContrast": floats(lambda: layers.RandomContrast(0.5, **PIXELS), IMAGE),
    "RandomCrop": floats(lambda: layers.RandomCrop(4, 4), IMAGE),
    "RandomHue": floats(lambda: layers.RandomHue(0.5, **PIXELS), IMAGE),
    "RandomPosterization": floats(lambda: layers.RandomPosterization(4, **PIXELS), IMAGE),
    "RandomRotation": floats(lambda: layers.RandomRotation(0.2), IMAGE),
    "RandomSaturation": floats(lambda: layers.RandomSaturation(0.5, **PIXELS), IMAGE),
    "RandomSharpness": floats(lambda: layers.RandomSharpness(0.5, **PIXELS), IMAGE),
    "RandomTranslation": floats(lambda: layers.RandomTranslation(0.2, 0.2), IMAGE),
    "RandomZoom": floats(lambda: layers.RandomZoom(0.2), IMAGE),
    "RepeatVector": floats(lambda: layers.RepeatVector(3), (4,)),
    "Rescaling": floats(lambda: layers.Rescaling(0.5, 0.1), IMAGE),
    "Reshape": floats(lambda: layers.Reshape((4, 16, 3)), IMAGE),
    "Resizing": floats(lambda: layers.Resizing(4, 4), IMAGE),
    "ReversibleEmbedding": numbers(lambda: layers.ReversibleEmbedding(4, 3), (5,)),
    "STFTSpectrogram": floats(lambda: layers.STFTSpectrogram(frame_length=64, frame_step=16, fft_length=64), (400, 1)),
    "SimpleRNN": floats(lambda: layers.SimpleRNN(4), SEQUENCE),
    "SimpleRNNCell": floats(lambda: layers.SimpleRNNCell(4), (3,), (4,)),
    "SpectralNormalization": floats(lambda: layers.SpectralNormalization(layers.Conv2D(4, 3)), IMAGE),
    "StackedRNNCells": floats(lambda: layers.StackedRNNCells([layers.GRUCell(4), layers.GRUCell(2)]), (3,), (4,), (2,)),
    "TimeDistributed": floats(lambda: layers.TimeDistributed(layers.BatchNormalization()), (5, 8)),
    **{
        name: floats(getattr(layers, name), IMAGE, IMAGE)
        for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
    },
}
# How layers are made whose name ends in 1D, 2D or 3D.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "AdaptiveAveragePooling": (2,), "AveragePooling": (2,), "AdaptiveMaxPooling": (2,), "Conv": (4, 2),
    "ConvTranspose": (4, 2), "ConvLSTM": (4, 2), "DepthwiseConv": (2,), "SeparableConv": (4, 2),
    "SpatialDropout": (0.5,),
}  # fmt: skip
EXCLUDED = {
    "Equalization": "Keras gives its input as its output when it makes a graph, which it then refuses as a cycle",
    "InputLayer": "an input, which no call makes",
    "Layer": "has no function of its own",
    "Wrapper": "has no function of its own",
    "StringLookup": "takes strings, and no store does",
    "TextVectorization": "takes strings, and no store does",
    "MaxNumBoundingBoxes": "takes bounding boxes, and gives no image",
    "FlaxLayer": "a module of another framework",
    "JaxLayer": "a module of another framework",
    "TorchModuleWrapper": "a module of another framework",
    "TFSMLayer": "a SavedModel's graph, which has no configuration but a path",
}
# TensorFlow has no such kernels for CPUs.
NOT_IN_FLOAT16 = {"AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D", "MaxPooling3D", "AveragePooling3D"}
CLASSES = {
    cls.__name__: cls
    for _, cls in inspect.getmembers(layers, inspect.isclass)
    if issubclass(cls, layers.Layer) and cls.__name__ not in EXCLUDED
}


def case(name: str) -> tuple[Made, list[Any]]:
    if name in CASES:
        return CASES[name]
    for size, shape in SPACE.items():
        if f"{size}D" in name:
            make = partial(CLASSES[name], *ARGUMENTS.get(name.replace(f"{size}D", ""), ()))
            return floats(make, (3, *shape) if "LSTM" in name else shape)
    return floats(CLASSES[name], IMAGE)


def lively(model: keras.Model) -> keras.Model:
    """The model with weights as after training."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if not isinstance(layer, layers.Normalization | layers.IntegerLookup | layers.Discretization):
            for v in layer.weights:
                if keras.backend.is_float_dtype(v.dtype):
                    v.assign(rng.uniform(0.3, 1.5, v.shape))
    return model


def model_with(make: Made, values: list[Any]) -> keras.Model:
    """A model that calls a layer, cells with their states."""
    inputs = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in values]
    layer, given = make(), inputs
    if isinstance(layer, layers.MultiHeadAttention | layers.GroupQueryAttention):
        outputs = layer(*given)
    elif hasattr(layer, "state_size") and not isinstance(layer, layers.RNN | layers.Bidirectional):
        outputs = layer(given[0], given[1:])
    else:
        outputs = layer(given[0] if len(given) == 1 else given)
    return lively(keras.Model(alone(inputs), alone(keras.tree.flatten(outputs))))


def run(model: keras.Model, values: list[Any]) -> list[np.ndarray]:
    found = model(alone(values), training=False)
    return [np.asarray(ops.convert_to_numpy(y)) for y in keras.tree.flatten(found)]


def test_every_layer_of_keras_is_known_here() -> None:
    everyone = {cls.__name__ for _, cls in inspect.getmembers(layers, inspect.isclass)}
    assert {*CASES, *EXCLUDED} - everyone <= {"Pipeline", "ReversibleEmbedding"}  # of newer releases


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_copy_with_nothing_removed_is_the_same_function(name: str) -> None:
    make, values = case(name)
    model = model_with(make, values)
    copy = remove(model, analyse(model), np.empty(0, np.int64))
    expected = run(model, values)
    for found, wanted in zip(run(copy, values), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    if any(np.ptp(w) > 0 for w in expected):
        assert not {id(v) for v in model.weights} & {id(v) for v in copy.weights}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_layer_in_mixed_precision_is_the_same_function_in_float32(name: str) -> None:
    make, values = case(name)
    if any(x.dtype != np.float32 for x in values):
        pytest.skip("its inputs are no images")
    with in_float32():
        keras.config.set_dtype_policy("mixed_float16")
        model = model_with(make, values)
    try:
        opened = functional(model)
    except ModelError as e:
        whole, no_kernel = "and a store's outputs are float32" in str(e), "does not run on sample inputs" in str(e)
        assert whole or (no_kernel and name in NOT_IN_FLOAT16)
        return
    for found, wanted in zip(run(opened, values), run(model, values), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted.astype(np.float32), rtol=0.02, atol=0.02 * np.abs(wanted).max())


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_descendants_keep_what_an_adapted_normalization_knows(sparsity: float) -> None:
    image = keras.Input(IMAGE)
    x = adapted(layers.Normalization(), samples(50, 200))(image)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(x))
    block = lively(keras.Model(image, layers.Conv2D(4, 3)(x)))
    x = samples(50, 200)
    found, wanted = (np.asarray(m(x, training=False)) for m in (descendant(block, sparsity), block))
    assert np.square(found - wanted).mean() / wanted.var() < (1 if sparsity else 1e-9)


class Forgetful(layers.Layer):
    """A layer of somebody's own that keeps more than its weights and configuration say."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.factor = 1.0

    def build(self, shape: Any) -> None:
        self.shift = self.add_weight(shape=(shape[-1],), name="shift")

    def call(self, x: Any) -> Any:
        return self.factor * x + self.shift


class Demanding(Forgetful):
    """One that its configuration does not suffice to make."""

    def __init__(self, factors: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.factor = float(factors.mean())


class Growing(Forgetful):
    """One that has other weights when it is made again."""

    rank = 1

    def build(self, shape: Any) -> None:
        self.shift = self.add_weight(shape=(1,) * Growing.rank, name="shift")
        Growing.rank += 1


def block_with(layer: Any) -> keras.Model:
    image = keras.Input(IMAGE)
    return keras.Model(image, layers.Conv2D(4, 3)(layers.Conv2D(8, 3)(layer(image))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Forgetful(name="mine"), r"layer mine .Forgetful. cannot be copied: its copy computes something else"),
        (
            lambda: Demanding(np.ones(2), name="mine"),
            r"layer mine .Demanding. cannot be copied from .*get_config must",
        ),
        (lambda: Growing(name="mine"), r"layer mine .Growing. cannot be copied: .*(weights|shape)"),
    ],
)
def test_a_layer_whose_copy_is_not_the_same_function_is_refused(make: Made, message: str) -> None:
    layer = make()
    block = block_with(layer)
    layer.factor = 3.0
    with pytest.raises(ModelError, match=message) as caught:
        check_copy(block)
    assert len(str(caught.value).splitlines()) == 1


def test_what_cannot_be_copied_into_descendants_is_refused_when_a_model_is_cut() -> None:
    with pytest.raises(ModelError, match=r"layer mine .Demanding. cannot be copied"):
        extract(block_with(Demanding(np.ones(2), name="mine")), min_share=0)


def test_a_lambda_layer_is_shared_with_descendants() -> None:
    block = block_with(layers.Lambda(lambda x: x * 2, name="double"))
    assert extract(block, min_share=0)[0].calls[0] == "double"
    check_copy(block)
    assert descendant(block, 0.5).get_layer("double") is block.get_layer("double")


def test_descendants_have_the_names_of_layers_whose_configuration_lacks_them() -> None:
    block = block_with(Forgetful(name="mine"))
    assert "name" not in block.get_layer("mine").get_config()  # Keras leaves it out where options are not `**kwargs`
    pruned = descendant(block, 0.5)
    assert pruned.get_layer("mine") is not block.get_layer("mine")


def test_a_copy_has_the_activation_of_somebodys_own() -> None:
    def steeper(x: Any) -> Any:
        return ops.relu(2 * x)

    for activation in (steeper, lambda x: steeper(x)):
        block = block_with(layers.Conv2D(3, 1, activation=activation, name="mine"))
        check_copy(block)
        extract(block, min_share=0)
        assert remove(block, analyse(block), np.empty(0, np.int64)).get_layer("mine").activation is activation
