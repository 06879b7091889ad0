"""The zoo's classifiers take their arguments, and published weights fit or are refused by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks import zoo
from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import ModelError

Arrays = dict[str, Any]


@pytest.mark.parametrize("name", list(zoo.MODELS))
def test_width_input_shape_and_classes_are_arguments(name: str) -> None:
    model = zoo.MODELS[name](0.1, (40, 48, 1), 7)
    assert model.name == name
    assert model.input_shape == (None, 40, 48, 1)
    assert model.output_shape == (None, 7)
    x = np.zeros((2, 40, 48, 1), np.float32)
    assert np.isfinite(keras.ops.convert_to_numpy(model(x, training=False))).all()


@pytest.mark.parametrize("name", list(zoo.MODELS))
def test_outputs_are_logits_not_probabilities(name: str) -> None:
    activation = zoo.MODELS[name](0.1).layers[-1].activation
    assert activation is keras.activations.linear


@pytest.mark.parametrize(
    ("make", "millions"),
    [(zoo.vgg16, 14.72), (zoo.resnet18, 11.17), (zoo.resnet20, 0.270), (zoo.resnet56, 0.853)],
)
def test_full_width_models_have_the_published_parameters(make: Callable[..., keras.Model], millions: float) -> None:
    model = make()
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable / 1e6 == pytest.approx(millions, rel=2e-3)


def test_a_fraction_of_the_width_has_that_fraction_of_the_channels() -> None:
    half = zoo.vgg16(0.5)
    assert [half.get_layer(f"conv{i}_1").filters for i in range(1, 6)] == [32, 64, 128, 256, 256]
    assert zoo.resnet18(0.001).get_layer("stem").filters == 1


def test_vgg16_refuses_images_that_its_poolings_would_use_up() -> None:
    with pytest.raises(ModelError, match=r"needs at least 32x32 pixels, got \(28, 28\)"):
        zoo.vgg16(0.1, (28, 28, 1))


def published_resnet20(seed: int = 0) -> Arrays:
    """Random arrays under the names and in the layouts of the published files."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}

    def conv_bn(prefix: str, number: int, into: int, out: int) -> None:
        arrays[f"{prefix}conv{number}.weight"] = rng.normal(size=(out, into, 3, 3)).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{prefix}bn{number}.{part}"] = rng.uniform(0.5, 1.5, out).astype(np.float32)
        arrays[f"{prefix}bn{number}.num_batches_tracked"] = np.array(7)

    conv_bn("", 1, 3, 16)
    before = 16
    for stage, channels in ((1, 16), (2, 32), (3, 64)):
        for block in range(3):
            conv_bn(f"layer{stage}.{block}.", 1, before, channels)
            conv_bn(f"layer{stage}.{block}.", 2, channels, channels)
            before = channels
    arrays["linear.weight"] = rng.normal(size=(10, 64)).astype(np.float32)
    arrays["linear.bias"] = rng.normal(size=10).astype(np.float32)
    return arrays


def values(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def test_published_arrays_land_in_the_layers_of_their_names(tmp_path: Path) -> None:
    arrays = published_resnet20()
    np.savez(tmp_path / "w.npz", **arrays)
    model = zoo.resnet20()
    zoo.load_cifar_resnet_weights(model, tmp_path / "w.npz")
    kernel = values(model.get_layer("layer2_1_conv2").kernel)
    assert kernel[2, 1, 5, 9] == arrays["layer2.1.conv2.weight"][9, 5, 2, 1]
    norm = model.get_layer("layer3_0_conv1_bn")
    for variable, part in [("gamma", "weight"), ("beta", "bias")]:
        np.testing.assert_array_equal(values(getattr(norm, variable)), arrays[f"layer3.0.bn1.{part}"])
    np.testing.assert_array_equal(values(norm.moving_mean), arrays["layer3.0.bn1.running_mean"])
    np.testing.assert_array_equal(values(norm.moving_variance), arrays["layer3.0.bn1.running_var"])
    np.testing.assert_array_equal(values(model.get_layer("conv1_bn").gamma), arrays["bn1.weight"])
    np.testing.assert_array_equal(values(model.get_layer("logits").kernel), arrays["linear.weight"].T)


def without(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.pop(name)


def with_array(name: str, array: np.ndarray) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: array})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer2.0.conv1.weight"), "lacks layer2.0.conv1.weight, which layer layer2_0_conv1 of resnet20 needs"),
        (without("layer1.2.bn2.running_var"), "lacks layer1.2.bn2.running_var"),
        (with_array("layer4.0.conv1.weight", np.zeros(3)), "holds layer4.0.conv1.weight, which resnet20 does not have"),
        (with_array("conv1.weight", np.zeros((16, 1, 3, 3))), "conv1.weight has shape"),
        (with_array("bn1.bias", np.zeros(17)), "bn1"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, change: Callable[[Arrays], object], message: str
) -> None:
    arrays = published_resnet20()
    change(arrays)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(ModelError, match=message) as caught:
        zoo.load_cifar_resnet_weights(zoo.resnet20(), tmp_path / "w.npz")
    assert str(tmp_path / "w.npz") in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "npy", "objects", "corrupt"])
def test_a_weights_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.npz"
    np.savez_compressed(path, **published_resnet20())
    content = path.read_bytes()
    corrupt = content[:200] + b"\xff" * 100 + content[300:]
    if kind == "missing":
        path.unlink()
    elif kind == "npy":
        np.save(tmp_path / "w.npy", np.zeros(3))
        path = tmp_path / "w.npy"
    elif kind == "objects":
        objects: Arrays = {"conv1.weight": np.array([{}], object)}
        np.savez(path, **objects)
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": content[:999], "corrupt": corrupt}[kind])
    with pytest.raises(ModelError, match="cannot read "):
        zoo.load_cifar_resnet_weights(zoo.resnet20(0.1), path)


@pytest.mark.data
@pytest.mark.parametrize(("name", "expected"), [("resnet20", 0.917), ("resnet56", 0.934)])
def test_published_weights_give_the_published_accuracy(name: str, expected: float) -> None:
    folder = Path(os.environ["LEGODNN_DATA"])
    model = zoo.MODELS[name]()
    zoo.load_cifar_resnet_weights(model, folder / "weights" / f"{name}_cifar10.npz")
    test = load_data(f"cifar10:{folder / 'cifar-10-batches-py'}").test.first(2000)
    found = (model.predict(test.x, batch_size=200, verbose=0).argmax(axis=1) == test.y).mean()
    # Three standard errors of a share of 2,000 images are 1.8 points.
    assert found == pytest.approx(expected, abs=0.018)


def vgg16_arrays(model: keras.Model) -> Arrays:
    """Random weights for a vgg16 under the names of the file."""
    rng, arrays, number = np.random.default_rng(0), {}, 0
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            for part, w in zip(("gamma", "beta", "moving_mean", "moving_variance"), layer.weights, strict=True):
                arrays[f"bn{number}/{part}"] = rng.uniform(0.5, 1, w.shape)
        elif layer.name == "logits":
            arrays.update({f"dense/{w.name}": rng.normal(size=w.shape) for w in layer.weights})
        elif layer.weights:
            number += 1
            arrays[f"conv{number}/kernel"] = rng.normal(size=layer.kernel.shape)
    return arrays


def test_vgg16_weights_land_in_order_and_their_epsilon_counts(tmp_path: Path) -> None:
    model = zoo.vgg16(0.05)
    arrays = vgg16_arrays(model)
    np.savez(tmp_path / "w.npz", **arrays)
    zoo.load_vgg16_weights(model, tmp_path / "w.npz")
    np.testing.assert_allclose(values(model.get_layer("conv3_2").kernel), arrays["conv6/kernel"], rtol=1e-6)
    norm = model.get_layer("conv5_3_bn")
    expected = arrays["bn13/moving_variance"] + 1e-3
    np.testing.assert_allclose(values(norm.moving_variance) + norm.epsilon, expected, rtol=1e-6)
    np.savez(tmp_path / "w.npz", **{k: v for k, v in arrays.items() if k != "bn7/beta"})
    with pytest.raises(ModelError, match="lacks bn7/beta, which layer conv3_3_bn of vgg16 needs"):
        zoo.load_vgg16_weights(model, tmp_path / "w.npz")
