"""A picture of widths: a bar for every group of channels, filled as far as it was kept."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_ROW, _LABEL, _BAR, _MARGIN = 20, 260, 360, 12


class GroupWidth(NamedTuple):
    """How many sets of coupled channels a group has, and how many were kept; `layers` make them."""

    layers: tuple[str, ...]
    full: int
    kept: int

    @property
    def label(self) -> str:
        """The first layer's name, and how many more there are."""
        return self.layers[0] + (f" + {len(self.layers) - 1}" if len(self.layers) > 1 else "")


def draw_widths(title: str, groups: Sequence[GroupWidth]) -> str:
    """Return the picture as an SVG document.

    Args:
        title: what stands above it.
        groups: in the order of the model's layers.

    Example:
        >>> print(draw_widths("vgg16", [GroupWidth(("conv1",), 64, 16)]).count("<rect"))
        3
    """
    width, height = _LABEL + _BAR + 110, 2 * _MARGIN + _ROW * (len(groups) + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 12}" font-weight="bold">{escape(title)}</text>',
    ]
    for number, group in enumerate(groups, start=1):
        y = _MARGIN + number * _ROW
        kept = _BAR * group.kept / group.full
        lines += [
            f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(group.label[:40])}</text>',
            f'<rect x="{_LABEL}" y="{y + 3}" width="{_BAR}" height="{_ROW - 6}" fill="#e6e6e6"/>',
            f'<rect x="{_LABEL}" y="{y + 3}" width="{kept:.1f}" height="{_ROW - 6}" fill="#3572b0"/>',
            f'<text x="{_LABEL + _BAR + 8}" y="{y + 14}">{group.kept} of {group.full}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
