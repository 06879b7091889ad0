"""How much slower models run than they were profiled: for each model the median ratio of the inferences since it was
judged before, or of its last ones if those are more. So a moment's wait does not stand for a second of a fast model.

Contention and heat slow a whole model down by much the same factor, whatever options it runs. So the ratio measured on
the running composition rescales the profile of all others, as in LegoDNN (Han et al., MobiCom 2021). The median ignores
single inferences that waited for a page of memory or a garbage collection. The first inference after a switch is not
counted: it brings the new blocks' weights into the caches, which is the switch's doing.
"""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice

from legodnn.plan import ModelPlan
from legodnn.runtime.planning.as_profiled import profiled_ms
from legodnn.runtime.planning.model_table import ModelTable

_WINDOW = 64
_MOST = 1024  # are remembered, in 32 kB


class SlowdownTracker:
    """Remembers how much longer than profiled the last inferences of each model took. Safe for use by many threads."""

    def __init__(self, tables: Sequence[ModelTable], window: int = _WINDOW) -> None:
        """Begin without any inference.

        Args:
            tables: the models, with their profiled latencies.
            window: number of inferences of each model by which it is judged at least, once there are so many.
        """
        self._tables = {table.name: table for table in tables}
        self._window = window
        self._ratios: Mapping[str, deque[float]] = {table.name: deque(maxlen=_MOST) for table in tables}
        self._counts = dict.fromkeys(self._ratios, 0)  # of inferences, which may be more than are remembered
        self._judged = dict(self._counts)  # the counts at that time
        self._lock = threading.RLock()  # a signal handler may ask in the midst of a note
        self._profiled: dict[str, tuple[ModelPlan, float]] = {}

    def add(self, plan: ModelPlan, latency_ms: float) -> float | None:
        """Note one inference.

        Args:
            plan: what the model ran.
            latency_ms: how long the inference took.

        Returns:
            How many times longer than profiled it took; None if it does not count.
        """
        known = self._profiled.get(plan.name)
        if known is None or known[0] is not plan:
            switched = known is None or _runs(known[0]) != _runs(plan)
            known = self._profiled[plan.name] = plan, profiled_ms(self._tables[plan.name], plan)
            if switched:
                return None
        if known[1] <= 0:
            return None
        ratio = latency_ms / known[1]
        with self._lock:
            self._ratios[plan.name].append(ratio)
            self._counts[plan.name] += 1
        return ratio

    def rest(self, name: str) -> None:
        """Judge a model anew once it runs again, which is a switch: it is suspended."""
        with self._lock:
            self._ratios[name].clear()
            self._counts[name] = self._judged[name] = 0
            self._profiled.pop(name, None)

    def judged(self) -> None:
        """Note that models have been judged by what was seen so far."""
        with self._lock:
            self._judged.update(self._counts)

    def ratios(self, least: int) -> dict[str, float]:
        """By model, the median of measured over profiled latency of the inferences that it is judged by.

        Args:
            least: the number of inferences, 1 or more, from which on a model is judged. It may be above the window.
        """
        with self._lock:
            return {name: self._median(name) for name, count in self._counts.items() if count >= least}

    def _median(self, name: str) -> float:
        seen, since = self._ratios[name], self._counts[name] - self._judged[name]
        return statistics.median(islice(seen, max(0, len(seen) - max(self._window, since)), None))


def _runs(plan: ModelPlan) -> tuple[int, bool, bool, Mapping[str, str]]:
    """What a model runs in a plan, and how: where this changes, caches are cold."""
    return plan.threads, plan.streamed, plan.compact, plan.options
