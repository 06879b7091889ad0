"""A drawing of a cut model as SVG: a row for each segment, a box for each layer call, and a line for each connection.

`layout` says where things are within a segment. Between rows, connections leave on the right and come back in the gap
above the row that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.cutting.layout import BOX_HEIGHT, LEFT_MARGIN, DrawnNode, SegmentLayout, call_label, lay_out
from legodnn.blocks.importing.macs import macs

_HUES = (212, 28, 150, 265, 340, 185, 48, 300)  # in an order in which neighbours differ
_TRACK = 9  # pixels between connections that run side by side
_STYLE = (
    "text{font:10.5px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1d2733}"
    ".name{font-size:13px;font-weight:600}.title{font-size:18px;font-weight:600}.soft{fill:#66717e;font-size:10px}"
    ".mid{text-anchor:middle}.line{fill:none;stroke:#8a95a3;stroke-width:1.2}.skip{fill:none;stroke-width:1.8}"
)


def draw_model(name: str, pieces: Sequence[Piece]) -> str:
    """Return a drawing of a model's segments, as the text of one SVG document.

    Args:
        name: the model's name, for the title.
        pieces: what `extract` returned.
    """
    rows = [lay_out(piece) for piece in pieces]
    entering = [sum(n.column == 0 for n in row.nodes) for row in rows]
    tops, y = [], 74.0
    for row, count in zip(rows, entering, strict=True):
        y += 10 + _TRACK * count
        tops.append(y)
        y += row.height
    width = max(row.width for row in rows) + LEFT_MARGIN + 40
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
    """Return the hue of each segment by name, in degrees; None, which is gray, for fixed ones."""
    blocks = [p.name for p in pieces if p.kind == "block"]
    return {p.name: _HUES[blocks.index(p.name) % len(_HUES)] if p.kind == "block" else None for p in pieces}


def _card(
    row: SegmentLayout, top: float, hue: int | None, total_macs: int, total_params: int, width: float
) -> list[str]:
    """Return the SVG elements of a segment: its background, its figures on the left, its connections and its boxes."""
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
    """Return a line of figures at height `y`, with a bar below it for the segment's share of the whole model."""
    return [
        f'<text x="20" y="{y}">{_short(value)} {what}</text>',
        f'<text class="soft" x="150" y="{y}" text-anchor="end">{value / total:.1%}</text>',
        f'<rect x="20" y="{y + 4}" width="130" height="4" rx="2" fill="{_colour(hue, 90)}"/>',
        f'<rect x="20" y="{y + 4}" width="{130 * value / total:.1f}" height="4" rx="2" fill="{_colour(hue, 55)}"/>',
    ]


def _path(row: SegmentLayout, source: DrawnNode, target: DrawnNode) -> str:
    """Return the SVG path of a connection within a segment; it runs in a lane of its own where it skips columns."""
    x, y = source.x + source.width, source.y
    d = f"M{x:.1f} {y:.1f}"
    if target.column > source.column + 1:
        lane = row.lane_y[row.passing[id(source)]]
        start, end = row.columns[source.column + 1][0], row.columns[target.column - 1][1]
        d += _curve(x, y, start, lane) + f"H{end:.1f}"
        x, y = end, lane
    return d + _curve(x, y, target.x, target.y)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}" if y != to_y else f"H{to_x:.1f}"


def _box(node: DrawnNode, hue: int | None, makes: bool) -> str:
    x, y, width, call = node.x, node.y, node.width, node.call
    if call is None:
        dot = f'<circle cx="{x + 2:.1f}" cy="{y:.1f}" r="3.5" fill="{_colour(hue, 45)}">'
        return f"{dot}<title>{escape(node.name)}</title></circle>"
    fill, lines = _colour(hue, 76 if makes else 92), [line for line in call_label(call) if line]
    shapes = ", ".join("×".join(map(str, t.shape[1:])) for t in call.outputs)
    params = call.operation.count_params() if hasattr(call.operation, "count_params") else 0
    middle = x + width / 2
    text = "".join(
        f'<text class="mid{" soft" if i else ""}" x="{middle:.1f}" y="{y + 3.5 + 12 * (i - (len(lines) - 1) / 2):.1f}">'
        f"{escape(line)}</text>"
        for i, line in enumerate(lines)
    )
    return (
        f"<g><title>{escape(f'{call.name} ({call.kind}) {shapes}, {params:,} parameters')}</title>"
        f'<rect x="{x:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{width:.1f}" height="{BOX_HEIGHT}" rx="4" '
        f'fill="{fill}" stroke="{_colour(hue, 60)}"/>{text}</g>'
    )


def _between(
    rows: Sequence[SegmentLayout], tops: Sequence[float], hues: dict[str, int | None], right: float
) -> tuple[list[str], int]:
    """Return the SVG elements of connections between rows, and how many tracks they need on the right.

    A connection that skips a row has the colour of the row where it begins.
    """
    written: dict[str, tuple[int, DrawnNode]] = {}
    parts: list[str] = []
    tracks: list[tuple[str, int]] = []  # of each track: the tensor in it, and the last row that it reaches
    for number, (row, top) in enumerate(zip(rows, tops, strict=True)):
        entries = [n for n in row.nodes if n.column == 0]
        for i, node in enumerate(entries):
            gap = top - 6 - _TRACK * (len(entries) - 1 - i)
            enter = f"H{LEFT_MARGIN - 20 - 5 * i}V{top + node.y:.1f}H{node.x:.1f}"
            if node.name not in written:  # an input of the model
                parts.append(f'<text class="soft" x="{LEFT_MARGIN - 4}" y="{gap - 1:.1f}">{escape(node.name)}</text>')
                parts.append(f'<path class="line" d="M{LEFT_MARGIN - 8} {gap - 4:.1f}{enter}"/>')
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
        written.update((n.name, (number, n)) for n in row.nodes if n.call is None and n.column > 0)
    return parts, len(tracks)


def _short(count: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f}"


def _colour(hue: int | None, lightness: int) -> str:
    return f"hsl({hue or 0},{0 if hue is None else 62}%,{lightness}%)"
