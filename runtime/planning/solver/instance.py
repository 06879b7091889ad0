"""One scheduling problem: the compiled models, their slow-downs, what runs now, and the limits of the moment."""

from __future__ import annotations

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
            limit's quantile inferences take so many times longer than predicted. None where that is not known: then no
            limit of latency is held.
        running: by model, the composition that runs; None if it does not run.
        charged: whether leaving what runs is charged.
    """

    models: tuple[CompiledModel, ...]
    slowdown: tuple[Fraction, ...]
    stretch: tuple[Mapping[int, Fraction | None], ...]
    running: tuple[CompositionSums | None, ...]
    charged: bool = False

    def factor(self, m: int, mode: int) -> Fraction | None:
        """Return what the profiled latency of model `m` is multiplied with before its limit is applied, if known."""
        stretch = self.stretch[m][mode]
        return self.slowdown[m] if stretch is ONE else None if stretch is None else self.slowdown[m] * stretch

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
        latency: by model, milliseconds at its quantile. A latency is held against it as plans tell it, a float of
            milliseconds: 0.3 ms hold a limit of 0.3 although the float lies below 3/10.
        quantile: by model, the share of inferences that must keep its limit of latency.
        accuracy: by model, the least accuracy (see `least_accuracy`).
    """

    memory: int | None
    cores: int | None
    latency: tuple[float | None, ...]
    quantile: tuple[float, ...]
    accuracy: tuple[float | None, ...]


def latency_limit(instance: Instance, limits: Limits, m: int, mode: int) -> int:
    """Return the greatest profiled latency, in nanoseconds, that the limit of model `m` admits in a mode, or -1."""
    limit = limits.latency[m]
    if limit is None:
        return NO_LIMIT_NS
    factor, (above, below) = instance.factor(m, mode), limit.as_integer_ratio()
    if factor is None:
        return -1
    found = min(above * NS_PER_MS * factor.denominator // (below * factor.numerator), NO_LIMIT_NS)
    # Latencies just above the limit that are the same float: seldom more than one, and never more than a few hundred.
    while found < NO_LIMIT_NS and milliseconds(found + 1, factor) <= limit:
        found += 1
    return found


def latency_limits(instance: Instance, limits: Limits, m: int, modes: Ints) -> Ints | int:
    """Return that of each of some compositions, given their modes, (n,); one number where it is the same."""
    if limits.latency[m] is None or instance.has_one_factor(m):
        return latency_limit(instance, limits, m, next(iter(instance.stretch[m])))
    found = np.zeros(len(modes), dtype=np.int64)
    for n in instance.stretch[m]:
        found[modes == n] = latency_limit(instance, limits, m, n)
    return found


def milliseconds(latency: int, factor: Fraction) -> float:
    """Return a multiple of nanoseconds as plans tell it: in milliseconds, rounded once."""
    return latency * factor.numerator / (NS_PER_MS * factor.denominator)


def least_accuracy(instance: Instance, limits: Limits, m: int) -> float | None:
    """Return the least computed accuracy that holds the limit of model `m`; None if it has none.

    A computed accuracy may be less by rounding than what losses add up to, which is no reason to refuse it.
    """
    least = limits.accuracy[m]
    return None if least is None else least - instance.models[m].accuracy_rounding


def is_within(composition: CompositionSums, instance: Instance, limits: Limits, m: int) -> bool:
    """Return whether a composition of model `m` is within that model's own limits, latency and accuracy."""
    least = least_accuracy(instance, limits, m)
    fast = composition.latency <= latency_limit(instance, limits, m, composition.mode)
    return fast and (least is None or composition.accuracy >= least)
