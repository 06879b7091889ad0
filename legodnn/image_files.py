"""Files with images: what kinds of them are read, and what their heads say, before any pixel is decoded.

This needs Pillow. How pictures become what a model takes is told by `legodnn.images`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
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
# A JPEG file of several scans, as progressive ones are, is held as a whole while it is decoded, at whatever size: two
# bytes for each value, of pixels that fill up to four blocks of 8 x 8 at the right and at the bottom.
_HELD_BYTES, _FILLED = 2, 31
# How many times as large as wanted, each way, a picture stays that is decoded at less than its size.
_SPARE = 2
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
    """Open an image file without reading its pixels; what its decoder raises then, or later on, becomes the error."""
    check_pillow()
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            yield image
    except LegoError:
        raise
    except Exception as e:  # decoders of damaged files raise anything
        reason = " ".join(str(e).split()) or type(e).__name__
        raise error(f"cannot read {file} as an image ({reason:.200}); replace or remove it") from None


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


def decode_smaller(image: PIL.Image.Image, shape: Sequence[int]) -> None:
    """Have a JPEG file of more than 16 million pixels decoded at a half, a quarter or an eighth of its size.

    That takes a fraction of the memory and of the time. It is done where the picture stays twice as large as wanted, so
    that its pixels, resized, differ by less than one level of 255 on average. `image.size` is the smaller size then.

    Args:
        image: one that was opened, and not decoded yet.
        shape: what it will be resized to: height and width, which its EXIF orientation may exchange.
    """
    if image.format in ("JPEG", "MPO") and image.width * image.height > _SMALL:  # MPO: a JPEG file with more behind it
        side = _SPARE * max(shape[:2])
        image.draft(None, (side, side))  # no mode: it is not converted


def decoding_bytes(content: bytes, shape: Sequence[int]) -> int:
    """Return the most memory that it takes to read an image for a model, by what the head of its file says.

    Args:
        content: the file's. Of what `legodnn.images.load` refuses by its head, such as what is no image, it is 0.
        shape: height and width of the model's input.

    Raises:
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    from PIL import Image

    try:
        with WITHOUT_WARNINGS, Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if pixels_problem(image, len(content)):
                return 0
            full, held = image.size, 0
            decode_smaller(image, shape)
            if image.size != full and not _is_one_scan(image, content):
                width, height = full
                held = _HELD_BYTES * len(image.getbands()) * (width + _FILLED) * (height + _FILLED)
            each = _WEBP_DECODING_BYTES if image.format == "WEBP" else _DECODING_BYTES
            return int(held + image.width * image.height * each)
    except Exception:  # decoders of damaged files raise anything
        return 0


def _is_one_scan(image: PIL.Image.Image, content: bytes) -> bool:
    """Return whether the first scan of a JPEG file, whose head Pillow has read, holds all channels for good.

    Where that cannot be told it is False.
    """
    channels = len(image.getbands())
    head = content[: image.fp.tell()] if image.fp else b""  # as far as the scan's own head, which tells its channels
    scan = bytes((0xFF, 0xDA, 0, 6 + 2 * channels, channels))
    return "progressive" not in image.info and head[-2 * channels - 8 :].startswith(scan)
