"""Image files become the same pixels whatever they are kept in, and whatever is no image is refused by its name."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import DataError, InputError, LegoError
from legodnn.images import Frame, fit_array, read_images
from legodnn.progress import ProgressTask

Image = pytest.importorskip("PIL.Image")

GRAY, RGB, RGBA = (6, 8, 1), (6, 8, 3), (6, 8, 4)


def photo(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """A picture with coarse and fine structure."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([rows * 5, columns * 4, (rows + columns) * 3], -1) % 256
    return np.clip(smooth + rng.normal(0, 25, smooth.shape), 0, 255).astype(np.uint8)


def read(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    return read_images([file], Frame(shape), InputError)[0]


def averaged(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with antialiasing, written as its definition: a triangle as wide as the scale around each centre."""

    def along(x: np.ndarray, size: int) -> np.ndarray:
        scale = len(x) / size
        support, rows = max(scale, 1.0), []
        for i in range(size):
            weights = np.maximum(0, 1 - abs((np.arange(len(x)) + 0.5 - (i + 0.5) * scale) / support))
            rows.append(np.tensordot(weights / weights.sum(), x, 1))
        return np.stack(rows)

    x = along(picture.astype(float).swapaxes(0, 1), width).swapaxes(0, 1)
    return along(x, height)


@pytest.mark.parametrize("size", [(24, 32), (6, 8), (7, 31), (24, 5), (40, 50), (1, 1)])
def test_resizing_averages_what_it_shrinks(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(photo()).save(tmp_path / "x.png")
    found = read(tmp_path / "x.png", (*size, 3))
    np.testing.assert_allclose(found, averaged(photo(), *size), atol=1.01)
    if size == (24, 32):
        np.testing.assert_array_equal(found, photo())


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "ppm", "webp", "jpg", "jpeg", "jfif", "JPG"])
def test_every_format_gives_the_picture_that_it_holds(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x.{suffix}"
    options = {"webp": {"lossless": True}, "gif": {}}.get(suffix, {"quality": 95} if suffix[0] in "jJ" else {})
    Image.fromarray(photo()[::8, ::8].repeat(8, 0).repeat(8, 1)).save(file, **options)
    wanted = averaged(photo()[::8, ::8].repeat(8, 0).repeat(8, 1), 3, 4)
    np.testing.assert_allclose(read(file, (3, 4, 3)), wanted, atol=25 if suffix[0] in "jJ" else 1.01)


def test_a_files_content_decides_not_its_name(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "x", "PNG")
    (tmp_path / "x").rename(tmp_path / "x.jpg")
    np.testing.assert_array_equal(read(tmp_path / "x.jpg", (24, 32, 3)), photo())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_become_gray_rgb_and_rgba(tmp_path: Path, mode: str) -> None:
    """A picture of one gray: in every mode, and to every number of channels, it stays that."""
    value = 255 if mode == "1" else 90
    if mode == "I;16":
        picture = Image.fromarray(np.full((9, 9), value * 256 + 200, np.uint16))
    else:
        picture = Image.new("RGBA" if "A" in mode else "RGB", (9, 9), (value, value, value, 40)[: 3 + ("A" in mode)])
        picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
    assert picture.mode == mode
    picture.save(tmp_path / "x.png")
    for shape in (GRAY, RGB, RGBA):
        found = read(tmp_path / "x.png", shape)
        assert found.shape == shape
        assert set(found[..., :3].ravel().tolist()) == {value}
    assert set(found[..., 3].ravel().tolist()) == {40 if "A" in mode else 255}


def test_gray_of_16_bits_is_scaled_as_colour_of_16_bits_is(tmp_path: Path) -> None:
    ramp = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1365
    Image.fromarray(ramp).save(tmp_path / "gray.png")
    (tmp_path / "gray.pgm").write_bytes(b"P5 8 6 65535\n" + ramp.astype(">u2").tobytes())
    rows = b"".join(b"\0" + row.astype(">u2").repeat(3).tobytes() for row in ramp)
    (tmp_path / "colour.png").write_bytes(png(8, 6, bits=16, colour=2, rows=rows))
    for name, shape in (("gray.png", GRAY), ("gray.pgm", GRAY), ("gray.png", RGB), ("colour.png", RGB)):
        np.testing.assert_array_equal(read(tmp_path / name, shape)[..., 0], ramp >> 8)


def png(width: int, height: int, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    """A PNG by hand: its header may say what its data is not."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_transparent_pixels_keep_the_colour_they_have(tmp_path: Path) -> None:
    """Left out where the model takes none, a channel like others where it does: colours are not weighed by it."""
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, ::2], picture[:, 1::2] = (200, 0, 0, 255), (0, 200, 0, 0)
    Image.fromarray(picture).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read(tmp_path / "x.png", (1, 1, 4)), [[[100, 100, 0, 128]]])
    np.testing.assert_array_equal(read(tmp_path / "x.png", (1, 1, 3)), [[[100, 100, 0]]])
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "p.png", transparency=bytes([255, 7]))
    np.testing.assert_array_equal(read(tmp_path / "p.png", (1, 1, 4)), [[[10, 20, 30, 7]]])


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read(tmp_path / "x.jpg", RGB)[0, 0], [255, 0, 0], atol=4)
    np.testing.assert_allclose(read(tmp_path / "x.jpg", RGBA)[0, 0], [255, 0, 0, 255], atol=4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # bright in the upper left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} | ({"lossless": True} if suffix == "webp" else {})
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").save(tmp_path / f"x.{suffix}", exif=exif, **options)
    np.testing.assert_allclose(read(tmp_path / f"x.{suffix}", (16, 32, 1))[..., 0], upright, atol=8)


def test_a_moving_picture_gives_its_first(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0))
    for name, options in (("x.gif", {}), ("x.webp", {"lossless": True}), ("x.png", {})):
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        np.testing.assert_allclose(read(tmp_path / name, RGB)[0, 0], [200, 0, 0], atol=2)


def test_an_array_is_brought_to_a_shape_as_a_file_is(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "x.png")
    for shape in (GRAY, RGB, RGBA):
        np.testing.assert_array_equal(fit_array(photo(), Frame(shape)), read(tmp_path / "x.png", shape))


DAMAGED = {
    "nothing.png": (b"", "none of BMP"),
    "text.png": (b"no image", "none of BMP"),
    "bomb.png": (png(40_000, 40_000), "pixels"),
    "large.png": (png(20_000, 6_000), "20000 x 6000 pixels are more than 100,000,000"),
    "small.png": (png(8_000, 4_000), "8000 x 4000 pixels cannot be in .* bytes"),
    "cut.png": (png(64, 64, rows=b"\0" * 100), "truncated"),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of BMP"),
    "float.ppm": (b"Pf 2 2 -1.0\n" + b"\0" * 16, "floating point"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("error", [DataError, InputError])
def test_what_is_no_image_is_refused_by_its_name(tmp_path: Path, name: str, error: type[LegoError]) -> None:
    content, reason = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=f"cannot read .*{name} as an image .*{reason}.*; replace or remove it") as caught:
        read_images([tmp_path / name], Frame(RGB), error)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.timeout(60)
def test_a_pipe_a_device_and_a_broken_link_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for name in ("pipe.png", "zero.png", "gone.png"):
        with pytest.raises(InputError, match=f"{name} as an image .it is no regular file"):
            read(tmp_path / name, RGB)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "ppm"])
@given(data=st.data())
def test_a_damaged_image_is_read_or_refused(suffix: str, data: st.DataObject, tmp_path_factory: object) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged-images"  # type: ignore[attr-defined]
    folder.mkdir(exist_ok=True)
    whole = folder / f"whole.{suffix}"
    if not whole.exists():
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(photo()).save(whole, **({"exif": exif} if suffix in ("png", "jpg", "webp") else {}))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(64, len(content) - 1)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (folder / f"x.{suffix}").write_bytes(content)
    try:
        found = read(folder / f"x.{suffix}", RGB)
    except InputError:
        return
    assert found.shape == RGB


@pytest.mark.parametrize("shape", [(8,), (8, 8), (8, 8, 2), (8, 8, 5), ()])
def test_a_model_that_takes_no_pictures_is_told_so(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=r"pictures have 1 \(gray\), 3 \(RGB\) or 4 \(RGBA\) channels, the model takes"
    ):
        read_images([], Frame(shape), InputError)


class Recorded:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def __call__(self, label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        self.opened.append((label, total))
        yield self

    def step(self, note: str = "") -> None:
        self.steps += 1

    def at(self, done: float, note: str = "") -> None:
        self.steps = round(done)


@pytest.mark.parametrize(("count", "shown"), [(3, False), (500, True)])
def test_reading_many_files_tells_the_callers_progress_and_prints_nothing(
    tmp_path: Path, count: int, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    file, progress = tmp_path / "x.png", Recorded()
    Image.fromarray(photo(6, 8)).save(file)
    assert len(read_images([file] * count, Frame(RGB), InputError, progress)) == count
    assert progress.opened == ([("reading images", 500)] if shown else [])
    assert progress.steps == (500 if shown else 0)
    assert capfd.readouterr() == ("", "")
