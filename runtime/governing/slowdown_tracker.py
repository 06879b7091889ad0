"""How long inferences really take, against what was profiled: one robust ratio for each model.

Contention and heat slow a whole model down by much the same factor, whatever its blocks are: the ratio measured on the
running composition rescales the profile of all others, as in LegoDNN (Han et al., MobiCom 2021). It is the median of
the last inferences: one that waited for a page or a garbage collection says nothing.
"""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from legodnn.plan import ModelPlan
from legodnn.runtime.planning.model_table import ModelTable

_WINDOW = 64


class Observed:
    """The last inferences of each model. May be told of them from many threads."""

    def __init__(self, tables: Sequence[ModelTable], window: int = _WINDOW) -> None:
        """Nothing observed yet.

        Args:
            tables: of the models, with the profiled latencies.
            window: how many inferences of a model are looked at.
        """
        self._tables = {table.name: table for table in tables}
        self._ratios: Mapping[str, deque[float]] = {table.name: deque(maxlen=window) for table in tables}
        self._lock = threading.Lock()
        self._profiled: dict[str, tuple[ModelPlan, float]] = {}

    def add(self, plan: ModelPlan, latency_ms: float) -> None:
        """Note an inference.

        Args:
            plan: what the model ran.
            latency_ms: how long it took.
        """
        known = self._profiled.get(plan.name)
        if known is None or known[0] is not plan:
            known = self._profiled[plan.name] = plan, profiled_ms(self._tables[plan.name], plan)
        if known[1] > 0:
            with self._lock:
                self._ratios[plan.name].append(latency_ms / known[1])

    def ratios(self, least: int) -> dict[str, float]:
        """The median ratio of each model of which at least so many inferences were noted."""
        with self._lock:
            return {name: statistics.median(seen) for name, seen in self._ratios.items() if len(seen) >= least}


def profiled_ms(table: ModelTable, plan: ModelPlan) -> float:
    """The latency of what a plan runs of a model as it was profiled, whatever slow-down it was planned for."""
    blocks = (next(o for o in block.options if o.name == plan.options[block.name]) for block in table.blocks)
    fixed = (segment.options[0] for segment in table.fixed)
    segments = sum(option.latency_ms[plan.threads] for option in (*blocks, *fixed))
    return segments + table.overhead_ms.get(plan.threads, 0.0)
