"""What a replay measures of a task's model is the metric that a build measures by the same reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InputError
from legodnn.readings import AnchorBoxes, Anomaly, ClassScores, Coordinates, HeatMaps, Reading
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.model_scores import model_score
from legodnn.store import Store
from legodnn.tasks.clips import clip_accuracy
from tests.legodnn.damaged_stores import Document, edit
from tests.legodnn.tasks.described import described_store

pytest.importorskip("keras")

from legodnn.blocks.accuracy.task_metrics import task_metric
from legodnn.blocks.importing.data import Split
from tests.blocks.accuracy.named_metrics import top5

COUNT, POINTS = 12, ("eye", "nose")
RNG = np.random.default_rng(0)
X = np.zeros((COUNT, 96, 160, 3), np.float32)


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=(COUNT, *shape)).astype(np.float32)


def boxes() -> np.ndarray:
    sides = RNG.uniform(0, 96, (COUNT, 3, 4))
    y = np.concatenate(
        [np.sort(sides.reshape(COUNT, 3, 2, 2), axis=2).reshape(COUNT, 3, 4), np.zeros((COUNT, 3, 1))], -1
    )
    y[::2, 1:, 4] = -1
    return y


def points() -> np.ndarray:
    return np.concatenate([RNG.uniform(0, 96, (COUNT, 2, 2)), RNG.integers(0, 2, (COUNT, 2, 1))], axis=-1)


def score(store: Store, outputs: list[np.ndarray], y: np.ndarray) -> float | None:
    found = model_score(store, Inputs(X, y), "m")
    assert found
    for row in range(COUNT):
        found.add({f"y{i}": output[row] for i, output in enumerate(outputs)}, y[row], row)
    return found.value()


CASES: dict[str, tuple[Reading, list[np.ndarray], np.ndarray]] = {
    "boxes": (AnchorBoxes(anchors=(((60.0, 40.0),), ((20.0, 20.0),))), [random(3, 5, 7), random(6, 10, 7)], boxes()),
    "maps": (HeatMaps(points=POINTS), [random(6, 10, 2)], points()),
    "coordinates": (Coordinates(points=POINTS), [RNG.uniform(0, 1, (COUNT, 4)).astype(np.float32)], points()),
    "differences": (Anomaly(), [random(6, 10, 3)], np.arange(COUNT) % 3 // 2),
    "score": (Anomaly(), [random(1)], np.arange(COUNT) % 2),
    "clips": (ClassScores(frames=4), [random(3)], np.repeat([0, 2, 1], 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_metric_of_a_build(case: str, tmp_path: Path) -> None:
    reading, outputs, y = CASES[case]
    metric = task_metric(reading, Split(X, y))
    assert metric
    store = described_store(tmp_path, reading, [output.shape[1:] for output in outputs])
    assert score(store, outputs, y) == pytest.approx(metric(outputs, y))


def test_top5_is_measured_where_a_store_was_built_for_it(tmp_path: Path) -> None:
    outputs, y = random(9), RNG.integers(0, 9, COUNT)
    store = described_store(tmp_path, ClassScores(), [(9,)])

    def change(document: Document) -> None:
        document["accuracy"]["metric"] = "top5"

    edit(store.path, change)
    assert score(Store(store.path), [outputs], y) == pytest.approx(top5([outputs], y))


@pytest.mark.parametrize(
    ("case", "y"),
    [
        ("boxes", np.zeros((COUNT, 5))),
        ("maps", np.zeros((COUNT, 6, 10, 2))),
        ("coordinates", np.zeros((COUNT, 3, 3))),
        ("differences", np.arange(COUNT)),
        ("score", np.zeros((COUNT, 2))),
        ("clips", np.zeros((COUNT, 2, 2))),
        ("clips", np.full(COUNT, 3)),
        ("boxes", np.full((COUNT, 1, 5), 2.0)),
    ],
)
def test_labels_of_another_form_are_refused(case: str, y: Any, tmp_path: Path) -> None:
    reading, outputs, _ = CASES[case]
    store = described_store(tmp_path, reading, [output.shape[1:] for output in outputs])
    with pytest.raises(InputError, match=r"labels? of m"):
        model_score(store, Inputs(X, y), "m")


@pytest.mark.parametrize("form", [np.float32, lambda y: y[:, None], lambda y: np.eye(3, dtype=np.int64)[y]])
def test_clips_are_rated_whatever_the_form_of_their_labels(form: Any, tmp_path: Path) -> None:
    reading, (scores,), y = CASES["clips"]
    store = described_store(tmp_path, reading, [(3,)])
    assert score(store, [scores], form(y)) == pytest.approx(clip_accuracy(scores, y, 4))
    for problem, wrong in (("labelled with different classes", np.arange(COUNT) % 3), ("class number", y + 0.5)):
        with pytest.raises(InputError, match=problem):
            model_score(store, Inputs(X, form(wrong) if wrong.dtype == int else wrong), "m")


def test_of_clips_that_came_in_parts_and_in_another_order_those_that_are_whole_count(tmp_path: Path) -> None:
    reading, (scores,), y = CASES["clips"]
    found = model_score(described_store(tmp_path, reading, [(3,)]), Inputs(X, y), "m")
    assert found
    for row in (10, 11, 5, 6, 7):
        found.add({"y0": scores[row]}, y[row], row)
    assert found.value() is None, "no clip is whole"
    for row in (8, 9, 0):
        found.add({"y0": scores[row]}, y[row], row)
    assert found.value() == clip_accuracy(scores[8:], y[8:], 4)


def test_frames_of_a_clip_lie_in_one_folder(tmp_path: Path) -> None:
    reading, _, y = CASES["clips"]
    store = described_store(tmp_path, reading, [(3,)])
    for frames, rated in ((4, True), (8, True), (3, False), (6, False), (12, True)):
        names = tuple(f"wave/clip{n // frames}/{n}.png" for n in range(COUNT))
        found = model_score(store, Inputs(X, np.zeros_like(y), names), "m")
        assert (found is not None) == rated
    assert model_score(store, Inputs(X[:3], y[:3]), "m") is None, "they are no clip"


def test_there_is_no_score_without_labels_that_say_something(tmp_path: Path) -> None:
    reading, outputs, _ = CASES["boxes"]
    store = described_store(tmp_path, reading, [output.shape[1:] for output in outputs])
    names = tuple(f"{n}.png" for n in range(COUNT))
    assert model_score(store, Inputs(X), "m") is None
    assert model_score(store, Inputs(X, np.zeros(COUNT, np.int64), names), "m") is None, "folders are no boxes"
    unread = described_store(tmp_path / "unread", None, [(3,), (4,)])
    assert model_score(unread, Inputs(X, np.zeros(COUNT, np.int64)), "m") is None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_not_scored(case: str, value: float, tmp_path: Path) -> None:
    reading, outputs, y = CASES[case]
    store = described_store(tmp_path, reading, [output.shape[1:] for output in outputs])
    with pytest.raises(InputError, match="m gave NaN or infinity in 'y0'"):
        score(store, [np.full_like(output, value) for output in outputs], y)
