"""One scheduling problem: the compiled models, their slow-downs, what runs now, and the limits of the moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver.compiled_model import NS_PER_MS, CompiledModel
from legodnn.runtime.planning.solver.composition_sums import CompositionSums
from legodnn.runtime.planning.solver.frontier import INFINITE

NANO = 1_000_000_000
# What is multiplied with nothing is this very object: comparing fractions takes longer than a re-plan has to spare.
ONE = Fraction(1)
# The latency limit, in nanoseconds, of a model that has none.
NO_LIMIT_NS = INFINITE - 1


@dataclass(frozen=True)
class Instance:
    """What is to be planned, apart from the limits.

    Attributes:
        models: the compiled tables.
        slowdown: by model, how many times slower than profiled it runs.
        stretch: by model, for each mode, how many times its latency after slow-down must be within its limit: at the
            limit's quantile inferences take so many times longer than predicted.
        running: by model, the composition that runs; None if it does not run.
        charged: whether leaving what runs is charged.
    """

    models: tuple[CompiledModel, ...]
    slowdown: tuple[Fraction, ...]
    stretch: tuple[Mapping[int, Fraction], ...]
    running: tuple[CompositionSums | None, ...]
    charged: bool = False

    def factor(self, m: int, mode: int) -> Fraction:
        """Return what the profiled latency of model `m` is multiplied with before its limit is applied."""
        stretch = self.stretch[m][mode]
        return self.slowdown[m] if stretch is ONE else self.slowdown[m] * stretch

    def has_one_factor(self, m: int) -> bool:
        """Return whether that is the same for all modes of model `m`."""
        stretches = self.stretch[m].values()
        return len(stretches) == 1 or len(set(stretches)) == 1


@dataclass(frozen=True)
class Limits:
    """The limits of the moment; None stands for no limit.

    Attributes:
        memory: bytes of all models together.
        cores: billionths of a core for all models together.
        latency: by model, milliseconds at its quantile, exactly as given.
        quantile: by model, the share of inferences that must keep its limit of latency.
        accuracy: by model, the least accuracy.
    """

    memory: int | None
    cores: int | None
    latency: tuple[Fraction | None, ...]
    quantile: tuple[float, ...]
    accuracy: tuple[float | None, ...]


def latency_limit(instance: Instance, limits: Limits, m: int, mode: int) -> int:
    """Return the greatest profiled latency, in nanoseconds, that the limit of model `m` admits in a mode."""
    limit = limits.latency[m]
    if limit is None:
        return NO_LIMIT_NS
    return min(math.floor(limit * NS_PER_MS / instance.factor(m, mode)), NO_LIMIT_NS)


def latency_limits(instance: Instance, limits: Limits, m: int, modes: Ints) -> Ints | int:
    """Return that of each of some compositions, given their modes, (n,); one number where it is the same."""
    if limits.latency[m] is None or instance.has_one_factor(m):
        return latency_limit(instance, limits, m, next(iter(instance.stretch[m])))
    found = np.zeros(len(modes), dtype=np.int64)
    for n in instance.stretch[m]:
        found[modes == n] = latency_limit(instance, limits, m, n)
    return found


def is_within(composition: CompositionSums, instance: Instance, limits: Limits, m: int) -> bool:
    """Return whether a composition of model `m` is within that model's own limits, latency and accuracy."""
    least = limits.accuracy[m]
    fast = composition.latency <= latency_limit(instance, limits, m, composition.mode)
    return fast and (least is None or composition.accuracy >= least)
