"""The end of a `.tflite` file whose operators have no rule, such as an argmax: a device runs it as it is.

A file is divided before the first operators without a rule. What does not need them becomes a Keras graph, from which
blocks are cut; they and all that follows from them become a file of their own, a fixed segment of the store. What the
file hands over quantised is quantised again by that segment, as the file had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from legodnn.arrays import Shape
from legodnn.blocks.importing.tflite.dilation import with_dilations
from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator, read_tflite
from legodnn.blocks.importing.tflite.graph import RULES
from legodnn.blocks.importing.tflite.names import unique_names, valid_name
from legodnn.manifest import Precision
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.cost import multiply_accumulates, parameter_count, weight_precision
from legodnn.runtime.tflite.fitting import fit_for_stores
from legodnn.runtime.tflite.model_file import (
    FileGraph,
    FileOperator,
    FileTensor,
    Refused,
    parse_model_file,
)
from legodnn.runtime.tflite.model_writer import write_model_file
from legodnn.runtime.tflite.tensor_specs import spec_of
from legodnn.tensor_spec import TensorSpec

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
    reads: tuple[Shape, ...]
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
        loops, something that reads the file's inputs or hands over other tensors than numbers of one image. Nor is
        there any of a damaged file.
    """
    try:
        content = fit_for_stores(content)  # shapes that it computes are constants there, which no one hands over
    except Refused:
        return None
    graph = read_tflite(content)
    late = _without_rule(graph)
    written = {i for operator in late for i in operator.outputs}
    computed = {i for o in graph.operators for i in o.outputs if _is_computed(o, graph)} - written
    reads = list(dict.fromkeys(i for o in late for i in o.inputs if i in computed or i in graph.inputs))
    others = [i for i in graph.outputs if i not in written and i not in reads]
    outputs = [i for i in graph.outputs if i in written]
    names = [graph.tensors[i].name for i in (*reads, *others)]
    if not late or not reads or set(reads) & set(graph.inputs) or len({*map(valid_name, names)}) < len(names):
        return None
    try:
        whole = parse_model_file(content)
        part = _part(whole, [o.number for o in late], reads, outputs)
        check_graph(part)
        given = unique_names([valid_name(graph.tensors[i].name) for i in outputs])
        gives = tuple(spec_of(part.tensors[i], name, "output") for i, name in zip(part.outputs, given, strict=True))
    except Refused:
        return None
    heads = [*reads, *others]
    return PostProcessing(
        kinds=tuple(o.kind for o in late),
        cut_at=tuple(names),
        reads=tuple(part.tensors[i].shape[1:] for i in part.inputs),
        gives=gives,
        finals=tuple(outputs.index(i) if i in written else -1 - heads.index(i) for i in graph.outputs),
        content=write_model_file(part),
        params=parameter_count(part),
        macs=multiply_accumulates(part),
        precision=weight_precision(part),
    )


def _without_rule(graph: ForeignGraph) -> list[ForeignOperator]:
    """Return the operators without a rule, and all that need what these write, in order."""
    late: list[ForeignOperator] = []
    written: set[int] = set()
    known = (*RULES, "SHAPE", "RANK")
    unknown = {o.number for o in with_dilations(graph).part_for(graph.outputs).operators if o.kind not in known}
    for operator in graph.operators:
        if written.intersection(operator.inputs) or (operator.number in unknown and _is_computed(operator, graph)):
            late.append(operator)
            written.update(operator.outputs)
    return late


def _is_computed(operator: ForeignOperator, graph: ForeignGraph) -> bool:
    """Whether an operator reads anything but constants of the file."""
    return any(i >= 0 and graph.tensors[i].data is None for i in operator.inputs)


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
        inputs.append(len(tensors))
        plain = replace(tensor, dtype="float32", scales=np.zeros(0, np.float32), zero_points=np.zeros(0, np.int64))
        tensors.append(plain)
        operators.append(FileOperator(_QUANTIZE, 1, (inputs[-1],), (inside,), _QUANTIZE_OPTIONS, {}))
    for number in numbers:
        o = whole.operators[number]
        operators.append(replace(o, inputs=tuple(map(place, o.inputs)), outputs=tuple(map(place, o.outputs))))
    return FileGraph(tuple(tensors), tuple(inputs), tuple(map(place, outputs)), tuple(operators))
