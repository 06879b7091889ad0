"""The deadline of a plan's search, and the beam widths that a search tries one after the other before it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from legodnn.errors import WorkloadError
from legodnn.printable import shown
from legodnn.schema import MOST_SUM

now = time.perf_counter


@dataclass(frozen=True)
class Deadline:
    """A moment at which a search stops improving its plan.

    Attributes:
        at: the moment in seconds, as `now` counts them; infinity for never.
    """

    at: float = math.inf

    @classmethod
    def after(cls, milliseconds: float | None) -> Deadline:
        """Return the deadline that passes so many milliseconds from now; None gives one that never passes.

        Raises:
            WorkloadError: it is no number, negative, or beyond all measure.
        """
        if milliseconds is None:
            return cls()
        number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
        if not (number and 0 <= milliseconds <= MOST_SUM):
            raise WorkloadError(
                f"a deadline is 0 to {MOST_SUM:g} milliseconds, or None for none, not {shown(milliseconds)}"
            )
        return cls(now() + milliseconds / 1e3)

    def passed(self) -> bool:
        """Return whether the deadline has passed."""
        return now() >= self.at


NO_DEADLINE = Deadline()
# How many partial plans a beam search keeps at a time, in the first search and in each one after it. The widest search
# takes some 20 MB.
_WIDTHS = (256, 1024, 4096, 16384)
# A wider search is expected to take at least this many times as long as the one before it. The factor is smaller than
# that of the widths, because a search goes only as far as it needs to.
_GROWTH = 2.0


@dataclass
class BeamWidths:
    """The widths of successive beam searches, for as long as the next search is likely to end before the deadline."""

    deadline: Deadline
    _left: list[int] = field(default_factory=lambda: list(_WIDTHS))
    _last_start: float = math.nan

    def next(self) -> int | None:
        """Return the next width; None if no width is left or the search would probably end too late."""
        moment = now()
        took = 0.0 if math.isnan(self._last_start) else moment - self._last_start
        self._last_start = moment
        if not self._left or moment + _GROWTH * took >= self.deadline.at:
            return None
        return self._left.pop(0)
