"""One composition of one model: what its options add up to, how a plan names it, and what changing it is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Ints
from legodnn.errors import WorkloadError
from legodnn.plan import ModelPlan
from legodnn.runtime.planning.solver.compiled_model import CompiledModel
from legodnn.runtime.planning.solver.frontier import OptionIndices
from legodnn.runtime.planning.solver.modes import how_run, loaded_in

_REMEDY = "was its store replaced? plan without `running`"


@dataclass(frozen=True)
class CompositionSums:
    """One composition of one model, and what its segments add up to.

    Attributes:
        choice: the index of each block's option.
        mode: the mode that it runs in (see `modes`).
        memory: bytes.
        latency: nanoseconds, as profiled.
        accuracy: the link of the summed loss.
    """

    choice: tuple[int, ...]
    mode: int
    memory: int
    latency: int
    accuracy: float


def composition_sums(model: CompiledModel, choice: Sequence[int], mode: int) -> CompositionSums:
    """Return the sums of a composition, given the index of each block's option and a mode that admits all of them."""
    rows = model.rows[mode]
    memory, latency = model.fixed[mode]
    at = [int(np.searchsorted(r.options, o)) for r, o in zip(rows, choice, strict=True)]
    memory += sum(int(r.memory[i]) for r, i in zip(rows, at, strict=True))
    latency += sum(int(r.latency[i]) for r, i in zip(rows, at, strict=True))
    loss = sum(int(r.loss[before, i]) for r, before, i in zip(rows, (0, *at), at, strict=False))
    accuracy = float(model.accuracy(np.array([loss]))[0])
    return CompositionSums(tuple(choice), mode, memory, latency, accuracy)


def composition_of(model: CompiledModel, planned: ModelPlan) -> CompositionSums | None:
    """Return the composition that a plan runs of a model; None if it is suspended or runs in a mode not in use.

    Raises:
        WorkloadError: the plan is of another store: its blocks or options are not those of the table.
    """
    alike = [mode for mode in model.rows if how_run(mode) == (planned.threads, planned.streamed, planned.compact)]
    if planned.suspended or not alike:
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
    admit = [mode for mode in alike if all(o in r.options for o, r in zip(choice, model.rows[mode], strict=True))]
    return composition_sums(model, choice, admit[0]) if admit else None


def charge_of(model: CompiledModel, now: CompositionSums | None, choice: OptionIndices, mode: Ints) -> Ints:
    """Return what going from the running composition to each of some others is charged, as a value, (n,).

    Args:
        model: the model.
        now: what runs; None if the model does not run.
        choice: (n, blocks) the compositions' options.
        mode: (n,) the compositions' modes.
    """
    reload = np.ones(len(choice), dtype=np.bool_) if now is None else loaded_in(mode) != loaded_in(now.mode)
    total = np.zeros(len(choice), dtype=np.int64)  # what NumPy makes of a number has 32 bits on 32-bit systems
    total[reload] = model.fixed_load
    for b, load in enumerate(model.loads):
        chosen = choice[:, b]
        loaded = reload if now is None else reload | (chosen != now.choice[b])
        total += np.where(loaded, load[chosen], 0)
    return total


def charges_at(model: CompiledModel, now: CompositionSums | None, mode: int) -> tuple[list[Ints], int]:
    """Return what loading is charged in one mode: by block each option that it admits, and all fixed segments.

    What runs in this mode already is not loaded, and so not charged.

    Args:
        model: the model.
        now: what runs; None if the model does not run.
        mode: the mode.
    """
    rows = model.rows[mode]
    charges = [load[row.options] for load, row in zip(model.loads, rows, strict=True)]
    if now is None or loaded_in(now.mode) != loaded_in(mode):
        return charges, model.fixed_load
    for charge, row, option in zip(charges, rows, now.choice, strict=True):
        charge[row.options == option] = 0
    return charges, 0
