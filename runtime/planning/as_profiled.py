"""What models take by their profiles, for those who govern them: what one runs in a plan, and the most that it can."""

from __future__ import annotations

from typing import NamedTuple

from legodnn.plan import ModelPlan
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.solver.compiled_model import most_taken, option_figures, overhead_ms
from legodnn.runtime.planning.solver.modes import mode_of, modes, threads_of


def profiled_ms(table: ModelTable, plan: ModelPlan) -> float:
    """Return the profiled latency in milliseconds of what a model runs in a plan, as it runs it: with everything in
    memory, compact or streamed. The slow-down that it is planned for is not in it.
    """
    mode = mode_of(plan.threads, plan.streamed, plan.compact)
    blocks = (next(o for o in block.options if o.name == plan.options[block.name]) for block in table.blocks)
    fixed = (segment.options[0] for segment in table.fixed)
    return overhead_ms(table, mode) + sum(option_figures(option, mode)[2] for option in (*blocks, *fixed))


class Most(NamedTuple):
    """The most that a model can take, in whatever way it runs: bytes, and milliseconds of all processors together."""

    memory_bytes: int
    busy_ms: float


def most_of(table: ModelTable) -> Most:
    """Return the most that a model can take, with the slow-down that it is planned for."""
    most = {mode: most_taken(table, mode) for mode in modes(table)}
    busy_ms = max(threads_of(mode) * ms for mode, (_, ms) in most.items())
    return Most(max(held for held, _ in most.values()), table.slowdown * busy_ms)
