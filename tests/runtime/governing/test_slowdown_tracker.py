"""Slow-downs of models are ratios of what was seen to what was profiled."""

from __future__ import annotations

from legodnn.plan import ModelPlan
from legodnn.runtime.governing.slowdown_tracker import SlowdownTracker, profiled_ms
from tests.runtime.governing.scripted import model


def test_ratios_are_medians_over_what_was_profiled_of_the_running_composition() -> None:
    table = model(None)
    fast = ModelPlan(name="m", threads=2, options={"a": "o1", "b": "o0"}, latency_ms=99.0)
    assert profiled_ms(table, fast) == 3.0
    observed = SlowdownTracker([table], window=5)
    assert observed.add(fast, 900.0) is None  # the first one loads what has just been switched to
    for latency_ms in (6.0, 6.0, 600.0, 5.0):
        assert observed.add(fast, latency_ms) == latency_ms / 3.0
    assert observed.ratios(5) == {}
    slow = ModelPlan(name="m", threads=1, options={"a": "o0", "b": "o0"}, latency_ms=99.0)
    assert observed.add(slow, 900.0) is None
    assert observed.add(slow.model_copy(update={"latency_ms": 98.0}), 12.0) is not None  # planned again: no switch
    assert observed.ratios(5) == {"m": 2.0}
