"""Scores that are added up image by image are those of the offline stage's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.errors import InputError
from legodnn.runtime.feeds.scores import score_for

pytest.importorskip("keras")

import keras

from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import heads_of
from tests.blocks.accuracy.named_metrics import mean_iou, r2, top1

RNG = np.random.default_rng(7)


def scored(outputs: np.ndarray, labels: np.ndarray, *metric: str) -> float:
    score = score_for(outputs[0], labels, "data", *metric)
    for output, label in zip(outputs, labels, strict=True):
        score.add(output, label)
    return score.value()


@pytest.mark.parametrize("seed", range(5))
def test_they_are_the_metrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, classes = rng.normal(size=(20, 5)).astype(np.float32), rng.integers(0, 5, 20)
    assert scored(scores, classes) == pytest.approx(top1([scores], classes))
    maps, regions = rng.normal(size=(6, 4, 3, 5)).astype(np.float32), rng.integers(-1, 7, (6, 4, 3))
    assert scored(maps, regions) == pytest.approx(mean_iou([maps], regions))
    assert scored(maps, regions[..., None]) == pytest.approx(mean_iou([maps], regions))
    assert scored(maps, regions, "top1") == pytest.approx(top1([maps], regions))
    assert scored(maps, regions, "top1") == (maps.argmax(axis=-1) == regions)[(regions >= 0) & (regions < 5)].mean()
    numbers = scores + rng.normal(size=scores.shape)
    assert scored(scores, numbers) == pytest.approx(r2([scores], numbers))
    assert scored(scores[:, :1], numbers[:, 0]) == pytest.approx(r2([scores[:, :1]], numbers[:, :1]))


@pytest.mark.parametrize(("yes", "void"), [(1, 255), (255, 255), (1, 1)])
def test_masks_of_one_channel_are_two_classes(yes: int, void: int) -> None:
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(6, 5, 4, 1)).astype(np.float32)
    truth = rng.choice(np.array([0, yes, void]), (6, 5, 4))
    counted = truth != void if void != yes else np.ones_like(truth, bool)
    sure = np.concatenate([1 - masks, masks], axis=-1)
    expected = mean_iou([sure], np.where(counted, truth == yes, -1))
    assert scored(masks, truth) == scored(masks, truth[..., None]) == pytest.approx(expected)
    assert scored(20 * (masks - 0.5), truth) == pytest.approx(expected)  # logits
    assert scored(np.full_like(masks, 0.9), truth) < 0.5


def test_one_output_has_a_threshold() -> None:
    yes = np.array([0, 0, 1, 1])
    assert scored(np.array([[0.1], [0.6], [0.7], [0.9]], np.float32), yes) == 0.75
    assert scored(np.array([[-2], [-0.1], [0.2], [3]], np.float32), yes[:, None]) == 1


@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((6,), RNG.integers(0, 2, (12, 6))),  # tags
        ((5,), np.eye(5, dtype=np.int64)[RNG.integers(0, 5, 12)]),
        ((5,), np.eye(5, dtype=np.float32)[RNG.integers(0, 5, 12)]),
        ((5,), 0.9 * np.eye(5)[RNG.integers(0, 5, 12)] + 0.02),  # smoothed
        ((5,), RNG.integers(0, 5, 12).astype(np.float32)),
        ((1,), RNG.integers(0, 2, 12).astype(np.float32)),
        ((1,), RNG.uniform(0, 1, 12)),
        ((7, 4), RNG.integers(0, 4, (12, 7))),
        ((7, 1), RNG.integers(0, 2, (12, 7))),
        ((6, 4, 1), RNG.integers(0, 2, (12, 6, 4)).astype(np.float32)),
        ((6, 4, 1), RNG.integers(-1, 2, (12, 6, 4, 1))),  # some places are void
        ((6, 4, 3), RNG.integers(0, 2, (12, 6, 4, 3))),
        ((6, 4, 3), np.eye(3, dtype=np.int64)[RNG.integers(0, 3, (12, 6, 4))]),
        ((6, 4, 3), RNG.uniform(0, 1, (12, 6, 4, 3))),
    ],
)
def test_a_device_scores_labels_of_any_form_by_the_metric_of_a_build(shape: tuple[int, ...], labels: Any) -> None:
    inputs = keras.Input(shape)
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(inputs))
    x = np.random.default_rng(0).normal(size=(12, *shape)).astype(np.float32)
    split = Split(x, labels)
    heads = heads_of(model, Dataset("data", (), split, split, split))
    outputs = np.asarray(model(x))
    assert score_for(outputs[0], labels, "data").metric == heads[0].measure
    assert scored(outputs, labels) == pytest.approx(metric_of(None, split, heads)([outputs], labels))


def test_the_metric_of_a_store_decides_where_labels_can_be_read_in_several_ways() -> None:
    scores, one_hot = RNG.uniform(size=(12, 8)).astype(np.float32), np.eye(8)[RNG.integers(0, 8, 12)]
    for metric in ("top1", "top5", "binary_accuracy", "r2"):
        assert score_for(scores[0], one_hot, "data", metric).metric == metric
    assert scored(scores, one_hot, "binary_accuracy") == ((scores > 0.5) == one_hot).mean()
    assert score_for(scores[0], one_hot, "data", "a metric of one's own").metric == "top1"
    assert score_for(scores[0], RNG.normal(size=(12, 8)), "data", "top1").metric == "r2"


@pytest.mark.parametrize("labels", [np.zeros((4, 3)), np.zeros((4, 2, 2), int), np.full(4, 0.5)])
def test_what_does_not_go_together_has_no_score(labels: Any) -> None:
    with pytest.raises(InputError, match="each label of data has shape"):
        score_for(np.zeros(5, np.float32), labels, "data")


def test_class_numbers_that_no_output_has_are_refused() -> None:
    scores = np.zeros((3, 5), np.float32)
    for labels in ([1, 2, 5], [-1, 0, 1]):
        with pytest.raises(InputError, match=r"labels of data run from .* the model has 5 classes, numbered from 0"):
            scored(scores, np.array(labels))
    assert scored(scores, np.array([0, 4, 0])) == pytest.approx(2 / 3)
