"""Detectors that end in the one custom operator become fit for stores, and others are refused.

Covers also: runtime.tflite.choice_operators, runtime.tflite.detection_options.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.fitting import fit_for_stores
from legodnn.runtime.tflite.flatbuffer import without_notes
from legodnn.runtime.tflite.model_file import IDENTIFIER, MODEL_SCHEMA, Refused, parse_model_file
from legodnn.runtime.tflite.model_writer import write_model_file
from tests.runtime.tflite.detection_files import ANCHORS, OPTIONS, detector

RNG = np.random.default_rng(0)
BOXES = RNG.normal(size=(1, 3, 4)).astype(np.float32)
DETECTOR = detector()
SCORES = np.array([[[0.0, 0.9, 0.1], [0.0, 0.8, 0.3], [0.0, 0.2, 0.6]]], np.float32)


def run(content: bytes) -> list[Any]:
    interpreter = open_interpreter(model_content=content, threads=1)
    for detail, x in zip(interpreter.get_input_details(), (BOXES, SCORES), strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [np.array(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("values", [{}, {"use_regular_nms": True}, {"detections_per_class": None}])
def test_a_detector_is_fit_for_stores_and_finds_the_same(values: dict[str, Any]) -> None:
    content = detector(**values)
    fit = fit_for_stores(content)
    graph = parse_model_file(fit)
    check_graph(graph)
    assert [graph.tensors[i].shape for i in graph.outputs] == [(1, 2, 4), (1, 2), (1, 2), (1,)]
    assert fit_for_stores(fit) == fit
    for found, wanted in zip(run(fit), run(content), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(run(fit)[2][0], [0.9, 0.6])  # the second anchor lies on the first


def test_it_is_written_as_it_was_read() -> None:
    fit = fit_for_stores(detector())
    again = write_model_file(parse_model_file(fit))
    (one,), (other,) = (parse_model_file(content).operators for content in (fit, again))
    assert (
        one.options == other.options == {**OPTIONS, "use_regular_nms": 0} | {"nms_score_threshold": pytest.approx(0.1)}
    )
    for found, wanted in zip(run(again), run(fit), strict=True):
        np.testing.assert_array_equal(found, wanted)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another custom operator": ({"custom": b"exec"}, "custom operator 'exec'"),
    "no name": ({"custom": b""}, "custom operator ''"),
    "an anchor too few": ({"anchors": ANCHORS[:2]}, r"anchors \(2, 4\)"),
    "anchors of three numbers": ({"anchors": ANCHORS[:, :3].copy()}, "anchors"),
    "anchors that are computed": ({"constant": False}, "its boxes or anchors"),
    "scores of fewer boxes than there are": ({"scored": 2}, r"boxes \(1, 3, 4\), scores \(1, 2, 3\)"),
    "fewer classes than there are scores": ({"num_classes": 1}, "3 scores for 1 classes"),
    "no detections": ({"max_detections": 0}, "no fixed shape|max_detections"),
    "too many detections": ({"max_detections": 40000}, "max_detections of its detection operator is 40000"),
    "detections without end": ({"max_detections": 1 << 30}, "max_detections of"),
    "more classes than there are": ({"num_classes": 5}, "3 scores for 5 classes"),
    "more classes for each than there are": ({"max_classes_per_detection": 3}, "3 of 2 classes"),
    "a scale of 0": ({"y_scale": 0.0}, "above 0"),
    "an overlap of 0": ({"nms_iou_threshold": 0.0}, "nms_iou_threshold is 0"),
    "an overlap that is no number": (
        {"nms_iou_threshold": float("nan")},
        "nms_iou_threshold of its detection operator is nan",
    ),
    "no number of classes": ({"num_classes": None}, "no num_classes"),
    "less room than threads need": ({"use_regular_nms": True, "detections_per_class": 1}, "1 detections of a class"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_kernel_would_trust_is_checked(name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(Refused, match=message):
        check_graph(parse_model_file(fit_for_stores(detector(**values))))


def test_options_in_another_form_are_refused_in_a_store() -> None:
    shapes = ((1, 2, 4), (1, 2), (1, 2), (1,))
    with pytest.raises(Refused, match="another form"):
        parse_model_file(detector(shapes))


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_detector_passes_or_is_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(DETECTOR)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        check_graph(parse_model_file(fit_for_stores(bytes(content))))
    except Refused:
        return


def test_a_plain_file_keeps_its_bytes() -> None:
    content = (Path(__file__).parents[3] / "runtime/executors/selftest.tflite").read_bytes()
    assert fit_for_stores(content) == without_notes(content, IDENTIFIER, MODEL_SCHEMA)
