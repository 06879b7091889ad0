"""The tails of a model in its workload: how much longer than planned its inferences take, by thread count and quantile.

A profile knows tails under several conditions. Which of them count depends on what else the workload runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from legodnn.errors import ProfileError
from legodnn.profile import Profile
from legodnn.schema import LEAST_QUANTILE
from legodnn.tail import QUANTILES, Condition, Tail

# By thread count, by quantile: how many times its planned latency that share of inferences takes at most. A quantile
# between two has the greater one's.
Tails = Mapping[int, Mapping[float, float]]


@dataclass(frozen=True)
class Companion:
    """Another model of the workload.

    Attributes:
        store_id: its store.
        meets: the share of this model's inferences during which the other one runs as well, 0 to 1.
        slowdown: how many times longer this model takes beside it, by the medians.
    """

    store_id: str
    meets: float = 0.0
    slowdown: float = 1.0


# Another model of which nothing was measured: inferences after its take as long as after another composition.
ANY_MODEL = Companion("")


def tails_of(
    profile: Profile, slowdown: float = 1.0, companions: Sequence[Companion] = (), periodic: bool = False
) -> Tails | None:
    """Return the tails of a profile's model in a workload; None if the profile knows none.

    What a governor learned in use replaces what the profiler measured. Otherwise a model alone has the tail that it has
    alone, or after pauses if it runs at a rate. One of several has that of inferences that come after another model's;
    beside those that run in more than 1 - q of its inferences it is longer at quantile q, by as much as it was measured
    beside them. What pauses and several others add is summed.

    Args:
        profile: the profile.
        slowdown: the slow-down that the model is planned with, which tails do not count again.
        companions: the other models of the workload.
        periodic: whether the model runs at a rate.
    """
    tails = {}
    for threads in sorted({tail.threads for tail in profile.tail}):
        known = {(t.condition, t.other): t for t in profile.tail if t.threads == threads}
        stretches = {q: _measured_stretch(known, q, companions, periodic) for q in QUANTILES}
        if row := {q: found / slowdown for q, found in stretches.items() if found < math.inf}:
            tails[threads] = row
    return tails or None


def stretch(tails: Tails | None, threads: int, quantile: float) -> float | None:
    """Return how many times its planned latency a share of inferences takes at most; None if that is not known.

    The median is known where no tail is: it is what latencies of profiles are.

    Args:
        tails: the model's; empty if all inferences take equally long, None if nothing is known.
        threads: the thread count.
        quantile: the share of inferences.
    """
    if tails is not None and not tails:
        return 1.0
    tail = (tails or {}).get(threads, {})
    kept = min((q for q in tail if q >= quantile), default=None)
    if kept is not None:
        return tail[kept]
    return 1.0 if quantile == LEAST_QUANTILE else None


def unknown_tail(name: str, tails: Tails | None, thread_counts: Sequence[int], quantile: float) -> ProfileError:
    """Return the error that a limit of latency is for more inferences of a model than its tail is known for.

    It names the thread count with which the most is known.
    """
    greatest = {n: max((tails or {}).get(n, {}), default=LEAST_QUANTILE) for n in thread_counts}
    threads = max(thread_counts, key=greatest.__getitem__)
    most, ever = greatest[threads], QUANTILES[-1]
    known = "knows medians alone" if most == LEAST_QUANTILE else f"knows quantiles up to {most:g}"
    more = f"; `legodnn profile` knows up to {ever:g} where it has the time, up to 0.99 of a model with a rate"
    return ProfileError(
        f"{name}: a limit that {100 * quantile:.6g} % of inferences must keep cannot be promised, since its profile "
        f"{known} ({threads} thread{'s' * (threads > 1)}); plan for less: quantile {most:g}"
        f"{more if most < ever else ''}"
    )


def _measured_stretch(
    known: Mapping[tuple[Condition, str | None], Tail],
    quantile: float,
    companions: Sequence[Companion],
    periodic: bool,
) -> float:
    """How many times longer than predicted inferences take at one thread count; infinity if that is not known.

    What was learned in use counts as far as it goes. Beyond, it is known what the profiler measured, but no less.
    """
    used = known.get(("use", None))
    if used is None:
        return _profiled_stretch(known, quantile, companions, periodic)
    if (learned := _at(used, quantile)) < math.inf:
        return learned
    return max(used.stretch[-1], _profiled_stretch(known, quantile, companions, periodic))


def _profiled_stretch(
    known: Mapping[tuple[Condition, str | None], Tail],
    quantile: float,
    companions: Sequence[Companion],
    periodic: bool,
) -> float:
    """How many times longer than predicted inferences take, as profiled; infinity if that is not known.

    A condition that was not measured counts as if nothing took longer than alone, or beside another model than medians
    say. The stretch of one of which too few inferences were measured is not known, and so the whole is not.
    """
    measured_alone = known.get(("alone", None))
    alone = _at(measured_alone, quantile) if measured_alone else math.inf
    if alone == math.inf:
        return alone
    paused = known.get(("periodic", None)) if periodic else None
    in_turn = max(alone, _at(paused, quantile)) if paused else alone
    slower_beside = 0.0
    for other in companions:
        if after := known.get(("after", other.store_id), known.get(("after", None))):
            in_turn += max(0.0, _at(after, quantile) - alone)
        if other.meets > 1 - quantile:
            beside = known.get(("beside", other.store_id))
            slower_beside += max(0.0, (_at(beside, quantile) / alone if beside else other.slowdown) - 1)
    return in_turn * (1 + slower_beside)


def _at(tail: Tail, quantile: float) -> float:
    """The stretch at the least quantile that is kept and no less than this; infinity if there is none."""
    pairs = zip(tail.quantiles, tail.stretch, strict=True)
    return next((measured for kept, measured in pairs if kept >= quantile), math.inf)
