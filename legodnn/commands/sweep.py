"""`legodnn plan --sweep`: draw how the accuracy of the best plan rises with the memory budget."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from legodnn.console import say
from legodnn.errors import InfeasibleError
from legodnn.files import write_atomic
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.units import size
from legodnn.workload import Budget

_SWEEP_POINTS = 400


def sweep(scheduler: Scheduler, budget: Budget, output: Path, as_json: bool) -> None:
    """Draw the best objective against the memory budget, from the least that fits to where more buys nothing.

    Raises:
        WriteError: the file cannot be written.
    """
    points = _staircase(scheduler, budget)
    try:
        _draw(points, budget, output, "accuracy" if len(scheduler.tables) == 1 else "sum of weight x accuracy")
    finally:  # a disk that is full does not take the figures along
        if as_json:
            print(json.dumps({"output": str(output), "points": points}, indent=1, allow_nan=False))
        else:
            ends = (f"{size(p['memory_bytes'])}: {p['objective']:.4f}" for p in (points[0], points[-1]))
            say("  ...  ".join(ends))
    if not as_json:
        say(f"drew {output}")


def _draw(points: list[dict[str, Any]], budget: Budget, output: Path, objective: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    plot = pyplot.figure(figsize=(7, 4))
    axes = plot.add_subplot()
    memory = [p["memory_bytes"] / 1e6 for p in points]
    axes.step(memory, [p["objective"] for p in points], where="post", label="optimum")
    if budget.memory_bytes is not None:
        label = f"budget {size(budget.memory_bytes)}"
        axes.axvline(budget.memory_bytes / 1e6, color="grey", linestyle=":", label=label)
    axes.set_xlabel("memory budget (MB)")
    axes.set_ylabel(objective)
    axes.legend()
    content = io.BytesIO()
    plot.savefig(content, format=output.suffix[1:], bbox_inches="tight")
    pyplot.close(plot)
    write_atomic(output, content.getvalue())


def _staircase(scheduler: Scheduler, budget: Budget) -> list[dict[str, Any]]:
    """Plan for memory budgets that are evenly spread from the least that fits to where more buys nothing.

    Returns:
        For each budget `memory_bytes`, `objective`, and the `accuracy` of each running model by name.
    """

    def with_memory(memory: int | None) -> Budget:
        return Budget(**{**budget.model_dump(), "memory_bytes": memory})

    most = scheduler.plan(with_memory(None)).memory_bytes
    try:
        least = scheduler.plan(with_memory(1)).memory_bytes
    except InfeasibleError as e:
        least = int(next(limit.needed or 0 for limit in e.report.limits if limit.kind == "memory"))
    step = max(1, (most - least) // _SWEEP_POINTS)
    points = []
    for memory in (*range(max(1, least), most, step), max(1, most)):
        plan = scheduler.plan(with_memory(memory))
        accuracy = {m.name: m.accuracy for m in plan.models if not m.suspended}
        points.append({"memory_bytes": memory, "objective": plan.objective, "accuracy": accuracy})
    return points
