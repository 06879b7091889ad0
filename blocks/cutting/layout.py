"""The layout of a drawn segment: the column and lane of each call, and the lane of each connection.

Within a segment, columns run from left to right. A call's column is the number of calls on the longest path to it from
the segment's inputs. Its lane is that of the latest call it reads from, so that the longest path runs straight and
branches lie below it. A connection that skips columns gets a lane of its own, above the boxes unless there is room
among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.graph import LayerCall, calls

# All lengths are in pixels.
BOX_HEIGHT = 30  # of a call's box, and of a lane with boxes
LEFT_MARGIN = 196  # of the columns; the segment's name and figures stand there
_THIN_LANE = 8  # the height of a lane that holds connections only
_COLUMN_GAP = 20


@dataclass
class DrawnNode:
    """A call, or an input or output of a segment, and its place.

    Attributes:
        call: the call; None for an input or output.
        name: of the call, or of the tensor.
        column: from 0, where inputs are, to the last, where outputs are.
        height: the number of calls on the longest path from here to an output.
        lane: the row of boxes it is in; connections may be in lanes below 0.
        x, y, width: its left end, its vertical middle, and its width, in pixels within the segment.
        reads: the nodes whose tensors it reads.
    """

    call: LayerCall | None
    name: str
    column: int
    height: int = 0
    lane: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    reads: list[DrawnNode] = field(default_factory=list)


@dataclass
class SegmentLayout:
    """The nodes of a segment with their places.

    Attributes:
        piece: the segment.
        nodes: its inputs, calls and outputs, in topological order.
        passing: the lane of the connections that skip columns, by the `id()` of the node they start at.
        lane_y: the vertical middle of each lane, in pixels.
        columns: the left and right end of each column, in pixels.
        height, width: of the whole, in pixels; the margin on the left is not counted.
    """

    piece: Piece
    nodes: list[DrawnNode]
    passing: dict[int, int] = field(default_factory=dict)
    lane_y: dict[int, float] = field(default_factory=dict)
    columns: list[tuple[float, float]] = field(default_factory=list)
    height: float = 0.0
    width: float = 0.0


def lay_out(piece: Piece) -> SegmentLayout:
    """Return the layout of a segment."""
    writers = {id(t): DrawnNode(None, name, column=0) for t, name in zip(piece.model.inputs, piece.inputs, strict=True)}
    nodes = list(writers.values())
    for call in calls(piece.model):
        reads = list({id(n): n for n in (writers[id(t)] for t in call.inputs)}.values())
        nodes.append(DrawnNode(call, call.name, 1 + max((n.column for n in reads), default=0), reads=reads))
        writers.update((id(t), nodes[-1]) for t in call.outputs)
    last = 1 + max(n.column for n in nodes)
    for t, name in zip(piece.model.outputs, piece.outputs, strict=True):
        nodes.append(DrawnNode(None, name, last, reads=[writers[id(t)]]))
    for node in reversed(nodes):
        for source in node.reads:
            source.height = max(source.height, node.height + 1)
    layout = SegmentLayout(piece, nodes)
    _choose_lanes(layout)
    _place(layout, last)
    return layout


def _choose_lanes(layout: SegmentLayout) -> None:
    """Give every node a lane, and a lane to the connections that skip columns."""
    taken: set[tuple[int, int]] = set()
    latest = {id(n): max((source.column for source in n.reads), default=0) for n in layout.nodes}
    for node in sorted(layout.nodes, key=lambda n: (n.column, -n.height, -latest[id(n)])):
        node.lane = max(node.reads, key=lambda n: n.column).lane if node.reads else 0
        while (node.lane, node.column) in taken:
            node.lane += 1
        taken.add((node.lane, node.column))
    for node in layout.nodes:
        readers = [n for n in layout.nodes if any(source is node for source in n.reads) and n.column > node.column + 1]
        if readers:
            span = range(node.column + 1, max(n.column for n in readers))
            lanes = [node.lane, *(n.lane for n in readers), *range(-1, -len(layout.nodes) - 1, -1)]
            lane = next(i for i in lanes if not any((i, column) in taken for column in span))
            taken.update((lane, column) for column in span)
            layout.passing[id(node)] = lane


def _place(layout: SegmentLayout, last: int) -> None:
    """Give lanes, columns and nodes their places in pixels; `last` is the number of the last column."""
    wide = {n.lane for n in layout.nodes}
    y = 10.0
    for lane in sorted(wide | set(layout.passing.values())):
        height = BOX_HEIGHT if lane in wide else _THIN_LANE
        layout.lane_y[lane] = y + height / 2
        y += height + 7
    layout.height = max(y + 4, 76)
    shift = (layout.height - y - 3) / 2
    layout.lane_y = {lane: y + shift for lane, y in layout.lane_y.items()}
    x = float(LEFT_MARGIN)
    for column in range(last + 1):
        nodes = [n for n in layout.nodes if n.column == column]
        width = max(_box_width(n) for n in nodes)
        layout.columns.append((x, x + width))
        for n in nodes:
            n.x, n.y, n.width = x, layout.lane_y[n.lane], width
        x += width + _COLUMN_GAP
    layout.width = x - LEFT_MARGIN


def _box_width(node: DrawnNode) -> float:
    return 4 if node.call is None else 14 + 6.2 * max(map(len, call_label(node.call)))


_SHORT = {
    "BatchNormalization": "BN",
    "LayerNormalization": "LN",
    "ZeroPadding2D": "pad",
    "Pad": "pad",
    "GlobalAveragePooling2D": "mean",
    "MaxPooling2D": "max pool",
    "AveragePooling2D": "avg pool",
    "UpSampling2D": "up",
    "Concatenate": "concat",
    "Add": "+",
    "Multiply": "×",
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "SeparableConv2D": "separable",
    "Conv2DTranspose": "transposed",
}  # fmt: skip


def call_label(call: LayerCall) -> tuple[str, str]:
    """Return two lines for a call's box: what it does, and its output's shape unless an input has the same shape."""
    operation: Any = call.operation
    text = _SHORT.get(call.kind, call.kind)
    if call.kind == "Activation":
        text = getattr(operation.activation, "__name__", text)
    elif call.kind == "ReLU" and operation.max_value is not None:
        text = f"ReLU{operation.max_value:g}"
    if kernel := getattr(operation, "kernel_size", None):
        text = f"{'×'.join(map(str, kernel))} {text}"
        if max(operation.strides) > 1:
            text += f" /{max(operation.strides)}"
    before, after = ([tuple(t.shape[1:]) for t in tensors] for tensors in (call.inputs, call.outputs))
    return text, "×".join(map(str, after[0])) if kernel or after[0] not in before else ""
