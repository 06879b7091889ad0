"""Stores of models that take something else than one image: several inputs, vectors, clips of frames.

Covers also: blocks.importing.model_inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn import Runtime
from legodnn.blocks import build
from legodnn.blocks.cutting.extract import compose_pieces, extract, output_names
from legodnn.blocks.importing.data import Dataset, SeveralInputs, Split
from legodnn.blocks.importing.models import data_and_model, open_model
from legodnn.errors import DataError, ModelError
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.recipe import Recipe
from legodnn.runtime.feeds.inputs import read_inputs

SHAPES = {"near": (16, 16, 3), "far": (8, 8, 1), "speed": (3,), "clip": (4, 8, 8, 1)}
ROWS = 80
PARTS = (slice(20), slice(20, 30), slice(30, 40))


def several() -> keras.Model:
    """Two images of different sizes, a vector and a clip of frames; one score for each of three classes."""
    keras.utils.set_random_seed(3)
    near, far, speed, clip = (keras.Input(shape, name=name) for name, shape in SHAPES.items())
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(near))
    x = layers.Concatenate()([x, layers.Rescaling(1 / 255)(far)])
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(x)
    frames = layers.GlobalAveragePooling3D()(layers.Conv3D(8, 3, activation="relu")(clip))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), frames, speed])
    x = layers.Dense(3)(layers.Dense(32, activation="relu")(x))
    return keras.Model([near, far, speed, clip], x, name="several")


def arrays(rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (rows, *SHAPES[name])).astype(np.uint8) for name in ("near", "far")}
    return {**images, **{name: rng.normal(size=(rows, *SHAPES[name])) for name in ("speed", "clip")}}


def data() -> Dataset:
    """A data set in another order than the model's inputs."""
    found = {name: array.astype(np.float32) for name, array in reversed(arrays(40).items())}
    train, val, test = (Split({n: x[part] for n, x in found.items()}, None) for part in PARTS)
    return Dataset("own", (), train, val, test)


def recipe(folder: Path, **changes: Any) -> Recipe:
    np.savez(folder / "rows.npz", **arrays())
    settings: dict[str, Any] = {"distill_epochs": 1, "joint_epochs": 1, "sparsities": (0.5,), "batch_size": 16}
    settings |= {"precisions": ("float32",), "max_blocks": 1, "samples": 6, "data": f"npz:{folder / 'rows.npz'}"}
    return Recipe(**{"model": f"{__name__}:several", "name": "several", **settings, **changes})


def test_a_store_of_several_inputs_is_built_profiled_and_run(tmp_path: Path) -> None:
    store = build(recipe(tmp_path), tmp_path / "store")
    assert {i.name: (i.shape, i.layout, i.range) for i in store.manifest.inputs} == {
        "near": ((16, 16, 3), "HWC", (0, 255)),  # it scales pixels itself
        "far": ((8, 8, 1), "HWC", (0, 255)),
        "speed": ((3,), "plain", (0, 1)),
        "clip": ((4, 8, 8, 1), "plain", (0, 1)),
    }
    assert [i.name for i in store.manifest.inputs] == list(SHAPES)
    assert store.manifest.blocks
    profile_store(store, Effort(seconds=0.2, processes=1, plans=0)).save(default_path(store.path))
    inputs = read_inputs(tmp_path / "rows.npz", store.manifest.inputs)
    with Runtime.open([store.path]) as runtime:
        found = np.array([runtime.infer("store", inputs.x[i]) for i in range(3)])
    wanted = several()([x[:3].astype(np.float32) for x in arrays().values()], training=False)
    np.testing.assert_allclose(found.reshape(3, 3), np.asarray(wanted), atol=1e-4)


def test_arrays_of_a_function_are_taken_by_name(tmp_path: Path) -> None:
    found, model = data_and_model(recipe(tmp_path, data=f"{__name__}:data"))
    assert isinstance(found.train.x, SeveralInputs)
    assert list(found.train.x.arrays) == [t.name for t in model.inputs] == list(SHAPES)
    rows: Mapping[str, Any] = found.val.take(np.array([2, 0])).x[:]
    order = 20 + np.random.default_rng(0).permutation(10)  # what is given in parts is shuffled
    np.testing.assert_array_equal(rows["speed"], arrays(40)["speed"].astype(np.float32)[order[[2, 0]]])


def test_a_vector_alone_is_taken_as_x(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    x = image = keras.Input((12,), name="numbers")
    for _ in range(3):
        x = layers.Dense(64, activation="relu")(x)
    keras.Model(image, layers.Dense(4)(x)).save(tmp_path / "vector.keras")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(ROWS, 12)))
    found, model = data_and_model(
        Recipe(model=str(tmp_path / "vector.keras"), name="vector", data=f"npz:{tmp_path / 'x.npz'}")
    )
    assert found.train.x.shape[1:] == model.input_shape[1:] == (12,)
    pieces = extract(model)
    tensors = compose_pieces(pieces, {"numbers": found.val.x})
    np.testing.assert_allclose(tensors[output_names(pieces)[0]], model(found.val.x), atol=1e-5)


def without(name: str) -> dict[str, Any]:
    return {key: array for key, array in arrays().items() if key != name}


WRONG_DATA: dict[str, tuple[dict[str, Any], str]] = {
    "one missing": (without("far"), "holds neither far nor near_train; it has clip, near, speed"),
    "another shape": (
        {**arrays(), "speed": np.zeros((ROWS, 4))},
        r"takes near of .*speed of shape \(3,\), .* has near",
    ),
    "fewer rows": ({**arrays(), "speed": np.zeros((ROWS - 1, 3))}, "inputs of different lengths.*'speed': 79"),
    "texts": ({**arrays(), "speed": np.full((ROWS, 3), "a")}, "speed holds <U1, not numbers"),
    "NaN": ({**arrays(), "speed": np.full((ROWS, 3), np.nan)}, "values of 'speed' hold NaN"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_what_does_not_fit_is_told_by_name(case: str, tmp_path: Path) -> None:
    content, message = WRONG_DATA[case]
    asked = recipe(tmp_path)
    np.savez(tmp_path / "rows.npz", **content)
    with pytest.raises(DataError, match=message):
        data_and_model(asked)


def test_sources_of_images_are_refused_for_other_inputs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"digits gives images, the model takes near of shape .*give npz:FILE"):
        data_and_model(recipe(tmp_path, data="digits"))


def uneven() -> keras.Model:
    """A model that scales the pixels of one image and not of the other."""
    a, b = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    x = layers.Concatenate()([layers.Rescaling(1 / 255)(a), b])
    return keras.Model([a, b], layers.Conv2D(4, 3)(layers.Conv2D(8, 3)(x)))


def test_images_that_are_scaled_in_different_ways_are_refused(tmp_path: Path) -> None:
    asked = recipe(tmp_path, model=f"{__name__}:uneven")
    with pytest.raises(ModelError, match=r"different ways \(a as they are, b scaled\).*module:function"):
        data_and_model(asked)
    assert len(open_model(asked.model).inputs) == 2
