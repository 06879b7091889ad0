"""A model that scales pixels by itself gets pixels as they are; one that takes scaled images gets these."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.checks import check_sizes
from legodnn.blocks.importing.front import scales_pixels
from legodnn.blocks.importing.models import data_and_model
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.errors import ModelError
from legodnn.pixels import Scaling
from legodnn.recipe import Recipe
from tests.blocks.importing.tflite.compared import converted

LABELS = np.arange(200) % 10


class Halved(keras.layers.Layer):
    """A layer of somebody's own."""

    def call(self, x: Any) -> Any:
        return x / 2


FRONTS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "none": (lambda x: x, False),
    "1/255": (layers.Rescaling(1 / 255), True),
    "to -1..1": (layers.Rescaling(1 / 127.5, -1), True),
    "of 0..1 to -1..1": (layers.Rescaling(2.0, -1.0), False),
    "mean of pixels": (lambda x: x - 117.0, True),
    "mean of scaled images": (lambda x: x - 0.45, False),
    "statistics of pixels": (layers.Normalization(mean=[120.0], variance=[3600.0]), True),
    "statistics of scaled images": (layers.Normalization(mean=[0.45], variance=[0.05]), False),
    "1/255, then statistics": (
        lambda x: layers.Normalization(mean=[0.45], variance=[0.05])(layers.Rescaling(1 / 255)(x)),
        True,
    ),
    "behind augmentation": (lambda x: layers.Rescaling(1 / 255)(layers.RandomFlip()(x)), True),
    "behind noise": (lambda x: layers.Rescaling(1 / 255)(layers.Dropout(0.1)(layers.GaussianNoise(0.1)(x))), True),
    "turned, then the mean of pixels": (lambda x: x[:, ::-1] - 117.0, True),
    "in parts, then the mean of pixels": (lambda x: ops.stack([x[..., i] for i in (0, 0)], axis=-1) - 117.0, True),
    "in parts, then the mean of scaled images": (lambda x: ops.concatenate([x[:, :6], x[:, 6:]], 1) - 0.45, False),
    "in parts that others read": (
        lambda x: layers.Concatenate()([layers.Concatenate()([x[..., :1], x[..., :1]]) - 117.0, x]),
        False,
    ),
    "1/255 by a Lambda": (layers.Lambda(lambda x: x / 127.5 - 1), True),
    "1/255 by a layer of one's own": (lambda x: Halved()(Halved()(layers.Lambda(lambda x: x / 64)(x))), True),
    "of 0..1 by a Lambda": (layers.Lambda(lambda x: x * 2 - 1), False),
    "each image by its own statistics, by a Lambda": (
        layers.Lambda(lambda x: (x - ops.mean(x, (1, 2), keepdims=True)) / (ops.std(x, (1, 2), keepdims=True) + 1e-6)),
        False,
    ),
    "edges by a Lambda": (layers.Lambda(lambda x: x - ops.roll(x, 1, axis=1)), False),
    "beside the image itself": (lambda x: layers.Add()([x, layers.Rescaling(1 / 255)(x)]), False),
}


AUGMENTATION: dict[str, Callable[[], Any]] = {
    "one": lambda: layers.RandomFlip(),
    "several, nested": lambda: keras.Sequential(
        [keras.Input((12, 12, 1)), layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.2)]
    ),
    "a pipeline": lambda: layers.Pipeline([layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.2)]),
    "mixed": lambda: layers.RandAugment(value_range=(0, 255)),
}


def model_with(front: Callable[[Any], Any]) -> keras.Model:
    x = image = keras.Input((12, 12, 1))
    x = layers.ReLU()(layers.Conv2D(16, 3)(front(x)))
    x = layers.ReLU()(layers.Conv2D(16, 3)(x))
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("name", FRONTS)
def test_a_front_that_scales_pixels_is_told_from_one_that_scales_images(name: str) -> None:
    front, wanted = FRONTS[name]
    model = model_with(front)
    assert scales_pixels(model, model.inputs[0]) is wanted


def test_the_first_operators_of_a_file_count_as_well() -> None:
    def function(x: Any) -> Any:
        kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 4)), tf.float32)
        return tf.nn.conv2d(tf.math.abs((x - tf.constant([103.9, 116.8, 123.7])) * 0.017), kernel, 1, "SAME")

    model = graph_of(converted(function, (1, 8, 8, 3)), "f")
    assert scales_pixels(model, model.inputs[0])


@pytest.mark.parametrize("name", AUGMENTATION)
def test_augmentation_is_dropped_with_a_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    augmentation = AUGMENTATION[name]()
    model = model_with(lambda x: layers.Rescaling(1 / 255)(augmentation(x)))
    with caplog.at_level(logging.INFO):
        opened = functional(model)
    assert [type(layer).__name__ for layer in opened.layers[:3]] == ["InputLayer", "Rescaling", "Conv2D"]
    assert "is dropped: it varies images in training alone" in caplog.text
    x = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(opened(x), model(x, training=False), atol=1e-5)


def test_augmentation_stays_in_a_model_that_is_trained_on_labels(tmp_path: Path) -> None:
    model_with(layers.RandomFlip()).save(tmp_path / "m.keras")
    recipe = Recipe(model=str(tmp_path / "m.keras"), name="m", data="digits", train_epochs=1)
    _, model = data_and_model(recipe)
    assert "RandomFlip" in [type(layer).__name__ for layer in model.layers]
    assert not any("RandomFlip" in [type(o).__name__ for o in p.model.operations] for p in extract(model))


def test_a_crop_is_no_augmentation_to_drop() -> None:
    model = model_with(layers.RandomCrop(8, 8))
    assert "RandomCrop" in [type(layer).__name__ for layer in functional(model).layers]


def opened(tmp_path: Path, front: Callable[[Any], Any], **settings: Any) -> Any:
    model_with(front).save(tmp_path / "m.keras")
    data, _ = data_and_model(Recipe(model=str(tmp_path / "m.keras"), name="m", data="digits", **settings))
    return data


def test_such_a_model_gets_pixels_and_so_it_does_on_devices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = opened(tmp_path, layers.Rescaling(1 / 255))
    assert data.scaling == Scaling((0, 255))
    assert float(data.train.x.max()) == pytest.approx(255, abs=1)
    assert "it gets pixels as they are" in caplog.text
    assert opened(tmp_path, lambda x: x).scaling == Scaling((0, 1))


def test_what_the_recipe_says_holds_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = opened(tmp_path, layers.Rescaling(1 / 255), input_range=(-1, 1))
    assert data.scaling == Scaling((-1, 1))
    assert "begins by scaling pixels from 0 to 255, and the images of digits are scaled already" in caplog.text


def test_preprocessing_of_keras_in_a_model_is_found() -> None:
    image = keras.Input((8, 8, 3))
    for family in (keras.applications.resnet50, keras.applications.densenet, keras.applications.mobilenet_v2):
        model = keras.Model(image, layers.Conv2D(4, 3)(family.preprocess_input(image)))
        assert scales_pixels(model, image), family


@pytest.mark.parametrize("how", ["trained", "weights"])
def test_an_application_that_scales_pixels_gets_them_whatever_its_weights(tmp_path: Path, how: str) -> None:
    keras.utils.set_random_seed(0)
    given: dict[str, Any] = {"train_epochs": 1}
    if how == "weights":
        made = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 1), classes=10)
        made.save_weights(tmp_path / "mine.weights.h5")
        given = {"weights": str(tmp_path / "mine.weights.h5")}
    recipe = Recipe(model="MobileNetV3Small", name="m", data="digits", **given)
    assert data_and_model(recipe)[0].scaling == Scaling((0, 255))
    assert data_and_model(recipe.model_copy(update={"input_range": (0.0, 1.0)}))[0].scaling == Scaling((0, 1))


@pytest.mark.parametrize("name", ["MobileNetV2", "VGG16", "DenseNet121", "EfficientNetB0"])
def test_what_keras_has_for_imagenet_weights_comes_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = getattr(keras.applications, name)

    @functools.wraps(make)
    def untrained(weights: str, **more: Any) -> Any:  # as if its weights could be downloaded
        return make(weights=None, input_shape=(32, 32, 3), classes=10, **more)

    monkeypatch.setattr(keras.applications, name, untrained)
    keras.utils.set_random_seed(0)
    recipe = Recipe(model=name, name="m", weights="imagenet", data="cifar10:cifar")
    pixels = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), np.uint8)
    monkeypatch.setattr("legodnn.blocks.importing.data_sources.read_cifar10", lambda folder: [(pixels, LABELS)] * 2)
    data, model = data_and_model(recipe)
    assert data.scaling == Scaling((0, 255))
    keras.utils.set_random_seed(0)
    raw = data_and_model(recipe.model_copy(update={"input_range": (-1.0, 1.0)}))
    assert raw[0].scaling == Scaling((-1, 1))
    prepared = sys.modules[make.__module__].preprocess_input(pixels[:3].astype(np.float32))
    raw[1].set_weights(model.get_weights()[-len(raw[1].get_weights()) :])
    np.testing.assert_allclose(
        model.predict(pixels[:3].astype(np.float32), verbose=0),
        raw[1].predict(np.asarray(prepared), verbose=0),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_that_resizes_images_of_any_size_takes_them_in_that_size(nested: bool) -> None:
    body = model_with(layers.Rescaling(1 / 255))
    image = keras.Input((None, None, 1), name="image")
    resized = layers.Resizing(12, 12)(image)
    outputs = body(resized) if nested else layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(resized))
    model = keras.Model(image, {"scores": outputs})
    opened = functional(model)
    assert [t.shape for t in opened.inputs] == [(None, 12, 12, 1)]
    assert opened.output_names == ["scores"]
    assert scales_pixels(opened, opened.inputs[0])
    x = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(opened(x), model(x)["scores"], atol=1e-5)


def test_a_nested_model_of_unknown_size_is_refused() -> None:
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(4, 3)])(image))
    with pytest.raises(ModelError, match=r"has shape \(None, None, None, 1\); give keras.Input a fixed shape"):
        functional(model)


@pytest.mark.parametrize("before", [layers.CenterCrop(10, 10), layers.ZeroPadding2D(2), layers.RandomCrop(10, 10)])
def test_what_is_cropped_or_padded_before_it_is_resized_is_not_resized_by_others(before: Any) -> None:
    """An image of 12 x 12 pixels would not be what is left of a larger one that was cropped first."""
    image = keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(4, 3)(layers.Resizing(12, 12)(before(layers.Rescaling(1 / 255)(image))))
    with pytest.raises(ModelError, match=r"give keras\.Input a fixed shape"):
        check_sizes(functional(keras.Model(image, x)))


def data_of_file(tmp_path: Path, content: bytes, **settings: Any) -> Any:
    (tmp_path / "m.tflite").write_bytes(content)
    return data_and_model(Recipe(model=str(tmp_path / "m.tflite"), name="m", data="digits", **settings))[0]


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 255)])
def test_pixels_become_what_the_int8_input_of_a_file_stands_for(tmp_path: Path, low: int, high: int) -> None:
    x = np.linspace(low, high, 144, dtype=np.float32).reshape(1, 12, 12, 1)
    content = converted(model_with(lambda x: x), how="int8 in and out", samples=[x])
    found = data_of_file(tmp_path, content).scaling
    assert found.range == pytest.approx((low, high), abs=0.01 * (high - low))
    assert data_of_file(tmp_path, content, input_range=(0.0, 1.0)).scaling == Scaling((0, 1))


def test_a_warning_says_that_a_model_does_not_tell_its_pixels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path, lambda x: x)
    assert "m.keras does not say which pixels it takes, and gets them as 0 to 1" in caplog.text
    caplog.clear()
    opened(tmp_path, lambda x: x, train_epochs=1)
    assert "does not say" not in caplog.text
    told = "m.tflite does not say which pixels it takes, and gets them as 0 to 1"
    content = converted(model_with(layers.Rescaling(1 / 127.5, -1)))  # which the converter folds into the convolution
    assert data_of_file(tmp_path, content).scaling == Scaling((0, 1))
    assert told in caplog.text
    caplog.clear()
    data_of_file(tmp_path, content, input_range=(0.0, 255.0))
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((80, 12, 12, 1), np.float32))
    recipe = Recipe(model=str(tmp_path / "m.tflite"), name="m", data=f"npz:{tmp_path / 'rows.npz'}")
    assert data_and_model(recipe)[0].scaling == Scaling((0, 1))  # arrays are what the model takes already
    assert told not in caplog.text
