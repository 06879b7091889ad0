"""Pictures with what was found drawn into them: boxes, areas, key points with their limbs, classes and scores.

This needs Pillow.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from legodnn.image_files import check_pillow
from legodnn.printable import printable
from legodnn.tasks.decoding import Decoded, FoundAnomaly, FoundAreas, FoundBox, FoundClass, FoundPoint

if TYPE_CHECKING:
    import PIL.Image

_GOLDEN = 0.61803  # of a turn: hues of neighbouring classes are far apart
_VEIL = 0.5  # how much of a picture the colour of an area covers
_LEAST_SIDE = 320  # pixels; smaller pictures are enlarged by a whole number, so that text can be read
_INK, _PAPER = (255, 255, 255), (0, 0, 0)
_LINE = 16  # height of a line of text, in pixels


def draw(picture: NDArray[np.uint8], found: Decoded, limbs: Sequence[tuple[int, int]] = ()) -> PIL.Image.Image:
    """Return a picture with what was found drawn into it.

    Args:
        picture: pixels, shape (height, width, 1, 3 or 4).
        found: with places in pixels of this picture; areas may be of any size, and are stretched to it.
        limbs: pairs of numbers of key points that lines join.

    Raises:
        DependencyError: Pillow is not installed.
    """
    check_pillow()
    from PIL import Image, ImageDraw

    factor = max(1, -(-_LEAST_SIDE // min(picture.shape[:2])))
    height, width = picture.shape[0] * factor, picture.shape[1] * factor
    colours = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[..., :3]
    image = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)
    if isinstance(found, FoundAreas):
        image = _with_areas(image, found)
    pen = ImageDraw.Draw(image)
    if isinstance(found, FoundAreas):
        _write(pen, [(found.labels[n], colour_of(n)) for n in sorted(found.labels)])
    elif isinstance(found, FoundAnomaly):
        word = {None: "score", True: "anomaly", False: "normal"}[found.anomaly]
        _write(pen, [(f"{word} {found.score:.4g}", _INK)])
    elif points := [each for each in found if isinstance(each, FoundPoint)]:
        _draw_points(pen, points, factor, limbs)
    elif boxes := [each for each in found if isinstance(each, FoundBox)]:
        for box in reversed(boxes):  # the best ones last, on top
            _draw_box(pen, box, factor)
    else:
        _write(pen, [(f"{c.label} {c.score:.2f}", _INK) for c in found if isinstance(c, FoundClass)])
    return image


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a class or key point, red, green and blue from 0 to 255; it depends on the number alone."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _with_areas(image: Any, found: FoundAreas) -> Any:
    """Return an image under a veil of the classes' colours."""
    from PIL import Image

    palette = np.zeros((max(found.labels) + 1, 3), np.uint8)
    for number in found.labels:
        palette[number] = colour_of(number)
    veil = Image.fromarray(palette[found.classes]).resize(image.size, Image.Resampling.NEAREST)
    return Image.blend(image, veil, _VEIL)


def _draw_box(pen: Any, box: FoundBox, factor: int) -> None:
    left, top, right, bottom = (factor * side for side in (box.left, box.top, box.right, box.bottom))
    pen.rectangle([left, top, right, bottom], outline=colour_of(box.number), width=2)
    text = _one_line(f"{box.label} {box.score:.2f}")
    y = max(0.0, top - _LINE)
    pen.rectangle([left, y, left + pen.textlength(text) + 4, y + _LINE], fill=_PAPER)
    pen.text((left + 2, y + 2), text, fill=colour_of(box.number))


def _draw_points(pen: Any, points: Sequence[FoundPoint], factor: int, limbs: Sequence[tuple[int, int]]) -> None:
    places = [(factor * point.x, factor * point.y) for point in points]
    for start, end in limbs:
        pen.line([places[start], places[end]], fill=_INK, width=2)
    for number, (x, y) in enumerate(places):
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour_of(number), outline=_PAPER)


def _write(pen: Any, lines: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    """Write lines of text at the top left, each in its colour, on dark paper."""
    for row, (line, colour) in enumerate(lines):
        text, y = _one_line(line), row * _LINE
        pen.rectangle([0, y, pen.textlength(text) + 6, y + _LINE], fill=_PAPER)
        pen.text((3, y + 2), text, fill=colour)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
