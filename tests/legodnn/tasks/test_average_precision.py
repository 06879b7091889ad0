"""Mean average precision is what pycocotools gives, and what a small case worked out by hand gives."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from legodnn.tasks.anchor_boxes import FoundBoxes
from legodnn.tasks.average_precision import OVERLAPS, mean_average_precision


def random_case(seed: int) -> tuple[list[FoundBoxes], list[np.ndarray]]:
    """True boxes, and boxes found near them or anywhere, with equal scores among them."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(int(rng.integers(1, 9))):
        count = int(rng.integers(0, 6))
        corner = rng.uniform(0, 80, (count, 2))
        true_boxes = np.concatenate([corner, corner + rng.uniform(4, 60, (count, 2))], axis=1)
        true_classes = rng.integers(0, 3, count)
        near = true_boxes[rng.integers(0, count, int(rng.integers(0, 14)))] if count else np.empty((0, 4))
        near = near + rng.normal(0, 4, near.shape)
        stray = rng.uniform(0, 50, (int(rng.integers(0, 4)), 2))
        boxes = np.concatenate([near, np.concatenate([stray, stray + rng.uniform(4, 60, stray.shape)], axis=1)])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = np.round(rng.random(len(boxes)), int(rng.integers(1, 4)))
        found.append(FoundBoxes(boxes, scores, rng.integers(0, 4, len(boxes))))
        truth.append(np.concatenate([true_boxes, true_classes[:, None]], axis=1))
    return found, truth


def by_pycocotools(found: list[FoundBoxes], truth: list[np.ndarray]) -> tuple[float, float]:
    """The mean average precision, and that at an overlap of .5, by COCO's own code."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")

    def sides(box: np.ndarray) -> list[float]:
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]

    true_boxes = [(i, box) for i, boxes in enumerate(truth) for box in boxes]
    annotations = [
        {"id": n, "image_id": i, "category_id": int(box[4]), "bbox": sides(box), "iscrowd": 0,
         "area": (box[2] - box[0]) * (box[3] - box[1])}
        for n, (i, box) in enumerate(true_boxes, start=1)
    ]  # fmt: skip
    results = [
        {"image_id": i, "category_id": int(label), "bbox": sides(box), "score": float(score)}
        for i, boxes in enumerate(found)
        for box, score, label in zip(*boxes, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "images": [{"id": i} for i in range(len(truth))],
            "categories": [{"id": n} for n in range(4)],
            "annotations": annotations,
            "info": {},
        }
        data.createIndex()
        evaluation = cocoeval.COCOeval(data, data.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(25))
def test_it_is_what_pycocotools_gives(seed: int) -> None:
    found, truth = random_case(seed)
    if not sum(map(len, truth)) or not sum(len(boxes.scores) for boxes in found):
        pytest.skip("nothing is found, or there is nothing to be found, of which pycocotools makes an error")
    every, half = by_pycocotools(found, truth)
    assert mean_average_precision(found, truth) == pytest.approx(every, abs=1e-9)
    assert mean_average_precision(found, truth, OVERLAPS[:1]) == pytest.approx(half, abs=1e-9)


def test_a_case_by_hand() -> None:
    truth = [np.array([[0.0, 0, 10, 10, 0], [20, 0, 30, 10, 0]])]
    right, wrong, second = [0.0, 0, 10, 10], [50.0, 50, 60, 60], [20.0, 0, 30, 10]
    found = [FoundBoxes(np.array([right, wrong, second]), np.array([0.9, 0.8, 0.7]), np.zeros(3, np.intp))]
    # Recall .5 at precision 1, then recall 1 at 2/3: 51 of the 101 recalls are at most .5.
    assert mean_average_precision(found, truth) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert mean_average_precision([FoundBoxes(np.empty((0, 4)), np.empty(0), np.empty(0, np.intp))], truth) == 0
    assert mean_average_precision(found, [np.empty((0, 5))]) == 0
