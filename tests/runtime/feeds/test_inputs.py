"""Inputs are read from arrays and from folders of images, scaled as the model wants them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from legodnn.checked_inputs import check_inputs
from legodnn.errors import InputError
from legodnn.manifest import InputSpec
from legodnn.runtime.feeds.inputs import read_inputs

image = pytest.importorskip("PIL.Image")

GREY = InputSpec(name="x", shape=(4, 6, 1))
COLOUR = InputSpec(name="x", shape=(4, 6, 3), range=(-1.0, 1.0))


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new("RGB", size, colour).save(path)


def test_images_are_resized_and_scaled(tmp_path: Path) -> None:
    picture(tmp_path / "b.png", (255, 0, 0))
    picture(tmp_path / "a.bmp", (0, 0, 0), (3, 3))
    (tmp_path / "notes.txt").write_text("no image")
    found = read_inputs(tmp_path, [COLOUR])
    assert found.y is None
    x = np.asarray(found.x)
    assert x.shape == (2, 4, 6, 3)
    np.testing.assert_array_equal(x[0], np.full((4, 6, 3), -1, np.float32))
    np.testing.assert_array_equal(x[1, 0, 0], [1, -1, -1])


def test_one_image_is_an_input_too(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "Red.PNG", (255, 0, 0))
    found = read_inputs(tmp_path / "cat" / "Red.PNG", [COLOUR], ("cat", "dog"))
    assert (found.y, found.names) == (None, ("Red.PNG",))
    np.testing.assert_array_equal(np.asarray(found.x), np.full((1, 4, 6, 3), [1, -1, -1], np.float32))
    with pytest.raises(InputError, match=r"Red\.PNG is an image, and the model has the inputs x, x"):
        read_inputs(tmp_path / "cat" / "Red.PNG", [COLOUR, COLOUR])
    for name in ("x.jpg", "phone.HEIC"):
        (tmp_path / name).write_text("no image, or one of a format that is not read")
        with pytest.raises(InputError, match=rf"cannot read .*{name} as an image \(it is none of BMP"):
            read_inputs(tmp_path / name, [COLOUR])


def test_folders_that_are_called_as_labels_are_tell_what_images_show(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "1.png", (255, 255, 255))
    picture(tmp_path / "cat" / "1.png", (0, 0, 0))
    found = read_inputs(tmp_path, [GREY], ("cat", "dog"))
    assert found.y is not None
    assert found.y.tolist() == [0, 1]
    assert np.asarray(found.x)[:, 0, 0, 0].tolist() == [0.0, 1.0]
    picture(tmp_path / "1.png", (0, 0, 0))
    assert read_inputs(tmp_path, [GREY], ("cat", "dog")).y is None


@pytest.mark.parametrize("content", [None, b"no image"])
def test_a_folder_without_images_or_with_a_damaged_one_is_an_input_error(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError, match=r"holds 0 images|x\.png"):
        read_inputs(tmp_path, [GREY])


def test_labels_may_be_maps_or_numbers_and_must_be_as_many_as_images(tmp_path: Path) -> None:
    x = np.zeros((5, 4, 6, 1), np.float32)
    for y in (np.arange(5), np.zeros((5, 4, 6), np.uint8), np.full((5, 3), 0.5), np.zeros((5, 4, 6), bool)):
        np.savez(tmp_path / "d.npz", x=x, y=y)
        found = read_inputs(tmp_path / "d.npz", [GREY]).y
        np.testing.assert_array_equal(found, y)
        assert found.dtype == (np.float64 if y.dtype.kind == "f" else np.int64)
    for y in (np.arange(4), np.array(3), np.array(["a"] * 5), np.full(5, np.nan)):
        np.savez(tmp_path / "d.npz", x=x, y=y)
        with pytest.raises(InputError, match=r"labels (of (shape|type)|that are NaN)"):
            read_inputs(tmp_path / "d.npz", [GREY])


def test_an_array_without_images_is_told_as_such(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, *GREY.shape), np.uint8))
    with pytest.raises(InputError, match=r"x\.npy has no images in it .*; give at least one of shape"):
        read_inputs(tmp_path / "x.npy", [GREY])
    np.save(tmp_path / "x.npy", np.zeros((0, 10), np.float32))
    with pytest.raises(InputError, match="has no arrays in it"):
        read_inputs(tmp_path / "x.npy", [InputSpec(name="x", shape=(10,), layout="plain")])


def test_images_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (255, 0, 0))
    with pytest.raises(InputError, match="the model takes arrays of shape"):
        read_inputs(tmp_path, [InputSpec(name="x", shape=(10,))])
    with pytest.raises(InputError, match=r"have 1 .gray., 3 .RGB. or 4 .RGBA. channels, .* shape .4, 6, 2."):
        read_inputs(tmp_path, [InputSpec(name="x", shape=(4, 6, 2))])


def test_a_model_with_several_inputs_takes_an_array_of_each_name(tmp_path: Path) -> None:
    specs = [GREY, InputSpec(name="age", shape=(2,), layout="plain")]
    pixels, ages = np.full((3, 4, 6, 1), 255, np.uint8), np.arange(6).reshape(3, 2)
    np.savez(tmp_path / "d.npz", x=pixels, age=ages, y=np.arange(3))
    found = read_inputs(tmp_path / "d.npz", specs)
    assert (len(found.x), found.y is not None) == (3, True)
    one = found.x[2]
    assert isinstance(one, dict)
    assert (one["x"].dtype, float(one["x"].max())) == (np.float32, 1.0)  # pixels are scaled
    assert (one["age"].dtype, one["age"].tolist()) == (np.float32, [4.0, 5.0])  # numbers are not
    np.savez(tmp_path / "d.npz", x_train=pixels, age_train=ages, x_test=pixels[:1], age_test=ages[:1], y_test=[2])
    found = read_inputs(tmp_path / "d.npz", specs)
    assert (len(found.x), np.asarray(found.y).tolist()) == (1, [2])
    np.savez(tmp_path / "d.npz", x=pixels, age=ages[:2])
    with pytest.raises(InputError, match="holds 3 of 'x', but 2 of 'age'"):
        read_inputs(tmp_path / "d.npz", specs)
    np.savez(tmp_path / "d.npz", x=pixels)
    with pytest.raises(InputError, match=r"it has no 'age'; give an \.npz with the arrays x, age, and perhaps y"):
        read_inputs(tmp_path / "d.npz", specs)
    with pytest.raises(InputError, match="is a folder of images, and the model has the inputs x, age"):
        read_inputs(tmp_path, specs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_an_input_may_be_a_single_number(dtype: type, tmp_path: Path) -> None:
    least = InputSpec(name="least", shape=(), layout="plain")
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 4, 6, 1), np.float32), least=np.array([3, 7], dtype))
    one = read_inputs(tmp_path / "d.npz", [GREY, least]).x[1]
    assert isinstance(one, dict)
    store = SimpleNamespace(manifest=SimpleNamespace(inputs=(GREY, least)))
    found = check_inputs(store, "m", one)["least"]  # type: ignore[arg-type]
    assert float(found) == 7.0


def test_integers_are_elements_pixels_or_numbers(tmp_path: Path) -> None:
    spec = InputSpec(name="x", shape=(1, 2, 1), dtype="int8", scale=0.5, zero_point=1, range=(-64.5, 63.0))
    for raw, elements in (
        (np.array([[-128, 127]], np.int8), [-128, 127]),  # its own type
        (np.array([[0, 255]], np.uint8), [-128, 127]),  # pixels
        (np.array([[-1.0, 2.3]]), [-1, 6]),  # numbers: q = x / .5 + 1
    ):
        np.save(tmp_path / "x.npy", raw.reshape(1, 1, 2, 1))
        assert np.asarray(read_inputs(tmp_path / "x.npy", [spec]).x[0]).ravel().tolist() == elements


def test_of_a_data_set_in_parts_the_part_for_testing_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=np.zeros((9, 4, 6, 1)), x_test=np.ones((2, 4, 6, 1)), y_test=[4, 5])
    found = read_inputs(tmp_path / "d.npz", [GREY])
    assert (len(found.x), np.asarray(found.y).tolist(), float(np.asarray(found.x[0]).min())) == (2, [4, 5], 1.0)
