"""The candidates of each model under given limits: the classes of items of the knapsack.

Where compute is not limited, the candidates of a model are its staircase; where it is, all points of its frontier that
are within the model's limits. A best-effort model may also be suspended. A running model may stay as it is, and the
value of that is one greater, which breaks ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Indices, Ints
from legodnn.runtime.planning.solver.composition_sums import CompositionSums
from legodnn.runtime.planning.solver.frontier import Frontier
from legodnn.runtime.planning.solver.instance import (
    Instance,
    Limits,
    is_within,
    latency_limit,
    latency_limits,
    least_accuracy,
)
from legodnn.runtime.planning.solver.staircases import highest

_SUSPENDED, _RUNNING = -1, -2


@dataclass(frozen=True)
class Candidates:
    """The candidates of one model, by ascending memory.

    Attributes:
        value: (n,) what each is worth.
        memory: (n,) bytes.
        cores: (n,) billionths of a core; 0 where compute is not limited.
        source: (n,) index of a point of `origin`, or a negative number: the model is suspended, or stays as it runs.
        origin: the compositions that candidates are taken from.
    """

    value: Ints
    memory: Ints
    cores: Ints
    source: Indices
    origin: Frontier


def on_staircase(instance: Instance, limits: Limits, m: int) -> Candidates:
    """Return the candidates of model `m` where only memory is shared by the models; their `cores` are 0."""
    model, f = instance.models[m], instance.models[m].frontier
    least = least_accuracy(instance, limits, m)
    if least is None and (limits.latency[m] is None or instance.has_one_factor(m)):
        points = model.staircases.under(latency_limit(instance, limits, m, model.ways[0]))
    else:
        each = [model.staircases_of(way).under(latency_limit(instance, limits, m, way)) for way in model.ways]
        if least is not None:  # before the lightest of those of one value is chosen: others may be more accurate
            each = [points[f.accuracy[points] >= least] for points in each]
        points = highest(model.value, each)
    found = Candidates(model.value[points], f.memory[points], np.zeros_like(points), points, f)
    return with_present(instance, limits, m, found)


def on_frontier(instance: Instance, limits: Limits, m: int) -> Candidates:
    """Return the candidates of model `m` where compute is shared as well."""
    model, slowdown, f = instance.models[m], instance.slowdown[m], instance.models[m].frontier
    fits = f.latency <= latency_limits(instance, limits, m, f.mode)
    least = least_accuracy(instance, limits, m)
    if least is not None:
        fits &= f.accuracy >= least
    points = np.flatnonzero(fits)
    cores = model.cores(f.latency[points], f.mode[points], slowdown)
    found = Candidates(model.value[points], f.memory[points], cores, points, f)
    return with_present(instance, limits, m, found)


def with_present(instance: Instance, limits: Limits, m: int, found: Candidates) -> Candidates:
    """Return candidates of model `m` together with two more: suspended, if it may be, and as it runs, if that fits."""
    model, now = instance.models[m], instance.running[m]
    if not model.table.critical:
        stays = 1 if now is None else 0
        found = _insert(found, 0, stays - model.scale.suspension, 0, 0, _SUSPENDED)
    if now is None or not is_within(now, instance, limits, m):
        return found
    value = int(model.values(np.array([now.accuracy]), np.array([now.mode]))[0]) + 1
    at = int(found.memory.searchsorted(now.memory, side="right"))
    cores = int(model.cores(np.array([now.latency]), np.array([now.mode]), instance.slowdown[m])[0])
    return _insert(found, at, value, now.memory, cores, _RUNNING)


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
    """Return the compositions of the chosen candidates, one index for each model; None for a suspended model."""
    return [
        _composition(instance, m, c, int(c.source[i])) for m, (c, i) in enumerate(zip(classes, chosen, strict=True))
    ]


def _composition(instance: Instance, m: int, candidates: Candidates, source: int) -> CompositionSums | None:
    if source < 0:
        return None if source == _SUSPENDED else instance.running[m]
    f = candidates.origin
    return CompositionSums(
        choice=tuple(f.choice[source].tolist()),
        mode=int(f.mode[source]),
        memory=int(f.memory[source]),
        latency=int(f.latency[source]),
        accuracy=float(f.accuracy[source]),
    )
