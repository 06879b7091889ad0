"""How long the slowest inferences take, learned from each as it comes: by model, thread count and quantile.

For each quantile q a threshold is kept, as a multiple of the profiled latency. An inference above it raises it by the
factor exp(q x step), one below lowers it by exp((1 - q) x step). Whatever the times do, over a while the share of
inferences above the threshold then is 1 - q: adaptive conformal inference (Gibbs and Candes, NeurIPS 2021). What was
long ago is forgotten: at q = .95 a slow-down to twice the time is learned from 8 inferences, and forgotten over 140.

With a step that is always the same, the threshold of a model that runs a thousand times a second would stand for its
last hundredth of a second. So from the 65th inference since models were judged before on, steps shrink as 1 / count:
the threshold comes to rest at the quantile of the time in between.

While a model runs with another number of threads nothing is seen of this one, and what was learned fades as it would
by inferences below the threshold: else it might keep the model away for ever. So among all inferences of a model the
share above still is 1 - q at most. A model that was suspended is judged anew when it runs again.
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

_STEADY = 64  # inferences since models were judged from which on steps shrink
_STEP = 0.1  # half of it learns too late what lasts some seconds; with more, the threshold is never at rest
_LEAST_LOG, _MOST_LOG = math.log(1e-3), math.log(MOST_SLOWDOWN)


class _Thresholds:
    """The threshold of each quantile, as logarithms, and the number of inferences from which they were learned."""

    def __init__(self, table: ModelTable, threads: int) -> None:
        known = (stretch(table.tails, threads, quantile) or 1.0 for quantile in QUANTILES)
        self._promised = [math.log(table.slowdown * times) for times in known]
        self._logs = list(self._promised)
        self.count = 0
        self._since = 0

    def _step(self) -> float:
        """The step of one more inference of the model."""
        self._since += 1
        return _STEP * min(1.0, _STEADY / self._since)

    def judged(self) -> None:
        """Note that the model has been judged."""
        self._since = 0

    def add(self, log: float) -> None:
        """Note one inference, by the logarithm of its ratio."""
        step = self._step()
        for i, quantile in enumerate(QUANTILES):
            moved = self._logs[i] + step * (quantile if log > self._logs[i] else quantile - 1)
            self._logs[i] = min(max(moved, _LEAST_LOG), _MOST_LOG)
        self.count += 1

    def fade(self) -> None:
        """Let what is above the profile's promise fade by as much as in an inference below it."""
        step = self._step()
        faded = (log - step * (1 - quantile) for log, quantile in zip(self._logs, QUANTILES, strict=True))
        self._logs = [min(log, max(low, own)) for log, low, own in zip(self._logs, faded, self._promised, strict=True)]

    def forget(self) -> None:
        """Begin anew, where more than the profile promises was learned."""
        self._logs = [min(log, own) for log, own in zip(self._logs, self._promised, strict=True)]

    def tells(self, quantile: float) -> bool:
        """Whether enough inferences were seen to tell what is above a quantile."""
        return self.count * (1 - quantile) >= 1 - 1e-9

    def stretch(self, i: int) -> float:
        """The stretch of quantile `i`; as in a profile, it never falls with the quantile."""
        return math.exp(max(self._logs[: i + 1]))


class TailTracker:
    """The thresholds of each model at each thread count that it ran with. Safe for use by many threads."""

    def __init__(self, tables: Sequence[ModelTable]) -> None:
        """Begin with what the profiles say.

        Args:
            tables: the models.
        """
        self._tables = {table.name: table for table in tables}
        self._lock = threading.RLock()  # a signal handler may ask in the midst of a note
        self._seen: dict[str, dict[int, _Thresholds]] = {table.name: {} for table in tables}
        self._rested: set[str] = set()

    def add(self, plan: ModelPlan, ratio: float) -> None:
        """Note one inference.

        Args:
            plan: what the model ran.
            ratio: how many times longer than profiled it took.
        """
        with self._lock:
            seen = self._seen[plan.name]
            if plan.name in self._rested:
                self._rested.remove(plan.name)
                for thresholds in seen.values():
                    thresholds.forget()
            if plan.threads not in seen:
                seen[plan.threads] = _Thresholds(self._tables[plan.name], plan.threads)
            for threads, thresholds in seen.items():
                if threads == plan.threads:
                    thresholds.add(math.log(ratio) if ratio > 0 else _LEAST_LOG)
                else:
                    thresholds.fade()

    def rest(self, name: str) -> None:
        """Judge a model anew once it runs again: it is suspended."""
        with self._lock:
            self._rested.add(name)

    def judged(self) -> None:
        """Note that models have been judged by what was seen so far."""
        with self._lock:
            for seen in self._seen.values():
                for thresholds in seen.values():
                    thresholds.judged()

    def excess(self, plan: ModelPlan) -> float | None:
        """Return how many times longer than its profile promises the share `plan.quantile` of inferences takes.

        None where too few were seen to tell, less than 1 / (1 - quantile) with the plan's thread count, or none since
        the model was suspended.
        """
        table = self._tables[plan.name]
        promised = stretch(table.tails, plan.threads, plan.quantile)
        with self._lock:
            seen = None if plan.name in self._rested else self._seen[plan.name].get(plan.threads)
            if promised is None or seen is None or not seen.tells(plan.quantile):
                return None
            # At the least quantile that is kept and no less.
            at = next((i for i, q in enumerate(QUANTILES) if q >= plan.quantile), len(QUANTILES) - 1)
            return seen.stretch(at) / (table.slowdown * promised)

    def tails(self, name: str) -> tuple[Tail, ...]:
        """Return what was learned of a model, by thread count: for a profile, as far as enough inferences were seen."""
        found = []
        with self._lock:
            for threads, seen in sorted(self._seen.get(name, {}).items()):
                known = [i for i, quantile in enumerate(QUANTILES) if seen.tells(quantile)]
                if known:
                    stretches = tuple(seen.stretch(i) for i in known)
                    at, count = tuple(QUANTILES[i] for i in known), seen.count
                    tail = Tail(threads=threads, condition="use", inferences=count, quantiles=at, stretch=stretches)
                    found.append(tail)
        return tuple(found)
