"""What a runtime holds depends on what it runs, not on what it has run before.

The store's convolutions have few channels and large feature maps, for each of which the library keeps megabytes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import weakref
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from legodnn import Runtime
from legodnn.plan import ModelPlan, Plan
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.device.memory import process_memory_bytes
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.switch import planned_choices
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from tests.runtime.probe_store import probe_store

ROOT = Path(__file__).resolve().parents[2]
SIZE, CHANNELS, WIDTHS, BLOCKS = 128, 4, (8, 4, 2), 3
X = np.zeros((SIZE, SIZE, CHANNELS), np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = probe_store(tmp_path_factory.mktemp("maps") / "maps", SIZE, CHANNELS, WIDTHS, BLOCKS)
    profile_store(opened, Effort(seconds=0.2, processes=1, plans=0)).save(default_path(opened.path))
    return opened


def drawn(store: Store, plan: Plan, rng: random.Random) -> Plan:
    """A plan of random options."""
    options = {b.name: rng.choice(b.options).name for b in store.manifest.blocks}
    return plan.model_copy(update={"models": (plan.models[0].model_copy(update={"options": options}),)})


def elsewhere(measure: str, store: Store) -> list[int]:
    """Return what a function of this module measures of a store, in bytes, in a process of its own.

    The process of the tests holds what other tests have let go of, which a model takes up again unseen, and TensorFlow,
    of whose pages the kernel takes those that nobody reads: what it holds says little about one model.
    """
    program = (
        f"import json, sys; from tests.runtime import test_memory as t; print(json.dumps(t.{measure}(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(store.path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: list[int] = json.loads(done.stdout)
    return found


def after_switches(path: str, isolated: bool = False) -> list[int]:
    """What a plan holds at first, what is predicted, and what it holds after twenty switches."""
    store = Store(path)
    with Runtime.open([store.path], isolated=isolated) as runtime:
        plan, rng = runtime.plan, random.Random(0)
        runtime.infer("maps", X)
        fresh = runtime.memory_bytes
        for _ in range(20):
            runtime.plan = drawn(store, plan, rng)
            runtime.infer("maps", X)
        runtime.plan = plan
        runtime.infer("maps", X)
        return [fresh, plan.memory_bytes, runtime.memory_bytes]


def after_switches_isolated(path: str) -> list[int]:
    """The same where the model has a process."""
    return after_switches(path, isolated=True)


@pytest.mark.capi
@pytest.mark.parametrize("measure", ["after_switches", "after_switches_isolated"])
def test_after_any_switches_a_plan_holds_what_it_held_and_what_it_predicts(measure: str, store: Store) -> None:
    fresh, predicted, held = elsewhere(measure, store)
    assert held < fresh + 0.5e6
    assert held < predicted + 0.5e6


def growth_by_switches(path: str) -> list[int]:
    """By how much a process grows over 1,500 switches between two plans, after some."""
    store = Store(path)
    with Runtime.open([store.path]) as runtime:
        budgets = [Budget(), Budget(memory_bytes=runtime.plan.memory_bytes - 1)]

        def switch(times: int) -> int:
            for n in range(times):
                runtime.budget = budgets[n % 2]
            runtime.infer("maps", X)
            return process_memory_bytes()

        return [-switch(100) + switch(1500)]


@pytest.mark.capi
def test_what_switches_leave_behind_does_not_add_up(store: Store) -> None:
    (growth,) = elsewhere("growth_by_switches", store)
    assert growth < 50_000


def around_suspension(path: str) -> list[int]:
    """What a model holds that runs, and then is suspended."""
    workload = Workload(models=(WorkloadModel(name="maps", store=path, critical=False),))
    with Runtime(workload) as runtime:
        runtime.infer("maps", X)
        running = runtime.memory_bytes
        runtime.budget = Budget(memory_bytes=1000)
        assert runtime.plan.suspended == ("maps",)
        suspended = runtime.memory_bytes
        runtime.budget = Budget()
        assert np.isfinite(np.asarray(runtime.infer("maps", X))).all()
        return [running, suspended]


def test_a_suspended_model_gives_everything_back(store: Store) -> None:
    running, suspended = elsewhere("around_suspension", store)
    assert suspended < 0.5e6 < 1e6 < running


def at_a_switch(path: str) -> list[int]:
    """What a process holds before a switch, and the most that it holds until the new plan has run."""
    store = Store(path)
    with Runtime.open([store.path]) as runtime:
        runtime.infer("maps", X)
        other = drawn(store, runtime.plan, random.Random(1))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = process_memory_bytes()
        runtime.plan = other
        runtime.infer("maps", X)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        peak, resident = (1024 * int(status[name].split()[0]) for name in ("VmHWM", "VmRSS"))
        return [before, process_memory_bytes() + peak - resident]


@pytest.mark.capi
def test_a_switch_never_holds_working_memory_of_both_plans(store: Store) -> None:
    """The old blocks are let go before the new ones first run, also where they are composed while the old ones run."""
    before, most = elsewhere("at_a_switch", store)
    assert most < before + 1.5e6


@pytest.mark.capi
def test_only_the_options_of_compositions_are_linked(store: Store) -> None:
    """Beside where all files are mapped once."""

    def mapped() -> int:
        return Path("/proc/self/maps").read_text().count(f"{store.path}/")

    executor, files = open_executor(store), BLOCKS * len(WIDTHS)
    assert mapped() == files
    first, second = (
        planned_choices(store, ModelPlan(name="maps", options=dict.fromkeys(("b0", "b1", "b2"), o), threads=1))
        for o in ("w8", "w2")
    )
    running = [executor.compose(first)]
    assert mapped() == files + BLOCKS
    running += [executor.compose(second), executor.compose(second)]  # the latter is there already
    assert mapped() == files + 2 * BLOCKS
    executor.retain(second)
    assert mapped() == files + BLOCKS
    executor.retain(())
    assert mapped() == files
    del running
    executor.close()
    assert mapped() == 0


@pytest.mark.parametrize("kind", ["interpreter", pytest.param("capi", marks=pytest.mark.capi)])
def test_tensors_stay_for_the_model_that_follows_and_go_with_the_last(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let go in between, they would leave a hole of their size in what the next model allocates."""
    monkeypatch.setenv("LEGODNN_EXECUTOR", kind)
    first, second = (
        planned_choices(store, ModelPlan(name="maps", options=dict.fromkeys(("b0", "b1", "b2"), o), threads=1))
        for o in ("w8", "w2")
    )

    with closing(open_executor(store)) as executor:
        tensor = weakref.ref(executor.compose(first).tensors["t0"])
        executor.retain(second)
        assert tensor() is not None
        assert executor.compose(second).tensors["t0"] is tensor()
        executor.retain(())
        assert tensor() is None
