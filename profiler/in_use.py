"""What options take in use, made of what they took one by one and of whole compositions as in use (see `latency`).

A straight line through the times of whole compositions, against the sums of their options' medians, turns what options
take by themselves into what they take in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legodnn.profile import ChainOverhead, Latency, OptionKey
from legodnn.profiler.bench import Bench
from legodnn.profiler.latency import Timings
from legodnn.runtime.executors.base import Choice

_LINE_POINTS = 300  # to which a line is fitted at most: all pairs of them are compared
_LEAST_SPREAD = 1.2  # of the sums that a line with a slope and a constant is fitted to
_SLOPES = (0.1, 2.0)
_LEAST_SHARE = 0.1  # of what an option takes by itself, which it takes in use at least


class InUse(NamedTuple):
    """What options that take some milliseconds one by one take in use, at one thread count.

    Attributes:
        factor: what the sum over all segments is multiplied by.
        constant_ms: what is then added; it may be negative.
        segments: the number of segments.
    """

    factor: float
    constant_ms: float
    segments: int

    def latency_ms(self, alone_ms: float) -> float:
        """What one option takes in use: if the constant is negative, it is shared equally by the segments."""
        return max(_LEAST_SHARE * alone_ms, self.factor * alone_ms + min(0.0, self.constant_ms) / self.segments)

    @property
    def overhead_ms(self) -> float:
        """What a composition takes beyond its options, at least 0."""
        return max(0.0, self.constant_ms)


def in_use(bench: Bench, timings: Timings) -> dict[int, InUse]:
    """By thread count, how compositions in use compare with the sums of their options."""
    medians = {choice: float(np.median(values)) for choice, values in timings.warm.items()}
    found = {}
    for threads in bench.threads:
        sums = [sum(medians[c] for c in bench.choices(row, threads)) for row in timings.compositions[threads]]
        found[threads] = InUse(*line_through(sums, timings.whole[threads]), len(bench.segments))
    return found


def line_through(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Fit a line to positive numbers so that relative errors are small: fast compositions count as slow ones do.

    It is the Theil-Sen estimator, the median of the slopes between far points, of `y / x` against `1 / x`. Half of the
    points may be far off without harm, as times on a busy machine are. Where all of `x` are nearly equal, the constant
    is 0.

    Returns:
        The slope, limited to between 0.1 and 2, and the constant.

    Example:

        >>> line_through([1.0, 2.0, 3.0, 4.0], [1.75, 2.5, 9.0, 4.0])
        (0.75, 1.0)
    """
    xs, ys = np.array(x[-_LINE_POINTS:]), np.array(y[-_LINE_POINTS:])
    ratios, inverse = ys / xs, 1 / xs
    if xs.max() < _LEAST_SPREAD * xs.min():
        return float(np.clip(np.median(ratios), *_SLOPES)), 0.0
    across = inverse[:, None] - inverse
    far = across >= (inverse.max() - inverse.min()) / 2
    constant = np.median((ratios[:, None] - ratios)[far] / across[far])
    slope = float(np.clip(np.median(ratios - constant * inverse), *_SLOPES))
    return slope, float(np.median(ys - slope * xs))


def option_latencies(bench: Bench, timings: Timings) -> dict[OptionKey, tuple[Latency, ...]]:
    """The latency of each option in use, at each thread count, in the order of `bench.threads`."""
    used = in_use(bench, timings)
    return {
        (segment.name, option.name): tuple(
            _latency(timings, bench.choice(segment, option, threads), used[threads]) for threads in bench.threads
        )
        for segment, options in zip(bench.segments, bench.options, strict=True)
        for option in options
    }


def _latency(timings: Timings, choice: Choice, used: InUse) -> Latency:
    values = timings.warm[choice]
    p50, p95 = np.percentile(values, [50, 95])
    return Latency(
        threads=choice.threads,
        runs=len(values),
        first_ms=used.latency_ms(float(np.median(timings.first[choice]))),
        min_ms=used.latency_ms(min(values)),
        median_ms=used.latency_ms(float(p50)),
        p95_ms=used.latency_ms(float(p95)),
    )


def chain_overheads(bench: Bench, timings: Timings) -> tuple[ChainOverhead, ...]:
    """What whole compositions in use take beyond the sum of their options, at least 0."""
    return tuple(ChainOverhead(threads=n, overhead_ms=used.overhead_ms) for n, used in in_use(bench, timings).items())
