"""A governed runtime: what is decided happens, what cannot be is said, and inferences go on meanwhile.

Covers also: runtime.governing.keep_learned.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.errors import ClosedError, ConfigError, InfeasibleError, ProfileError
from legodnn.learned import Learned, with_learned
from legodnn.profile import Profile
from legodnn.runtime import Governor, Runtime, Scheduler
from legodnn.runtime.device.monitor import Monitor, Readings
from legodnn.runtime.governing.governor import demand_of
from legodnn.runtime.governing.keep_learned import save_learned
from legodnn.runtime.governing.policy import Policy
from legodnn.runtime.planning.as_profiled import profiled_ms
from legodnn.store import Store
from legodnn.workload import Budget
from tests.runtime.governing.scripted import TOTAL, Scripted, leave, lines, model, workload
from tests.runtime.opened import least_memory


def test_models_shrink_when_memory_does_and_grow_back(
    runtime: Runtime, device: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "legodnn.governor")
    governor, full = Governor(runtime, monitor=device), runtime.plan
    governor.step()
    assert runtime.plan is full  # nothing new, nothing done
    assert not lines(caplog)
    leave(device, runtime, least_memory(runtime) + 1)
    governor.step()
    small = runtime.plan
    assert small.memory_bytes <= least_memory(runtime) + 1
    device.available = TOTAL
    for _ in range(12):
        governor.step()
    assert runtime.plan.objective == full.objective
    assert runtime.budget == Budget()
    down, up = lines(caplog)
    assert down["outcome"] == up["outcome"] == "applied"
    assert down["plan"] == {"tiny": small["tiny"].options}
    assert down["changes"][0]["what"] == "memory"
    assert "available besides the models'" in down["changes"][0]["why"]
    assert down["readings"]["memory_total_bytes"] == TOTAL


def test_where_nothing_fits_the_nearest_plan_runs_and_the_log_says_so(
    runtime: Runtime, device: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    governor = Governor(runtime, monitor=device)
    device.available = 0
    governor.step()
    (line,) = lines(caplog)
    assert line["outcome"] == "nearest"
    assert "no plan holds memory at most" in line["message"]
    assert runtime.plan.memory_bytes == least_memory(runtime)


def test_a_slow_model_with_a_latency_limit_of_its_own_runs_the_nearest_plan(
    tiny_store: Store, device: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit is the workload's, not the budget's: no wider budget would let a plan exist."""
    asked = workload("tiny", tiny_store, tiny_store, tmp_path)
    with Runtime(asked) as runtime:
        heavy = runtime.plan["tiny"]
    assert heavy.quantile_ms is not None
    (entry,) = asked.models
    limited = asked.model_copy(update={"models": (entry.model_copy(update={"latency_ms": heavy.quantile_ms * 1.05}),)})
    with Runtime(limited) as runtime:
        governor = Governor(runtime, Policy(observations=1), device)
        assert runtime.plan["tiny"].options == heavy.options
        for _ in range(64):
            governor.observe(runtime.plan["tiny"], heavy.latency_ms * 100)
        governor.step()
        (line,) = lines(caplog)
        assert line["outcome"] == "nearest"
        assert "no plan holds p95 latency of tiny at most" in line["message"]
        expected = pytest.raises(InfeasibleError)
        with expected as error:
            runtime.scheduler.plan(runtime.budget, slowdown={"tiny": 100.0})
        assert error.value.report.nearest is not None
        assert runtime.plan["tiny"].options == error.value.report.nearest["tiny"].options
        assert runtime.plan["tiny"].latency_ms < 100 * heavy.latency_ms
        assert governor.step().changes == ()  # and stays
        assert runtime.infer("tiny", np.zeros(tiny_store.manifest.inputs[0].shape, np.float32)).shape


def test_a_block_that_cannot_be_loaded_leaves_the_old_plan_and_is_tried_again(
    store_copy: Path, tiny_store: Store, device: Scripted, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "legodnn.governor")
    store = Store(store_copy)
    # An executor that opens files when it switches.
    asked = workload("copy", store, tiny_store, tmp_path, "interpreter")
    with Runtime(asked, executor="interpreter") as runtime:
        before, governor = runtime.plan, Governor(runtime, monitor=device)
        # Files of what runs stay: where memory has no room for both, the runtime has to go back to them.
        moved = [store_copy / o.file for b in store.manifest.blocks for o in b.options if o != b.original]
        for path in moved:
            path.rename(path.with_suffix(".gone"))
        leave(device, runtime, least_memory(runtime) + 1)
        governor.step()
        assert runtime.plan == before
        runtime.infer("copy", np.zeros(tiny_store.manifest.inputs[0].shape, np.float32))
        for path in moved:
            path.with_suffix(".gone").rename(path)
        for _ in range(10):
            leave(device, runtime, least_memory(runtime) + 1)
            governor.step()
        assert runtime.plan.memory_bytes <= least_memory(runtime) + 1
    assert [line["outcome"] for line in lines(caplog)] == ["kept", "applied"]


def test_a_decision_that_could_not_be_applied_is_tried_again_whatever_the_error_was(
    runtime: Runtime, device: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    governor = Governor(runtime, monitor=device)
    governor.step()
    leave(device, runtime, least_memory(runtime) + 1)

    def short(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(runtime, "replan", short)
        with pytest.raises(MemoryError):
            governor.step()
    for _ in range(10):
        leave(device, runtime, least_memory(runtime) + 1)
        governor.step()
    assert runtime.plan.memory_bytes <= least_memory(runtime) + 1


def test_the_thread_governs_while_inference_goes_on(runtime: Runtime, device: Scripted, tiny_store: Store) -> None:
    x = np.zeros(tiny_store.manifest.inputs[0].shape, np.float32)
    leave(device, runtime, least_memory(runtime) + 1)
    done = threading.Event()

    def infer() -> None:
        while not done.is_set():
            runtime.infer("tiny", x)

    worker = threading.Thread(target=infer)
    worker.start()
    with Governor(runtime, Policy(observations=1), device, interval_s=0.01) as governor:
        deadline = time.monotonic() + 30
        while governor._slowdowns.ratios(1) == {} or device.second < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    done.set()
    worker.join()
    assert runtime.plan.memory_bytes <= least_memory(runtime) + 1
    assert runtime.on_inference is None


def test_a_runtime_that_is_closed_first_ends_the_thread(tiny_store: Store, device: Scripted) -> None:
    runtime = Runtime.open([tiny_store.path])
    with Governor(runtime, monitor=device, interval_s=0.01) as governor:
        runtime.close()
        governor._thread.join(30)
        assert not governor._thread.is_alive()


@pytest.mark.parametrize("interval_s", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_an_interval_that_is_no_time_is_refused(runtime: Runtime, device: Scripted, interval_s: Any) -> None:
    with pytest.raises(ConfigError, match="interval_s must be a positive number of seconds"):
        Governor(runtime, monitor=device, interval_s=interval_s)


def test_a_closed_governor_takes_no_step(runtime: Runtime, device: Scripted) -> None:
    governor = Governor(runtime, monitor=device)
    governor.close()
    with pytest.raises(ClosedError):
        governor.step()


@pytest.mark.parametrize(
    ("problem", "event", "said"),
    [
        (OSError("too many open files"), "unread", "the device could not be read: too many open files"),
        (ValueError("its own"), "failed", "a step of the governor failed: ValueError: its own"),
    ],
)
def test_a_device_that_cannot_be_read_once_is_read_again(
    problem: Exception, event: str, said: str, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Scripted):
        def read(self) -> Readings:
            if super().read().time_s < 3:
                raise problem
            return super().read()

    device = Failing()
    with Governor(runtime, monitor=device, interval_s=0.01):
        deadline = time.monotonic() + 30
        while device.second < 9:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [(line["event"], line["message"]) for line in lines(caplog)] == [(event, said)] * 2


def test_models_shrink_because_processes_wait_for_memory_though_enough_is_available(
    runtime: Runtime, device: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "legodnn.governor")
    governor, full, device.pressure = Governor(runtime, monitor=device), runtime.plan, 0.3
    governor.step()
    assert runtime.plan.memory_bytes <= 0.8 * full.memory_bytes
    (down,) = lines(caplog)
    assert down["changes"][0]["why"].startswith("processes wait for memory 30% of the time; 1 GB of 1 GB available")
    device.pressure = 0.0
    for _ in range(12):
        governor.step()
    assert runtime.plan.objective == full.objective


def test_a_container_that_fills_up_makes_models_shrink(runtime: Runtime, tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (group / "cgroup.controllers").write_text("memory\n")
    most = 4 * TOTAL  # what this process has mapped, hundreds of MB, counts as taken
    (group / "memory.max").write_text(f"{most}\n")
    governor, full = Governor(runtime, monitor=Monitor(tmp_path)), runtime.plan
    (group / "memory.current").write_text("0\n")
    assert governor.step().changes == ()
    (group / "memory.current").write_text(f"{most}\n")
    (change,) = governor.step().changes
    assert change.what == "memory"
    assert runtime.plan.memory_bytes < full.memory_bytes


def test_this_device_is_governed(runtime: Runtime) -> None:
    assert Governor(runtime).step().budget.latency_ms is None


def test_a_demand_is_the_most_that_models_can_use() -> None:
    demand = demand_of(Scheduler([model(100.0)]), Budget())
    assert (demand.most_memory_bytes, demand.most_cores) == (13, 100 * 2 * 4.5 / 1e3)
    assert demand_of(Scheduler([model(None)]), Budget()).most_cores is None


def test_limits_hold_for_the_share_that_was_promised_again(
    tiny_store: Store, device: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One inference in ten takes three times as long: the median sees nothing, and the limit is for 95 %."""
    caplog.set_level(logging.INFO, "legodnn.governor")
    asked = workload("tiny", tiny_store, tiny_store, tmp_path)
    with Runtime(asked) as runtime:
        heavy = runtime.plan["tiny"]
        assert heavy.quantile_ms is not None
        runtime.budget = Budget(latency_ms=1.2 * heavy.quantile_ms, memory_bytes=10**9)
        governor = Governor(runtime, monitor=device)
        table = runtime.scheduler.tables[0]
        for i in range(400):
            plan = runtime.plan["tiny"]
            usual = profiled_ms(table, plan)
            governor.observe(plan, usual * (3 * heavy.quantile_ms / heavy.latency_ms if i % 10 == 5 else 1.0))
            if i % 20 == 0:
                governor.step()
        assert runtime.plan["tiny"].options != heavy.options
        found = [change for line in lines(caplog) for change in line["changes"] if change["what"] == "tail of tiny"]
        assert found
        assert "its slowest inferences take" in found[0]["why"]
        assert not any(change["what"] == "speed of tiny" for line in lines(caplog) for change in line["changes"])
        # Where the times are as promised again, it grows back.
        for i in range(2000):
            plan = runtime.plan["tiny"]
            governor.observe(plan, profiled_ms(table, plan))
            if i % 20 == 0:
                governor.step()
        assert runtime.plan["tiny"].options == heavy.options
        (path,) = save_learned(governor, runtime.workload, runtime.stores)
        assert path == tmp_path / "tiny.learned.json"
        # A service that was loaded again may run with other numbers of threads: what it does not learn anew stays.
        fresh, profile = Learned.load(path), Profile.load(tmp_path / "tiny.json")
        (tail,) = fresh.tail
        older = tuple(tail.model_copy(update={"threads": n, "inferences": 1}) for n in (tail.threads, 64))
        for kept, threads in ((profile.store_id, {tail.threads, 64}), ("0" * 64, {tail.threads})):
            fresh.model_copy(update={"store_id": kept, "tail": older}).save(path)
            save_learned(governor, runtime.workload, runtime.stores)
            found = {t.threads: t.inferences for t in Learned.load(path).tail}
            assert found == {n: 1 if n == 64 else tail.inferences for n in threads}
        merged = with_learned(profile, Learned.load(path))
        (used,) = (tail for tail in merged.tail if tail.condition == "use")
        assert used.threads == heavy.threads
        assert used.inferences > 2000
        assert used.stretch[used.quantiles.index(0.5)] == pytest.approx(1.0, rel=0.1)
        profile.model_copy(update={"store_id": "0" * 64}).save(tmp_path / "tiny.json")
        with pytest.raises(ProfileError, match="another store"):  # built and profiled again meanwhile
            save_learned(governor, runtime.workload, runtime.stores)


def test_the_application_may_ask_for_another_budget(runtime: Runtime, device: Scripted) -> None:
    governor, full, least = Governor(runtime, monitor=device), runtime.plan, least_memory(runtime)
    governor.set_budget(Budget(memory_bytes=least))
    assert runtime.plan.memory_bytes <= least < full.memory_bytes
    with pytest.raises(InfeasibleError):
        governor.set_budget(Budget(memory_bytes=1))
    assert governor.demand.budget == Budget(memory_bytes=least) == runtime.budget
    leave(device, runtime, least + 1)
    governor.step()
    governor.set_budget(Budget())
    assert runtime.plan.memory_bytes <= least + 1, "the device still cannot spare more"
    device.available = TOTAL
    for _ in range(30):
        governor.step()
    assert runtime.plan.memory_bytes == full.memory_bytes
    governor.close()
    with pytest.raises(ClosedError):
        governor.set_budget(Budget())


def test_where_the_device_cannot_be_read_the_budget_of_before_stays(runtime: Runtime) -> None:
    class Unread:
        def read(self) -> Readings:
            raise OSError("no descriptors are left")

    governor, plan = Governor(runtime, monitor=Unread()), runtime.plan
    with pytest.raises(OSError, match="no descriptors"):
        governor.set_budget(Budget(memory_bytes=least_memory(runtime)))
    assert governor.demand.budget == Budget()
    assert runtime.plan is plan


def test_who_is_told_of_a_decision_may_ask_for_another_and_close_the_governor(
    runtime: Runtime, device: Scripted
) -> None:
    least, asked, done = least_memory(runtime), threading.Event(), threading.Event()

    def ask(_: object) -> None:
        if asked.is_set():
            governor.close()
            done.set()
        else:
            asked.set()
            governor.set_budget(Budget(memory_bytes=least))

    for told_in_its_own_thread in (True, False):
        runtime.budget = Budget()
        asked.clear()
        done.clear()
        with Governor(runtime, monitor=device, interval_s=0.01) as governor:
            governor.on_decision = ask
            if told_in_its_own_thread:
                leave(device, runtime, least + 1)
            else:
                asking = threading.Thread(target=governor.set_budget, args=(Budget(latency_ms=1e9),), daemon=True)
                asking.start()
            assert done.wait(30)
            governor._thread.join(30)
            assert not governor._thread.is_alive()
        device.available = TOTAL
    assert runtime.plan.memory_bytes <= least


def test_what_an_application_watches_inferences_with_goes_on(
    runtime: Runtime, device: Scripted, tiny_store: Store
) -> None:
    x, told = np.zeros(tiny_store.manifest.inputs[0].shape, np.float32), list[float]()

    def tell(_: object, latency_ms: float) -> None:
        told.append(latency_ms)

    runtime.on_inference = tell
    with Governor(runtime, Policy(observations=1), device, interval_s=0.01) as governor:
        for _ in range(3):
            runtime.infer("tiny", x)
        assert governor._slowdowns.ratios(1)
    runtime.infer("tiny", x)
    assert len(told) == 4
    assert runtime.on_inference is tell
    with Governor(runtime, monitor=device):
        runtime.on_inference = None  # which the application sets meanwhile
    assert runtime.on_inference is None


def test_a_runtime_has_one_governor_at_a_time(runtime: Runtime, device: Scripted) -> None:
    with Governor(runtime, monitor=device):
        second = Governor(runtime, monitor=device)
        with pytest.raises(ConfigError, match="another governor"):
            second.start()
    with second:
        second.start()  # once is enough
        assert runtime.on_inference is not None
    assert runtime.on_inference is None
