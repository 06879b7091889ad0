"""Checking that a `.tflite` file is safe to hand to TensorFlow Lite: its tensors, and the order of its operators.

`operators` checks each operator by itself. The file is only read, and no TensorFlow Lite runtime is used. What this
cannot find out is left to running the file in another process (`executors.trial`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from legodnn.errors import StoreError
from legodnn.manifest import Option, Segment, TensorSpec
from legodnn.runtime.tflite.model_file import FileGraph, FileTensor, Refused, parse_model_file
from legodnn.runtime.tflite.operator_kinds import KINDS
from legodnn.runtime.tflite.operators import QUANTISED, outputs
from legodnn.store import Store

# Limits for one tensor, and for all tensors that a graph computes together. Kernels count bytes in 32 bits.
LARGEST_TENSOR_BYTES = 1 << 30
LARGEST_GRAPH_BYTES = 1 << 34
MOST_DIMENSIONS = 6
_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int32": (0, 0)}  # the range of zero points, by type


def check_option(store: Store, segment: Segment, option: Option) -> int:
    """Check the file of one option, also against what the manifest says about its segment.

    Returns:
        The bytes that all tensors that it computes take together.

    Raises:
        StoreError: the file is refused.
    """
    specs = store.manifest.specs
    inputs, outputs = ([specs[n] for n in names] for names in (segment.inputs, segment.outputs))
    with os.fdopen(store.open_file(option), "rb") as file:
        content = file.read()
    try:
        return check_file(content, inputs, outputs)
    except Refused as e:
        path = store.path / option.file
        raise StoreError(f"{path} ({segment.name}/{option.name}) is refused: {e}; build the store again") from None


def check_file(content: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> int:
    """Check the content of a file.

    Args:
        content: the bytes of the file.
        inputs: the inputs that it must have, in order; their shapes are without the batch dimension, which must be 1.
        outputs: the outputs that it must have, likewise.

    Returns:
        The bytes that all tensors that it computes take together.

    Raises:
        Refused: the file is damaged, contains something that no store needs, or contradicts itself or the specs.
    """
    graph = parse_model_file(content)
    for indices, specs in ((graph.inputs, inputs), (graph.outputs, outputs)):
        found = [(graph.tensors[i].shape, graph.tensors[i].dtype) for i in indices]
        wanted = [((1, *spec.shape), spec.dtype) for spec in specs]
        if found != wanted:
            raise Refused(f"it has tensors {_listed(found)} where the manifest says {_listed(wanted)}")
    return check_graph(graph)


def _listed(found: Sequence[tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in found[:8])


def check_graph(graph: FileGraph) -> int:
    """Check a graph by itself; return and raise what `check_file` does."""
    check_tensors(graph)
    return _check_order(graph)


def check_tensors(graph: FileGraph) -> None:
    """Raise Refused unless sizes, constants and quantisation of all tensors are fit, whatever operators do."""
    for i, tensor in enumerate(graph.tensors):
        _check_tensor(tensor, f"tensor {i}")


def _check_tensor(tensor: FileTensor, where: str) -> None:
    """Raise Refused unless a tensor's size is within limits, and its constant data and quantisation fit its shape."""
    if len(tensor.shape) > MOST_DIMENSIONS or tensor.bytes > LARGEST_TENSOR_BYTES:
        raise Refused(f"{where} has the shape {tensor.shape}, which is too large")
    if tensor.data is not None and len(tensor.data) != tensor.bytes:
        raise Refused(f"{where} of shape {tensor.shape} takes {tensor.bytes} bytes and has {len(tensor.data)}")
    if tensor.dtype == "float16" and tensor.data is None:
        raise Refused(f"{where} is computed in float16")
    scales, zeros = tensor.scales, tensor.zero_points
    if tensor.dtype == "int8" and not len(scales):
        raise Refused(f"{where} is of int8 without a scale")
    if not len(scales) and not len(zeros):
        return
    if tensor.dtype not in _RANGES or len(zeros) not in (len(scales), 1):
        raise Refused(f"{where} of {tensor.dtype} has {len(scales)} scales and {len(zeros)} zero points")
    if not (np.isfinite(scales).all() and (scales >= np.finfo(np.float32).tiny).all()):
        raise Refused(f"{where} has a scale that is no positive number")
    low, high = _RANGES[tensor.dtype]
    if (zeros < low).any() or (zeros > high).any():
        raise Refused(f"{where} has a zero point outside {low} to {high}")
    if len(scales) > 1 and not (0 <= tensor.axis < len(tensor.shape) and tensor.shape[tensor.axis] == len(scales)):
        raise Refused(f"{where} of shape {tensor.shape} has {len(scales)} scales along axis {tensor.axis}")


def _check_order(graph: FileGraph) -> int:
    """Raise Refused unless each operator reads tensors that exist before it runs, and writes once what its rule says.

    Returns:
        The bytes that all written tensors take together.
    """
    ready = {i for i, tensor in enumerate(graph.tensors) if tensor.data is not None}
    for i in graph.inputs:
        if i in ready:
            raise Refused(f"input {i} is constant, or an input twice")
        ready.add(i)
    written: set[int] = set()
    total = 0
    for number, operator in enumerate(graph.operators):
        if missing := [i for i in operator.inputs if i >= 0 and i not in ready]:
            raise Refused(f"operator {number} reads tensor {missing[0]}, which nothing before it writes")
        results = outputs(graph, operator, KINDS, number)
        if len(results) != len(operator.outputs):
            raise Refused(f"operator {number} has {len(operator.outputs)} outputs instead of {len(results)}")
        for i, (shape, dtype) in zip(operator.outputs, results, strict=True):
            tensor = graph.tensors[i]
            if i in ready:
                raise Refused(f"operator {number} writes tensor {i}, which is an input, constant or written before")
            if tensor.shape != shape or tensor.dtype not in dtype.split("|"):
                raise Refused(
                    f"operator {number} makes {dtype} {shape} where tensor {i} is {tensor.dtype} {tensor.shape}"
                )
            if tensor.dtype in QUANTISED and not len(tensor.scales):
                raise Refused(f"operator {number} writes tensor {i}, which is of {tensor.dtype} without a scale")
            ready.add(i)
            written.add(i)
            total += tensor.bytes
    if total > LARGEST_GRAPH_BYTES:
        raise Refused(f"what it computes takes {total} bytes")
    if len(set(graph.outputs)) < len(graph.outputs) or not written.issuperset(graph.outputs):
        raise Refused("an output is given twice, or nothing writes it")
    return total
