"""Dilated convolutions that a file computes of pieces of images: they become what they were.

TensorFlow takes every second pixel (or every third ...) for images of their own, convolves these, and puts the pixels
back. Converters make one dilated convolution of it where they know the batch, and leave the operators elsewhere.
Sequences are convolved as images of one row, which lie between two operators more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator, ForeignTensor

_SAME, _VALID = 0, 1  # paddings by their numbers in the format
_ONE_ROW = 1  # the axis of the height


def with_dilations(graph: ForeignGraph) -> ForeignGraph:
    """Return a graph with a dilated convolution in the place of each last one of such operators.

    The others stay where they are; nothing reads them, unless it did so besides (`ForeignGraph.part_for` tells).
    """
    makers = {i: operator for operator in graph.operators for i in operator.outputs}
    tensors, operators = list(graph.tensors), list[ForeignOperator]()
    for operator in graph.operators:
        operators += _dilated(graph, operator, makers, tensors) or [operator]
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _dilated(
    graph: ForeignGraph, last: ForeignOperator, makers: Mapping[int, ForeignOperator], tensors: list[ForeignTensor]
) -> list[ForeignOperator]:
    """Return the dilated convolution that an operator ends, between the operators that make one row and take it away.

    Tensors that these need are added. There are no operators if it ends something else.
    """
    if last.kind != "BATCH_TO_SPACE_ND" or len(last.inputs) != 3:
        return []
    convolution = makers.get(last.inputs[0])
    row = convolution is not None and convolution.kind in ("RESHAPE", "SQUEEZE")
    convolution = makers.get(convolution.inputs[0]) if row and convolution else convolution
    if convolution is None or convolution.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or len(convolution.inputs) < 2:
        return []
    first = widened = makers.get(convolution.inputs[0])
    if row and widened and widened.kind in ("EXPAND_DIMS", "RESHAPE"):
        first = makers.get(widened.inputs[0])
    if first is None or widened is None or first.kind != "SPACE_TO_BATCH_ND" or len(first.inputs) != 3:
        return []
    options = _options(graph, first, convolution, last)
    if options is None:
        return []
    inputs = (first.inputs[0], *convolution.inputs[1:])
    made = replace(convolution, number=last.number, inputs=inputs, outputs=last.outputs, options=options)
    if not row:
        return [made]
    read, written = (graph.tensors[i].shape for i in (first.inputs[0], last.outputs[0]))
    rows = (widened.outputs[0], convolution.outputs[0]), (widened.inputs[0], last.inputs[0])
    wide, narrow = ([graph.tensors[i].shape for i in pair] for pair in rows)
    same = all(w[1:] == (1, *n[1:]) for w, n in zip(wide, narrow, strict=True))
    if not same or len(read) != 3 or len(written) != 3:
        return []
    at = len(tensors)
    for operator, shape in ((widened, read), (convolution, written)):
        tensor = graph.tensors[operator.outputs[0]]
        tensors.append(replace(tensor, shape=(*shape[:_ONE_ROW], 1, *shape[_ONE_ROW:])))
    sizes = [1, 1, *(d or -1 for d in read[1:])]
    return [
        replace(
            widened, number=last.number, kind="RESHAPE", inputs=inputs[:1], outputs=(at,), options={"shape": sizes}
        ),
        replace(made, inputs=(at, *inputs[1:]), outputs=(at + 1,)),
        replace(last, kind="SQUEEZE", inputs=(at + 1,), options={"dims": [_ONE_ROW]}),
    ]


def _options(
    graph: ForeignGraph, first: ForeignOperator, convolution: ForeignOperator, last: ForeignOperator
) -> dict[str, object] | None:
    """Return the options of the dilated convolution; None if there is none that computes the same."""
    blocks, paddings, others, crops = (_numbers(graph, i) for i in (*first.inputs[1:], *last.inputs[1:]))
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
