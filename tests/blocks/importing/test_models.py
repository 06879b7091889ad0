"""Models are found by name, by file or by a function of the user's own; what cannot be had says why in a line.

Covers also: blocks.importing.keras_files, model_names.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest

from legodnn.blocks import zoo
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.keras_files import own_objects
from legodnn.blocks.importing.models import applications, data_and_model, model_of, open_model
from legodnn.errors import DataError, ModelError
from legodnn.model_names import OURS, is_function
from legodnn.recipe import Recipe
from legodnn.user_function import user_function

MINE = """
import keras

def small():
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Dense(5, name="logits")(keras.layers.Flatten()(x)), name="small")

def other():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Dense(5, name="logits")(keras.layers.Flatten()(x)))

def nested():
    inputs = keras.Input((8, 8, 3))
    return keras.Sequential([keras.Input((8, 8, 3)), small(), keras.layers.ReLU()])

def pair():
    a, b = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    return keras.Model([a, b], keras.layers.Add()([a, b]))

class Subclassed(keras.Model):
    def call(self, x):
        return x

def broken():
    return 1 / 0

def pixels():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    return keras.Sequential([inputs, keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)])

def mixed():
    keras.config.set_dtype_policy("mixed_float16")
    return small()

def nothing():
    return None

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the current folder."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.chdir(tmp_path)
    name = f"mine{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(MINE)
    yield name
    sys.modules.pop(name, None)


def images(shape: tuple[int, ...], labels: tuple[str, ...] = ()) -> Dataset:
    split = Split(np.zeros((10, *shape), np.float32), np.zeros(10, np.int64))
    return Dataset("images", labels, split, split, split)


def recipe(model: str, **changes: Any) -> Recipe:
    return Recipe(model=model, name="x", **changes)


@pytest.mark.parametrize("name", list(zoo.MODELS))
def test_our_models_get_the_datas_shape_classes_and_the_recipes_width(name: str) -> None:
    data = images((32, 32, 1), ("a", "b", "c"))
    model = model_of(recipe(name, width=0.1, train_epochs=1), data)
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 3)
    assert model.count_params() < 0.1 * zoo.MODELS[name]().count_params()


def test_every_public_name_of_keras_applications_is_a_model() -> None:
    assert {"MobileNetV2", "ResNet50", "EfficientNetB0", "ConvNeXtTiny"} <= set(applications())
    assert all(callable(getattr(keras.applications, name)) for name in applications())


def test_a_model_of_keras_applications_gets_the_datas_shape_and_gives_logits() -> None:
    data = images((32, 32, 3), ("a", "b", "c", "d"))
    model = model_of(recipe("MobileNetV2", train_epochs=1), data)
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 4)
    assert model.layers[-1].activation is keras.activations.linear


def test_the_seed_decides_the_weights_that_training_starts_from() -> None:
    data = images((32, 32, 3))
    first, again, other = (
        model_of(recipe("resnet20", width=0.2, train_epochs=1, seed=seed), data).get_weights()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_a_function_in_the_current_folder_gives_a_model_as_one_graph(mine: str) -> None:
    assert model_of(recipe(f"{mine}:small"), images((8, 8, 3))).output_shape == (None, 5)
    flat = open_model(f"{mine}:nested")
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)


def test_weights_are_loaded_from_a_file_of_the_same_model(mine: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    model = open_model(f"{mine}:small")
    model.save_weights(tmp_path / "trained.weights.h5")
    keras.utils.set_random_seed(4)
    loaded = model_of(recipe(f"{mine}:small", weights=str(tmp_path / "trained.weights.h5")), images((8, 8, 3)))
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_a_model_that_is_opened_are_those_of_the_users_own_model(mine: str, tmp_path: Path) -> None:
    own = user_function(f"{mine}:nested", ModelError)()
    own.save_weights(tmp_path / "own.weights.h5")
    loaded = open_model(f"{mine}:nested", weights=str(tmp_path / "own.weights.h5"))
    for a, b in zip(own.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_a_function_sets_for_its_layers_does_not_last(mine: str) -> None:
    model = open_model(f"{mine}:mixed")
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def saved_pixels(folder: Path, dtype: str = "uint8") -> dict[str, Any]:
    """A recipe's model and data: whole numbers from 0 to 255 in, as pixels and as what the model takes."""
    rng = np.random.default_rng(0)
    inputs = keras.Input((8, 8, 3), dtype=dtype)
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))).save(folder / "m.keras")
    x, y = rng.integers(0, 256, (100, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, 100)
    np.savez(folder / "pixels.npz", x=x, y=y)
    np.savez(folder / "floats.npz", x=x.astype(np.float32), y=y)
    np.savez(folder / "scaled.npz", x=x.astype(np.float32) / 255, y=y)
    return {"model": str(folder / "m.keras"), "data": f"npz:{folder / 'pixels.npz'}"}


@pytest.mark.parametrize("changes", [{}, {"input_range": (0.0, 255.0)}])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_an_input_of_whole_numbers_takes_pixels_as_they_are(
    tmp_path: Path, dtype: str, changes: dict[str, Any]
) -> None:
    given = saved_pixels(tmp_path, dtype)
    for file in ("pixels", "floats"):
        data, model = data_and_model(recipe(**{**given, **changes, "data": f"npz:{tmp_path / file}.npz"}))
        assert data.scaling.range == (0.0, 255.0)
        assert model.inputs[0].dtype == "float32"
        np.testing.assert_array_equal(data.train.x, np.round(data.train.x))
        assert np.max(data.train.x) == 255
    own = keras.saving.load_model(given["model"])
    x = data.val.x
    np.testing.assert_allclose(model(x, training=False), own(x.astype(dtype), training=False), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input_range": (0.0, 1.0)},
            "takes uint8 images, pixels from 0 to 255, but those of pixels are scaled to 0..1:",
        ),
        ({"input_mean": (0.5,)}, "scaled to 0..1, less a mean: leave out input_range, input_mean and input_std"),
        ({"input_range": (0.0, 255.0), "input_std": (2.0,)}, "scaled to 0..255, over a std"),
        ({"data": "scaled"}, "but those of scaled run from 0 to 1"),
    ],
)
def test_an_input_of_whole_numbers_takes_nothing_else(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    given = saved_pixels(tmp_path) | changes
    given["data"] = f"npz:{tmp_path / 'scaled.npz'}" if given["data"] == "scaled" else given["data"]
    with pytest.raises(DataError, match=message):
        data_and_model(recipe(**given))


def test_a_file_with_layers_of_ones_own_is_read_with_their_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module is named by --custom; without it the message says so."""
    (tmp_path / "my_own_layers.py").write_text(
        "import keras\nfrom keras.layers import *\n\n"
        "class Halved(keras.layers.Layer):\n    def call(self, x):\n        return x / 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    halved = importlib.import_module("my_own_layers").Halved
    assert [*own_objects(["my_own_layers"])] == ["Halved"]  # stand-ins for layers of Keras 2 stay
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, halved()(inputs)).save(tmp_path / "m.h5")
    with pytest.raises(ModelError, match="--custom"):
        open_model("m.h5")
    assert float(np.max(open_model("m.h5", custom=("my_own_layers",))(np.ones((1, 8, 8, 3))))) == 0.5
    with pytest.raises(ModelError, match="cannot find 'no_such_module'"):
        open_model("m.h5", custom=("no_such_module",))
    with pytest.raises(ModelError, match="custom names modules"):
        open_model("vgg16", custom=("my_own_layers",))


def test_a_width_is_for_models_that_are_made_here() -> None:
    with pytest.raises(ModelError, match=r"width makes vgg16, .* narrower or wider, and MobileNetV2 is none of them"):
        open_model("MobileNetV2", width=0.5)


def test_a_path_with_a_colon_is_no_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_function("mine:model")
    (tmp_path / "mine:model").mkdir()
    (tmp_path / "mine:model" / "saved_model.pb").touch()
    assert [s for s in ("mine:model", "1:2/m.tflite", "1:2/m.keras", "vgg16") if is_function(s)] == []


def test_a_file_with_a_lambda_is_refused_with_a_way_that_works(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"m.keras: it has a Lambda layer, .*into a module and give it as module:fun"):
        open_model(str(tmp_path / "m.keras"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "vgg17",
            "unknown model 'vgg17'; use a .keras, .h5, .tflite or .onnx file, the folder of a SavedModel, module:",
        ),
        ("", "unknown model ''"),
        ("stores/nowhere", "there is no file or folder 'stores/nowhere'; use a .keras"),
        ("nowhere:model", "cannot find 'nowhere:model' .No module named 'nowhere'.; write module:function"),
        (":model", "cannot find ':model'; write module:function"),
        (".mine:model", "cannot find '.mine:model'; write module:function"),
        ("MINE:missing", "cannot find 'MINE:missing' .module .* has no attribute 'missing'.; write module"),
        ("MINE:", "cannot find 'MINE:' "),
        ("MINE:nothing", "MINE:nothing gave NoneType, not a Keras model"),
        ("MINE:number", "'MINE:number' is no function, but int"),
        ("MINE:Subclassed", "model 'subclassed\\w*' .Subclassed. has no graph of layers"),
        ("missing.keras", "cannot load missing.keras: File not found"),
        ("net.H5", "net.H5: files are known by names that end in .h5; rename it"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_in_a_line(mine: str, spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message.replace("MINE", mine)) as caught:
        open_model(spec.replace("MINE", mine))
    assert len(str(caught.value).splitlines()) == 1


def test_the_names_known_without_keras_are_our_models() -> None:
    assert tuple(zoo.MODELS) == OURS


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("ending", [".h5", ".hdf5"])
def test_a_whole_model_in_an_hdf5_file_is_read(mine: str, tmp_path: Path, ending: str) -> None:
    model = open_model(f"{mine}:small")
    model.save(tmp_path / "small.h5")
    (tmp_path / "small.h5").rename(tmp_path / f"small{ending}")
    x = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(open_model(str(tmp_path / f"small{ending}"))(x), model(x))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_an_hdf5_file_as_keras_2_wrote_it_is_read(tmp_path: Path) -> None:
    """Its depthwise, separable and transposed layers have entries that Keras 3 has no more."""
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.SeparableConv2D(4, 3)(x)
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(5, 3)(x))
    model.save(tmp_path / "old.h5")
    extra = {"groups": 1, "kernel_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None}
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            layer.pop("module", None), layer.pop("registered_name", None)
            layer["config"]["dtype"] = "float32"
            if layer["class_name"] == "InputLayer":
                layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
            elif layer["class_name"] != "Conv2DTranspose":
                layer["config"].update({**extra, "kernel_constraint": None})
            else:
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
    images = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(open_model(str(tmp_path / "old.h5"))(images), model(images))


def keras_file(path: Path, version: str, config: dict[str, Any]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    return str(path)


def test_a_file_of_keras_2_is_refused_in_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    layers = [{"class_name": "Conv2D", "config": {"name": f"conv{i}", "filters": 64}} for i in range(2000)]
    config = {"module": "keras.src.engine.functional", "class_name": "Functional", "config": {"layers": layers}}
    file = keras_file(tmp_path / "old.keras", "2.15.0", config)
    with pytest.raises(ModelError, match=r"cannot load .*Keras 2.15.0 saved it: .* save it as .h5, and give") as caught:
        open_model(file)
    assert len(str(caught.value)) < 600
    assert len(str(caught.value).splitlines()) == 1


def test_a_function_that_fails_is_told_with_the_line(mine: str) -> None:
    with pytest.raises(
        ModelError, match=rf"{mine}:broken failed: ZeroDivisionError: .* \(.*{mine}.py, line \d+\); --d"
    ):
        open_model(f"{mine}:broken")


@pytest.mark.parametrize("content", ["def model(:", "import nothing_of_the_kind", "1 / 0", "raise SystemError('x')"])
def test_a_module_that_cannot_be_imported_is_told_in_a_line(tmp_path: Path, mine: str, content: str) -> None:
    (tmp_path / f"bad{mine}.py").write_text(content)
    with pytest.raises(ModelError, match=f"cannot (import|find) 'bad{mine}") as caught:
        open_model(f"bad{mine}:model")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("file", ["missing.weights.h5", "text.weights.h5", "other.weights.h5", "a.bin", "imagenet"])
def test_weights_that_do_not_fit_are_refused_by_the_files_name(mine: str, tmp_path: Path, file: str) -> None:
    (tmp_path / "text.weights.h5").write_text("not weights")
    open_model(f"{mine}:other").save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ModelError, match=rf"cannot (load|read weights from) {file}") as caught:
        open_model(f"{mine}:small", weights=file)
    assert len(str(caught.value).splitlines()) == 1


def test_images_too_small_for_a_model_of_keras_applications_are_refused_with_the_least_size() -> None:
    with pytest.raises(ModelError, match=r"keras.applications.MobileNetV2 cannot be made: .*at least 32x32"):
        model_of(recipe("MobileNetV2", train_epochs=1), images((16, 16, 3)))


@pytest.mark.parametrize("name", ["resnet20", "MobileNetV2"])
def test_a_model_that_is_made_here_needs_weights_or_training(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} has no weights: give a weights file; a build may also train it"):
        model_of(recipe(name), images((32, 32, 3)))


def test_a_model_of_several_inputs_needs_data_for_each(mine: str) -> None:
    with pytest.raises(
        DataError, match=r"takes a of shape \(8, 8, 3\), b of shape \(8, 8, 3\), images has \(8, 8, 3\)"
    ):
        model_of(recipe(f"{mine}:pair"), images((8, 8, 3)))


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 8, 3)])
def test_images_of_another_shape_are_refused(mine: str, shape: tuple[int, ...]) -> None:
    data = replace(images(shape), name="photos")
    with pytest.raises(DataError, match=r"small takes images of shape \(8, 8, 3\), photos has \([89], 8, [13]\)"):
        model_of(recipe(f"{mine}:small"), data)


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded_are_refused_in_a_line(tmp_path: Path) -> None:
    code = (
        "from legodnn.blocks.importing.models import open_model\n"
        "from legodnn.errors import ModelError\n"
        "try:\n    open_model('MobileNetV2', weights='imagenet')\n"
        "except ModelError as e:\n    print(e)\n"
    )
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "KERAS_HOME": str(tmp_path), "no_proxy": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("cannot download the weights of MobileNetV2: URL fetch failure on ")
