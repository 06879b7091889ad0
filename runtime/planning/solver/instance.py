"""The scheduling problem in whole numbers: tables compiled once, limits of the moment, and the items of a knapsack.

Bytes, nanoseconds and billionths of a core; losses and values in fixed point. In whole numbers a sum does not depend on
its order, "fits" has no tolerance, and a tie is a tie. What the scheduler solves exactly is the problem rounded to
these units: latencies to the nearest nanosecond, compute up to the next billionth of a core, values to about one part
in 10^12 of the greatest possible objective.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from legodnn.arrays import Floats, Indices, Ints
from legodnn.errors import WorkloadError
from legodnn.plan import ModelPlan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.solver.frontier import (
    EMPTY,
    NEVER,
    Frontier,
    OptionIndices,
    Staircases,
    build_frontier,
    side_by_side,
)
from legodnn.workload import SwitchCharge

# Greatest sum of values, so that they and their products with prices stay exact enough in float64.
_VALUE_RANGE = 2.0**51
_MEET = 2.0**14
# No unit is finer, however little there is to be won.
_FINEST = 1e300
_MOST_CORES = 1 << 50
# Sums of losses in fixed point have so many bits: few enough to be exact in float64.
_LOSS_BITS = 50
_REMEDY = "was its store replaced? plan without `running`"
NS_PER_MS = 1_000_000
NANO = 1_000_000_000


@dataclass(frozen=True)
class ValueScale:
    """How objective values become integers.

    An item's value is `round(weight x accuracy x unit) x step`; `step` exceeds the number of models, so that one unit
    less than a step, given to each model that stays as it is, decides between equal objectives and nothing else.
    A suspended model is worth `-suspension`, more than all accuracy in play: as few as possible are suspended.
    """

    unit: float
    step: int
    suspension: int

    @classmethod
    def of(cls, tables: Sequence[ModelTable], charges: float) -> ValueScale:
        """The finest scale whose sums stay in range; `charges` is the most that switching can be charged."""
        span = sum(t.weight * max(abs(y) for y in t.link.y) for t in tables) * 2 + charges
        step = 1 << (len(tables) + 1).bit_length()
        room = _VALUE_RANGE / (step * (len(tables) + 2))
        unit = 2.0 ** math.floor(math.log2(min(room / span, _FINEST))) if span else 1.0
        return cls(unit=unit, step=step, suspension=(math.ceil(span * unit) + len(tables)) * step)

    def gap(self, value: int, bound: float) -> float:
        """How much more than a value a bound is, as an objective value; bounds are rounded up: so near, they meet."""
        return 0.0 if bound - value <= _MEET else (bound - value) / (self.unit * self.step)

    def values(self, objective: Floats) -> Ints:
        """Objective values -> integers, rounded to a step."""
        return np.rint(objective * self.unit).astype(np.int64) * self.step


@dataclass(frozen=True)
class BlockFigures:
    """One block's options at one thread count, in whole numbers.

    Attributes:
        memory, latency: (options,) each.
        loss: (options of the block before, options), interactions included; one row for the first block.
    """

    memory: Ints
    latency: Ints
    loss: Ints


@dataclass(frozen=True)
class CompiledModel:
    """A model table compiled: fixed-point figures and its frontiers.

    Attributes:
        table: what it was made of.
        rows: by thread count, the blocks' figures.
        fixed: by thread count, memory and latency of the fixed segments together, and of the chain.
        loss_scale: fixed-point units in one unit of loss.
        scale: of values.
        loads: by block, what loading each option is charged, as a value.
        fixed_load: the same for all fixed segments together.
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
        """Of every point of `frontier`."""
        return self.values(self.frontier.accuracy)

    @cached_property
    def staircases(self) -> Staircases:
        """Of `frontier`."""
        return Staircases.of(self.frontier, self.value)

    def values(self, accuracy: Floats) -> Ints:
        """What accuracies of this model are worth."""
        return self.scale.values(self.table.weight * accuracy)

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the fixed segments."""
        return math.fsum(s.options[0].loss for s in self.table.fixed)

    def accuracy(self, loss: Ints | Floats) -> Floats:
        """The link of summed fixed-point losses."""
        link = self.table.link
        return np.interp(self.constant_loss + loss / self.loss_scale, link.x, link.y)

    def cores(self, latency: Ints, threads: Ints, slowdown: Fraction) -> Ints:
        """Billionths of a core that compositions take: rate x threads x latency, rounded up; 0 without a rate."""
        rate = (self.table.rate_hz or 0.0) * float(slowdown)
        return np.minimum(np.ceil(latency * (rate * threads)), float(_MOST_CORES)).astype(np.int64)


def compile_model(table: ModelTable, scale: ValueScale, switch_charge: SwitchCharge) -> CompiledModel:
    """Build a model's frontiers; some three milliseconds for eight blocks of ten options, ten where they interact.

    Raises:
        WorkloadError: its figures are noise, so that its frontiers would be immense.
    """
    losses = _losses(table)
    greatest = sum(float(np.abs(after).max()) for after in losses)
    loss_scale = 2.0 ** min(_LOSS_BITS - math.frexp(greatest)[1], 1000) if greatest else 1.0
    rows = {
        n: tuple(
            _rows(b, n, np.rint(x * loss_scale).astype(np.int64)) for b, x in zip(table.blocks, losses, strict=True)
        )
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
    """What loading one option is charged, in units of the objective."""
    return charge.per_mb * option.bytes / 1e6 + charge.per_ms * option.load_ms


def charge_of(model: CompiledModel, now: CompositionSums | None, choice: OptionIndices, threads: Ints) -> Ints:
    """What going from what runs to each of some compositions is charged, as a value, (N,)."""
    reload = np.ones(len(choice), dtype=np.bool_) if now is None else threads != now.threads
    total = np.where(reload, model.fixed_load, 0)
    for b, load in enumerate(model.loads):
        chosen = choice[:, b]
        loaded = reload if now is None else reload | (chosen != now.choice[b])
        total += np.where(loaded, load[chosen], 0)
    return total


def _losses(table: ModelTable) -> list[Floats]:
    """By block, the loss of each option after each option of the block before; one row for the first block.

    A loss with which any sum is beyond the link's last knot, whatever the other blocks have, need be no greater than
    that takes, nor one with which any sum is before the first knot any less: so fixed point need not reach that far.
    """
    before, found = 1, []
    for block in table.blocks:
        own = np.array([o.loss for o in block.options])
        found.append(own + (np.array(block.interaction) if block.interaction else np.zeros((before, 1))))
        before = len(own)
    constant = math.fsum(s.options[0].loss for s in table.fixed)
    least, most = [float(x.min()) for x in found], [float(x.max()) for x in found]
    first, last = table.link.x[0] - constant - math.fsum(most), table.link.x[-1] - constant - math.fsum(least)
    return [
        np.clip(x, min(first + high, high), max(last + low, low))
        for x, low, high in zip(found, least, most, strict=True)
    ]


def _rows(block: BlockRows, threads: int, loss: Ints) -> BlockFigures:
    options = block.options
    return BlockFigures(
        memory=np.array([o.memory_bytes for o in options], dtype=np.int64),
        latency=np.array([round(o.latency_ms[threads] * NS_PER_MS) for o in options], dtype=np.int64),
        loss=loss,
    )


@dataclass(frozen=True)
class Limits:
    """The limits of the moment in whole numbers; None is no limit.

    Attributes:
        memory: bytes.
        cores: billionths of a core.
        latency: by model, milliseconds after slow-down, exactly as given.
        accuracy: by model, least accuracy.
    """

    memory: int | None
    cores: int | None
    latency: tuple[Fraction | None, ...]
    accuracy: tuple[float | None, ...]


@dataclass(frozen=True)
class CompositionSums:
    """One composition of one model: its options' indices, thread count, and sums."""

    choice: tuple[int, ...]
    threads: int
    memory: int
    latency: int
    accuracy: float


def composition_sums(model: CompiledModel, choice: Sequence[int], threads: int) -> CompositionSums:
    """The sums of a composition."""
    rows = model.rows[threads]
    memory, latency = model.fixed[threads]
    memory += sum(int(r.memory[o]) for r, o in zip(rows, choice, strict=True))
    latency += sum(int(r.latency[o]) for r, o in zip(rows, choice, strict=True))
    loss = sum(int(r.loss[before, o]) for r, before, o in zip(rows, (0, *choice), choice, strict=False))
    accuracy = float(model.accuracy(np.array([loss]))[0])
    return CompositionSums(tuple(choice), threads, memory, latency, accuracy)


def composition_of(model: CompiledModel, planned: ModelPlan) -> CompositionSums | None:
    """What a plan runs of a model; None if it is suspended or runs with a thread count that is not to be used.

    Raises:
        WorkloadError: the plan is of another store: its blocks or options are not the table's.
    """
    if planned.suspended or planned.threads not in model.rows:
        return None
    blocks = model.table.blocks
    if set(planned.options) != {b.name for b in blocks}:
        raise WorkloadError(f"the running plan's blocks of {planned.name!r} are not those of its table; {_REMEDY}")
    choice = []
    for block in blocks:
        wanted = planned.options[block.name]
        index = next((i for i, o in enumerate(block.options) if o.name == wanted), None)
        if index is None:
            raise WorkloadError(
                f"the running plan has {planned.name}/{block.name}={wanted}, which its table lacks; {_REMEDY}"
            )
        choice.append(index)
    return composition_sums(model, choice, planned.threads)


def latency_limit(limit: Fraction | None, slowdown: Fraction) -> int:
    """The greatest profiled latency, in nanoseconds, that a limit admits under a slow-down."""
    if limit is None:
        return NEVER - 1
    return min(math.floor(limit * NS_PER_MS / slowdown), NEVER - 1)


def staircase_points(model: CompiledModel, limit_ns: int, least_accuracy: float | None) -> Indices:
    """Points of the frontier that matter under a latency and an accuracy limit, ascending in memory and value."""
    points = model.staircases.under(limit_ns)
    return points if least_accuracy is None else points[model.frontier.accuracy[points] >= least_accuracy]


def admissible(model: CompiledModel, limit_ns: int, least_accuracy: float | None) -> Indices:
    """All points of the frontier within a latency and an accuracy limit, ascending in memory."""
    fits = model.frontier.latency <= limit_ns
    if least_accuracy is not None:
        fits &= model.frontier.accuracy >= least_accuracy
    return np.flatnonzero(fits)
