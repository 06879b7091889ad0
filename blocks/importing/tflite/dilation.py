"""Dilated convolutions that a file computes of pieces of images: they become what they were.

TensorFlow takes every second pixel (or every third ...) for images of their own, convolves these, and puts the pixels
back. Converters make one dilated convolution of it where they know the batch, and leave the three operators elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator

_SAME, _VALID = 0, 1  # paddings by their numbers in the format


def with_dilations(graph: ForeignGraph) -> ForeignGraph:
    """Return a graph with a dilated convolution in the place of each third of three such operators.

    The other two stay where they are; nothing reads them, unless it did so besides (`ForeignGraph.part_for` tells).
    """
    makers = {i: operator for operator in graph.operators for i in operator.outputs}
    return replace(graph, operators=tuple(_dilated(graph, o, makers) or o for o in graph.operators))


def _dilated(graph: ForeignGraph, last: ForeignOperator, makers: dict[int, ForeignOperator]) -> ForeignOperator | None:
    """Return the dilated convolution that an operator ends; None if it is something else."""
    if last.kind != "BATCH_TO_SPACE_ND" or len(last.inputs) != 3:
        return None
    convolution = makers.get(last.inputs[0])
    first = makers.get(convolution.inputs[0]) if convolution and convolution.inputs else None
    if convolution is None or convolution.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or len(convolution.inputs) < 2:
        return None
    if first is None or first.kind != "SPACE_TO_BATCH_ND" or len(first.inputs) != 3:
        return None
    blocks, paddings, others, crops = (
        _numbers(graph, i) for i in (*first.inputs[1:], *last.inputs[1:])
    )  # of height and width; paddings and crops before and after each
    options = convolution.options
    plain = all(options.get(f"{name}_{axis}", 1) == 1 for name in ("stride", "dilation") for axis in "hw")
    if not plain or options.get("padding") != _VALID or blocks != others or len(blocks) != 2:
        return None
    sizes = graph.tensors[convolution.inputs[1]].shape[1:3]
    if len(sizes) != 2 or None in sizes or not len(paddings) == len(crops) == 4:
        return None
    spread = [((size or 0) - 1) * block for size, block in zip(sizes, blocks, strict=True)]
    added = [p - c for p, c in zip(paddings, crops, strict=True)]
    around = [side for total in spread for side in (total // 2, total - total // 2)]
    if added not in (around, [0] * 4):
        return None
    padding = _VALID if added == [0] * 4 else _SAME
    return replace(
        last,
        kind=convolution.kind,
        inputs=(first.inputs[0], *convolution.inputs[1:]),
        options={**options, "padding": padding, "dilation_h": blocks[0], "dilation_w": blocks[1]},
    )


def _numbers(graph: ForeignGraph, i: int) -> list[int]:
    """Return the whole numbers of a constant, one after another; none if it is computed."""
    return [] if i < 0 or graph.tensors[i].data is None else [int(v) for v in graph.tensors[i].values().ravel()]
