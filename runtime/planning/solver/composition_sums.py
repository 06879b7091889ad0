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

_REMEDY = "was its store replaced? plan without `running`"


@dataclass(frozen=True)
class CompositionSums:
    """One composition of one model, and what its segments add up to.

    Attributes:
        choice: the index of each block's option.
        threads: the thread count of all segments.
        memory: bytes.
        latency: nanoseconds, as profiled.
        accuracy: the link of the summed loss.
    """

    choice: tuple[int, ...]
    threads: int
    memory: int
    latency: int
    accuracy: float


def composition_sums(model: CompiledModel, choice: Sequence[int], threads: int) -> CompositionSums:
    """Return the sums of a composition, given the index of each block's option and a thread count."""
    rows = model.rows[threads]
    memory, latency = model.fixed[threads]
    memory += sum(int(r.memory[o]) for r, o in zip(rows, choice, strict=True))
    latency += sum(int(r.latency[o]) for r, o in zip(rows, choice, strict=True))
    loss = sum(int(r.loss[before, o]) for r, before, o in zip(rows, (0, *choice), choice, strict=False))
    accuracy = float(model.accuracy(np.array([loss]))[0])
    return CompositionSums(tuple(choice), threads, memory, latency, accuracy)


def composition_of(model: CompiledModel, planned: ModelPlan) -> CompositionSums | None:
    """Return the composition that a plan runs of a model; None if it is suspended or has a thread count not in use.

    Raises:
        WorkloadError: the plan is of another store: its blocks or options are not those of the table.
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


def charge_of(model: CompiledModel, now: CompositionSums | None, choice: OptionIndices, threads: Ints) -> Ints:
    """Return what going from the running composition to each of some others is charged, as a value, (n,).

    Args:
        model: the model.
        now: what runs; None if the model does not run.
        choice: (n, blocks) the compositions' options.
        threads: (n,) the compositions' thread counts.
    """
    reload = np.ones(len(choice), dtype=np.bool_) if now is None else threads != now.threads
    total = np.where(reload, model.fixed_load, 0)
    for b, load in enumerate(model.loads):
        chosen = choice[:, b]
        loaded = reload if now is None else reload | (chosen != now.choice[b])
        total += np.where(loaded, load[chosen], 0)
    return total


def charges_at(model: CompiledModel, now: CompositionSums | None, threads: int) -> tuple[list[Ints], int]:
    """Return what loading is charged at one thread count: by block each option, (options,), and all fixed segments.

    What runs with this thread count already is not loaded, and so not charged.

    Args:
        model: the model.
        now: what runs; None if the model does not run.
        threads: the thread count.
    """
    if now is None or now.threads != threads:
        return list(model.loads), model.fixed_load
    charges = [load.copy() for load in model.loads]
    for charge, option in zip(charges, now.choice, strict=True):
        charge[option] = 0
    return charges, 0
