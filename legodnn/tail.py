"""The tail of latency: how many times longer than predicted inferences take, and by which share of them that is kept.

A limit of latency is kept by a share of inferences, its quantile. The sum of medians says nothing about the slowest
ones, so a profile keeps what was measured of whole compositions: the ratio of measured to predicted time, by quantile.

It is a split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) in two
steps, since a plan runs one composition for long, and compositions differ in how well they are predicted. Whatever the
distribution, of n numbers like the next one, that one is at most the k-th smallest, k = ceil((n + 1) q), with
probability q at least. So the ratio that the share q of inferences keeps is taken of each composition, and of these
ratios the one that nine compositions in ten keep. Without the second step half of the compositions would be late more
often than promised.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from legodnn.schema import (
    LEAST_QUANTILE,
    MOST_INT,
    MOST_QUANTILES,
    MOST_SLOWDOWN,
    Many,
    Name,
    Quantile,
    Schema,
    Stretch,
    Threads,
)

# The share of inferences that keep a limit unless a budget or a model says another. Who writes `latency_ms = 15` means
# nearly every frame, not every second one, as with a median: one frame in twenty late is one a second at 20 frames a
# second. It is known after twenty inferences, and holds where something else runs now and then; .99 takes a hundred,
# and a device on which hardly anything else runs.
DEFAULT_QUANTILE = 0.95
# The quantiles that a profile keeps, as far as it has enough inferences. For a quantile between two, the greater holds.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_COMPOSITIONS_KEPT = 0.9  # the share of compositions whose inferences keep a quantile
_ENOUGH_ABOVE = 5  # inferences of one composition above a quantile, from which that is taken of it by itself
_LEAST_STRETCH = 1e-3

Condition = Literal["alone", "after", "periodic", "beside", "use"]


class Tail(Schema):
    """How many times longer than predicted whole inferences take, by quantile, at one thread count.

    `stretch[i]` is a time, as a multiple of the predicted one, that the share `quantiles[i]` of inferences keeps. The
    prediction is the sum of the options' medians with the chain's overhead. `inferences` were measured.

    `condition` says what else ran: "alone": nothing, the same composition again and again; "after": another composition
    ran before each inference, so that it found cold caches; "periodic": the model paused before each inference, as one
    does that runs at a rate; "beside": another model ran without pause in a second thread; "use": what ran while a
    governor watched. With "after" and "beside", `other` is the other model's store; None is another composition of the
    same model.
    """

    threads: Threads
    condition: Condition
    other: Name | None = None
    inferences: int = Field(gt=0, le=MOST_INT)
    quantiles: Many[Quantile] = Field(min_length=1, max_length=MOST_QUANTILES)
    stretch: Many[Stretch] = Field(min_length=1, max_length=MOST_QUANTILES)

    @model_validator(mode="after")
    def _both_rise(self) -> Self:
        if len(self.quantiles) != len(self.stretch):
            raise ValueError("a tail needs a stretch for each quantile")
        pairs = zip(self.quantiles, self.stretch, strict=True)
        if any(before[0] >= then[0] or before[1] > then[1] for before, then in itertools.pairwise(pairs)):
            raise ValueError("quantiles of a tail must rise, and no stretch may be less than the one before")
        return self

    @property
    def key(self) -> tuple[int, str, str | None]:
        """What a profile has one tail for."""
        return self.threads, self.condition, self.other


def percentile(quantile: float) -> str:
    """Return a quantile's name for people.

    >>> percentile(0.95), percentile(0.995), percentile(0.5)
    ('p95', 'p99.5', 'median')
    """
    return "median" if quantile == LEAST_QUANTILE else f"p{100 * quantile:.6g}"


def last_of_each(tails: Iterable[Tail]) -> tuple[Tail, ...]:
    """Return what a profile keeps of these tails: the last one of each `Tail.key`."""
    return tuple({tail.key: tail for tail in tails}.values())


def tail_of(ratios: Sequence[Sequence[float]], threads: int, condition: Condition, other: str | None = None) -> Tail:
    """Return the tail of measured over predicted times.

    Args:
        ratios: by composition, at least one of each.
        threads, condition, other: see `Tail`.
    """
    least, count = min(map(len, ratios)), sum(map(len, ratios))
    own = [q for q in QUANTILES if q == LEAST_QUANTILE or least * (1 - q) >= _ENOUGH_ABOVE]
    kept = {q: _ranked([_ranked(of, q) for of in ratios], _COMPOSITIONS_KEPT) for q in own}
    # Further out too few were seen of each: there all are taken to have one shape, as multiples of their medians.
    medians = [max(_ranked(of, LEAST_QUANTILE), _LEAST_STRETCH) for of in ratios]
    shape = [ratio / median for of, median in zip(ratios, medians, strict=True) for ratio in of]
    for q in QUANTILES[len(own) :]:
        if math.ceil((count + 1) * q) <= count:
            kept[q] = kept[own[-1]] * max(1.0, _ranked(shape, q) / max(_ranked(shape, own[-1]), _LEAST_STRETCH))
    return Tail(
        threads=threads,
        condition=condition,
        other=other,
        inferences=count,
        quantiles=tuple(kept),
        stretch=tuple(min(max(float(ratio), _LEAST_STRETCH), MOST_SLOWDOWN) for ratio in kept.values()),
    )


def _ranked(values: Sequence[float], quantile: float) -> float:
    """What this share of values like these keep; the greatest where they are too few to tell."""
    return sorted(values)[min(len(values), math.ceil((len(values) + 1) * quantile)) - 1]
