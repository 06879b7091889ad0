"""Draw accuracy under limits of memory and of latency (docs/comparison.svg), from benchmarks/results/comparison*.json.

    python docs/draw_comparison.py

Limits are drawn by their logarithm. Of each network: this project's compositions, the best of all systems that choose
among whole models, and the paper's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PICTURE, RESULTS = FOLDER / "comparison.svg", FOLDER.parent / "benchmarks" / "results"
# By file: what a network is called, what its accuracy is, and the lowest and the highest that is drawn, in percent.
NETWORKS = {
    "comparison_vgg16_half": ("VGG16, half width", "% right", 40, 95),
    "comparison": ("ResNet-20", "% right", 40, 95),
    "comparison_resnet56": ("ResNet-56", "% right", 40, 95),
    "comparison_fcn": ("FCN, streets", "mean IoU, %", 10, 45),
}
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP = 300, 150, 52, 46, 70
Point = tuple[float, float | None]  # limit, and accuracy in percent; None where nothing keeps the limit

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1c2733 } .card { fill: #fff }
.quiet { fill: #5c6b78 } .title { font-weight: 600 } .axis { stroke: #d5dce1 } polyline { fill: none; stroke-width: 2 }
.ours { stroke: #00796b } .whole { stroke: #c77700 } .paper { stroke: #7b6fb0; stroke-dasharray: 5 3 }
.ours.dot { fill: #00796b } .whole.dot { fill: #c77700 } .paper.dot { fill: #7b6fb0 } .dot { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e9ee } .card { fill: #161b22 } .quiet { fill: #9aa9b5 } .axis { stroke: #39444d }
  .ours { stroke: #4db6ac } .whole { stroke: #ffb74d } .paper { stroke: #b39ddb }
  .ours.dot { fill: #4db6ac } .whole.dot { fill: #ffb74d } .paper.dot { fill: #b39ddb } .dot { stroke: none }
}
"""
LABELS = {
    "ours": "compositions (this)",
    "whole": "the best whole model of all systems",
    "paper": "LegoDNN as published",
}


def lines(figures: dict[str, Any], kind: str) -> dict[str, list[Point]]:
    """Return the three lines of a panel.

    Args:
        figures: of a comparison.
        kind: the limit, `memory_bytes` or `latency_ms`.
    """
    places = [i for i, budget in enumerate(figures["budgets"]) if kind in budget]
    scale = 1e-6 if kind == "memory_bytes" else 1.0

    def right(system: str, i: int) -> float | None:
        found = figures["rows"][system][i]["accuracy"]
        return None if found is None else 100 * float(found)

    def best(i: int) -> float | None:
        whole = (right(system, i) for system in figures["rows"] if system not in ("ours", "paper"))
        return max((found for found in whole if found is not None), default=None)

    limits = [figures["budgets"][i][kind] * scale for i in places]
    values = {"ours": [right("ours", i) for i in places], "whole": [best(i) for i in places]}
    values["paper"] = [right("paper", i) for i in places]
    return {name: list(zip(limits, found, strict=True)) for name, found in values.items()}


def panel(
    x: float, y: float, title: str, unit: str, found: dict[str, list[Point]], lowest: float, highest: float
) -> Iterator[str]:
    """Yield the SVG elements of a panel whose upper left corner is at (x, y), in pixels, for accuracies in percent."""
    limits = [limit for points in found.values() for limit, _ in points]
    low, high = min(limits), max(limits)

    def place(limit: float, percent: float) -> tuple[float, float]:
        across = x + math.log(limit / low) / math.log(high / low) * PANEL_WIDTH
        return across, y + (highest - max(percent, lowest)) / (highest - lowest) * PANEL_HEIGHT

    yield f'<text class="title" x="{x}" y="{y - 12}">{title}</text>'
    for percent in range(math.ceil(lowest / 10) * 10, math.ceil(highest), 10):
        height = place(low, percent)[1]
        yield f'<line class="axis" x1="{x}" y1="{height:.1f}" x2="{x + PANEL_WIDTH}" y2="{height:.1f}"/>'
        yield f'<text class="quiet" x="{x - 8}" y="{height + 4:.1f}" text-anchor="end">{percent}</text>'
    for share in (0, 0.5, 1):
        limit = low * (high / low) ** share
        anchor = {0: "start", 0.5: "middle", 1: "end"}[share]
        across, below = x + share * PANEL_WIDTH, y + PANEL_HEIGHT + 18
        yield f'<text class="quiet" x="{across:.1f}" y="{below}" text-anchor="{anchor}">{limit:.3g} {unit}</text>'
    for name in ("whole", "paper", "ours"):
        there = [place(limit, percent) for limit, percent in found[name] if percent is not None]
        yield f'<polyline class="{name}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in there)}"/>'
        yield from (f'<circle class="{name} dot" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in there)


def legend(y: float) -> Iterator[str]:
    """Yield the elements that say which line is which."""
    x: float = LEFT
    for name, label in LABELS.items():
        yield f'<polyline class="{name}" points="{x},{y - 4} {x + 24},{y - 4}"/>'
        yield f'<text x="{x + 30}" y="{y}">{label}</text>'
        x += 60 + 7 * len(label)


def svg(networks: Sequence[str] = tuple(NETWORKS)) -> str:
    """Return the picture."""
    width, row = LEFT + 2 * PANEL_WIDTH + GAP + 24, PANEL_HEIGHT + TOP + 34
    height, parts = 34 + row * len(networks), list(legend(24))
    for number, file in enumerate(networks):
        figures = json.loads((RESULTS / f"{file}.json").read_text())["figures"]
        for column, (kind, unit, what) in enumerate(
            (("memory_bytes", "MB", "memory"), ("latency_ms", "ms", "latency"))
        ):
            name, accuracy, lowest, highest = NETWORKS[file]
            title = f"{name}: {accuracy}, limits of {what}"
            x, y = LEFT + column * (PANEL_WIDTH + GAP), 34 + TOP + number * row
            parts += panel(x, y, title, unit, lines(figures, kind), lowest, highest)
    label = "Accuracy of compositions, of the best whole model, and of LegoDNN as published, under limits"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    return "\n".join(
        [
            head,
            f"<style>{STYLE}</style>",
            f'<rect class="card" width="{width}" height="{height}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(svg())
