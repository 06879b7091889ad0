"""Files with images: what kinds of them are read, and what their heads say, before any pixel is decoded.

This needs Pillow. How pictures become what a model takes is told by `legodnn.images`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.errors import DependencyError, LegoError
from legodnn.shared_scope import WITHOUT_WARNINGS

if TYPE_CHECKING:
    import PIL.Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
# A small file can be made to decode to an image that takes all memory. So an image has at most 100 million pixels, ten
# times as many as a photo, and above 16 million, more than a screen shows, at most 200 for each byte of its file, where
# photos have some twenty.
_MOST_PIXELS, _SMALL, _MOST_FOR_A_BYTE = 100_000_000, 16_000_000, 200
# What reading an image takes for each of its pixels, at most: decoded, turned upright, and with other channels. Of 24
# files of 12 million pixels, WebP took 16 to 19.1 bytes, since its decoder holds two pictures of its own; a progressive
# JPEG file of four channels 12.1, the others 2 to 11.9, most JPEG files 6.
_DECODING_BYTES, _WEBP_DECODING_BYTES = 13, 20
# How to turn a picture of each EXIF orientation upright, as names of `PIL.Image.Transpose`.
UPRIGHT = dict(
    enumerate(
        ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"), 2
    )
)
ORIENTATION = 0x0112


def check_pillow() -> None:
    """Raise DependencyError unless Pillow is installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as e:
        raise DependencyError(f"reading images needs Pillow ({e}); pip install 'legodnn[images]'") from None


@contextmanager
def opened_image(file: Path, error: type[LegoError]) -> Iterator[Any]:
    """Open an image file without reading its pixels."""
    check_pillow()
    from PIL import Image

    try:
        image = Image.open(file, formats=FORMATS)
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        raise error(f"cannot read {file} as an image ({e!s:.200}); replace or remove it") from None
    with image:
        yield image


def picture_size(file: Path, error: type[LegoError]) -> tuple[int, int]:
    """Return height and width of an image file's picture, turned as its EXIF orientation says.

    Raises:
        error: it is no image, or cannot be read.
        DependencyError: Pillow is not installed.
    """
    with opened_image(file, error) as image:
        turned = UPRIGHT.get(image.getexif().get(ORIENTATION), "")
        across = any(word in turned for word in ("90", "270", "TRANS"))
        return (image.width, image.height) if across else (image.height, image.width)


def pixels_problem(image: PIL.Image.Image, file_bytes: int) -> str | None:
    """Return why an image that was opened has too many pixels for a file of so many bytes; None if it has not."""
    pixels = image.width * image.height
    if pixels > _MOST_PIXELS:
        return f"its {image.width} x {image.height} pixels are more than {_MOST_PIXELS:,}"
    if pixels > max(_SMALL, _MOST_FOR_A_BYTE * file_bytes):
        return f"its {image.width} x {image.height} pixels cannot be in {file_bytes:,} bytes"
    return None


def decoding_bytes(content: bytes) -> int:
    """Return the most memory that it takes to read an image for a model, by what the head of its file says.

    Args:
        content: the file's. Of what `legodnn.images.load` refuses by its head, such as what is no image, it is 0.

    Raises:
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    from PIL import Image

    try:
        with WITHOUT_WARNINGS, Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if pixels_problem(image, len(content)):
                return 0
            each = _WEBP_DECODING_BYTES if image.format == "WEBP" else _DECODING_BYTES
            return int(image.width * image.height * each)
    except Exception:  # decoders of damaged files raise anything
        return 0
