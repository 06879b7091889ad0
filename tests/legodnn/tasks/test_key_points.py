"""Points come back out of their heat maps, and PCK and OKS say how near they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.tasks.key_points import (
    coordinate_points,
    correct_key_points,
    heat_map_points,
    heat_maps_of,
    key_point_similarity,
)

HEIGHT, WIDTH = 64, 48


@settings(max_examples=30)
@given(st.floats(0, WIDTH - 0.01), st.floats(0, HEIGHT - 0.01))
def test_a_point_comes_back_within_half_an_element(x: float, y: float) -> None:
    maps = heat_maps_of(np.array([[[x, y, 1.0]]]), 16, 12, HEIGHT, WIDTH)
    assert maps.shape == (1, 16, 12, 1)
    found = heat_map_points(maps, HEIGHT, WIDTH)[0, 0]
    # Maps are read at the middles of elements, 4 pixels apart, and moved by a quarter of one: at most a quarter is
    # left, or half of one at the edge, where there is no neighbour to move to.
    inner = 4 < x < WIDTH - 4 and 4 < y < HEIGHT - 4
    assert np.abs(found[:2] - (x, y)).max() <= (1.0 if inner else 2.0) + 1e-3
    assert 0.9 < found[2] <= 1


def test_points_that_are_not_known_have_empty_maps() -> None:
    maps = heat_maps_of(np.array([[[10.0, 10, 0], [-1, 5, 1], [WIDTH, 5, 1], [10, 10, 1]]]), 16, 12, HEIGHT, WIDTH)
    assert maps.max(axis=(0, 1, 2))[:3].tolist() == [0, 0, 0]
    assert maps.max() > 0.9


def test_coordinates_are_shares_of_width_and_height() -> None:
    assert coordinate_points(np.array([0.5, 0.25, 1, 1]), HEIGHT, WIDTH).tolist() == [[24, 16, 1], [48, 64, 1]]


def test_pck_counts_known_points_within_a_share_of_the_box_around_them() -> None:
    truth = np.array([[[0.0, 0, 1], [100, 40, 1], [50, 50, 0]], [[5, 5, 1], [0, 0, 0], [0, 0, 0]]])
    found = truth[..., :2] + [[[20, 0], [0, 20.5], [99, 99]], [[0, 0], [0, 0], [0, 0]]]
    assert correct_key_points(found, truth) == 0.5  # 20 of 100 are near, 20.5 are not; the second picture has no box
    assert correct_key_points(found, truth, near=0.3) == 1
    assert correct_key_points(found[1:], truth[1:]) == 0


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_pck_is_what_counting_one_by_one_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.uniform(0, 50, (4, 5, 2)), rng.integers(0, 2, (4, 5, 1))], axis=-1)
    found = truth[..., :2] + rng.normal(0, 6, (4, 5, 2))
    hits, count = 0, 0
    for points, places in zip(truth, found, strict=True):
        known = [p for p in points if p[2]]
        if len(known) < 2:
            continue
        side = max(max(p[axis] for p in known) - min(p[axis] for p in known) for axis in (0, 1))
        for point, place in zip(points, places, strict=True):
            if point[2]:
                count += 1
                hits += float(np.hypot(*(point[:2] - place))) <= 0.2 * side
    assert correct_key_points(found, truth) == pytest.approx(hits / count if count else 0.0, abs=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_oks_is_what_coco_computes_with_the_area_of_the_box_around_the_points(seed: int) -> None:
    coco_eval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.uniform(0, 50, (4, 17, 2)), rng.integers(0, 2, (4, 17, 1))], axis=-1)
    truth[:, :2, 2] = 1  # so that there is a box
    found = truth[..., :2] + rng.normal(0, 4, (4, 17, 2))
    params = coco_eval.Params(iouType="keypoints")
    similar = []
    for points, places in zip(truth, found, strict=True):
        known = points[points[:, 2] > 0, :2]
        sides = known.max(axis=0) - known.min(axis=0)
        evaluation = coco_eval.COCOeval.__new__(coco_eval.COCOeval)
        evaluation.params = params
        person = {"keypoints": points.ravel().tolist(), "bbox": [0, 0, 50, 50], "area": float(sides.prod())}
        answer = {"keypoints": np.append(places, np.ones((17, 1)), axis=1).ravel().tolist(), "score": 1.0}
        evaluation._gts, evaluation._dts = {(0, 0): [person]}, {(0, 0): [answer]}
        similar.append(evaluation.computeOks(0, 0)[0, 0])
    assert key_point_similarity(found, truth, params.kpt_oks_sigmas) == pytest.approx(np.mean(similar), abs=1e-6)


def test_oks_leaves_out_pictures_without_a_box() -> None:
    truth = np.array([[[0.0, 0, 1], [10, 10, 1]], [[5, 5, 1], [0, 0, 0]], [[5, 5, 1], [5, 9, 1]]])
    assert key_point_similarity(truth[..., :2], truth, (0.1, 0.1)) == 1
    assert key_point_similarity(truth[1:, :, :2], truth[1:], (0.1, 0.1)) == 0
    moved = truth[:1, :, :2] + (1.0, 0.0)  # of an area of 100: exp(-1 / (2 x 100 x .04))
    assert key_point_similarity(moved, truth[:1], (0.1, 0.1)) == pytest.approx(np.exp(-1 / 8))
