"""Reading image files as pixels: the one way for building and for devices, `bilinear-antialias` in the store.

A file is decoded (the first picture of several), turned as its EXIF orientation says, brought to 8 bits (of 16 the
upper 8) and to the model's channels (gray, RGB or RGBA; transparency is left out where the model takes none), and
resized, each channel for itself, by Pillow's bilinear filter, whose support grows with the scale: it averages what it
shrinks.
Needs Pillow. Which files a folder holds, and of which classes, is `legodnn.folders`' to say.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.console import ProgressLine
from legodnn.errors import DependencyError, LegoError

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
# Tens of a photo's size; and, beyond what a screen shows, so many for each byte of the file, of which photos have some
# twenty: a small file could be made to take all memory.
_MOST_PIXELS, _SMALL, _MOST_FOR_A_BYTE = 100_000_000, 16_000_000, 200
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# From this number on, reading is worth a progress line.
_MANY = 500
# What each EXIF orientation takes to stand upright, as names of `PIL.Image.Transpose`.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_ORIENTATION = 0x0112


def read_images(files: Sequence[Path], shape: tuple[int, ...], error: type[LegoError]) -> NDArray[np.uint8]:
    """Read image files.

    Args:
        files: to read.
        shape: height, width and channels (1: gray, 3: RGB, 4: RGBA) to bring them to.
        error: the type to raise.

    Returns:
        Pixels, shape (files, height, width, channels).

    Raises:
        error: a file is no image, damaged or too large, or the shape is none of pictures.
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    if problem := shape_problem(shape):
        raise error(problem)
    try:
        pixels = np.empty((len(files), *shape), np.uint8)
    except MemoryError:
        raise error(
            f"{len(files)} images of shape {shape} do not fit into memory; give fewer, or smaller ones"
        ) from None

    def read(number: int) -> None:
        pixels[number] = _read(files[number], shape, error)

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # what Pillow finds odd about files that it reads
        progress = stack.enter_context(ProgressLine("reading images", len(files))) if len(files) >= _MANY else None
        pool = stack.enter_context(ThreadPoolExecutor(min(8, os.cpu_count() or 1)))
        try:
            for _ in pool.map(read, range(len(files))):
                if progress:
                    progress.step()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def shape_problem(shape: tuple[int, ...]) -> str | None:
    """Why images cannot be brought to a shape; None if they can."""
    if len(shape) == 3 and shape[-1] in _MODES:
        return None
    return f"pictures have 1 (gray), 3 (RGB) or 4 (RGBA) channels, the model takes arrays of shape {shape}"


def check_pillow() -> None:
    """DependencyError unless images can be read here."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as e:
        raise DependencyError(f"reading images needs Pillow ({e}); pip install 'legodnn[images]'") from None


def fit_array(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A picture as an array, gray, RGB or RGBA, brought to height, width and channels as files are.

    Args:
        picture: shape (height, width, 1, 3 or 4).
        shape: to bring it to.
    """
    from PIL import Image

    return _fit(Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture), shape)


def _fit(image: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    from PIL.Image import Resampling

    height, width, channels = shape
    if "transparency" in image.info:
        image = image.convert("RGBA")  # else the colour that is transparent is looked for among the converted
    small = []
    for band in image.convert(_MODES[channels]).split():
        # Each band for itself: of RGBA as a whole Pillow would weigh colours by their opacity. One axis at a time, for
        # which comes first differs between its versions, and with it the rounding.
        narrow = band.resize((width, band.height), Resampling.BILINEAR)
        small.append(np.asarray(narrow.resize((width, height), Resampling.BILINEAR)))
    return np.stack(small, axis=-1)


def _read(file: Path, shape: tuple[int, ...], error: type[LegoError]) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        if not file.is_file():
            raise ValueError("it is no regular file")  # opening a pipe would wait for whoever writes to it
        with Image.open(file, formats=_FORMATS) as image:
            pixels, size = image.width * image.height, file.stat().st_size
            if pixels > _MOST_PIXELS:
                raise ValueError(f"its {image.width} x {image.height} pixels are more than {_MOST_PIXELS:,}")
            if pixels > max(_SMALL, _MOST_FOR_A_BYTE * size):
                raise ValueError(f"its {image.width} x {image.height} pixels cannot be in {size:,} bytes")
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
            small = _eight_bits(image)
            return _fit(small.transpose(Image.Transpose[turn]) if turn else small, shape)
    except UnidentifiedImageError:
        reason = f"it is none of {', '.join(_FORMATS)}"
    except Exception as e:  # decoders of damaged files raise anything
        reason = " ".join(str(e).split()) or type(e).__name__
    raise error(f"cannot read {file} as an image ({reason:.200}); replace or remove it")


def _eight_bits(image: Any) -> Any:
    """The picture with its pixels from 0 to 255; gray ones of 16 bits have more."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers")
    if image.mode != "I" and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
