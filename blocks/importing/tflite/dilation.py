"""Dilated convolutions that a file computes of pieces of images: they become what they were.

TensorFlow takes every second pixel (or every third ...) for images of their own, convolves these, and puts the pixels
back. Converters make one dilated convolution of it where they know the batch, and leave the operators elsewhere.
Sequences are convolved as images of one row, which lie between two operators more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator, ForeignTensor

_SAME, _VALID = 0, 1  # paddings by their numbers in the format
_ROW = 1  # the axis of the height, along which a sequence has one row

_SPLIT, _CONVOLVED, _JOINED = ("SPACE_TO_BATCH_ND",), ("CONV_2D", "DEPTHWISE_CONV_2D"), ("BATCH_TO_SPACE_ND",)
# The operators that such a convolution is made of, in the order in which they run, by the kinds that each may be of.
_OF_IMAGES = (_SPLIT, _CONVOLVED, _JOINED)
_OF_SEQUENCES = (_SPLIT, ("EXPAND_DIMS", "RESHAPE"), _CONVOLVED, ("RESHAPE", "SQUEEZE"), _JOINED)
_COUNTS_OF_INPUTS = {
    "SPACE_TO_BATCH_ND": (3,), "BATCH_TO_SPACE_ND": (3,), "CONV_2D": (2, 3), "DEPTHWISE_CONV_2D": (2, 3),
    "EXPAND_DIMS": (2,), "RESHAPE": (1, 2), "SQUEEZE": (1,),
}  # fmt: skip


def with_dilations(graph: ForeignGraph) -> ForeignGraph:
    """Return a graph with a dilated convolution in the place of each last one of such operators.

    The others stay where they are; nothing reads them, unless it did so besides (`ForeignGraph.part_for` tells).
    """
    makers = {i: operator for operator in graph.operators for i in operator.outputs}
    tensors, operators = list(graph.tensors), list[ForeignOperator]()
    for last in graph.operators:
        if chain := _chain(last, makers, _OF_IMAGES):
            operators.append(_dilated(graph, *chain) or last)
        elif chain := _chain(last, makers, _OF_SEQUENCES):
            made, added = _of_one_row(graph, len(tensors), *chain)
            operators += made or [last]
            tensors += added
        else:
            operators.append(last)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _chain(
    last: ForeignOperator, makers: Mapping[int, ForeignOperator], kinds: Sequence[Collection[str]]
) -> list[ForeignOperator]:
    """Return operators of some kinds, each of which reads what the one before makes; none if `last` ends no such chain.

    Args:
        last: the last one.
        makers: by tensor, the operator that makes it.
        kinds: for each operator, the kinds that it may be of.
    """
    chain = list[ForeignOperator]()
    operator: ForeignOperator | None = last
    for wanted in reversed(kinds):
        if operator is None or operator.kind not in wanted:
            return []
        if len(operator.inputs) not in _COUNTS_OF_INPUTS[operator.kind]:  # a damaged file: its rule refuses it
            return []
        chain.insert(0, operator)
        operator = makers.get(operator.inputs[0])
    return chain if last.outputs else []


def _dilated(
    graph: ForeignGraph, split: ForeignOperator, convolution: ForeignOperator, joined: ForeignOperator
) -> ForeignOperator | None:
    """Return the dilated convolution that computes the same as some operators; None if there is none."""
    options = _options(graph, split, convolution, joined)
    if options is None:
        return None
    inputs = (split.inputs[0], *convolution.inputs[1:])
    return ForeignOperator(joined.number, convolution.kind, inputs, joined.outputs, options)


def _of_one_row(
    graph: ForeignGraph,
    at: int,
    split: ForeignOperator,
    widened: ForeignOperator,
    convolution: ForeignOperator,
    narrowed: ForeignOperator,
    joined: ForeignOperator,
) -> tuple[list[ForeignOperator], list[ForeignTensor]]:
    """Return the dilated convolution of images of one row, between operators that make the row and take it away.

    The two tensors around the convolution are new; the first one's index is `at`. Without such a convolution that
    computes the same as the given operators, nothing is returned.
    """
    dilated = _dilated(graph, split, convolution, joined)
    read, written = (graph.tensors[i].shape for i in (split.inputs[0], joined.outputs[0]))
    ends = ((widened.inputs[0], widened.outputs[0]), (narrowed.outputs[0], narrowed.inputs[0]))
    one_row = all(graph.tensors[row].shape[1:] == (1, *graph.tensors[i].shape[1:]) for i, row in ends)
    if dilated is None or not one_row or not len(read) == len(written) == 3:
        return [], []
    added = [
        replace(graph.tensors[operator.outputs[0]], shape=(*shape[:_ROW], 1, *shape[_ROW:]))
        for operator, shape in ((widened, read), (convolution, written))
    ]
    shape = [1, 1, *(d or -1 for d in read[1:])]
    return [
        ForeignOperator(joined.number, "RESHAPE", split.inputs[:1], (at,), {"shape": shape}),
        replace(dilated, inputs=(at, *convolution.inputs[1:]), outputs=(at + 1,)),
        ForeignOperator(joined.number, "SQUEEZE", (at + 1,), joined.outputs, {"dims": [_ROW]}),
    ], added


def _options(
    graph: ForeignGraph, split: ForeignOperator, convolution: ForeignOperator, joined: ForeignOperator
) -> dict[str, object] | None:
    """Return the options of the dilated convolution; None if there is none that computes the same."""
    blocks, paddings, others, crops = (_numbers(graph, i) for i in (*split.inputs[1:], *joined.inputs[1:]))
    if len(blocks) == 1:  # a sequence
        blocks, paddings, others, crops = [1, *blocks], [0, 0, *paddings], [1, *others], [0, 0, *crops]
    options = convolution.options
    plain = all(options.get(f"{name}_{axis}", 1) == 1 for name in ("stride", "dilation") for axis in "hw")
    if not plain or options.get("padding") != _VALID or blocks != others or len(blocks) != 2:
        return None
    sizes = graph.tensors[convolution.inputs[1]].shape[1:3]
    if len(sizes) != 2 or None in sizes or not len(paddings) == len(crops) == 4:
        return None
    spread = [((size or 0) - 1) * block for size, block in zip(sizes, blocks, strict=True)]
    added = [p - c for p, c in zip(paddings, crops, strict=True)]  # before and after height and width
    around = [side for total in spread for side in (total // 2, total - total // 2)]
    if added not in (around, [0] * 4):
        return None
    padding = _VALID if added == [0] * 4 else _SAME
    return {**options, "padding": padding, "dilation_h": blocks[0], "dilation_w": blocks[1]}


def _numbers(graph: ForeignGraph, i: int) -> list[int]:
    """Return the whole numbers of a constant, one after another; none if it is computed."""
    return [] if i < 0 or graph.tensors[i].data is None else [int(v) for v in graph.tensors[i].values().ravel()]
