"""Making a `.tflite` file of other origin fit for stores, as far as that changes nothing that it computes."""

from __future__ import annotations

import numpy as np

from legodnn.runtime.tflite.detection_options import (
    CUSTOM,
    DETECTION,
    output_shapes,
    read_detection_options,
    write_detection_options,
)
from legodnn.runtime.tflite.flatbuffer import Damaged, Record, read_flatbuffer, without_notes
from legodnn.runtime.tflite.flatbuffer_writer import write_flatbuffer
from legodnn.runtime.tflite.known_shapes import with_known_shapes
from legodnn.runtime.tflite.model_file import (
    IDENTIFIER,
    MODEL_SCHEMA,
    Refused,
    custom_options,
    parse_model_file,
    tensor_indices,
)
from legodnn.runtime.tflite.model_writer import write_model_file


def fit_for_stores(content: bytes) -> bytes:
    """Return a copy of a file of other origin, without what stores do not have and no inference needs.

    Metadata, signatures and the ranges seen in training go, and a batch dimension that was left open becomes the 1 that
    the file has there; what operators compute of shapes becomes constants. The custom operator's outputs get their
    shapes, which files leave open. What is computed stays the same. `parse_model_file` and `check_graph` then say
    whether the rest is fit.

    Raises:
        Refused: the file is damaged, no `.tflite` file, or has something that no store needs.
    """
    try:
        copy = bytearray(without_notes(content, IDENTIFIER, MODEL_SCHEMA))
        model = read_flatbuffer(copy, IDENTIFIER, MODEL_SCHEMA)
    except Damaged as e:
        raise Refused(f"it is damaged or made by something else: {e}") from None
    opened = {i for graph in model["graphs"] or () for i in _with_batch_of_one(graph)}
    content = _with_detections_said(model) or bytes(copy)
    graph = parse_model_file(content)
    known = with_known_shapes(graph, opened)
    return content if known is graph else write_model_file(known)


def _with_batch_of_one(graph: Record) -> list[int]:
    """Say in a graph that its batch is 1; return the tensors whose sizes depended on the batch.

    A file fixes the sizes of what operators compute only as far as the converter knew them. They say the rest
    themselves (`with_known_shapes`). Of an input nothing but the batch may be open.
    """
    opened = []
    operators = graph["operators"] or ()
    written = {int(i) for o in operators if o["outputs"] is not None for i in o["outputs"]}
    for i, entry in enumerate(graph["tensors"] or ()):
        shape, signature = entry["shape"], entry["shape_signature"]
        if shape is None or signature is None or not len(signature) == len(shape) > 0 or (signature >= 0).all():
            continue
        only_batch = shape[0] == 1 and signature[0] == -1 and (signature[1:] == shape[1:]).all()
        if only_batch or i in written:
            signature[:] = shape  # a view of the copy
            opened.append(i)
    return opened


def _with_detections_said(model: Record) -> bytes | None:
    """Write a file again so that its custom operators are as stores have them; None if there is nothing to do."""
    kinds = [(max(code["old_code"], code["code"]), code["custom"]) for code in model["codes"] or ()]
    rewritten = False
    for graph in model["graphs"] or ():
        for operator in graph["operators"] or ():
            if operator["code"] >= len(kinds) or kinds[operator["code"]] != (CUSTOM, DETECTION):
                continue
            try:
                options = read_detection_options(custom_options(operator))
            except Damaged as e:
                raise Refused(str(e)) from None
            operator["custom_options"] = np.frombuffer(write_detection_options(options), np.uint8)
            count = len(graph["tensors"] or ())
            outputs = tensor_indices(operator["outputs"], count, "an output of a detection operator", 0)
            for i, shape in zip(outputs, output_shapes(options), strict=False):
                graph["tensors"][i] |= {"shape": shape, "shape_signature": None}
            rewritten = True
    return write_flatbuffer(model, IDENTIFIER, MODEL_SCHEMA) if rewritten else None
