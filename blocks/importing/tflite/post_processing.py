"""The end of a `.tflite` file whose operators have no rule, such as an argmax: a device runs it as it is.

A file is divided before the first operators without a rule. What does not need them becomes a Keras graph, from which
blocks are cut; they and all that follows from them become a file of their own, a fixed segment of the store. What the
file hands over quantised is quantised again by that segment, as the file had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator, read_tflite
from legodnn.blocks.importing.tflite.graph import RULES
from legodnn.blocks.importing.tflite.names import unique_names, valid_name
from legodnn.manifest import Precision
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.cost import multiply_accumulates, parameter_count, weight_precision
from legodnn.runtime.tflite.model_file import (
    FileGraph,
    FileOperator,
    FileTensor,
    Refused,
    fit_for_stores,
    parse_model_file,
)
from legodnn.runtime.tflite.model_writer import write_model_file
from legodnn.tensor_spec import ElementType, TensorSpec

_QUANTIZE, _QUANTIZE_OPTIONS = 114, 89  # the numbers of the operator and of its options in the format


@dataclass(frozen=True, eq=False)
class PostProcessing:
    """What a file computes behind the graph that blocks are cut from.

    Attributes:
        kinds: its operators.
        cut_at: names of the file's tensors that the graph ends at. It reads the first of them, as many as `reads` has.
        reads: the shapes of what it reads, float32, without the batch dimension.
        gives: its outputs.
        finals: for each output of the whole file, its place among `gives`, or less than 0: `cut_at[-1 - n]` is it.
        content: a `.tflite` file.
        params, macs, precision: see `legodnn.manifest.Option`.
    """

    kinds: tuple[str, ...]
    cut_at: tuple[str, ...]
    reads: tuple[tuple[int, ...], ...]
    gives: tuple[TensorSpec, ...]
    finals: tuple[int, ...]
    content: bytes
    params: int
    macs: int
    precision: Precision


def post_processing_of(content: bytes) -> PostProcessing | None:
    """Return what a file computes from its first operators without a rule on.

    Returns:
        None: there is a rule for every operator, or what follows is nothing that a store can hold: custom operators,
        loops, something that reads the file's inputs or hands over other tensors than numbers of one image.

    Raises:
        ModelError: the file is damaged.
    """
    graph = read_tflite(content)
    late = _without_rule(graph)
    written = {i for operator in late for i in operator.outputs}
    computed = {i for o in graph.operators for i in o.outputs if _is_computed(o, graph)} - written
    reads = list(dict.fromkeys(i for o in late for i in o.inputs if i in computed or i in graph.inputs))
    others = [i for i in graph.outputs if i not in written and i not in reads]
    names = [graph.tensors[i].name for i in (*reads, *others)]
    if not late or not reads or set(reads) & set(graph.inputs) or len({*map(valid_name, names)}) < len(names):
        return None
    try:
        whole = parse_model_file(fit_for_stores(content))
        part = _part(whole, [o.number for o in late], reads, [i for i in graph.outputs if i in written])
        check_graph(part)
        gives = _specs(graph, [i for i in graph.outputs if i in written])
    except Refused:
        return None
    places = {i: place for place, i in enumerate(i for i in graph.outputs if i in written)}
    heads = [*reads, *others]
    return PostProcessing(
        kinds=tuple(o.kind for o in late),
        cut_at=tuple(names),
        reads=tuple(part.tensors[i].shape[1:] for i in part.inputs),
        gives=gives,
        finals=tuple(places[i] if i in places else -1 - heads.index(i) for i in graph.outputs),
        content=write_model_file(part),
        params=parameter_count(part),
        macs=multiply_accumulates(part),
        precision=weight_precision(part),
    )


def _without_rule(graph: ForeignGraph) -> list[ForeignOperator]:
    """Return the operators without a rule, and all that need what these write, in order."""
    late: list[ForeignOperator] = []
    written: set[int] = set()
    for operator in graph.operators:
        unknown = operator.kind not in RULES and operator.kind not in ("SHAPE", "RANK")
        if written.intersection(operator.inputs) or (unknown and _is_computed(operator, graph)):
            late.append(operator)
            written.update(operator.outputs)
    return late


def _is_computed(operator: ForeignOperator, graph: ForeignGraph) -> bool:
    """Whether an operator reads anything but constants of the file."""
    return any(i >= 0 and graph.tensors[i].data is None for i in operator.inputs)


def _specs(graph: ForeignGraph, outputs: Sequence[int]) -> tuple[TensorSpec, ...]:
    """Describe outputs of the file; Refused if one is not of a batch of 1, or not of a type that runtimes pass on."""
    found = []
    for name, i in zip(unique_names([valid_name(graph.tensors[i].name) for i in outputs]), outputs, strict=True):
        tensor = graph.tensors[i]
        shape = tuple(d or 0 for d in tensor.shape)
        if tensor.dtype not in get_args(ElementType) or shape[:1] != (1,) or 0 in shape or len(tensor.scales) > 1:
            raise Refused(f"output {name} is {tensor.dtype} {tensor.shape}")
        scaled = tensor.dtype in ("uint8", "int8") and len(tensor.scales) == 1
        scale, zero = (float(tensor.scales[0]), int(tensor.zero_points[0])) if scaled else (0.0, 0)
        found.append(TensorSpec(name=name, shape=shape[1:], dtype=tensor.dtype, scale=scale, zero_point=zero))  # type: ignore[arg-type]
    return tuple(found)


def _part(whole: FileGraph, numbers: Sequence[int], reads: Sequence[int], outputs: Sequence[int]) -> FileGraph:
    """Return some of a graph's operators as a graph whose inputs are float32."""
    tensors: list[FileTensor] = []
    places: dict[int, int] = {}

    def place(i: int) -> int:
        if i < 0:
            return i
        if i not in places:
            places[i] = len(tensors)
            tensors.append(whole.tensors[i])
        return places[i]

    operators: list[FileOperator] = []
    inputs = []
    for i in reads:
        inside, tensor = place(i), whole.tensors[i]
        if tensor.shape[:1] != (1,) or (tensor.dtype != "float32" and not len(tensor.scales)):
            raise Refused(f"it reads {tensor.dtype} {tensor.shape}")
        if tensor.dtype == "float32":
            inputs.append(inside)
            continue
        none = np.zeros(0, np.float32), np.zeros(0, np.int64)
        inputs.append(len(tensors))
        tensors.append(replace(tensor, dtype="float32", scales=none[0], zero_points=none[1]))
        operators.append(FileOperator(_QUANTIZE, 1, (inputs[-1],), (inside,), _QUANTIZE_OPTIONS, {}))
    for number in numbers:
        o = whole.operators[number]
        operators.append(replace(o, inputs=tuple(map(place, o.inputs)), outputs=tuple(map(place, o.outputs))))
    return FileGraph(tuple(tensors), tuple(inputs), tuple(map(place, outputs)), tuple(operators))
