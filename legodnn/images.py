"""Reading images as pixels. Building and devices read them in the same way, `bilinear-antialias` in the store.

    x = legodnn.images.load("cat.jpg", runtime.stores["faces"].manifest.inputs[0])

1. The file is decoded; of several pictures in it, the first one is. A large JPEG file is decoded at less than its size,
   but at twice that of the model's input or more (`image_files.decode_smaller`).
2. The picture is turned as its EXIF orientation says.
3. It gets 8 bits, the upper 8 of 16, and the model's channels: gray, RGB or RGBA. Transparency is dropped where the
   model takes none.
4. What is resized is the whole picture to the model's size (`stretch`), the largest part in its middle that has the
   model's proportions (`crop`), or the whole picture to a size that lies inside, with margins around (`letterbox`).
5. Each channel on its own is resized by Pillow's bilinear filter, which averages over more pixels the more it shrinks.

This needs Pillow. Which files a folder holds, and of which classes they are, is left to `legodnn.folders`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import is_masked
from legodnn.errors import InputError, LegoError
from legodnn.image_files import (
    FORMATS,
    ORIENTATION,
    UPRIGHT,
    check_pillow,
    decode_smaller,
    opened_image,
    pixels_problem,
)
from legodnn.placement import cut_away, inside
from legodnn.progress import Progress, no_progress
from legodnn.shared_scope import WITHOUT_WARNINGS
from legodnn.tensor_spec import ImageFit, InputSpec

if TYPE_CHECKING:
    import PIL.Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# From this number of files on, reading shows progress.
_MANY = 500


@dataclass(frozen=True)
class Frame:
    """What pictures are brought to.

    Attributes:
        shape: height, width and channels (1: gray, 3: RGB, 4: RGBA).
        fit: how pictures of other proportions are treated (see the module).
        fill: the value of the margins of a letterbox, 0 to 255, in all channels.
    """

    shape: tuple[int, ...]
    fit: ImageFit = "stretch"
    fill: int = 0

    @property
    def problem(self) -> str | None:
        """Why images cannot have this shape; None if they can."""
        if len(self.shape) == 3 and self.shape[-1] in _MODES:
            return None
        return f"pictures have 1 (gray), 3 (RGB) or 4 (RGBA) channels, the model takes arrays of shape {self.shape}"


def frame_of(spec: InputSpec) -> Frame:
    """Return what pictures are brought to before they are scaled for a model's input."""
    return Frame(spec.shape, spec.fit, spec.fill)


def load(picture: str | Path | bytes | NDArray[Any] | PIL.Image.Image, spec: InputSpec) -> NDArray[Any]:
    """Return a picture as a model takes it: turned upright, resized, and scaled as the store says.

    Args:
        picture: the path of an image file, the content of one, a picture of Pillow's, or decoded pixels: uint8 or
            uint16, shape (height, width) or (height, width, channels) with 1 (gray), 3 (RGB) or 4 (RGBA) channels.
        spec: the model's input, as the store's manifest has it.

    Returns:
        An array of the input's shape and type, for `Runtime.infer`.

    Raises:
        InputError: it is no image, damaged, too large, or the model's input is no picture.
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    if problem := frame_of(spec).problem:
        raise InputError(problem)
    with WITHOUT_WARNINGS:  # of what Pillow finds odd about files that it reads
        return spec.from_pixels(_read(picture, frame_of(spec), InputError))


@dataclass(frozen=True)
class Cutout:
    """A part of an image file's picture, as a picture of its own; what lies outside of the picture is black.

    Attributes:
        file: the image file.
        box: left, top, right and bottom, in pixels of the picture when it is upright.
    """

    file: Path
    box: tuple[int, int, int, int]


def read_images(
    files: Sequence[Path | Cutout], frame: Frame, error: type[LegoError], progress: Progress = no_progress
) -> NDArray[np.uint8]:
    """Read image files.

    Args:
        files: the files, of some of which only a part is wanted.
        frame: what every image is brought to.
        error: the type to raise.
        progress: shows how many of the files have been read, where they are many.

    Returns:
        Pixels, shape (files, height, width, channels).

    Raises:
        error: a file is not an image, is damaged or too large, or no picture has that shape.
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    if problem := frame.problem:
        raise error(problem)
    try:
        pixels = np.empty((len(files), *frame.shape), np.uint8)
    except MemoryError:
        raise error(
            f"{len(files)} images of shape {frame.shape} do not fit into memory; give fewer, or smaller ones"
        ) from None

    def read(number: int) -> None:
        pixels[number] = _read(files[number], frame, error)

    with ExitStack() as stack:
        stack.enter_context(WITHOUT_WARNINGS)
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


def read_indices(file: Path, error: type[LegoError]) -> NDArray[np.uint8]:
    """Return the values of an image file of one channel as they are, those of a palette as their numbers.

    Raises:
        error: it is no image, cannot be read, or has more channels or more than 8 bits.
        DependencyError: Pillow is not installed.
    """
    with opened_image(file, error) as image:
        if image.mode not in ("1", "L", "P"):
            raise error(f"{file} is a picture of colours ({image.mode}); a mask has one channel, of class numbers")
        return np.asarray(image).astype(np.uint8)


def fit_array(picture: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Give a decoded picture the size and channels that a file's picture would get.

    Args:
        picture: pixels, shape (height, width, channels), with 1 (gray), 3 (RGB) or 4 (RGBA) channels.
        frame: what it is brought to.
    """
    return _fit(_decoded(picture), frame)


def _fit(image: Any, frame: Frame) -> NDArray[np.uint8]:
    from PIL.Image import Resampling

    height, width, channels = frame.shape
    picture, size = (image.height, image.width), (height, width)
    inner_height, inner_width = inside(picture, size) if frame.fit == "letterbox" else size
    left, top = cut_away(picture, size) if frame.fit == "crop" else (0.0, 0.0)
    if "transparency" in image.info:  # otherwise Pillow would look for that colour among the converted ones
        image = image.convert("RGBA")
    if image.mode != _MODES[channels]:  # otherwise that would be a copy
        image = image.convert(_MODES[channels])
    small = []
    for name in image.getbands():
        # Each band is resized on its own, since Pillow weighs the colours of a whole RGBA picture by their opacity; and
        # one axis at a time, since Pillow's versions differ in which axis comes first, and so in rounding. One after
        # the other, they take little beside a large picture.
        band = image.getchannel(name)
        columns, rows = (left, 0, band.width - left, band.height), (0, top, inner_width, band.height - top)
        narrow = band.resize((inner_width, band.height), Resampling.BILINEAR, columns)
        small.append(np.asarray(narrow.resize((inner_width, inner_height), Resampling.BILINEAR, rows)))
    pixels = np.full(frame.shape, frame.fill, np.uint8)
    above, before = (height - inner_height) // 2, (width - inner_width) // 2
    pixels[above : above + inner_height, before : before + inner_width] = np.stack(small, axis=-1)
    return pixels


def _read(picture: Any, frame: Frame, error: type[LegoError]) -> NDArray[np.uint8]:
    """Return the pixels of a cutout, or of a picture of any kind that `load` takes."""
    from PIL import Image, UnidentifiedImageError

    picture, box = (picture.file, picture.box) if isinstance(picture, Cutout) else (picture, None)
    try:
        if not isinstance(picture, str | Path | bytes):
            return _fit(_upright(_decoded(picture)), frame)
        if not isinstance(picture, bytes) and not Path(picture).is_file():  # opening a pipe would wait for a writer
            raise ValueError("it is no regular file" if os.path.lexists(picture) else "there is no such file")
        size = len(picture) if isinstance(picture, bytes) else Path(picture).stat().st_size
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS) as image:
            if problem := pixels_problem(image, size):
                raise ValueError(problem)
            if box is None:  # whose places are told in pixels of the whole picture
                decode_smaller(image, frame.shape)
            if (upright := _upright(image)) is not image:
                image.close()  # its pixels are in the other one
            return _fit(_cut(upright, box) if box else upright, frame)
    except UnidentifiedImageError:
        reason = f"it is none of {', '.join(FORMATS)}"
    except Exception as e:  # decoders of damaged files raise anything
        reason = " ".join(str(e).split()) or type(e).__name__
    kind = "these bytes" if isinstance(picture, bytes) else f"this {type(picture).__name__}"
    name = picture if isinstance(picture, str | Path) else kind
    raise error(f"cannot read {name} as an image ({reason:.200}); replace or remove it")


def _decoded(picture: Any) -> Any:
    """Return a picture of Pillow's with the pixels of an array; a picture of Pillow's stays as it is."""
    from PIL import Image

    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise ValueError(f"it has {picture.width} x {picture.height} pixels")
        return picture
    if not isinstance(picture, np.ndarray) or is_masked(picture):
        raise TypeError("give a path, bytes, an array that is not masked, or a picture of Pillow's")
    if picture.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"its elements are {picture.dtype}; pixels are uint8, 0 to 255, or uint16")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in _MODES) or not picture.size:
        raise ValueError(f"its shape is {picture.shape}, not (height, width) or (height, width, 1, 3 or 4)")
    pixels = picture if picture.dtype == np.uint8 else (picture >> 8).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _upright(image: Any) -> Any:
    """Return a picture with values from 0 to 255, turned as its EXIF orientation says."""
    from PIL import Image

    turn = UPRIGHT.get(image.getexif().get(ORIENTATION))
    small = _eight_bits(image)
    return small.transpose(Image.Transpose[turn]) if turn else small


def _cut(image: Any, box: tuple[int, int, int, int]) -> Any:
    """Return a part of a picture, black where it is outside."""
    if image.mode == "P":  # whose values are numbers of colours, and 0 can be any
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.crop(box)


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
