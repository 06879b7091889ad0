"""A small detector's end: boxes and scores of some anchors, and the custom operator that chooses among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from tests.runtime.tflite.tflite_files import T, one, packed, schema

ANCHORS = np.array([[0.2, 0.2, 0.3, 0.3], [0.21, 0.2, 0.3, 0.3], [0.7, 0.6, 0.4, 0.2]], np.float32)
OPTIONS = {
    **{"max_detections": 2, "max_classes_per_detection": 1, "num_classes": 2, "detections_per_class": 100},
    **{"use_regular_nms": False, "nms_score_threshold": 0.1, "nms_iou_threshold": 0.5},
    **{"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0},
}


def options_of_others(**values: Any) -> bytes:
    """The operator's options, as flatbuffers' own package writes them."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in (OPTIONS | values).items():
            if value is not None:
                builder.Key(name)
                {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](value)
    return bytes(builder.Finish())


def detector(
    shapes: Any = ((), (), (), ()),
    custom: bytes = b"TFLite_Detection_PostProcess",
    anchors: Any = ANCHORS,
    scored: int = len(ANCHORS),
    constant: bool = True,
    **values: Any,
) -> bytes:
    """A file of this operator alone, as converters make it; the shapes of its outputs are left open.

    There are scores for so many boxes. Anchors may be computed, not constant.
    """
    inputs = [T((1, len(ANCHORS), 4)), T((1, scored, 3)), T(anchors.shape, 0, anchors if constant else None)]
    model = schema.ModelT.InitFromPackedBuf(bytearray(one("CUSTOM", inputs, [T(s) for s in shapes])), 0)
    model.operatorCodes[0].customCode = custom
    model.subgraphs[0].operators[0].customOptions = np.frombuffer(options_of_others(**values), np.uint8)
    return packed(model)
