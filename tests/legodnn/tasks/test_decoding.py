"""Outputs become objects, with places in the picture that the input was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import InputError, StoreError
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, ClassScores, Coordinates, HeatMaps, Reading
from legodnn.tasks import FoundAnomaly, FoundAreas, FoundBox, FoundClass, FoundPoint, decode
from legodnn.tasks.key_points import heat_maps_of
from tests.legodnn.tasks.described import described_store

ANIMALS = ("cat", "dog", "owl")


def test_classes_come_with_their_probabilities_the_likeliest_first(tmp_path: Path) -> None:
    store = described_store(tmp_path, ClassScores(), [(3,)], ANIMALS)
    found = decode(store, np.log(np.array([0.2, 0.7, 0.1], np.float32)) + 5)
    assert isinstance(found, tuple)
    assert [each.label for each in found if isinstance(each, FoundClass)] == ["dog", "cat", "owl"]
    assert [each.score for each in found if isinstance(each, FoundClass)] == pytest.approx([0.7, 0.2, 0.1])


def test_tags_do_not_exclude_one_another(tmp_path: Path) -> None:
    store = described_store(tmp_path, ClassScores(scale="sigmoid_logits"), [(3,)], ANIMALS)
    found = decode(store, np.log(np.array([9.0, 4.0, 1 / 3], np.float32)))
    assert isinstance(found, tuple)
    assert [each.label for each in found if isinstance(each, FoundClass)] == ["cat", "dog", "owl"]
    assert [each.score for each in found if isinstance(each, FoundClass)] == pytest.approx([0.9, 0.8, 0.25])


@pytest.mark.parametrize(("scale", "given"), [("sigmoid", 0.9), ("linear", np.log(9.0))])
def test_one_score_tells_two_classes_apart(scale: str, given: float, tmp_path: Path) -> None:
    reading, score = ClassScores.model_validate({"scale": scale}), np.array([given], np.float32)
    for labels in (("cat", "dog"), ()):
        store = described_store(tmp_path / f"{len(labels)}", reading, [(1,)], labels)
        no, yes = labels or ("0", "1")
        assert decode(store, score) == (
            FoundClass(1, yes, pytest.approx(0.9)),  # type: ignore[arg-type]
            FoundClass(0, no, pytest.approx(0.1)),  # type: ignore[arg-type]
        )
    alone = described_store(tmp_path / "alone", reading, [(1,)], ("dog",))
    assert decode(alone, score) == (FoundClass(0, "dog", pytest.approx(0.9)),)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="cannot be read as it says: there are scores of 2 classes, and 3 classes"):
        described_store(tmp_path / "three", reading, [(1,)], ANIMALS)


def test_a_clip_has_the_classes_of_its_frames_together(tmp_path: Path) -> None:
    store = described_store(tmp_path, ClassScores(scale="softmax", frames=3), [(3,)], ANIMALS)
    frames = np.array([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.0, 1.0, 0.0]], np.float32)
    assert decode(store, frames)[0] == FoundClass(1, "dog", pytest.approx(0.6))  # type: ignore[index,arg-type]
    assert decode(store, frames[0])[0] == FoundClass(0, "cat", 0.5)  # type: ignore[index]
    with pytest.raises(InputError, match="m takes clips of 3 frames, not of 2"):
        decode(store, frames[:2])


def test_boxes_lie_in_the_picture(tmp_path: Path) -> None:
    reading = AnchorBoxes(anchors=(((40.0, 20.0),), ((80.0, 80.0),)))
    store = described_store(tmp_path, reading, [(6, 10, 8), (3, 5, 8)], ANIMALS, fit="letterbox")
    grids = {"y0": np.full((6, 10, 8), -20, np.float32), "y1": np.full((3, 5, 8), -20, np.float32)}
    grids["y0"][3, 5] = [0, 0, 0, 0, 9, -9, -9, 9]
    assert decode(store, grids) == (FoundBox(68, 46, 108, 66, 2, "owl", pytest.approx(1, abs=1e-3)),)  # type: ignore[arg-type]
    # A picture of 192 x 192 is 96 x 96 in the middle of the input, 32 from its left.
    (box,) = decode(store, grids, picture=(192, 192))  # type: ignore[misc]
    assert (box.left, box.top, box.right, box.bottom) == (72, 92, 152, 132)


def test_areas_are_of_the_pictures_size(tmp_path: Path) -> None:
    store = described_store(tmp_path, ClassMap(), [(3, 5, 3)], ANIMALS, fit="crop")
    scores = np.zeros((3, 5, 3), np.float32)
    scores[0, 4, 2] = scores[2, 0, 1] = 1
    found = decode(store, scores)
    assert isinstance(found, FoundAreas)
    assert found.classes.tolist() == [[0, 0, 0, 0, 2], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert found.labels == {0: "cat", 1: "dog", 2: "owl"}
    # Of a picture of 6 x 14, the input shows the 10 columns in the middle; what is cut away continues its edge.
    found = decode(store, scores, picture=(6, 14))
    assert isinstance(found, FoundAreas)
    assert found.classes.shape == (6, 14)
    assert np.argwhere(found.classes == 2).min(axis=0).tolist() == [0, 10]
    assert np.argwhere(found.classes == 1).max(axis=0).tolist() == [5, 3]


@pytest.mark.parametrize(("scale", "expected"), [("linear", [[1, 0]]), ("sigmoid", [[0, 0]])])
def test_one_channel_is_a_foreground(tmp_path: Path, scale: str, expected: list[list[int]]) -> None:
    store = described_store(tmp_path, ClassMap.model_validate({"scale": scale}), [(1, 2, 1)], ("sky", "road"))
    found = decode(store, np.array([[[0.2], [-0.2]]], np.float32))
    assert isinstance(found, FoundAreas)
    assert found.classes.tolist() == expected
    assert set(found.labels.values()) <= {"sky", "road"}


def test_key_points_lie_in_the_picture(tmp_path: Path) -> None:
    maps = heat_maps_of(np.array([[[82.0, 50.0, 1], [10.0, 90.0, 1]]]), 24, 40, 96, 160)[0]
    store = described_store(tmp_path / "a", HeatMaps(points=("eye", "nose")), [maps.shape])
    found = decode(store, maps, picture=(192, 320))
    assert [each.name for each in found if isinstance(each, FoundPoint)] == ["eye", "nose"]
    assert (found[0].x, found[0].y) == pytest.approx((164, 100), abs=2.1)  # type: ignore[index]
    store = described_store(tmp_path / "b", Coordinates(points=("eye", "nose")), [(4,)])
    assert decode(store, np.array([0.5, 0.25, 2.0, 1.0], np.float32), picture=(200, 100)) == (
        FoundPoint("eye", 50, 50, 1),
        FoundPoint("nose", 100, 200, 1),
    )


def test_an_anomaly_is_told_by_the_threshold_if_there_is_one(tmp_path: Path) -> None:
    differences = np.full((4, 4, 1), 0.5, np.float32)
    for threshold, expected in [(0.25, True), (0.26, False), (None, None)]:
        store = described_store(tmp_path / str(threshold), Anomaly(threshold=threshold), [(4, 4, 1)])
        assert decode(store, differences) == FoundAnomaly(0.25, expected)


def test_what_is_not_of_the_model_is_refused(tmp_path: Path) -> None:
    store = described_store(tmp_path / "a", ClassScores(), [(3,)], ANIMALS)
    with pytest.raises(InputError, match=r"m gives y0 of shape \(3,\), not float32 \(4,\)"):
        decode(store, np.zeros(4, np.float32))
    for other, told in (([1, 2, 3], "list"), (None, "NoneType"), (np.array(["1"] * 3), "<U1 .3,.")):
        with pytest.raises(InputError, match=rf"m gives y0 of shape \(3,\), not {told}"):
            decode(store, other)  # type: ignore[arg-type]
    for picture in ((0, 0), (-4, 5), (480,), (480, 640, 3), (3, np.nan)):
        with pytest.raises(InputError, match=r"`picture` is .*; give height and width"):
            decode(store, np.zeros(3, np.float32), picture)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="m gives y0, not y1"):
        decode(store, {"y1": np.zeros(3, np.float32)})
    with pytest.raises(StoreError, match="does not say how its outputs are read"):
        decode(described_store(tmp_path / "b", None, [(3,)]), np.zeros(3, np.float32))


def test_a_store_whose_reading_does_not_fit_its_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read as it says: there are scores of 3 classes"):
        described_store(tmp_path, ClassScores(), [(3,)], ("one", "two"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_is_found_in_outputs_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    readings: list[tuple[Reading, tuple[int, ...]]] = [
        (Anomaly(threshold=0), (1,)),  # NaN would be normal
        (AnchorBoxes(anchors=(((40.0, 20.0),),)), (6, 10, 8)),  # and its box could not be drawn
        (ClassScores(frames=2), (3,)),
    ]
    for number, (reading, shape) in enumerate(readings):
        store = described_store(tmp_path / str(number), reading, [shape])
        outputs = np.zeros((2, *shape) if shape == (3,) else shape, np.float32)
        outputs[..., 0] = value
        with pytest.raises(InputError, match="m gave NaN or infinity in 'y0'"):
            decode(store, outputs)
