"""Draw how the scheduler finds a plan (docs/scheduler_steps.svg): frontiers, then a knapsack with a price of memory.

    python docs/draw_scheduler.py

Two models of four blocks with five options each, whose sizes and losses are drawn by a seed, share a limit of memory.
Price, gaps and plan are those that the solver finds. There is no limit of latency, so that all fits on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.knapsack import prices, solve

PICTURE = Path(__file__).resolve().parent / "scheduler_steps.svg"
NAMES, BLOCKS, OPTIONS, SHARE = ("a", "b"), 4, 5, 0.5
WIDTH, HEIGHT, TOP, BOTTOM = 800, 364, 64, 262
PANELS = ((48, 250), (312, 514), (576, 778))  # left and right, in pixels

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1c2733 } .card { fill: #fff }
.quiet, .quiet tspan { fill: #5c6b78 } .title { font-weight: 600 } .axis { stroke: #9aa9b5; fill: none }
.all { fill: #b9c4cc } .dot { fill: #fff; stroke: #1565c0 } .near { fill: #1565c0 }
.price { stroke: #c62828; stroke-dasharray: 4 3 } .plan { fill: none; stroke: #c62828; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e9ee } .card { fill: #161b22 } .quiet, .quiet tspan { fill: #9aa9b5 } .axis { stroke: #5c6b78 }
  .all { fill: #46525d } .dot { fill: #161b22; stroke: #64b5f6 } .near { fill: #64b5f6 }
  .price, .plan { stroke: #ff7b72 }
}
"""


@dataclass(frozen=True)
class Model:
    """All compositions of a model: bytes and what they lose in accuracy, in millionths; and which make its frontier."""

    memory: Ints
    loss: Ints
    frontier: Indices


@dataclass(frozen=True)
class Solved:
    """What the solver finds: of each model, its plan's place on the frontier, and the gap of every point of it.

    Attributes:
        limit: bytes of both models together.
        price: millionths of accuracy for a byte.
        chosen: the place of each model's composition on its frontier.
        gaps: by how much each point is worse at this price than the best of its model.
        margin: the greatest gap that a point of the optimum can have.
    """

    limit: int
    price: float
    chosen: list[int]
    gaps: list[Floats]
    margin: float


def models() -> list[Model]:
    """Return the two models: of each block every option is smaller than the one before, and loses more."""
    rng, found = np.random.default_rng(5), []
    for size in (90_000, 60_000):
        memory, loss = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for _ in range(BLOCKS):
            kept = np.r_[1.0, np.sort(rng.uniform(0.1, 0.9, OPTIONS - 1))[::-1]]
            lost = 40_000 * (1 - kept) ** rng.uniform(1.2, 3) * rng.uniform(0.5, 1.5)
            memory = np.add.outer(memory, (size * rng.uniform(0.6, 1.4) * kept).astype(np.int64)).ravel()
            loss = np.add.outer(loss, lost.astype(np.int64)).ravel()
        order = np.lexsort((loss, memory))
        less = loss[order] < np.r_[np.iinfo(np.int64).max, np.minimum.accumulate(loss[order])[:-1]]
        found.append(Model(memory, loss, order[less]))
    return found


def solved(found: Sequence[Model]) -> Solved:
    """Return the best plan under a limit half way between what the models need at least and at most."""
    weights, values = [m.memory[m.frontier] for m in found], [-m.loss[m.frontier] for m in found]
    least, most = sum(int(w.min()) for w in weights), sum(int(w.max()) for w in weights)
    limit = round(least + SHARE * (most - least))
    answer, ((price,), _) = solve(values, [weights], [limit]), prices(values, [weights], [limit])
    assert answer is not None
    reduced = [v - price * w for v, w in zip(values, weights, strict=True)]
    bound = sum(float(r.max()) for r in reduced) + price * limit
    return Solved(limit, price, list(answer.chosen), [r.max() - r for r in reduced], bound - answer.value)


def svg() -> str:
    """Return the picture."""
    found = models()
    plan = solved(found)
    near = [int((gaps <= plan.margin).sum()) for gaps in plan.gaps]
    count, points = OPTIONS**BLOCKS, [len(m.frontier) for m in found]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>How the scheduler finds a plan: frontiers, then a knapsack with a price of memory</title>",
        f'<style>{STYLE}</style><rect class="card" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
    ]
    left, right = PANELS[0]
    at = _places(found[0], left, right)
    parts += _axes(left, right, f"1. Frontier of model {NAMES[0]}")
    parts += (_dot("all", *at(i), 1.5) for i in range(count))
    parts += (_dot("dot", *at(i), 2.5) for i in found[0].frontier)
    parts += _caption(left, f"{count} compositions;", f"the {points[0]} that none undercuts", "in both can be optimal")
    for number, (left, right) in enumerate(PANELS[1:]):
        model, gaps, chosen = found[number], plan.gaps[number], plan.chosen[number]
        at = _places(model, left, right)
        parts += _axes(left, right, f"2. Price of memory: model {NAMES[number]}")
        parts.append(_price_line(model, plan, number, left, right))
        for gap, point in zip(gaps, model.frontier, strict=True):
            parts.append(_dot("near" if gap <= plan.margin else "dot", *at(point), 2.5))
        parts.append(_dot("plan", *at(model.frontier[chosen]), 6))
        kb = model.memory[model.frontier[chosen]] / 1000
        parts += _caption(
            left,
            f"{near[number]} of {points[number]} (filled) lie near enough",
            "to the line that touches it;",
            f"3. the plan takes {kb:.0f} kB",
        )
    taken = sum(int(m.memory[m.frontier[c]]) for m, c in zip(found, plan.chosen, strict=True))
    told = f"{count**2:,} plans, {points[0] * points[1]:,} of frontiers, {near[0] * near[1]} near the lines"
    told += f": the best one takes {taken / 1000:.0f} of {plan.limit / 1000:.0f} kB"
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle" class="title">{told}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _places(model: Model, left: float, right: float) -> Callable[[int], tuple[float, float]]:
    """Return the function from a composition's number to its place in a panel."""

    def at(i: int) -> tuple[float, float]:
        x = left + (right - left) * model.memory[i] / model.memory.max()
        return float(x), float(TOP + (BOTTOM - TOP) * model.loss[i] / model.loss.max())

    return at


def _price_line(model: Model, plan: Solved, number: int, left: float, right: float) -> str:
    """Return the line of equal worth at the price, through the best point of the frontier, within the panel."""
    best = model.frontier[int(plan.gaps[number].argmin())]
    memory, loss = np.array([0.0, float(model.memory.max())]), float(model.loss.max())
    lost = model.loss[best] - plan.price * (memory - model.memory[best])
    lost = np.clip(lost, 0, loss)
    memory = model.memory[best] - (lost - model.loss[best]) / plan.price
    x = left + (right - left) * memory / model.memory.max()
    y = TOP + (BOTTOM - TOP) * lost / loss
    return f'<line class="price" x1="{x[0]:.1f}" y1="{y[0]:.1f}" x2="{x[1]:.1f}" y2="{y[1]:.1f}"/>'


def _axes(left: float, right: float, title: str) -> Iterable[str]:
    yield f'<text x="{left - 24}" y="28" class="title">{title}</text>'
    yield f'<text x="{left - 24}" y="48" class="quiet">accuracy</text>'
    yield f'<path class="axis" d="M{left} {TOP - 8}V{BOTTOM + 6}H{right}"/>'
    yield f'<text x="{right}" y="{BOTTOM + 20}" text-anchor="end" class="quiet">memory</text>'


def _caption(left: float, *lines: str) -> Iterable[str]:
    for number, line in enumerate(lines):
        yield f'<text x="{left - 24}" y="{BOTTOM + 32 + 15 * number}" class="quiet">{line}</text>'


def _dot(kind: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


if __name__ == "__main__":
    PICTURE.write_text(svg())
    print(f"wrote {PICTURE}")
