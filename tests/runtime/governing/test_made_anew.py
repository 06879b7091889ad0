"""A governor that is made after another one takes up what that one left."""

from __future__ import annotations

from legodnn.runtime import Governor, Runtime
from legodnn.workload import Budget
from tests.runtime.governing.scripted import Scripted, leave
from tests.runtime.opened import least_memory


def test_what_the_device_was_short_of_before_is_not_the_applications_own_budget(
    runtime: Runtime, device: Scripted
) -> None:
    full, own = runtime.plan, Budget(memory_bytes=runtime.plan.memory_bytes + 1)
    runtime.budget = own
    leave(device, runtime, least_memory(runtime))
    Governor(runtime, monitor=device).step()
    small = runtime.plan
    assert small.memory_bytes < full.memory_bytes
    assert Governor(runtime, monitor=device).demand.budget == own
    Governor(runtime, monitor=device).step()
    assert runtime.plan.memory_bytes == small.memory_bytes, "the device is as short as before"
    device.available = 1e9
    Governor(runtime, monitor=device).step()
    assert (runtime.plan.budget, runtime.plan["tiny"]) == (own, full["tiny"])


def test_what_an_application_sets_after_a_governor_has_ended_is_its_own(runtime: Runtime, device: Scripted) -> None:
    leave(device, runtime, least_memory(runtime))
    Governor(runtime, monitor=device).step()
    runtime.budget = Budget(latency_ms=1e6)
    assert Governor(runtime, monitor=device).demand.budget == Budget(latency_ms=1e6)
    Governor(runtime, monitor=device).step()
    runtime.plan = runtime.scheduler.plan(Budget(latency_ms=1e5))
    assert Governor(runtime, monitor=device).demand.budget == Budget(latency_ms=1e5)


def test_a_slow_down_that_another_governor_saw_is_not_planned_for_any_longer(
    runtime: Runtime, device: Scripted
) -> None:
    profiled_ms = runtime.plan["tiny"].latency_ms
    runtime.replan(Budget(), {"tiny": 4.0})
    runtime.own_budget = Budget()  # as a governor that decided this would have left it
    Governor(runtime, monitor=device).step()
    assert runtime.plan["tiny"].latency_ms == profiled_ms
