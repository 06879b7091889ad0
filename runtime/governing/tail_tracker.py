"""How long the slowest inferences take, learned from each as it comes: by model, thread count and quantile.

For each quantile q a threshold is kept, as a multiple of the profiled latency. An inference above it raises it by the
factor exp(q x step), one below lowers it by exp((1 - q) x step). Whatever the times do, over a while the share of
inferences above the threshold then is 1 - q: adaptive conformal inference (Gibbs and Candes, NeurIPS 2021). What was
long ago is forgotten: at q = .95 a slow-down to twice the time is learned from 8 inferences, and forgotten over 140.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from legodnn.plan import ModelPlan
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.tails import stretch
from legodnn.schema import MOST_SLOWDOWN
from legodnn.tail import QUANTILES, Tail

_STEP = 0.1  # half of it learns too late what lasts some seconds; with more, the threshold is never at rest
_LEAST_LOG, _MOST_LOG = math.log(1e-3), math.log(MOST_SLOWDOWN)


class TailTracker:
    """The thresholds of each model at each thread count that it ran with. Safe for use by many threads."""

    def __init__(self, tables: Sequence[ModelTable]) -> None:
        """Begin with what the profiles say.

        Args:
            tables: the models.
        """
        self._tables = {table.name: table for table in tables}
        self._lock = threading.RLock()  # a signal handler may ask in the midst of a note
        self._logs: dict[tuple[str, int], list[float]] = {}
        self._counts: dict[tuple[str, int], int] = {}

    def add(self, plan: ModelPlan, ratio: float) -> None:
        """Note one inference.

        Args:
            plan: what the model ran.
            ratio: how many times longer than profiled it took.
        """
        log, key = math.log(ratio) if ratio > 0 else _LEAST_LOG, (plan.name, plan.threads)
        with self._lock:
            logs = self._logs.get(key) or self._begin(key)
            for i, quantile in enumerate(QUANTILES):
                moved = logs[i] + _STEP * (quantile if log > logs[i] else quantile - 1)
                logs[i] = min(max(moved, _LEAST_LOG), _MOST_LOG)
            self._counts[key] += 1

    def _begin(self, key: tuple[str, int]) -> list[float]:
        table, threads = self._tables[key[0]], key[1]
        known = (stretch(table.tails, threads, quantile) or 1.0 for quantile in QUANTILES)
        self._logs[key] = [math.log(table.slowdown * times) for times in known]
        self._counts[key] = 0
        return self._logs[key]

    def excess(self, plan: ModelPlan) -> float | None:
        """Return how many times longer than its profile promises the share `plan.quantile` of inferences takes.

        None where too few were seen to tell: less than 1 / (1 - quantile) with the plan's thread count.
        """
        table, key = self._tables[plan.name], (plan.name, plan.threads)
        promised = stretch(table.tails, plan.threads, plan.quantile)
        with self._lock:
            if promised is None or not _enough(self._counts.get(key, 0), plan.quantile):
                return None
            # At the least quantile that is kept and no less.
            at = next((i for i, q in enumerate(QUANTILES) if q >= plan.quantile), len(QUANTILES) - 1)
            return _stretch_at(self._logs[key], at) / (table.slowdown * promised)

    def tails(self, name: str) -> tuple[Tail, ...]:
        """Return what was learned of a model, by thread count: for a profile, as far as enough inferences were seen."""
        with self._lock:
            seen = [(n, self._counts[of, n], list(logs)) for (of, n), logs in self._logs.items() if of == name]
        found = []
        for threads, count, logs in sorted(seen):
            known = [i for i, quantile in enumerate(QUANTILES) if _enough(count, quantile)]
            if known:
                stretches = tuple(_stretch_at(logs, i) for i in known)
                quantiles = tuple(QUANTILES[i] for i in known)
                tail = Tail(threads=threads, condition="use", inferences=count, quantiles=quantiles, stretch=stretches)
                found.append(tail)
        return tuple(found)


def _stretch_at(logs: Sequence[float], i: int) -> float:
    """The stretch of quantile `i`; as in a profile, it never falls with the quantile."""
    return math.exp(max(logs[: i + 1]))


def _enough(count: int, quantile: float) -> bool:
    """Whether so many inferences tell what is above a quantile."""
    return count * (1 - quantile) >= 1 - 1e-9
