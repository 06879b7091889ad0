"""The same file or array becomes the same tensor when a store is built and on the device that reads the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.importing.data import Dataset, Scaling
from legodnn.blocks.importing.data_sources import data_of, load_data
from legodnn.blocks.manifest import _input_spec
from legodnn.errors import DataError
from legodnn.folders import class_folders
from legodnn.manifest import InputSpec
from legodnn.recipe import Recipe
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.schema import to_json

Image = pytest.importorskip("PIL.Image")

PARTS = ("train", "val", "test")
SUFFIXES = ("png", "jpg", "jpeg", "bmp", "gif", "webp", "ppm")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")


def kept(mode: str, suffix: str) -> bool:
    """Whether a format keeps pictures of a mode."""
    return {
        "png": mode != "CMYK",
        "jpg": mode in ("L", "RGB", "CMYK"),
        "jpeg": mode in ("L", "RGB", "CMYK"),
        "bmp": mode in ("1", "L", "P", "RGB"),
        "gif": mode in ("1", "L", "P"),
        "webp": mode in ("RGB", "RGBA"),
        "ppm": mode in ("1", "L", "RGB"),
    }[suffix]


def picture(mode: str, seed: int) -> Any:
    """A random picture, of a size of its own."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 60, 2)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 1 << 16, (height, width), dtype=np.uint16))
    full = Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8))
    if mode == "P":
        return full.convert("RGB").quantize(16)
    return full.convert("RGB" if mode == "CMYK" else mode).convert(mode)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in three parts: every mode in every format, some turned by EXIF."""
    root = tmp_path_factory.mktemp("photos")
    pairs = [(mode, suffix) for mode in MODES for suffix in SUFFIXES if kept(mode, suffix)]
    for part in PARTS:
        for label in ("a", "b"):
            (root / part / label).mkdir(parents=True)
        for i, (mode, suffix) in enumerate(pairs):
            options: dict[str, Any] = {}
            if suffix in ("png", "jpg", "jpeg", "webp"):
                exif = Image.Exif()
                exif[0x0112] = 1 + i % 8
                options["exif"] = exif
            picture(mode, i).save(root / part / "ab"[i % 2] / f"{i:02}{part}.{suffix}", **options)
    return root


def device(data: Dataset) -> InputSpec:
    """What a device reads in the manifest of a store that was built of a data set."""
    return InputSpec.model_validate_json(to_json(_input_spec("x", data.image_shape, data)))


def rows(x: Any, y: Any) -> list[tuple[bytes, int]]:
    return sorted((np.asarray(image).tobytes(), int(label)) for image, label in zip(x, y, strict=True))


SCALINGS = (
    None,
    Scaling((-1, 1)),
    Scaling((0, 255), (103.9, 116.8, 123.7)),
    Scaling((0, 255), (), (127.5,)),
    Scaling((0, 1), (0.5,), (0.25,)),
    Scaling(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_files(photos: Path, scaling: Scaling | None, channels: int) -> None:
    if scaling and max(len(scaling.mean), len(scaling.std)) not in (0, 1, channels):
        return
    data = load_data(f"images:{photos}", image_size=(12, 16), scaling=scaling, channels=channels)
    assert data.image_shape == (12, 16, channels)
    for part in PARTS:
        split = getattr(data, part)
        found = read_inputs(photos / part, [device(data)], data.labels)
        assert rows(split.x, split.y) == rows([found.x[i] for i in range(len(found.x))], found.y)
        assert split.x[0].dtype == found.x[0].dtype == np.float32


@pytest.mark.parametrize("fit", ["crop", "letterbox"])
def test_files_that_are_cropped_or_have_margins(photos: Path, fit: Any) -> None:
    fill = 9 if fit == "letterbox" else 0
    recipe = Recipe(model="vgg16", name="x", data=f"images:{photos}", image_size=12, input_fit=fit, input_fill=fill)
    data = data_of(recipe)
    assert (device(data).fit, device(data).fill) == (fit, fill)
    found = read_inputs(photos / "test", [device(data)], data.labels)
    assert rows(data.test.x, data.test.y) == rows([found.x[i] for i in range(len(found.x))], found.y)
    stretched = data_of(recipe.model_copy(update={"input_fit": "stretch"}))
    assert rows(data.test.x, data.test.y) != rows(stretched.test.x, stretched.test.y)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "float16", "bool"])
def test_arrays(tmp_path: Path, scaling: Scaling | None, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3)).astype(dtype)
    y = np.arange(30)
    np.savez(tmp_path / "d.npz", x_train=x, x_val=x, x_test=x, y_train=y, y_val=y, y_test=y)
    np.savez(tmp_path / "x.npz", x=x, y=y)
    data = load_data(f"npz:{tmp_path / 'd.npz'}", scaling=scaling)
    found = read_inputs(tmp_path / "x.npz", [device(data)], data.labels)
    assert found.y is not None
    for part in PARTS:
        split = getattr(data, part)
        np.testing.assert_array_equal(np.asarray(split.x), np.asarray(found.x)[split.y])  # shuffled
        np.testing.assert_array_equal(np.sort(split.y), found.y)
        np.testing.assert_array_equal(split.x[[3, 1]], np.asarray(found.x)[split.y[[3, 1]]])


values = st.lists(st.floats(-300, 300, width=32), min_size=0, max_size=3).filter(lambda v: len(v) != 2)


@given(
    ends=st.tuples(st.floats(-300, 300), st.floats(-300, 300)).filter(lambda r: r[0] < r[1]),
    mean=values,
    std=values.map(lambda v: [abs(x) + 0.01 for x in v]),
)
def test_any_scaling_is_the_same_in_recipe_and_manifest(
    ends: tuple[float, float], mean: list[float], std: list[float]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    scaling = Scaling(ends, tuple(mean), tuple(std))
    spec = InputSpec.model_validate_json(
        to_json(InputSpec(name="x", shape=(3, 3, 3), range=ends, mean=tuple(mean), std=tuple(std)))
    )
    np.testing.assert_array_equal(scaling(pixels), spec.from_pixels(pixels))
    wanted = (pixels / 255 * (ends[1] - ends[0]) + ends[0] - (mean or 0)) / (std or 1)
    np.testing.assert_allclose(scaling(pixels), wanted, rtol=1e-4, atol=1e-3 / min(std or [1]))


def test_classes_are_numbered_as_keras_numbers_them(tmp_path: Path) -> None:
    """The empty one and capitals included: a model that Keras trained on the folder has its outputs so."""
    for label in ("dog", "Cat", "ant", "1"):
        (tmp_path / label).mkdir()
        for i in range(12 if label != "ant" else 0):
            picture("RGB", i).save(tmp_path / label / f"{i}.png")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    theirs = keras.utils.image_dataset_from_directory(str(tmp_path), image_size=(8, 8), verbose=False)
    assert list(class_folders(tmp_path, DataError).classes) == theirs.class_names == ["1", "Cat", "ant", "dog"]
