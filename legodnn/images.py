"""Reading image files as pixels. Building and devices read them in the same way, `bilinear-antialias` in the store.

1. The file is decoded; of several pictures in it, the first one is.
2. The picture is turned as its EXIF orientation says.
3. It gets 8 bits, the upper 8 of 16, and the model's channels: gray, RGB or RGBA. Transparency is dropped where the
   model takes none.
4. Each channel on its own is resized by Pillow's bilinear filter, which averages over more pixels the more it shrinks.

This needs Pillow. Which files a folder holds, and of which classes they are, is left to `legodnn.folders`.
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

from legodnn.errors import DependencyError, LegoError
from legodnn.progress import Progress, no_progress

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
# A small file can be made to decode to an image that takes all memory. So an image has at most 100 million pixels, ten
# times as many as a photo, and above 16 million, more than a screen shows, at most 200 for each byte of its file, where
# photos have some twenty.
_MOST_PIXELS, _SMALL, _MOST_FOR_A_BYTE = 100_000_000, 16_000_000, 200
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# From this number of files on, reading shows progress.
_MANY = 500
# How to turn a picture of each EXIF orientation upright, as names of `PIL.Image.Transpose`.
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


def read_images(
    files: Sequence[Path], shape: tuple[int, ...], error: type[LegoError], progress: Progress = no_progress
) -> NDArray[np.uint8]:
    """Read image files.

    Args:
        files: the files.
        shape: height, width and channels (1: gray, 3: RGB, 4: RGBA) that every image gets.
        error: the type to raise.
        progress: shows how many of the files have been read, where they are many.

    Returns:
        Pixels, shape (files, height, width, channels).

    Raises:
        error: a file is not an image, is damaged or too large, or no picture has that shape.
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
        shown = progress if len(files) >= _MANY else no_progress
        task = stack.enter_context(shown("reading images", len(files)))
        pool = stack.enter_context(ThreadPoolExecutor(min(8, os.cpu_count() or 1)))
        try:
            for _ in pool.map(read, range(len(files))):
                task.step()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def shape_problem(shape: tuple[int, ...]) -> str | None:
    """Return why images cannot have a shape (height, width, channels), or None if they can."""
    if len(shape) == 3 and shape[-1] in _MODES:
        return None
    return f"pictures have 1 (gray), 3 (RGB) or 4 (RGBA) channels, the model takes arrays of shape {shape}"


def check_pillow() -> None:
    """Raise DependencyError unless Pillow is installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as e:
        raise DependencyError(f"reading images needs Pillow ({e}); pip install 'legodnn[images]'") from None


def fit_array(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give a decoded picture the size and channels that a file's picture would get.

    Args:
        picture: pixels, shape (height, width, channels), with 1 (gray), 3 (RGB) or 4 (RGBA) channels.
        shape: height, width and channels of the result.
    """
    from PIL import Image

    return _fit(Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture), shape)


def _fit(image: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    from PIL.Image import Resampling

    height, width, channels = shape
    if "transparency" in image.info:  # otherwise Pillow would look for that colour among the converted ones
        image = image.convert("RGBA")
    small = []
    for band in image.convert(_MODES[channels]).split():
        # Each band is resized on its own, since Pillow weighs the colours of a whole RGBA picture by their opacity; and
        # one axis at a time, since Pillow's versions differ in which axis comes first, and so in rounding.
        narrow = band.resize((width, band.height), Resampling.BILINEAR)
        small.append(np.asarray(narrow.resize((width, height), Resampling.BILINEAR)))
    return np.stack(small, axis=-1)


def _read(file: Path, shape: tuple[int, ...], error: type[LegoError]) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        if not file.is_file():
            raise ValueError("it is no regular file")  # Opening a pipe would wait until somebody writes to it.
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
    """Return a picture with values from 0 to 255; those of 16-bit gray pictures are larger in the file."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers")
    if image.mode != "I" and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
