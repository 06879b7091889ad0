"""Draw two networks that follow a memory budget, as an animated SVG, from a run of the demo's stores on this machine.

    make demo && .venv/bin/python docs/draw_moving_budget.py demo     # writes docs/moving_budget.svg

The budget falls from what the originals take to what the smallest options take, and rises again. `legodnn run` replays
it on the demo's test digits; what is drawn is what it chose and measured. SMIL moves the picture: there is no script.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from legodnn.commands.demo import run_trace
from legodnn.errors import InfeasibleError
from legodnn.profile import Profile, default_path
from legodnn.runtime import Scheduler
from legodnn.runtime.feeds.picture import option_colour
from legodnn.runtime.feeds.replay import Step
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.store import Store
from legodnn.workload import Budget, load_workload

PICTURE = Path(__file__).resolve().parent / "moving_budget.svg"
STEPS, SECONDS_A_STEP = 24, 0.75

WIDTH, HEIGHT, LEFT, RIGHT = 800, 372, 24, 776
BLOCK, GAP, TOP, ROW = 62, 8, 66, 104  # pixels: a block's height, between blocks, the first row, from row to row
CHART_TOP, CHART_BOTTOM = 284, 350

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1c2733 }
.card { fill: #fff } .quiet { fill: #5c6b78 } .figure { font-weight: 600 } .outline { fill: none; stroke: #9aa9b5 }
.budget { fill: none; stroke: #c62828; stroke-width: 2 } .cursor { stroke: #5c6b78; stroke-dasharray: 3 3 }
.memory { fill: none; stroke: #00796b; stroke-width: 2 } .red { fill: #c62828 } .green { fill: #00796b }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e9ee } .card { fill: #161b22 } .quiet { fill: #9aa9b5 } .outline { stroke: #5c6b78 }
  .budget { stroke: #ff7b72 } .red { fill: #ff7b72 } .memory { stroke: #4db6ac } .green { fill: #4db6ac }
}
"""


def budgets(stores: Sequence[Store]) -> list[int]:
    """Return limits of memory in bytes, from what the originals take to what the smallest options take, and back."""
    workload = load_workload([store.path for store in stores])
    opened = [(store, Profile.load(default_path(store.path))) for store in stores]
    scheduler = Scheduler(workload_tables(workload, opened))
    most = scheduler.plan(Budget()).memory_bytes
    try:
        least = scheduler.plan(Budget(memory_bytes=1)).memory_bytes
    except InfeasibleError as e:
        least = next(math.ceil(limit.needed or 0) for limit in e.report.limits if limit.kind == "memory")
    share = [(1 + math.cos(2 * math.pi * n / STEPS)) / 2 for n in range(STEPS)]
    return [math.ceil(least + s * (most - least)) for s in share]


def replayed(stores: Sequence[Store], inputs: Path) -> list[Step]:
    """Run the stores under the budgets, and return what was measured."""
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        trace.write_text(json.dumps([{"memory_bytes": limit} for limit in budgets(stores)]))
        return run_trace(stores, inputs, trace, 0.5)


def animated(attribute: str, values: Sequence[object], jumps: bool = False) -> str:
    """Return an element that leads an attribute through the values, one a step, gliding at the end of it or jumping."""
    count = len(values)
    if jumps:
        mode, times, taken = ' calcMode="discrete"', [n / count for n in range(count)], list(values)
    else:
        mode, times = "", [t / count for n in range(count) for t in (n, n + 0.75)] + [1]
        taken = [value for value in values for _ in range(2)] + [values[0]]
    return (
        f'<animate attributeName="{attribute}"{mode} dur="{count * SECONDS_A_STEP:g}s" repeatCount="indefinite" '
        f'keyTimes="{";".join(f"{t:.4g}" for t in times)}" values="{";".join(map(str, taken))}"/>'
    )


def shown_in_turn(x: float, y: float, texts: Sequence[str], look: str) -> str:
    """Return a text for every step; each is seen during its step."""
    elements = []
    for text in dict.fromkeys(texts):
        seen = [1 if other == text else 0 for other in texts]
        change = "" if all(seen) else animated("opacity", seen, jumps=True)
        elements.append(f'<text x="{x}" y="{y}" class="{look}" opacity="{seen[0]}">{escape(text)}{change}</text>')
    return "\n".join(elements)


def block_row(store: Store, steps: Sequence[Step], top: float) -> list[str]:
    """Return a model's name and blocks: as high as the share of channels that is left, coloured by precision."""
    chosen = [next(m for m in step.plan.models if m.name == store.name) for step in steps]
    right = [step.models[store.name].accuracy for step in steps]
    parts = [f'<text x="{LEFT}" y="{top - 8}" class="figure">{escape(store.name)}</text>']
    parts.append(
        shown_in_turn(LEFT + 90, top - 8, ["" if share is None else f"{share:.1%} right" for share in right], "quiet")
    )
    width = round((RIGHT - LEFT + GAP) / len(store.manifest.blocks) - GAP, 1)
    for column, block in enumerate(store.manifest.blocks):
        options = [next(o for o in block.options if o.name == m.options[block.name]) for m in chosen]
        heights = [round(BLOCK * (1 - option.sparsity), 1) for option in options]
        x = round(LEFT + column * (width + GAP), 1)
        parts.append(f'<rect x="{x}" y="{top}" width="{width}" height="{BLOCK}" rx="4" class="outline"/>')
        moves = animated("height", heights) + animated("y", [round(top + BLOCK - height, 1) for height in heights])
        moves += animated("fill", [option_colour(option) for option in options], jumps=True)
        parts.append(
            f'<rect x="{x}" y="{top + BLOCK - heights[0]}" width="{width}" height="{heights[0]}" rx="4" '
            f'fill="{option_colour(options[0])}">{moves}</rect>'
        )
    return parts


def chart(steps: Sequence[Step]) -> list[str]:
    """Return the budget and the measured memory over the steps, and a line that goes along."""
    limits = [step.budget.memory_bytes or 0 for step in steps]
    most = 1.05 * max(*limits, *(step.memory_bytes for step in steps))
    width = (RIGHT - LEFT) / len(steps)

    def line(values: Sequence[float], look: str) -> str:
        points = [
            f"{LEFT + at * width:.1f},{CHART_BOTTOM - value / most * (CHART_BOTTOM - CHART_TOP):.1f}"
            for n, value in enumerate(values)
            for at in (n, n + 1)
        ]
        return f'<polyline points="{" ".join(points)}" class="{look}"/>'

    x = [round(LEFT + (n + 0.5) * width, 1) for n in range(len(steps))]
    return [
        line(limits, "budget"),
        line([step.memory_bytes for step in steps], "memory"),
        f'<line x1="{x[0]}" x2="{x[0]}" y1="{CHART_TOP - 4}" y2="{CHART_BOTTOM}" class="cursor">'
        f"{animated('x1', x)}{animated('x2', x)}</line>",
        f'<text x="{LEFT}" y="{CHART_TOP - 12}" class="red">memory budget</text>',
        shown_in_turn(LEFT + 112, CHART_TOP - 12, [f"{limit / 1e6:.1f} MB" for limit in limits], "red figure"),
        f'<text x="{LEFT + 200}" y="{CHART_TOP - 12}" class="green">measured</text>',
        shown_in_turn(
            LEFT + 270, CHART_TOP - 12, [f"{step.memory_bytes / 1e6:.1f} MB" for step in steps], "green figure"
        ),
    ]


def svg(stores: Sequence[Store], steps: Sequence[Step], device: str) -> str:
    """Return the picture."""
    title = f"{' and '.join(store.name for store in stores)} under a moving memory budget"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><desc>Measured by docs/draw_moving_budget.py on {escape(device)}.</desc>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" class="card"/>',
        f'<text x="{LEFT}" y="28" class="quiet">One box for each block: filled as far as channels are left; '
        f"blue is float32, orange int8.</text>",
    ]
    for row, store in enumerate(stores):
        parts += block_row(store, steps, TOP + row * ROW)
    return "\n".join([*parts, *chart(steps), "</svg>\n"])


def main(folder: Path) -> None:
    """Run the stores of a demo's folder, and write the picture."""
    stores = [Store(folder / "stores" / name) for name in ("vgg16", "resnet18")]
    device = Profile.load(default_path(stores[0].path)).device
    steps = replayed(stores, folder / "digits.npz")
    PICTURE.write_text(svg(stores, steps, f"{device.cpu}, {device.executor}"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
