"""Mean average precision of boxes, as COCO defines it; it is what pycocotools gives for boxes of which none is a crowd.

For every class and overlap (intersection over union .5, .55, ... .95), boxes of all pictures are taken from the highest
score on. One is right if it overlaps a true box of its class, which no earlier one took, by so much. Average precision
is the mean, over recalls of 0, .01, ... 1, of the best precision at that recall or above; the metric is its mean over
classes that occur and over overlaps. (Lin et al., Microsoft COCO: Common Objects in Context, 2014.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legodnn.arrays import Floats, Mask
from legodnn.tasks.anchor_boxes import FoundBoxes
from legodnn.tasks.boxes import overlaps

OVERLAPS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST_OF_CLASS = 100  # boxes of a class in a picture, those with the highest scores


def mean_average_precision(
    found: Sequence[FoundBoxes], truth: Sequence[Floats], least_overlaps: Floats = OVERLAPS
) -> float:
    """Return the mean average precision; 0 if there is no true box at all.

    Args:
        found: the boxes found in each picture.
        truth: the true boxes of each picture, shape (n, 5): left, top, right, bottom and class number.
        least_overlaps: the overlaps over which it is averaged; `OVERLAPS[:1]` for the AP50 of Pascal VOC and others.
    """
    classes = np.unique(np.concatenate([boxes[:, 4] for boxes in truth])) if truth else np.empty(0)
    parts = [_average_precisions(found, truth, int(label), least_overlaps) for label in classes]
    return float(np.mean(parts)) if parts else 0.0


def _average_precisions(
    found: Sequence[FoundBoxes], truth: Sequence[Floats], label: int, least_overlaps: Floats
) -> Floats:
    """Return the average precision of one class for each overlap, shape (overlaps,)."""
    scores, right, count = [np.empty(0)], [np.empty((len(least_overlaps), 0), bool)], 0
    for boxes, of_picture in zip(found, truth, strict=True):
        true_boxes = of_picture[of_picture[:, 4] == label, :4]
        mine = np.flatnonzero(boxes.classes == label)
        if not (len(mine) or len(true_boxes)):
            continue  # most classes are in few pictures
        mine = mine[np.argsort(-boxes.scores[mine], kind="stable")][:_MOST_OF_CLASS]
        scores.append(boxes.scores[mine])
        right.append(_matched(overlaps(boxes.boxes[mine], true_boxes), least_overlaps))
        count += len(true_boxes)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hits = np.concatenate(right, axis=1)[:, order].cumsum(axis=1)
    precision = hits / (np.arange(len(order)) + 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.array([_at_recalls(row / count, best[i]) for i, row in enumerate(hits)])


def _matched(overlap: Floats, least_overlaps: Floats) -> Mask:
    """Return which boxes found are right, shape (overlaps, found).

    Args:
        overlap: of every box found, from the highest score on, with every true box.
        least_overlaps: what counts as right.
    """
    right = np.zeros((len(least_overlaps), len(overlap)), bool)
    for i, least in enumerate(least_overlaps):
        free = np.ones(overlap.shape[1], bool)
        for j, row in enumerate(overlap):
            candidates = np.flatnonzero(free & (row >= least))
            if candidates.size:
                best = candidates[::-1][row[candidates[::-1]].argmax()]  # the last of equal ones, as in pycocotools
                free[best], right[i, j] = False, True
    return right


def _at_recalls(recall: Floats, precision: Floats) -> float:
    """Return the mean of the precisions at `_RECALLS`; 0 where a recall is not reached."""
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())
