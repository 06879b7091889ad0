"""Every odd picture becomes the right input of a model, or one clear error: `legodnn.images.load`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InputError
from legodnn.images import load
from legodnn.tensor_spec import InputSpec

Image = pytest.importorskip("PIL.Image")

# Left half red, right half blue, and the upper left quarter brighter: every turn and swap of channels shows.
PICTURE = np.zeros((8, 12, 3), np.uint8)
PICTURE[:, :6, 0], PICTURE[:, 6:, 2], PICTURE[:4, :6, 1] = 200, 160, 100
GRAY = np.asarray(Image.fromarray(PICTURE).convert("L"))
SPEC = InputSpec(name="x", shape=(8, 12, 3), range=(0.0, 255.0))
GRAY_SPEC = InputSpec(name="x", shape=(8, 12, 1), range=(0.0, 255.0))


def encoded(picture: Any, form: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **settings)
    return out.getvalue()


def image(array: np.ndarray[Any, Any] = PICTURE) -> Any:
    return Image.fromarray(array)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image(np.ascontiguousarray(np.rot90(PICTURE))), "PNG", exif=exif)


def palette(with_alpha: bool) -> bytes:
    picture = image().convert("P", palette=Image.Palette.ADAPTIVE)
    return encoded(picture, "PNG", **({"transparency": 0} if with_alpha else {}))


def translucent() -> Any:
    alpha = np.full((8, 12, 1), 3, np.uint8)
    return image(np.concatenate([PICTURE, alpha], axis=-1))


def animated() -> bytes:
    frames = [image().convert("P", palette=Image.Palette.ADAPTIVE), image(255 - PICTURE).convert("P")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


# What is loaded, the picture that it shows, and how far values may be off (JPEG loses some).
RIGHT: dict[str, tuple[Callable[[], Any], np.ndarray[Any, Any], float]] = {
    "PNG": (lambda: encoded(image(), "PNG"), PICTURE, 0),
    "BMP": (lambda: encoded(image(), "BMP"), PICTURE, 0),
    "PPM": (lambda: encoded(image(), "PPM"), PICTURE, 0),
    "WebP without loss": (lambda: encoded(image(), "WEBP", lossless=True), PICTURE, 0),
    "EXIF 6": (lambda: turned(6), PICTURE, 0),
    "EXIF 1 of a turned picture": (lambda: turned(1), np.rot90(PICTURE), 0),
    "EXIF 99 means nothing": (lambda: turned(99), np.rot90(PICTURE), 0),
    "JPEG of CMYK": (lambda: encoded(image().convert("CMYK"), "JPEG", quality=100, subsampling=0), PICTURE, 12),
    "PNG of 16 bits": (lambda: encoded(Image.fromarray(GRAY.astype(np.uint16) * 257), "PNG"), GRAY, 0),
    "gray": (lambda: encoded(image(GRAY), "PNG"), GRAY, 0),
    "one bit": (lambda: encoded(image(GRAY).point(lambda v: 255 * (v > 80), "1"), "PNG"), 255 * (GRAY > 80), 0),
    "palette": (lambda: palette(False), PICTURE, 0),
    "palette with a transparent colour": (lambda: palette(True), PICTURE, 0),
    "alpha, which the model does not take": (lambda: encoded(translucent(), "PNG"), PICTURE, 0),
    "gray with alpha": (lambda: encoded(translucent().convert("LA"), "PNG"), GRAY, 0),
    "animated GIF, the first picture": (animated, PICTURE, 0),
    "one pixel": (lambda: encoded(image(PICTURE[:1, :1]), "PNG"), PICTURE[:1, :1], 0),
    "10,000 x 1": (lambda: encoded(image(np.tile(PICTURE[:1], (1, 834, 1))[:, :10_000]), "PNG"), PICTURE[:0], 0),
    "an array": (lambda: PICTURE, PICTURE, 0),
    "a gray array": (lambda: GRAY, GRAY, 0),
    "an array of 16 bits": (lambda: GRAY.astype(np.uint16) * 257, GRAY, 0),
    "a picture of Pillow's": (lambda: translucent(), PICTURE, 0),
}


@pytest.mark.parametrize("name", RIGHT)
def test_it_becomes_the_right_input(name: str, tmp_path: Path) -> None:
    made, shown, tolerance = RIGHT[name]
    given = made()
    found = load(given, SPEC)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((8, 12, 3), np.float32, True)
    if not len(shown):  # a strip of 1,666 stripes: shrunk to their mean
        assert np.abs(found.mean((0, 1)) - PICTURE[0].mean(0)).max() < 2
        assert found.std() > 0
        return
    shown = np.asarray(shown)
    colours = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=-1)
    if colours.shape == PICTURE.shape:
        np.testing.assert_allclose(found, colours, atol=tolerance)
    elif colours.shape == (1, 1, 3):
        assert (found == colours).all()
    else:  # of other proportions: it is stretched as an array of it would be
        np.testing.assert_array_equal(found, load(np.ascontiguousarray(colours), SPEC))
        assert found[0, 0, 2] > found[0, 0, 0]  # blue is up
    if isinstance(given, bytes):
        (tmp_path / "x").write_bytes(given)
        np.testing.assert_array_equal(load(tmp_path / "x", SPEC), found)
        np.testing.assert_array_equal(load(str(tmp_path / "x"), SPEC), found)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "zero bytes": (lambda: b"", "these bytes as an image .it is none of BMP, GIF, JPEG, PNG, PPM, WEBP"),
    "text": (lambda: b"no picture", "it is none of"),
    "a truncated JPEG": (lambda: encoded(image(np.tile(PICTURE, (8, 8, 1))), "JPEG")[:-60], "truncated"),
    "a truncated PNG": (lambda: encoded(image(), "PNG")[:60], "cannot read these bytes as an image"),
    "TIFF of floats": (lambda: encoded(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), "it is none of"),
    "an array of floats": (lambda: PICTURE / 255, "its elements are float64; pixels are uint8"),
    "an array of two channels": (lambda: PICTURE[..., :2], r"its shape is \(8, 12, 2\), not"),
    "an array of several pictures": (lambda: PICTURE[None], r"its shape is \(1, 8, 12, 3\), not"),
    "an empty array": (lambda: PICTURE[:0], r"its shape is \(0, 12, 3\)"),
    "a masked array": (lambda: np.ma.masked_array(PICTURE), "cannot read this MaskedArray .*that is not masked"),
    "a picture of no pixels": (lambda: Image.new("L", (0, 5)), "cannot read this Image .*it has 0 x 5 pixels"),
    "a list": (lambda: PICTURE.tolist(), "cannot read this list .*give a path, bytes, an array"),
    "a missing file": (lambda: "missing.png", "cannot read missing.png as an image .there is no such file"),
    "a folder": (lambda: Path(), "it is no regular file"),
    "100,000 x 100,000 pixels in few bytes": (
        lambda: b"P6 100000 100000 255\n" + b"\0" * 100,
        "exceeds limit|are more than",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_one_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made, message = WRONG[name]
    with pytest.raises(InputError, match=message) as error:
        load(made(), SPEC)
    assert len(str(error.value).splitlines()) == 1


def test_models_of_one_and_of_four_channels_get_theirs() -> None:
    np.testing.assert_array_equal(load(PICTURE, GRAY_SPEC)[..., 0], GRAY)
    with_alpha = InputSpec(name="x", shape=(8, 12, 4), range=(0.0, 255.0))
    assert set(load(encoded(translucent(), "PNG"), with_alpha)[..., 3].ravel()) == {3}
    assert set(load(PICTURE, with_alpha)[..., 3].ravel()) == {255}


def test_an_input_that_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match=r"takes arrays of shape \(7,\)"):
        load(PICTURE, InputSpec(name="x", shape=(7,), layout="plain"))


@pytest.mark.parametrize("size", [(6, 6), (12, 3), (3, 12)])
def test_crop_takes_the_middle_in_the_models_proportions(size: tuple[int, int]) -> None:
    height, width = size
    spec = InputSpec(name="x", shape=(*size, 3), range=(0.0, 255.0), fit="crop")
    part = min(8 / height, 12 / width)
    top, left = round((8 - height * part) / 2), round((12 - width * part) / 2)
    middle = np.ascontiguousarray(PICTURE[top : 8 - top, left : 12 - left])
    stretched = load(middle, spec.model_copy(update={"fit": "stretch"}))
    np.testing.assert_allclose(load(PICTURE, spec), stretched, atol=40)  # at the seam, what was cut away weighs too
    assert (load(PICTURE, spec)[:, 0, 0] > load(PICTURE, spec)[:, -1, 0]).all()


def test_a_letterbox_shows_all_with_margins() -> None:
    spec = InputSpec(name="x", shape=(12, 12, 3), range=(0.0, 255.0), fit="letterbox", fill=7)
    found = load(PICTURE, spec)
    np.testing.assert_array_equal(found[2:10], PICTURE)
    assert set(found[[0, 1, 10, 11]].ravel()) == {7}
    narrow = load(np.full((1, 10_000, 3), 200, np.uint8), spec)
    assert (narrow == 200).all(axis=(1, 2)).sum() == 1  # one row of it is left
    wide = load(PICTURE, InputSpec(name="x", shape=(4, 20, 3), range=(0.0, 255.0), fit="letterbox"))
    assert (wide[:, :7] == 0).all()
    assert (wide[:, 13:] == 0).all()
    assert (wide[:, 7] > 0).any(axis=-1).all()


def test_the_same_picture_fits_a_model_of_integers() -> None:
    spec = InputSpec(name="x", shape=(8, 12, 3), dtype="uint8", scale=1 / 128, zero_point=128, range=(-1.0, 127 / 128))
    found = load(encoded(image(), "PNG"), spec)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, PICTURE)
