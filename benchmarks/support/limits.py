"""Where limits begin to make a difference: the least that a plan needs."""

from __future__ import annotations

from legodnn.errors import InfeasibleError
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget


def least(scheduler: Scheduler, budget: Budget) -> float:
    """Return the least value of the one limit in a budget that nothing keeps with which there is a plan."""
    try:
        scheduler.plan(budget)
    except InfeasibleError as e:
        (limit,) = e.report.limits
        assert limit.needed is not None
        return limit.needed
    raise AssertionError("a plan keeps this budget")
