"""What a little more of a limit would buy."""

from __future__ import annotations

import pytest

from legodnn.errors import WorkloadError
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import model, option


def test_gains_tell_what_a_little_more_buys() -> None:
    table = model("m", [option("great", 1_000_000, 2.0, 0.0), option("small", 10, 1.0, 1.0)])
    scheduler = Scheduler([table])
    gains = scheduler.gains(scheduler.plan(Budget(memory_bytes=10, latency_ms=5.0)))
    assert gains.memory is not None
    assert gains.memory.objective == pytest.approx(1.0)
    assert gains.latency["m"].objective == 0.0
    gains = scheduler.gains(scheduler.plan(Budget(latency_ms=1.0)))
    assert gains.memory is None
    assert gains.latency["m"].objective == pytest.approx(1.0)


def test_gains_of_a_plan_that_does_not_hold_its_budget_are_refused() -> None:
    scheduler = Scheduler([model("m", [option("great", 1_000_000, 2.0, 0.0)])])
    plan = scheduler.plan(Budget(latency_ms=5.0))
    with pytest.raises(WorkloadError, match="this plan does not hold its budget"):
        scheduler.gains(plan, slowdown={"m": 50.0})
