"""One scheduling problem: the compiled models, their slow-downs, what runs now, and the limits of the moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from legodnn.runtime.planning.solver.compiled_model import NS_PER_MS, CompiledModel
from legodnn.runtime.planning.solver.composition_sums import CompositionSums
from legodnn.runtime.planning.solver.frontier import INFINITE

NANO = 1_000_000_000
# The latency limit, in nanoseconds, of a model that has none.
NO_LIMIT_NS = INFINITE - 1


@dataclass(frozen=True)
class Instance:
    """What is to be planned, apart from the limits.

    Attributes:
        models: the compiled tables.
        slowdown: by model, how many times slower than profiled it runs.
        running: by model, the composition that runs; None if it does not run.
        charged: whether leaving what runs is charged.
    """

    models: tuple[CompiledModel, ...]
    slowdown: tuple[Fraction, ...]
    running: tuple[CompositionSums | None, ...]
    charged: bool = False


@dataclass(frozen=True)
class Limits:
    """The limits of the moment; None stands for no limit.

    Attributes:
        memory: bytes of all models together.
        cores: billionths of a core for all models together.
        latency: by model, milliseconds after slow-down, exactly as given.
        accuracy: by model, the least accuracy.
    """

    memory: int | None
    cores: int | None
    latency: tuple[Fraction | None, ...]
    accuracy: tuple[float | None, ...]


def latency_limit(limit: Fraction | None, slowdown: Fraction) -> int:
    """Return the greatest profiled latency, in nanoseconds, that a limit in milliseconds admits under a slow-down."""
    if limit is None:
        return NO_LIMIT_NS
    return min(math.floor(limit * NS_PER_MS / slowdown), NO_LIMIT_NS)


def is_within(composition: CompositionSums, limits: Limits, m: int, slowdown: Fraction) -> bool:
    """Return whether a composition of model `m` is within that model's own limits, latency and accuracy."""
    least = limits.accuracy[m]
    fast = composition.latency <= latency_limit(limits.latency[m], slowdown)
    return fast and (least is None or composition.accuracy >= least)
