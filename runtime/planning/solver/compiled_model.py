"""A model's table compiled for the solver: its figures in whole numbers, and its frontiers.

The solver computes in bytes, nanoseconds and billionths of a core, and with losses and values in fixed point. A sum of
whole numbers does not depend on its order, "fits" needs no tolerance, and a tie is a tie. What is solved exactly is the
problem rounded to these units: latencies to the nearest nanosecond, compute up to the next billionth of a core, values
to a small part of the greatest possible objective (see `ValueScale`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from legodnn.arrays import Floats, Ints
from legodnn.errors import WorkloadError
from legodnn.runtime.planning.model_table import ModelTable, OptionRow
from legodnn.runtime.planning.solver.frontier import EMPTY, Frontier, OptionIndices, build_frontier, side_by_side
from legodnn.runtime.planning.solver.modes import is_compact, is_streamed, level_of, loaded_in, modes, threads_of
from legodnn.runtime.planning.solver.staircases import Staircases
from legodnn.runtime.planning.solver.value_scale import ValueScale
from legodnn.workload import SwitchCharge

_MOST_CORES = 1 << 50
# Sums of losses in fixed point have this many bits: few enough to be exact in float64.
_LOSS_BITS = 50
NS_PER_MS = 1_000_000
STREAMED_LESS, COMPACT_LESS = 1e-6, 0.5e-6  # accuracy
# Accuracies that differ by less than this part of the link's greatest value are taken to differ by rounding.
_ROUNDING_OF_ACCURACY = 1e-12


@dataclass(frozen=True)
class BlockFigures:
    """The options of one block in one mode, in whole numbers: those that the mode admits.

    Attributes:
        options: (options,) their places among all options of the block, ascending.
        memory: (options,) bytes.
        latency: (options,) nanoseconds.
        loss: (options of the block before, options) fixed-point loss, interactions included; one row for the first
            block.
    """

    options: Ints
    memory: Ints
    latency: Ints
    loss: Ints


@dataclass(frozen=True)
class CompiledModel:
    """A model table in whole numbers, with its frontiers.

    Attributes:
        table: the table that was compiled.
        rows: by mode (see `modes`), the blocks' figures.
        fixed: by mode, bytes and nanoseconds of the fixed segments together, the chain's overhead and the mode's level
            included; and what a streamed model takes, whatever its options.
        loss_scale: fixed-point units in one unit of loss.
        scale: turns objective values into whole numbers.
        loads: by block, (all options,) what loading each is charged, as a value.
        fixed_load: what loading all fixed segments together is charged, as a value.
        frontier: the frontiers of all modes, side by side.
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
    def ways(self) -> tuple[int, ...]:
        """The ways in which it may run: its modes, whatever their level (see `loaded_in`)."""
        return tuple(dict.fromkeys(map(loaded_in, self.rows)))

    @cached_property
    def value(self) -> Ints:
        """The value of every point of `frontier`, (N,)."""
        return self.values(self.frontier.accuracy, self.frontier.mode)

    @cached_property
    def staircases(self) -> Staircases:
        """The staircases of `frontier`."""
        return Staircases.of(self.frontier, self.value)

    @cached_property
    def _staircases_of(self) -> dict[int, Staircases]:
        return {}

    def staircases_of(self, way: int) -> Staircases:
        """Return the staircases of the points that run in one way alone, at whatever level, by their accuracy.

        There value ascends with accuracy, but rounding may make one of several accuracies.
        """
        if way not in self._staircases_of:
            at = np.flatnonzero(loaded_in(self.frontier.mode) == way)
            self._staircases_of[way] = Staircases.of(self.frontier, self.frontier.accuracy, at)
        return self._staircases_of[way]

    def values(self, accuracy: Floats, mode: Ints) -> Ints:
        """Return the values of compositions of this model, given their accuracies and modes, in the same shape.

        A streamed one counts as a millionth less accurate, and a compact one as half a millionth: none is chosen where
        it buys nothing.
        """
        less = STREAMED_LESS * is_streamed(mode) + COMPACT_LESS * is_compact(mode)
        return self.scale.values(self.table.weight * (accuracy - less))

    def least_levels(self, choice: OptionIndices, mode: int) -> Ints:
        """Return the number of the lowest level that admits each of some compositions, (n,), if they run as in a mode.

        Args:
            choice: (n, blocks) their options.
            mode: how they run; its own level does not matter.
        """
        alike = sorted((m for m in self.rows if loaded_in(m) == loaded_in(mode)), reverse=True)
        found = np.full(len(choice), level_of(alike[-1]))
        for b, block in enumerate(self.table.blocks if len(alike) > 1 else ()):
            least = np.zeros(len(block.options), np.int64)
            for m in alike:
                least[self.rows[m][b].options] = level_of(m)
            found = np.maximum(found, least[choice[:, b]])
        return found

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the fixed segments."""
        return _constant_loss(self.table)

    @cached_property
    def accuracy_rounding(self) -> float:
        """By how much an accuracy may be off for the rounding of losses and of the link."""
        return _ROUNDING_OF_ACCURACY * max(abs(y) for y in self.table.link.y)

    def accuracy(self, loss: Ints | Floats) -> Floats:
        """Return the accuracies to which the link turns summed fixed-point losses, in the same shape."""
        link = self.table.link
        return np.interp(self.constant_loss + loss / self.loss_scale, link.x, link.y)

    def cores(self, latency: Ints, mode: Ints, slowdown: Fraction) -> Ints:
        """Return the compute of compositions in billionths of a core: rate x threads x latency, rounded up.

        It is 0 for a model without a rate.

        Args:
            latency: (n,) nanoseconds, as profiled.
            mode: (n,) their modes.
            slowdown: how many times slower than profiled the model runs.
        """
        rate = (self.table.rate_hz or 0.0) * float(slowdown)
        return np.minimum(np.ceil(latency * (rate * threads_of(mode))), float(_MOST_CORES)).astype(np.int64)


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
    rows = {mode: tuple(_rows(table, mode, fixed_point)) for mode in modes(table)}
    fixed = {mode: _fixed(table, mode) for mode in rows}
    loads = tuple(scale.values(np.array([load_charge(o, switch_charge) for o in b.options])) for b in table.blocks)
    fixed_load = sum(load_charge(s.options[0], switch_charge) for s in table.fixed)
    fixed_value = int(scale.values(np.array([fixed_load]))[0])
    model = CompiledModel(table, rows, fixed, loss_scale, scale, loads, fixed_value, EMPTY)
    try:
        frontiers = [_frontier(model, mode) for mode in rows]
    except OverflowError:
        raise WorkloadError(
            f"{table.name}: as it was measured, millions of combinations of its options are each the best at "
            "something, as may be where figures are mostly noise; measure again with `legodnn profile` while nothing "
            "else runs, or build fewer options"
        ) from None
    return replace(model, frontier=side_by_side(frontiers) if len(frontiers) > 1 else frontiers[0])


def _frontier(model: CompiledModel, mode: int) -> Frontier:
    """Return the frontier of a mode, without the compositions that a lower level admits: they take less there."""
    rows = model.rows[mode]
    figures = [(r.memory, r.latency, r.loss) for r in rows]
    found = _of_all_options(build_frontier(figures, model.accuracy, mode, *model.fixed[mode]), rows)
    return found.take(np.flatnonzero(model.least_levels(found.choice, mode) == level_of(mode)))


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


def _rows(table: ModelTable, mode: int, losses: Sequence[Ints]) -> Iterator[BlockFigures]:
    """By block, the figures of the options that a mode admits, given the losses of all."""
    most, before = _level(table, mode), np.zeros(1, dtype=np.intp)
    for block, loss in zip(table.blocks, losses, strict=True):
        figures = [option_figures(o, mode) for o in block.options]
        kept = np.flatnonzero([shared <= most for shared, _, _ in figures])
        memory = np.array([figures[i][1] for i in kept], dtype=np.int64)
        rounded = np.array([round(figures[i][2] * NS_PER_MS) for i in kept], dtype=np.int64)
        yield BlockFigures(kept, memory, rounded, loss[before][:, kept])
        before = kept


def _fixed(table: ModelTable, mode: int) -> tuple[int, int]:
    """What a model takes in a mode whatever its options are, in bytes and nanoseconds."""
    found = [option_figures(s.options[0], mode) for s in table.fixed]
    memory = _shared(table, mode) + sum(added for _, added, _ in found)
    return memory, sum(round(ms * NS_PER_MS) for ms in (*(ms for _, _, ms in found), overhead_ms(table, mode)))


def overhead_ms(table: ModelTable, mode: int) -> float:
    """Return the latency of a model's chain beyond that of its segments, in a mode."""
    overheads = (table.compact_overhead_ms if is_compact(mode) else table.overhead_ms) or {}
    return 0.0 if is_streamed(mode) else overheads.get(threads_of(mode), 0.0)  # streamed segments run one by one


def _shared(table: ModelTable, mode: int) -> int:
    """The bytes that a model takes besides what its options add: its level's, and what a streamed one has at least."""
    floor = table.streaming.floor_bytes if is_streamed(mode) and table.streaming else 0
    return floor + _level(table, mode)


def _level(table: ModelTable, mode: int) -> int:
    """The bytes of the mode's level, which any option may take and which the model takes: weights, or workspace."""
    levels = table.compact_workspaces if is_compact(mode) else table.workspaces
    if is_streamed(mode) and table.streaming:
        levels = table.streaming.levels
    return levels[level_of(mode)]


def option_figures(option: OptionRow, mode: int) -> tuple[int, int, float]:
    """Return what an option takes in a mode: bytes that the level must have, bytes that it adds, and milliseconds."""
    threads = threads_of(mode)
    if is_streamed(mode):
        return option.streamed_bytes, 0, option.streamed_ms[threads]
    if is_compact(mode):
        return option.compact_workspace_bytes, option.compact_bytes, option.compact_ms[threads]
    return option.workspace_bytes, option.memory_bytes, option.latency_ms[threads]


def most_taken(table: ModelTable, mode: int) -> tuple[int, float]:
    """Return the most that a model can take in a mode, whatever its options: bytes, and milliseconds as profiled."""
    taken = [[option_figures(o, mode)[1:] for o in s.options] for s in (*table.blocks, *table.fixed)]
    memory = _shared(table, mode) + sum(max(added for added, _ in options) for options in taken)
    return memory, overhead_ms(table, mode) + sum(max(ms for _, ms in options) for options in taken)


def _of_all_options(frontier: Frontier, rows: Sequence[BlockFigures]) -> Frontier:
    """The frontier with options numbered among all of their block, not among those that its mode admits."""
    if not rows:
        return frontier
    columns = [row.options[frontier.choice[:, b]] for b, row in enumerate(rows)]
    return replace(frontier, choice=np.stack(columns, axis=1).astype(np.uint16))
