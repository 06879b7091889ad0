"""A model's table compiled for the solver: its figures in whole numbers, and its frontiers.

The solver computes in bytes, nanoseconds and billionths of a core, and with losses and values in fixed point. A sum of
whole numbers does not depend on its order, "fits" needs no tolerance, and a tie is a tie. What is solved exactly is the
problem rounded to these units: latencies to the nearest nanosecond, compute up to the next billionth of a core, values
to about one part in 10^12 of the greatest possible objective.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from legodnn.arrays import Floats, Ints
from legodnn.errors import WorkloadError
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.solver.frontier import EMPTY, Frontier, build_frontier, side_by_side
from legodnn.runtime.planning.solver.staircases import Staircases
from legodnn.runtime.planning.solver.value_scale import ValueScale
from legodnn.workload import SwitchCharge

_MOST_CORES = 1 << 50
# Sums of losses in fixed point have this many bits: few enough to be exact in float64.
_LOSS_BITS = 50
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class BlockFigures:
    """The options of one block at one thread count, in whole numbers.

    Attributes:
        memory: (options,) bytes.
        latency: (options,) nanoseconds.
        loss: (options of the block before, options) fixed-point loss, interactions included; one row for the first
            block.
    """

    memory: Ints
    latency: Ints
    loss: Ints


@dataclass(frozen=True)
class CompiledModel:
    """A model table in whole numbers, with its frontiers.

    Attributes:
        table: the table that was compiled.
        rows: by thread count, the blocks' figures.
        fixed: by thread count, bytes and nanoseconds of the fixed segments together, the chain's overhead included.
        loss_scale: fixed-point units in one unit of loss.
        scale: turns objective values into whole numbers.
        loads: by block, (options,) what loading each option is charged, as a value.
        fixed_load: what loading all fixed segments together is charged, as a value.
        frontier: the frontiers of all thread counts, side by side.
    """

    table: ModelTable
    rows: Mapping[int, tuple[BlockFigures, ...]]
    fixed: Mapping[int, tuple[int, int]]
    loss_scale: float
    scale: ValueScale
    loads: tuple[Ints, ...]
    fixed_load: int
    frontier: Frontier

    @cached_property
    def value(self) -> Ints:
        """The value of every point of `frontier`, (N,)."""
        return self.values(self.frontier.accuracy)

    @cached_property
    def staircases(self) -> Staircases:
        """The staircases of `frontier`."""
        return Staircases.of(self.frontier, self.value)

    @cached_property
    def _staircases_of(self) -> dict[int, Staircases]:
        return {}

    def staircases_of(self, threads: int) -> Staircases:
        """Return the staircases of the points of one thread count alone."""
        if threads not in self._staircases_of:
            at = np.flatnonzero(self.frontier.threads == threads)
            self._staircases_of[threads] = Staircases.of(self.frontier, self.value, at)
        return self._staircases_of[threads]

    def values(self, accuracy: Floats) -> Ints:
        """Return the values of accuracies of this model, in the same shape."""
        return self.scale.values(self.table.weight * accuracy)

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the fixed segments."""
        return _constant_loss(self.table)

    def accuracy(self, loss: Ints | Floats) -> Floats:
        """Return the accuracies to which the link turns summed fixed-point losses, in the same shape."""
        link = self.table.link
        return np.interp(self.constant_loss + loss / self.loss_scale, link.x, link.y)

    def cores(self, latency: Ints, threads: Ints, slowdown: Fraction) -> Ints:
        """Return the compute of compositions in billionths of a core: rate x threads x latency, rounded up.

        It is 0 for a model without a rate.

        Args:
            latency: (n,) nanoseconds, as profiled.
            threads: (n,) thread counts.
            slowdown: how many times slower than profiled the model runs.
        """
        rate = (self.table.rate_hz or 0.0) * float(slowdown)
        return np.minimum(np.ceil(latency * (rate * threads)), float(_MOST_CORES)).astype(np.int64)


def compile_model(table: ModelTable, scale: ValueScale, switch_charge: SwitchCharge) -> CompiledModel:
    """Return a table in whole numbers, with its frontiers.

    It takes some three milliseconds for eight blocks of ten options, ten where they interact.

    Raises:
        WorkloadError: the figures are noise, so that the frontiers would be immense.
    """
    losses = _losses(table)
    greatest = sum(float(np.abs(after).max()) for after in losses)
    loss_scale = 2.0 ** min(_LOSS_BITS - math.frexp(greatest)[1], 1000) if greatest else 1.0
    fixed_point = [np.rint(x * loss_scale).astype(np.int64) for x in losses]
    rows = {
        n: tuple(_figures(b, n, loss) for b, loss in zip(table.blocks, fixed_point, strict=True))
        for n in table.thread_counts
    }
    fixed = {
        n: (
            sum(s.options[0].memory_bytes for s in table.fixed),
            sum(round(s.options[0].latency_ms[n] * NS_PER_MS) for s in table.fixed)
            + round(table.overhead_ms.get(n, 0.0) * NS_PER_MS),
        )
        for n in table.thread_counts
    }
    loads = tuple(scale.values(np.array([load_charge(o, switch_charge) for o in b.options])) for b in table.blocks)
    fixed_load = sum(load_charge(s.options[0], switch_charge) for s in table.fixed)
    fixed_value = int(scale.values(np.array([fixed_load]))[0])
    model = CompiledModel(table, rows, fixed, loss_scale, scale, loads, fixed_value, EMPTY)
    try:
        frontiers = [
            build_frontier([(r.memory, r.latency, r.loss) for r in rows[n]], model.accuracy, n, *fixed[n])
            for n in table.thread_counts
        ]
    except OverflowError:
        raise WorkloadError(
            f"{table.name}: as it was measured, millions of combinations of its options are each the best at "
            "something, as may be where figures are mostly noise; measure again with `legodnn profile` while nothing "
            "else runs, or build fewer options"
        ) from None
    return replace(model, frontier=side_by_side(frontiers) if len(frontiers) > 1 else frontiers[0])


def load_charge(option: OptionRow, charge: SwitchCharge) -> float:
    """Return what loading one option is charged, in units of the objective."""
    return charge.per_mb * option.bytes / 1e6 + charge.per_ms * option.load_ms


def _constant_loss(table: ModelTable) -> float:
    return math.fsum(s.options[0].loss for s in table.fixed)


def _losses(table: ModelTable) -> list[Floats]:
    """By block, the loss of each option after each option of the block before; one row for the first block.

    Losses are clipped, so that fixed point need not reach further than they matter. A loss that takes every sum beyond
    the link's last knot, whatever the other blocks have, need not be greater than what just does so. A loss that keeps
    every sum before the first knot need not be less than what just does so.
    """
    before, found = 1, []
    for block in table.blocks:
        own = np.array([o.loss for o in block.options])
        found.append(own + (np.array(block.interaction) if block.interaction else np.zeros((before, 1))))
        before = len(own)
    constant = _constant_loss(table)
    least, most = [float(x.min()) for x in found], [float(x.max()) for x in found]
    first, last = table.link.x[0] - constant - math.fsum(most), table.link.x[-1] - constant - math.fsum(least)
    return [
        np.clip(x, min(first + high, high), max(last + low, low))
        for x, low, high in zip(found, least, most, strict=True)
    ]


def _figures(block: BlockRows, threads: int, loss: Ints) -> BlockFigures:
    options = block.options
    return BlockFigures(
        memory=np.array([o.memory_bytes for o in options], dtype=np.int64),
        latency=np.array([round(o.latency_ms[threads] * NS_PER_MS) for o in options], dtype=np.int64),
        loss=loss,
    )
