"""Metrics say how good outputs are, by labels or by another model's outputs, and fit every usual output and label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.accuracy.metrics import Metric, distilled_heads, labels_tell_heads, metric_of
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head
from legodnn.errors import DataError
from legodnn.readings import Anomaly, ClassScores
from tests.blocks.accuracy.named_metrics import binary_accuracy, mean_iou, metric_by, r2, top1, top5

NAMED = {"top1": top1, "top5": top5, "binary_accuracy": binary_accuracy, "mean_iou": mean_iou, "r2": r2}


def metric_for(name: str | None, data: Dataset, model: keras.Model, classifier: bool = False) -> Metric:
    """The metric as a build finds it."""
    return metric_of(name, data.val, distilled_heads(name, data, model, classifier))


def scores(classes: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[classes]


def test_top1_is_the_share_of_right_labels() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    labels = np.array([1, 0, 0, 1])
    assert top1([outputs], labels) == 0.5
    assert top1([outputs], labels[:, None]) == 0.5
    assert top1([outputs], scores(labels, 2)) == 0.5


def test_top5_counts_labels_among_the_five_largest_scores() -> None:
    outputs = np.array([[6, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1, 1]], np.float32)
    assert top5([outputs], np.array([4, 2, 4])) == 1
    assert top5([outputs], np.array([5, 1, 5])) == 0, "of equal scores those of lower numbers are larger"
    assert top5([outputs], scores(np.array([4, 1, 0]), 7)) == pytest.approx(2 / 3)
    assert top5([np.stack([outputs, outputs])], np.array([[0, 6, 1], [0, 0, 1]])) == pytest.approx(5 / 6)


def test_void_places_are_neither_right_nor_wrong() -> None:
    found = np.array([[0, 0, 1], [1, 1, 2]])
    truth = np.array([[0, 6, 1], [1, 255, -1]])
    assert top1([scores(found, 7)], truth) == top5([scores(found, 7)], truth[..., None]) == 3 / 4
    assert top1([scores(found, 7)], np.full_like(truth, -1)) == 0


def test_binary_accuracy_is_the_share_of_right_answers() -> None:
    probabilities = np.array([[0.9], [0.4], [0.6], [0.1]], np.float32)
    labels = np.array([1, 1, 0, 0])
    assert binary_accuracy([probabilities], labels) == 0.5
    assert binary_accuracy([probabilities], labels[:, None]) == 0.5
    logits = np.array([[3.0], [0.1], [-1], [-2]], np.float32)
    assert metric_by(Head("binary", "binary_accuracy", "linear"))([logits], labels) == 1


def test_mean_iou_is_the_mean_over_classes_that_occur_without_void() -> None:
    found = np.array([[0, 0, 1], [1, 1, 2]])
    truth = np.array([[0, 1, 1], [1, 9, -1]])  # 9 and -1 are void
    assert mean_iou([scores(found, 4)], truth) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_r2_is_1_for_equal_outputs_and_0_for_their_mean() -> None:
    y = np.random.default_rng(0).normal([0, 50, 2, 3, 9], 3, (40, 5)).astype(np.float32)
    constant = np.broadcast_to(y.mean(axis=0), y.shape)
    assert r2([y], y) == 1
    assert r2([constant], [y]) == pytest.approx(0, abs=1e-5)
    assert r2([y, constant], [y, y]) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", list(NAMED))
@given(seed=st.integers(0, 1000))
def test_a_model_agrees_entirely_with_its_own_outputs(name: str, seed: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=(6, 4, 3)).astype(np.float32)
    if name == "binary_accuracy":
        outputs = (outputs > 0).astype(np.float32)
    assert NAMED[name]([outputs], [outputs]) == 1


@pytest.mark.parametrize("name", list(NAMED))
def test_labels_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"labels of shape .*\(7,\)"):
        NAMED[name]([np.zeros((6, 4), np.float32)], np.zeros(7, np.int64))


N = 200
RNG = np.random.default_rng(0)
YES, CLASS = RNG.integers(0, 2, N), RNG.integers(0, 5, N)
MASK, PLACES = RNG.integers(0, 2, (N, 8, 8)), RNG.integers(0, 3, (N, 8, 8))
AGE, BOX, TAGS = RNG.integers(1, 90, N), RNG.normal([0, 0, 0, 9], 1, (N, 4)), RNG.integers(0, 2, (N, 4))
VOID = np.where(RNG.random(MASK.shape) < 0.2, 255, MASK)
ANSWER, ONE, LOGIT = YES[:, None] * 1.0, scores(CLASS, 5), YES[:, None] * 8.0 - 4


def vector(columns: int, activation: str | None = None) -> Any:
    return lambda x: layers.Dense(columns, activation)(layers.GlobalAveragePooling2D()(x))


def map_of(channels: int, activation: str | None = None) -> Any:
    return lambda x: layers.Conv2D(channels, 1, activation=activation)(x)


# name: head, labels, the metric, outputs that are right, and outputs that are useless
CASES: dict[str, tuple[Any, Any, str, np.ndarray, np.ndarray]] = {
    "sigmoid (n,)": (vector(1, "sigmoid"), YES, "binary_accuracy", ANSWER, 0 * ANSWER + 0.9),
    "sigmoid (n,1)": (vector(1, "sigmoid"), YES[:, None], "binary_accuracy", ANSWER, 0 * ANSWER + 0.9),
    "sigmoid float (n,)": (vector(1, "sigmoid"), YES * 1.0, "binary_accuracy", ANSWER, 0 * ANSWER + 0.9),
    "sigmoid bool (n,)": (vector(1, "sigmoid"), YES > 0, "binary_accuracy", ANSWER, 0 * ANSWER + 0.9),
    "sigmoid, no labels": (vector(1, "sigmoid"), None, "binary_accuracy", ANSWER, 0 * ANSWER + 0.9),
    "logit (n,)": (vector(1), YES, "binary_accuracy", LOGIT, 0 * LOGIT + 3),
    "age int": (vector(1), AGE, "r2", AGE[:, None] * 1.0, 0 * AGE[:, None] + 7.0),
    "age float": (vector(1), AGE * 1.0, "r2", AGE[:, None] * 1.0, 0 * AGE[:, None] + 7.0),
    "age, no labels": (vector(1), None, "r2", AGE[:, None] * 1.0, 0 * AGE[:, None] + 7.0),
    "box": (vector(4), BOX, "r2", BOX, np.tile(BOX.mean(axis=0), (N, 1))),
    "box, no labels": (vector(4), None, "r2", BOX, np.tile([0, 0, 0, 1.0], (N, 1))),
    "tags": (vector(4, "sigmoid"), TAGS, "binary_accuracy", TAGS * 1.0, 0 * TAGS + 0.9),
    "mask (n,h,w)": (map_of(1, "sigmoid"), MASK, "mean_iou", MASK[..., None] * 1.0, 0 * MASK[..., None] + 0.9),
    "mask (n,h,w,1)": (map_of(1, "sigmoid"), MASK[..., None], "mean_iou", MASK[..., None] * 1.0, 0 * MASK[..., None]),
    "mask 0/255": (map_of(1, "sigmoid"), MASK * 255, "mean_iou", MASK[..., None] * 1.0, 0 * MASK[..., None] + 0.9),
    "mask with void": (map_of(1, "sigmoid"), VOID, "mean_iou", MASK[..., None] * 1.0, 0 * MASK[..., None] + 0.9),
    "mask of logits": (map_of(1), MASK, "mean_iou", MASK[..., None] * 8.0 - 4, 0 * MASK[..., None] + 3.0),
    "mask, no labels": (map_of(1, "sigmoid"), None, "mean_iou", MASK[..., None] * 1.0, 0 * MASK[..., None] + 0.9),
    "places": (map_of(3), PLACES, "mean_iou", scores(PLACES, 3), 0 * scores(PLACES, 3)),
    "places (n,h,w,1)": (map_of(3), PLACES[..., None], "mean_iou", scores(PLACES, 3), 0 * scores(PLACES, 3)),
    "places, one-hot": (map_of(3), scores(PLACES, 3), "mean_iou", scores(PLACES, 3), 0 * scores(PLACES, 3)),
    "places, no labels": (map_of(3, "softmax"), None, "mean_iou", scores(PLACES, 3), 0 * scores(PLACES, 3)),
    "classes (n,)": (vector(5), CLASS, "top1", ONE, 0 * ONE),
    "classes (n,1)": (vector(5), CLASS[:, None], "top1", ONE, 0 * ONE),
    "classes float": (vector(5), CLASS * 1.0, "top1", ONE, 0 * ONE),
    "classes one-hot": (vector(5), ONE, "top1", ONE * 5, 0 * ONE),
    "classes smoothed": (vector(5, "softmax"), 0.9 * ONE + 0.02, "top1", ONE, 0 * ONE),
    "classes, no labels": (vector(5, "softmax"), None, "top1", ONE, 0 * ONE),
}


def measured(metric: Any, outputs: Any, right: Any, labels: Any) -> float:
    return float(metric([np.asarray(outputs, np.float32)], [np.float32(right)] if labels is None else labels))


def dataset(labels: Any) -> Dataset:
    split = Split(np.zeros((N, 8, 8, 3), np.float32), labels)
    return Dataset("mine", (), split, split, split)


def model_of(*heads: Any) -> keras.Model:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, [head(image) for head in heads], name="net")


@pytest.mark.parametrize("case", list(CASES))
def test_every_usual_output_and_label_gets_a_metric_that_tells_right_from_useless(case: str) -> None:
    head, labels, name, right, useless = CASES[case]
    metric = metric_for(None, dataset(labels), model_of(head))
    assert metric.__name__ == name
    assert measured(metric, right, right, labels) == pytest.approx(1)
    assert measured(metric, useless, right, labels) < 0.65


def test_outputs_without_activation_are_classes_where_the_data_or_the_model_says_so() -> None:
    plain = dataset(None)
    named = Dataset("mine", tuple("abcde"), plain.train, plain.val, plain.test)
    assert metric_for(None, plain, model_of(vector(5))).__name__ == "r2"
    assert metric_for(None, named, model_of(vector(5))).__name__ == "top1"
    assert metric_for(None, plain, model_of(vector(5)), classifier=True).__name__ == "top1"
    assert metric_for("top1", plain, model_of(vector(5))).__name__ == "top1"


def test_every_output_of_several_counts() -> None:
    model = model_of(vector(5), vector(4))
    metric = metric_for(None, dataset((CLASS, BOX)), model)
    assert metric.__name__ == "top1, r2"
    constant = np.tile(BOX.mean(axis=0), (N, 1))
    assert metric([ONE, np.float32(BOX)], (CLASS, BOX)) == pytest.approx(1)
    assert metric([ONE, constant], (CLASS, BOX)) == pytest.approx(0.5)
    agreement = metric_for(None, dataset(None), model_of(vector(5, "softmax"), vector(4)))
    assert agreement([ONE, constant], [ONE, BOX]) == pytest.approx(0.5)
    with pytest.raises(DataError, match="net has 2 outputs, the labels are one array: give a tuple of labels"):
        metric_for(None, dataset(CLASS), model)


@pytest.mark.parametrize(
    ("head", "labels", "message"),
    [
        (vector(5), CLASS + 1, "mine, training images: labels run from 1 to 5, but net has 5 outputs"),
        (vector(5), CLASS + 0.5, "labels are float64 and not whole, but net gives scores of 5 classes"),
        (vector(5), np.zeros((N, 3)), r"labels of shape \(3,\) for each do not fit net, which gives \(5,\)"),
        (vector(1, "sigmoid"), YES + 1, "labels run from 1 to 2, but net gives values from 0 to 1: label 0 and 1"),
        (vector(1, "sigmoid"), YES * 2 - 1, "labels run from -1 to 1, but net gives values from 0 to 1"),
        (vector(1), np.where(YES, np.nan, 1.0), "labels hold NaN or infinity"),
        (vector(1), np.array(["cat", "dog"])[YES], "labels hold <U3, not numbers"),
        (map_of(3), CLASS, r"labels of shape \(\) for each do not fit net, which gives \(8, 8, 3\)"),
    ],
)
def test_labels_that_no_output_can_equal_are_refused(head: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metric_for(None, dataset(labels), model_of(head))


@pytest.mark.parametrize(
    ("name", "head", "labels", "message"),
    [
        ("top1", vector(1, "sigmoid"), YES, "metric top1 wants scores of at least two classes"),
        ("top5", vector(5), CLASS, "metric top5 wants scores of more than five classes"),
        ("top1", vector(1), None, "metric top1 wants scores of at least two classes"),
        ("binary_accuracy", vector(5), CLASS, "metric binary_accuracy wants labels 0 and 1 of the outputs' shape"),
        ("r2", vector(5), CLASS, "metric r2 wants labels of the outputs' shape"),
        (
            "accuracy",
            vector(5),
            CLASS,
            "cannot find 'accuracy'; a metric is one of top1, top5, binary_accuracy",
        ),
    ],
)
def test_a_named_metric_that_cannot_be_of_these_outputs_is_refused(
    name: str, head: Any, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        metric_for(name, dataset(labels), model_of(head))


OWN = """
def half(outputs, labels):
    return 0.5

def nothing(outputs, labels):
    return float("nan")

def text(outputs, labels):
    return "good"

def broken(outputs, labels):
    return outputs["first"]
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "metric MINE:nothing gave nan, not a number"),
        ("text", "metric MINE:text gave 'good', not a number"),
        ("broken", r"MINE:broken failed: TypeError: list indices .* \(.*MINE.py, line 12\); --debug shows"),
    ],
)
def test_a_users_metric_that_gives_no_number_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"metrics{abs(hash(tmp_path)):x}"
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    data, model = dataset(np.zeros((N, 3, 3))), model_of(vector(5, "softmax"))
    assert metric_for(f"{module}:half", data, model)([], None) == 0.5
    with pytest.raises(DataError, match=message.replace("MINE", module)):
        metric_for(f"{module}:{name}", data, model)([np.zeros((2, 5), np.float32)], None)
    assert [head.kind for head in distilled_heads(f"{module}:half", data, model)] == ["classes"]
    assert not labels_tell_heads(f"{module}:half", None)


def test_labels_tell_what_outputs_mean_unless_they_have_a_form_of_their_own() -> None:
    assert labels_tell_heads(None, None)
    assert labels_tell_heads("top5", None)
    assert labels_tell_heads(None, ClassScores())
    assert not labels_tell_heads(None, Anomaly())


@pytest.mark.parametrize("seed", range(5))
def test_mean_iou_is_what_scikit_learn_gives(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 4, (3, 5, 6)), rng.integers(0, int(rng.integers(1, 6)), (3, 5, 6))
    occurring = np.union1d(truth, found)
    expected = metrics.jaccard_score(truth.ravel(), found.ravel(), labels=occurring, average="macro")
    assert mean_iou([scores(found, 6)], truth) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_top5_is_what_scikit_learn_gives(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    found, truth = rng.normal(size=(40, 9)), rng.integers(0, 9, 40)
    expected = metrics.top_k_accuracy_score(truth, found, k=5, labels=np.arange(9))
    assert top5([found.astype(np.float32)], truth) == pytest.approx(expected, abs=1e-12)
