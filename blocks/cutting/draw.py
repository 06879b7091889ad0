"""A drawing of a cut model as SVG: a row for each segment, a box for each layer call, every connection a line.

Within a row time runs from left to right. A call's column is the longest way to it from the segment's inputs; its lane
is that of the call it waited for, so that the longest path runs straight and branches lie below it. A connection
that passes columns by gets a lane of its own, above the boxes unless there is room among them. Between rows,
connections leave on the right and come back in the gap above the row that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.graph import LayerCall, calls, macs

_HUES = (212, 28, 150, 265, 340, 185, 48, 300)  # neighbours differ
_BOX, _THIN, _GAP, _SIDE, _TRACK = 30, 8, 20, 196, 9  # pixels: a lane with boxes, one without, between columns, ...
_STYLE = (
    "text{font:10.5px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1d2733}"
    ".name{font-size:13px;font-weight:600}.title{font-size:18px;font-weight:600}.soft{fill:#66717e;font-size:10px}"
    ".mid{text-anchor:middle}.line{fill:none;stroke:#8a95a3;stroke-width:1.2}.skip{fill:none;stroke-width:1.8}"
)


@dataclass
class _Node:
    """A call, or an input (`call` is None) or output of a segment, and its place."""

    call: LayerCall | None
    name: str
    level: int
    height: int = 0
    lane: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    reads: list[_Node] = field(default_factory=list)


@dataclass
class _Row:
    """A segment's nodes with their places; `passing` has the lane of each node's far-reaching connections."""

    piece: Piece
    nodes: list[_Node]
    passing: dict[int, int] = field(default_factory=dict)
    lane_y: dict[int, float] = field(default_factory=dict)
    columns: list[tuple[float, float]] = field(default_factory=list)
    height: float = 0.0
    width: float = 0.0


def draw_model(name: str, pieces: Sequence[Piece]) -> str:
    """The segments of a model as one SVG document.

    Args:
        name: the model's name, for the title.
        pieces: what `extract` returned.
    """
    rows = [_layout(piece) for piece in pieces]
    entering = [sum(n.level == 0 for n in row.nodes) for row in rows]
    tops, y = [], 74.0
    for row, count in zip(rows, entering, strict=True):
        y += 10 + _TRACK * count
        tops.append(y)
        y += row.height
    width = max(row.width for row in rows) + _SIDE + 40
    total_macs = sum(macs(p.model) for p in pieces) or 1
    total_params = sum(p.model.count_params() for p in pieces) or 1
    parts = [
        f'<text class="title" x="16" y="30">{escape(name)}</text>',
        f'<text x="16" y="50">{sum(p.kind == "block" for p in pieces)} blocks in {len(pieces)} segments · '
        f"{_short(total_macs)} multiply-accumulates · {_short(total_params)} parameters</text>",
        '<text class="soft" x="16" y="66">strong colour: makes channels that can be removed · pale: follows · '
        "grey: fixed</text>",
    ]
    hues = _hues(pieces)
    connections, tracks = _between(rows, tops, hues, width)
    for row, top in zip(rows, tops, strict=True):
        parts += _card(row, top, hues[row.piece.name], total_macs, total_params, width)
    width += _TRACK * (tracks + 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y + 16:.0f}" '
        f'viewBox="0 0 {width:.0f} {y + 16:.0f}"><style>{_STYLE}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>' + "\n".join([*parts, *connections]) + "</svg>\n"
    )


def _hues(pieces: Sequence[Piece]) -> dict[str, int | None]:
    blocks = [p.name for p in pieces if p.kind == "block"]
    return {p.name: _HUES[blocks.index(p.name) % len(_HUES)] if p.kind == "block" else None for p in pieces}


# --- where things are ----------------------------------------------------------------------------------------------


def _layout(piece: Piece) -> _Row:
    writers = {id(t): _Node(None, name, level=0) for t, name in zip(piece.model.inputs, piece.inputs, strict=True)}
    nodes = list(writers.values())
    for call in calls(piece.model):
        reads = list({id(n): n for n in (writers[id(t)] for t in call.inputs)}.values())
        nodes.append(_Node(call, call.name, 1 + max((n.level for n in reads), default=0), reads=reads))
        writers.update((id(t), nodes[-1]) for t in call.outputs)
    last = 1 + max(n.level for n in nodes)
    for t, name in zip(piece.model.outputs, piece.outputs, strict=True):
        nodes.append(_Node(None, name, last, reads=[writers[id(t)]]))
    for node in reversed(nodes):
        for source in node.reads:
            source.height = max(source.height, node.height + 1)
    row = _Row(piece, nodes)
    _choose_lanes(row)
    _place(row, last)
    return row


def _choose_lanes(row: _Row) -> None:
    taken: set[tuple[int, int]] = set()
    latest = {id(n): max((source.level for source in n.reads), default=0) for n in row.nodes}
    for node in sorted(row.nodes, key=lambda n: (n.level, -n.height, -latest[id(n)])):
        node.lane = max(node.reads, key=lambda n: n.level).lane if node.reads else 0
        while (node.lane, node.level) in taken:
            node.lane += 1
        taken.add((node.lane, node.level))
    for node in row.nodes:
        readers = [n for n in row.nodes if any(source is node for source in n.reads) and n.level > node.level + 1]
        if readers:
            span = range(node.level + 1, max(n.level for n in readers))
            lanes = [node.lane, *(n.lane for n in readers), *range(-1, -len(row.nodes) - 1, -1)]
            lane = next(i for i in lanes if not any((i, level) in taken for level in span))
            taken.update((lane, level) for level in span)
            row.passing[id(node)] = lane


def _place(row: _Row, last: int) -> None:
    wide = {n.lane for n in row.nodes}
    y = 10.0
    for lane in sorted(wide | set(row.passing.values())):
        height = _BOX if lane in wide else _THIN
        row.lane_y[lane] = y + height / 2
        y += height + 7
    row.height = max(y + 4, 76)
    shift = (row.height - y - 3) / 2
    row.lane_y = {lane: y + shift for lane, y in row.lane_y.items()}
    x = float(_SIDE)
    for level in range(last + 1):
        column = [n for n in row.nodes if n.level == level]
        width = max(_box_width(n) for n in column)
        row.columns.append((x, x + width))
        for n in column:
            n.x, n.y, n.width = x, row.lane_y[n.lane], width
        x += width + _GAP
    row.width = x - _SIDE


def _box_width(node: _Node) -> float:
    return 4 if node.call is None else 14 + 6.2 * max(map(len, _label(node.call)))


# --- what is drawn -------------------------------------------------------------------------------------------------


def _card(row: _Row, top: float, hue: int | None, total_macs: int, total_params: int, width: float) -> list[str]:
    """A segment: its background and figures on the left, its connections and boxes."""
    piece = row.piece
    parts = [
        f'<g transform="translate(0 {top:.1f})"><rect x="8" width="{width - 16:.1f}" height="{row.height:.1f}" rx="8" '
        f'fill="{_colour(hue, 97)}" stroke="{_colour(hue, 86)}"/>',
        f'<text class="name" x="20" y="20">{escape(piece.name)}</text>',
        *_share("MACs", macs(piece.model), total_macs, 36, hue),
        *_share("params", piece.model.count_params(), total_params, 58, hue),
    ]
    for node in row.nodes:
        parts += [f'<path class="line" d="{_path(row, source, node)}"/>' for source in node.reads]
    makers = {layer for group in analyse(piece.model).groups for layer in group.makers} if hue is not None else set()
    parts += [_box(n, hue, n.name in makers) for n in row.nodes]
    return [*parts, "</g>"]


def _share(what: str, value: int, total: int, y: float, hue: int | None) -> list[str]:
    return [
        f'<text x="20" y="{y}">{_short(value)} {what}</text>',
        f'<text class="soft" x="150" y="{y}" text-anchor="end">{value / total:.1%}</text>',
        f'<rect x="20" y="{y + 4}" width="130" height="4" rx="2" fill="{_colour(hue, 90)}"/>',
        f'<rect x="20" y="{y + 4}" width="{130 * value / total:.1f}" height="4" rx="2" fill="{_colour(hue, 55)}"/>',
    ]


def _path(row: _Row, source: _Node, target: _Node) -> str:
    x, y = source.x + source.width, source.y
    d = f"M{x:.1f} {y:.1f}"
    if target.level > source.level + 1:
        lane = row.lane_y[row.passing[id(source)]]
        start, end = row.columns[source.level + 1][0], row.columns[target.level - 1][1]
        d += _curve(x, y, start, lane) + f"H{end:.1f}"
        x, y = end, lane
    return d + _curve(x, y, target.x, target.y)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}" if y != to_y else f"H{to_x:.1f}"


def _box(node: _Node, hue: int | None, makes: bool) -> str:
    x, y, call = node.x, node.y, node.call
    if call is None:
        dot = f'<circle cx="{x + 2:.1f}" cy="{y:.1f}" r="3.5" fill="{_colour(hue, 45)}">'
        return f"{dot}<title>{escape(node.name)}</title></circle>"
    fill, lines = _colour(hue, 76 if makes else 92), [line for line in _label(call) if line]
    shapes = ", ".join("×".join(map(str, t.shape[1:])) for t in call.outputs)
    params = call.operation.count_params() if hasattr(call.operation, "count_params") else 0
    middle = x + node.width / 2
    text = "".join(
        f'<text class="mid{" soft" if i else ""}" x="{middle:.1f}" y="{y + 3.5 + 12 * (i - (len(lines) - 1) / 2):.1f}">'
        f"{escape(line)}</text>"
        for i, line in enumerate(lines)
    )
    return (
        f"<g><title>{escape(f'{call.name} ({call.kind}) {shapes}, {params:,} parameters')}</title>"
        f'<rect x="{x:.1f}" y="{y - _BOX / 2:.1f}" width="{node.width:.1f}" height="{_BOX}" rx="4" fill="{fill}" '
        f'stroke="{_colour(hue, 60)}"/>{text}</g>'
    )


def _between(
    rows: Sequence[_Row], tops: Sequence[float], hues: dict[str, int | None], right: float
) -> tuple[list[str], int]:
    """Connections between rows, and how many tracks they need on the right; those that skip a row are coloured."""
    written: dict[str, tuple[int, _Node]] = {}
    parts: list[str] = []
    tracks: list[tuple[str, int]] = []  # what runs in each track, and the last row it reaches
    for number, (row, top) in enumerate(zip(rows, tops, strict=True)):
        entries = [n for n in row.nodes if n.level == 0]
        for i, node in enumerate(entries):
            gap = top - 6 - _TRACK * (len(entries) - 1 - i)
            enter = f"H{_SIDE - 20 - 5 * i}V{top + node.y:.1f}H{node.x:.1f}"
            if node.name not in written:  # an input of the model
                parts.append(f'<text class="soft" x="{_SIDE - 4}" y="{gap - 1:.1f}">{escape(node.name)}</text>')
                parts.append(f'<path class="line" d="M{_SIDE - 8} {gap - 4:.1f}{enter}"/>')
                continue
            origin, source = written[node.name]
            skips = number > origin + 1
            if skips:
                free = (k for k, (name, end) in enumerate(tracks) if end <= origin or name == node.name)
                k = next(free, len(tracks))
                tracks[k : k + 1] = [(node.name, number)]
            hue = hues[rows[origin].piece.name]
            style = f'class="skip" stroke="{_colour(hue, 50)}"' if skips else 'class="line"'
            x = right + _TRACK * k if skips else right - 4
            start = f"M{source.x + 4:.1f} {tops[origin] + source.y:.1f}"
            parts.append(f'<path {style} stroke-linejoin="round" d="{start}H{x:.1f}V{gap:.1f}{enter}"/>')
        written.update((n.name, (number, n)) for n in row.nodes if n.call is None and n.level > 0)
    return parts, len(tracks)


# --- words and colours ---------------------------------------------------------------------------------------------

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


def _label(call: LayerCall) -> tuple[str, str]:
    """Two lines: what a call does, and the shape of its result where that is news."""
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


def _short(count: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f}"


def _colour(hue: int | None, lightness: int) -> str:
    return f"hsl({hue or 0},{0 if hue is None else 62}%,{lightness}%)"
