"""A drawing of what the options of a store reach, under the roof of this device (see `profiler.roofline`)."""

from __future__ import annotations

import math
from html import escape

from legodnn.commands.costs import StoreCosts

_WIDTH, _HEIGHT, _MARGIN = 720, 440, 60


def draw_roofline(costs: StoreCosts) -> str:
    """Return a roofline of the options as the text of one SVG: MACs in a second over MACs for each byte moved.

    Both axes are logarithmic. A title tells each dot's segment and option.
    """
    dots = [(o, o.macs / o.moved_bytes, o.macs_per_s) for o in costs.options if o.macs and o.macs_per_s]
    roof = costs.roof
    peaks = (("float32", roof.float32_macs_per_s), ("int8", roof.int8_macs_per_s))
    ridges = [peak / roof.bytes_per_s for _, peak in peaks]
    x_ends = _decades([*(x for _, x, _ in dots), *ridges])
    y_ends = _decades([*(y for *_, y in dots if y), *(peak for _, peak in peaks)])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_ends[0]) / (x_ends[1] - x_ends[0])
        up = (math.log10(y) - y_ends[0]) / (y_ends[1] - y_ends[0])
        return _MARGIN + across * (_WIDTH - 2 * _MARGIN), _HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN)

    parts = []
    for (name, peak), ridge in zip(peaks, ridges, strict=True):
        least = max(10.0 ** x_ends[0], 10.0 ** y_ends[0] / roof.bytes_per_s)
        points = [at(least, least * roof.bytes_per_s), at(ridge, peak), at(10.0 ** x_ends[1], peak)]
        parts.append(f'<polyline class="roof" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        parts.append(f'<text x="{points[2][0]:.1f}" y="{points[2][1] - 5:.1f}" text-anchor="end">{name}</text>')
    for o, intensity, speed in dots:
        x, y = at(intensity, speed or 1.0)
        title = f"<title>{escape(f'{o.segment} {o.option}')}</title>"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>')
    for power in range(x_ends[0], x_ends[1] + 1):
        x, y = at(10.0**power, 10.0 ** y_ends[0])
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10.0**power:g}</text>')
    for power in range(y_ends[0], y_ends[1] + 1):
        x, y = at(10.0 ** x_ends[0], 10.0**power)
        parts.append(f'<text x="{x - 6:.1f}" y="{y:.1f}" text-anchor="end">{10.0 ** (power - 9):g}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"><style>text{{font:11px system-ui,'
        "sans-serif}.roof{fill:none;stroke:#66717e;stroke-width:2}circle{fill:#296bae;fill-opacity:.7}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/><text x="{_MARGIN}" y="24">{escape(costs.store)}: GMACs/s over '
        f"MACs for each byte moved, {roof.threads} thread{'s' * (roof.threads > 1)}</text>{''.join(parts)}</svg>\n"
    )


def _decades(values: list[float]) -> tuple[int, int]:
    """Return the powers of ten that enclose values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
