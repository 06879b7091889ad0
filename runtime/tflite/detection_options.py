"""The options of `TFLite_Detection_PostProcess`, the one custom operator that files of stores may have.

SSDs, EfficientDets and other detectors of TensorFlow's zoos end in it: it turns box encodings, scores and anchors into
the best boxes by non-maximum suppression. All TensorFlow Lite runtimes have it. It gives boxes (1, n, 4) as shares of
the image (top, left, bottom, right), classes (1, n), scores (1, n) and how many of the n there are (1).
"""

from __future__ import annotations

from legodnn.runtime.tflite.flatbuffer import Damaged
from legodnn.runtime.tflite.flexbuffer import Numbers, read_flexbuffer, write_flexbuffer

CUSTOM = 32  # the number of custom operators in the format
DETECTION = b"TFLite_Detection_PostProcess"

DETECTION_COUNTS = ("max_detections", "max_classes_per_detection", "num_classes")
FACTORS = ("y_scale", "x_scale", "h_scale", "w_scale")
MOST_DETECTIONS, _LARGEST_FACTOR = 1 << 15, 1e30
_THRESHOLDS = ("nms_score_threshold", "nms_iou_threshold")
_DEFAULTS: Numbers = {"detections_per_class": 100, "use_regular_nms": 0}


def read_detection_options(content: bytes) -> dict[str, int | float]:
    """Return the options of the operator, those that are absent with their defaults.

    Raises:
        Damaged: they are no such options.
    """
    found = read_flexbuffer(content)
    floats, counts = {*FACTORS, *_THRESHOLDS}, {*DETECTION_COUNTS, *_DEFAULTS}
    if missing := sorted((floats | counts) - set(_DEFAULTS) - set(found)):
        raise Damaged(f"its detection operator has no {missing[0]}")
    whole = {**_DEFAULTS, **found}
    for name in sorted(floats | counts):
        if not (abs(whole[name]) < _LARGEST_FACTOR if name in floats else 0 <= whole[name] <= MOST_DETECTIONS):
            raise Damaged(f"{name} of its detection operator is {whole[name]}")
    return {name: float(whole[name]) if name in floats else int(whole[name]) for name in sorted(floats | counts)}


def write_detection_options(options: Numbers) -> bytes:
    """Return options of the operator as files of stores hold them."""
    return write_flexbuffer(options)


def output_shapes(options: Numbers) -> list[tuple[int, ...]]:
    """Return the shapes of the operator's four outputs."""
    n = int(options["max_detections"] * options["max_classes_per_detection"])
    return [(1, n, 4), (1, n), (1, n), (1,)]
