"""The rules of operators that choose: elements by an index or a condition, the largest ones, boxes by their scores."""

from __future__ import annotations

import numpy as np

from legodnn.runtime.tflite.detection_options import DETECTION_COUNTS, FACTORS, MOST_DETECTIONS, output_shapes
from legodnn.runtime.tflite.operators import ANY, COUNTS, FLOAT, OperatorCall, OperatorRule, Result, broadcast


def gather(op: OperatorCall) -> list[Result]:
    """Check a selection of elements by their indices along an axis."""
    x, indices = op.tensor(0, ANY, range(1, 7)), op.tensor(1, COUNTS)
    at = op.axis(op.option("axis"), len(x.shape))
    op.need(op.option("batch_dims") == 0, "it gathers by batch")
    if indices.data is not None:  # the kernel checks computed indices when it runs
        op.need(
            bool(((indices.values() >= 0) & (indices.values() < x.shape[at])).all()), f"indices outside {x.shape[at]}"
        )
    return [((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]), x.dtype)]


def gather_at(op: OperatorCall) -> list[Result]:
    """Check a selection of elements, or of slices, by vectors of indices into the first dimensions."""
    x, indices = op.tensor(0, ANY, range(1, 7)), op.tensor(1, COUNTS, range(1, 7))
    depth = indices.shape[-1]
    op.need(depth <= len(x.shape), f"{depth} indices into {len(x.shape)} dimensions")
    if indices.data is not None:  # the kernel checks computed indices when it runs
        inside = (indices.values() >= 0) & (indices.values() < x.shape[:depth])
        op.need(bool(inside.all()), f"indices outside {x.shape[:depth]}")
    return [((*indices.shape[:-1], *x.shape[depth:]), x.dtype)]


def argument(op: OperatorCall) -> list[Result]:
    """Check an index of the largest or smallest element along an axis (argmax, argmin)."""
    x = op.tensor(0, ranks=range(1, 5))
    at = op.axis(op.scalar(1), len(x.shape))
    op.need(op.option("type") in (2, 4), f"it counts in type {op.option('type')}")
    return [((*x.shape[:at], *x.shape[at + 1 :]), {2: "int32", 4: "int64"}[op.option("type")])]


def top(op: OperatorCall) -> list[Result]:
    """Check the largest k elements along the last dimension, and their indices."""
    x, k = op.tensor(0, ranks=range(1, 7)), op.scalar(1)
    op.need(0 < k <= x.shape[-1], f"{k} of {x.shape[-1]}")
    return [((*x.shape[:-1], k), x.dtype), ((*x.shape[:-1], k), "int32")]


def select(most: int) -> OperatorRule:
    """Make the rule for a choice between two tensors by a condition; `most` is as for `operators.broadcast`."""

    def rule(op: OperatorCall) -> list[Result]:
        condition, x, y = op.tensor(0, ("bool",)), op.tensor(1, ANY), op.tensor(2, ANY)
        op.need(x.dtype == y.dtype, "its inputs are of different types")
        return [(broadcast(op, [condition.shape, x.shape, y.shape], most), x.dtype)]

    return rule


def bucketise(op: OperatorCall) -> list[Result]:
    """Check a conversion of numbers to the indices of the intervals, with constant boundaries, that they lie in."""
    boundaries = op.option("boundaries")
    op.need(boundaries is not None and bool((np.diff(boundaries) >= 0).all()), "its boundaries")
    return [(op.tensor(0, FLOAT).shape, "int32")]


def one_hot(op: OperatorCall) -> list[Result]:
    """Check a conversion of indices to one-hot vectors."""
    indices, depth = op.tensor(0, COUNTS, range(6)), op.scalar(1)
    on, off = op.tensor(2, ANY, (0,)), op.tensor(3, ANY, (0,))
    at = op.option("axis")
    at = len(indices.shape) if at == -1 else at
    op.need(
        0 < depth < 1 << 20 and 0 <= at <= len(indices.shape) and on.dtype == off.dtype, f"depth {depth}, axis {at}"
    )
    return [((*indices.shape[:at], depth, *indices.shape[at:]), on.dtype)]


def detect(op: OperatorCall) -> list[Result]:
    """Check the operator: its kernel trusts that there is an anchor for each box, and that its counts fit together."""
    boxes, scores, anchors = (op.tensor(i, ("float32", "uint8"), (rank,)) for i, rank in enumerate((3, 3, 2)))
    op.need(boxes.dtype == scores.dtype == anchors.dtype, "its inputs are of different types")
    count, classes = boxes.shape[1], op.option("num_classes")
    op.need(
        boxes.shape[0] == scores.shape[0] == 1 and scores.shape[1] == count and anchors.shape[0] == count,
        f"boxes {boxes.shape}, scores {scores.shape}, anchors {anchors.shape}",
    )
    op.need(boxes.shape[2] >= 4 and anchors.shape[1] == 4 and anchors.data is not None, "its boxes or anchors")
    op.need(scores.shape[2] - classes in (0, 1), f"{scores.shape[2]} scores for {classes} classes")
    for name in (*DETECTION_COUNTS, "detections_per_class"):
        op.need(op.option(name) >= 1, f"{name} is {op.option(name)}")
    op.need(all(op.option(name) > 0 for name in FACTORS), "a scale is not above 0")
    op.need(0 < op.option("nms_iou_threshold") <= 1, f"nms_iou_threshold is {op.option('nms_iou_threshold')}")
    op.need(op.option("use_regular_nms") in (0, 1), f"use_regular_nms is {op.option('use_regular_nms')}")
    most, each = op.option("max_detections"), op.option("max_classes_per_detection")
    op.need(each <= classes and most * each <= MOST_DETECTIONS, f"{each} of {classes} classes for {most} boxes")
    # By class, threads give up to `max_detections` boxes each, and there is room for `detections_per_class` more.
    op.need(
        not op.option("use_regular_nms") or op.option("detections_per_class") >= most,
        f"{op.option('detections_per_class')} detections of a class, {most} in all",
    )
    return [(shape, "float32") for shape in output_shapes(op.operator.options or {})]
