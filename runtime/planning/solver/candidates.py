"""The candidates of each model under given limits: the classes of the knapsack.

Where compute is not limited a model's candidates are its staircase; where it is, all its points within its limits. A
best-effort model may also be suspended, and a running model may stay as it is, which is worth the least bit more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from legodnn.arrays import Indices, Ints
from legodnn.runtime.planning.solver.frontier import Frontier
from legodnn.runtime.planning.solver.instance import (
    CompiledModel,
    CompositionSums,
    Limits,
    admissible,
    latency_limit,
    staircase_points,
)

_SUSPENDED, _RUNNING = -1, -2


@dataclass(frozen=True)
class Instance:
    """What is to be decided.

    Attributes:
        models: compiled tables.
        slowdown: by model, how much slower it runs than profiled.
        running: by model, the composition that runs, or None where it does not run.
        charged: whether leaving what runs is charged.
    """

    models: tuple[CompiledModel, ...]
    slowdown: tuple[Fraction, ...]
    running: tuple[CompositionSums | None, ...]
    charged: bool = False


@dataclass(frozen=True)
class Candidates:
    """One model's class of items, by ascending memory: value, memory, cores, and where each comes from.

    `source` is an index into `origin`, or says that the model is suspended or stays as it is.
    """

    value: Ints
    memory: Ints
    cores: Ints
    source: Indices
    origin: Frontier


def on_staircase(instance: Instance, limits: Limits, m: int) -> Candidates:
    """What matters of a model where only memory is shared; cores are not filled in."""
    model, slowdown = instance.models[m], instance.slowdown[m]
    points = staircase_points(model, latency_limit(limits.latency[m], slowdown), limits.accuracy[m])
    f = model.frontier
    found = Candidates(model.value[points], f.memory[points], np.zeros_like(points), points, f)
    return with_present(instance, limits, m, found)


def in_space(instance: Instance, limits: Limits, m: int) -> Candidates:
    """What matters of a model where compute is shared as well."""
    model, slowdown = instance.models[m], instance.slowdown[m]
    points = admissible(model, latency_limit(limits.latency[m], slowdown), limits.accuracy[m])
    f = model.frontier
    cores = model.cores(f.latency[points], f.threads[points], slowdown)
    found = Candidates(model.value[points], f.memory[points], cores, points, f)
    return with_present(instance, limits, m, found)


def with_present(instance: Instance, limits: Limits, m: int, found: Candidates) -> Candidates:
    """The candidates, with the choice to suspend the model and to leave it as it is."""
    model, now = instance.models[m], instance.running[m]
    if not model.table.critical:
        stays = 1 if now is None else 0
        found = _insert(found, 0, stays - model.scale.suspension, 0, 0, _SUSPENDED)
    if now is None or not holds(now, limits, m, instance.slowdown[m]):
        return found
    value = int(model.values(np.array([now.accuracy]))[0]) + 1
    at = int(found.memory.searchsorted(now.memory, side="right"))
    cores = int(model.cores(np.array([now.latency]), np.array([now.threads]), instance.slowdown[m])[0])
    return _insert(found, at, value, now.memory, cores, _RUNNING)


def holds(composition: CompositionSums, limits: Limits, m: int, slowdown: Fraction) -> bool:
    """Whether a composition is within its model's own limits."""
    least = limits.accuracy[m]
    fast = composition.latency <= latency_limit(limits.latency[m], slowdown)
    return fast and (least is None or composition.accuracy >= least)


def _insert(found: Candidates, at: int, value: int, memory: int, cores: int, source: int) -> Candidates:
    def put(column: Ints, item: int) -> Ints:
        return np.concatenate([column[:at], np.array([item]), column[at:]])

    return Candidates(
        put(found.value, value),
        put(found.memory, memory),
        put(found.cores, cores),
        put(found.source, source),
        found.origin,
    )


def candidate_compositions(
    instance: Instance, classes: Sequence[Candidates], chosen: Sequence[int]
) -> list[CompositionSums | None]:
    """What the chosen items are; None for a suspended model."""
    return [
        _composition(instance, m, c, int(c.source[i])) for m, (c, i) in enumerate(zip(classes, chosen, strict=True))
    ]


def _composition(instance: Instance, m: int, candidates: Candidates, source: int) -> CompositionSums | None:
    if source < 0:
        return None if source == _SUSPENDED else instance.running[m]
    f = candidates.origin
    return CompositionSums(
        choice=tuple(f.choice[source].tolist()),
        threads=int(f.threads[source]),
        memory=int(f.memory[source]),
        latency=int(f.latency[source]),
        accuracy=float(f.accuracy[source]),
    )
