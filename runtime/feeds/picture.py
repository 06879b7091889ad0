"""The picture of a replayed trace: limits as walls, what was measured as dots before them, and what each block ran.

Needs matplotlib.
"""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from legodnn.manifest import Option
from legodnn.store import Store
from legodnn.tail import percentile

if TYPE_CHECKING:
    from legodnn.runtime.feeds.replay import Step

_INK, _WALL, _BEYOND = "#1c2733", "#b9c4cf", "#c62828"
_MODELS = ("#1f77b4", "#e8590c", "#2b8a3e", "#9c36b5", "#b8860b", "#0b7285")
# Each precision has a hue of its own, in degrees, and what it is called.
_HUES = {"float32": (210, "blue"), "float16": (165, "green"), "int8": (28, "orange")}


def option_colour(option: Option) -> str:
    """Return the colour of an option, as #rrggbb: its precision as the hue, the lighter the more channels are gone."""
    hue, lightness = _HUES[option.precision][0] / 360, 0.42 + 0.4 * option.sparsity
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(hue, lightness, 0.62))


def has_light_colour(option: Option) -> bool:
    """Whether the colour of an option is so light that what is written on it should be dark."""
    return option.sparsity >= 0.5


def draw_trace(stores: Mapping[str, Store], steps: Sequence[Step]) -> str:
    """Draw memory, each model's latency, accuracy, and the chosen options over the budgets; returns SVG.

    A latency is that of the share of inferences that its limit is for (p95), as predicted and as measured, with the
    measured median below it. What was measured above its limit is red; what is far off the scale is an arrow.

    Args:
        stores: the stores of the models that ran, by the models' names.
        steps: the replayed trace.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    blocks = [max(len(s.manifest.blocks), 1) for s in stores.values()]
    heights = [2.6, *(2.0 for _ in stores), 2.0, *(0.25 * b for b in blocks)]
    with plt.rc_context({"font.size": 10, "axes.titlesize": 10, "axes.titlelocation": "left", "text.color": _INK}):
        figure, axes = plt.subplots(
            *(len(heights), 1),
            figsize=(9, sum(heights) + 0.45 * len(heights)),
            height_ratios=heights,
            sharex=True,
            constrained_layout=True,
        )
        _draw_memory(axes[0], steps)
        for axis, name, colour in zip(axes[1:], stores, _colours(stores), strict=False):
            _draw_latency(axis, steps, name, colour)
        _draw_accuracy(axes[1 + len(stores)], stores, steps)
        for axis, (name, store) in zip(axes[2 + len(stores) :], stores.items(), strict=True):
            _draw_options(axis, steps, name, store)
        axes[-1].set_xticks(range(1, len(steps) + 1))
        axes[-1].set_xlim(0.5, len(steps) + 0.5)
        axes[-1].set_xlabel("budget")
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
        plt.close(figure)
    return content.getvalue()


def _colours(stores: Mapping[str, Store]) -> list[str]:
    return [_MODELS[i % len(_MODELS)] for i in range(len(stores))]


def _series(steps: Sequence[Step], value: Callable[[Step], float | None]) -> list[float]:
    """Return a value of each step; NaN, which matplotlib leaves out, where there is none."""
    return [math.nan if (v := value(step)) is None else v for step in steps]


def _draw_walled(axis: Any, limit: list[float], predicted: list[float], measured: list[float], colour: str) -> None:
    """Draw limits as walls, predictions as rings and measurements as dots; far above the rest, as arrows at the top."""
    x = range(1, len(limit) + 1)
    expected = max((v for v in (*limit, *predicted) if not math.isnan(v)), default=1.0)
    top = 1.15 * max(expected, *(min(v, 2 * expected) for v in measured if not math.isnan(v)), 0.0)
    for i, wall in zip(x, limit, strict=True):
        if not math.isnan(wall):
            axis.fill_between([i - 0.5, i + 0.5], wall, top, facecolor=_WALL, alpha=0.55, linewidth=0)
            axis.plot([i - 0.5, i + 0.5], [wall, wall], color=_INK, linewidth=1.5, solid_capstyle="butt")
    axis.plot(x, predicted, "o", color=colour, fillstyle="none", markersize=9)
    for i, value, wall in zip(x, measured, limit, strict=True):
        shown, marker = (value, ".") if not value > top else (0.96 * top, "^")
        axis.plot(i, shown, marker, color=_BEYOND if value > wall else colour, markersize=10 if marker == "." else 7)
    axis.set_ylim(0, top)
    axis.grid(alpha=0.25, axis="y")


def _draw_memory(axis: Any, steps: Sequence[Step]) -> None:
    limit = _series(steps, lambda s: s.budget.memory_bytes and s.budget.memory_bytes / 1e6)
    predicted = _series(steps, lambda s: s.plan.memory_bytes / 1e6)
    _draw_walled(axis, limit, predicted, _series(steps, lambda s: s.memory_bytes / 1e6), _INK)
    axis.set_title("memory of all models, MB (ring: predicted, dot: measured, grey: beyond the limit)")


def _draw_latency(axis: Any, steps: Sequence[Step], name: str, colour: str) -> None:
    limit = _series(steps, lambda s: s.latency_limits_ms.get(name))
    tail = _series(steps, lambda s: s.plan[name].quantile_ms)
    measured = _series(steps, lambda s: s.models[name].quantile_ms if name in s.models else None)
    _draw_walled(axis, limit, tail, measured, colour)
    median = _series(steps, lambda s: s.models[name].median_ms if name in s.models else None)
    axis.plot(range(1, len(steps) + 1), median, "_", color=colour, markersize=12)
    shares = sorted({percentile(step.plan[name].quantile) for step in steps})
    axis.set_title(f"latency of {name}, ms ({', '.join(shares)}; the dash is the measured median)", parse_math=False)


def _draw_accuracy(axis: Any, stores: Mapping[str, Store], steps: Sequence[Step]) -> None:
    x = range(1, len(steps) + 1)
    for name, colour in zip(stores, _colours(stores), strict=True):
        predicted = _series(steps, lambda s, n=name: None if s.plan[n].suspended else s.plan[n].accuracy)  # type: ignore[misc]
        measured = _series(steps, lambda s, n=name: s.models[n].accuracy if n in s.models else None)  # type: ignore[misc]
        axis.plot(x, predicted, "o", color=colour, fillstyle="none", markersize=9)
        axis.plot(x, measured, ".-", color=colour, markersize=10, linewidth=1, label=name)
    axis.margins(y=0.15)
    axis.grid(alpha=0.25, axis="y")
    legend = axis.legend(fontsize=9, ncols=len(stores), loc="best")
    for text in legend.get_texts():
        text.set_parse_math(False)
    axis.set_title("accuracy (ring: predicted, dot: measured)")


def _draw_options(axis: Any, steps: Sequence[Step], name: str, store: Store) -> None:
    """Draw what each block ran, one row for a block: its precision as the colour, its sparsity as a number."""
    blocks = store.manifest.blocks
    for x, step in enumerate(steps, start=1):
        for row, block in enumerate(blocks if not step.plan[name].suspended else ()):
            option = block.option(step.plan[name].options[block.name])
            axis.bar(x, 0.9, width=0.96, bottom=row - 0.45, color=option_colour(option))
            if option.sparsity:
                ink = _INK if has_light_colour(option) else "white"
                axis.text(x, row, f"{option.sparsity:g}", ha="center", va="center", fontsize=8, color=ink)
    axis.set_ylim(max(len(blocks), 1) - 0.5, -0.5)
    axis.set_yticks(range(len(blocks)), [b.name for b in blocks], fontsize=8, parse_math=False)
    axis.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
    used = [p for p in _HUES if any(o.precision == p for b in blocks for o in b.options)]
    keys = ", ".join(f"{_HUES[p][1]}: {p}" for p in used)
    axis.set_title(f"blocks of {name} ({keys}; share of channels removed)", parse_math=False)
