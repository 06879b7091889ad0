"""Boxes in pictures: their overlaps, and which of them are left where several are around the same object."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Floats, Indices


def overlaps(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of every box with every other, shape (n, m); 0 where both are empty.

    Args:
        first: left, top, right and bottom of each box, shape (n, 4).
        second: the same, shape (m, 4).
    """
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.maximum(opposite - corner, 0).prod(axis=-1)
    union = areas(first)[:, None] + areas(second)[None, :] - both
    shares: Floats = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares


def areas(boxes: Floats) -> Floats:
    """Return the area of each box, shape (n,)."""
    products: Floats = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=-1)
    return products


def suppress(boxes: Floats, scores: Floats, classes: Indices, most_overlap: float) -> Indices:
    """Return the numbers of the boxes that non-maximum suppression leaves, those with the highest scores first.

    Boxes are taken from the highest score on; one that overlaps another of its class that was taken by more than
    `most_overlap` is left out. Boxes of equal scores are taken in their order.

    Args:
        boxes: shape (n, 4), see `overlaps`.
        scores: shape (n,).
        classes: the class of each, shape (n,).
        most_overlap: intersection over union, 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        near = overlaps(boxes[best : best + 1], boxes[order])[0] > most_overlap
        order = order[~(near & (classes[order] == classes[best]))]
    return np.array(kept, np.intp)


def box_problem(box: Floats, height: float, width: float) -> str | None:
    """Return what is wrong with a box (left, top, right, bottom) in a picture; None if nothing is."""
    left, top, right, bottom = (float(side) for side in box)
    told = f"the box ({left:g}, {top:g}, {right:g}, {bottom:g})"
    if not (left < right and top < bottom):
        return f"{told} is empty: left, top, right, bottom must increase"
    # Rounding may move a side by a little beyond the picture.
    if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
        return f"{told} is outside of the image's {width:g} x {height:g}"
    return None
