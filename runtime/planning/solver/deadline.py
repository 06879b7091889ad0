"""How long a plan may be searched for, and how widely."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

now = time.perf_counter


@dataclass(frozen=True)
class Clock:
    """Is over at a moment of `now`."""

    until: float = math.inf

    @classmethod
    def of(cls, deadline_ms: float | None) -> Clock:
        """Over in so many milliseconds from now; never for None."""
        return cls() if deadline_ms is None else cls(now() + deadline_ms / 1e3)

    def over(self) -> bool:
        """Whether it is over."""
        return now() >= self.until


NO_END = Clock()
# A search keeps so many partial plans at a time, then more; the most take some 20 MB.
_WIDTHS = (256, 1024, 4096, 16384)
# A wider search takes at least so many times as long as the one before, for it is searched only as far as is needed.
_GROWTH = 2.0


@dataclass
class Widening:
    """The widths of searches one after the other, for as long as the next one is likely to end in time."""

    clock: Clock
    _left: list[int] = field(default_factory=lambda: list(_WIDTHS))
    _before: float = math.nan

    def next(self) -> int | None:
        """The next width; None where there is no time or no memory for it."""
        moment = now()
        took = 0.0 if math.isnan(self._before) else moment - self._before
        self._before = moment
        if not self._left or moment + _GROWTH * took >= self.clock.until:
            return None
        return self._left.pop(0)
