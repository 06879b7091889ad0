"""Under a governor a replayed trace keeps to what the device has to spare as well, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, Runtime
from legodnn.runtime import Governor
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.store import Store
from legodnn.workload import Workload
from tests.runtime.feeds.test_replay import inputs, least_memory
from tests.runtime.governing.scripted import TOTAL, Scripted, leave, workload


@pytest.fixture(autouse=True)
def read_after_every_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legodnn.runtime.feeds.replay._GOVERNED_S", 0.0)


class Shrinks(Scripted):
    """A device whose memory is short at one reading, as something says that is called before it."""

    def __init__(self, at: int, shortage: Callable[[Scripted], None]) -> None:
        super().__init__()
        self.at, self.shortage = at, shortage

    def read(self) -> Readings:
        if self.second == self.at:
            self.shortage(self)
        else:
            self.available = float(TOTAL)
        return super().read()


def whole_table(runtime: Runtime) -> list[Any]:
    """The rows of the first model's segments."""
    table = runtime.scheduler.tables[0]
    return [*table.blocks, *table.fixed]


def test_plans_follow_the_device_between_inferences(tiny_store: Store, tmp_path: Path) -> None:
    with Runtime(workload("tiny", tiny_store, tiny_store, tmp_path)) as runtime:
        device = Shrinks(6, lambda device: leave(device, runtime, least_memory(runtime) + 1))
        told: list[dict[str, Any]] = []
        governor = Governor(runtime, monitor=device)
        governor.on_decision = told.append
        steps = replay(runtime, inputs(tiny_store), [Budget(), Budget(), Budget(memory_bytes=1)], governor=governor)
        # It is read when a budget is set that is not refused, and after each of four inferences: 6 is in the second.
        assert device.second == (0 + 4) + (1 + 4) + (0 + 4)
        assert runtime.plan.budget.memory_bytes == pytest.approx(least_memory(runtime) + 1, abs=2)
    assert [step.replanned for step in steps] == [0, 1, 0]
    assert [step.switched for step in steps] == ["3", "0 + 1", "0"]
    assert [step.outcome for step in steps] == ["", "", "refused"]
    assert steps[1].plan.memory_bytes < steps[0].plan.memory_bytes
    assert steps[2].plan == steps[1].plan
    assert [step.models["tiny"].inferences for step in steps] == [4, 4, 4]
    assert [line["plan"] == told[0]["plan"] for line in told] == [True, False]  # one was set, one was decided


def test_where_no_plan_holds_on_the_device_as_it_is_the_nearest_runs_and_is_said_to(tiny_store: Store) -> None:
    device = Shrinks(0, lambda device: setattr(device, "available", 0.1 * TOTAL - 1e8))
    with Runtime.open([tiny_store.path]) as runtime:
        governor = Governor(runtime, monitor=device)
        steps = replay(runtime, inputs(tiny_store, 1), [Budget(), Budget()], governor=governor)
        assert steps[0].plan.memory_bytes == least_memory(runtime)
    assert [step.outcome for step in steps] == ["nearest", "nearest"]


def test_a_model_that_is_suspended_meanwhile_is_passed_over_and_goes_on_when_it_is_back(
    tiny_store: Store, tiny_store2: Store, tmp_path: Path
) -> None:
    (critical,) = workload("tiny", tiny_store, tiny_store, tmp_path).models
    (other,) = workload("tiny2", tiny_store2, tiny_store2, tmp_path).models
    models = critical, other.model_copy(update={"critical": False})
    both = {**inputs(tiny_store, 20), **inputs(tiny_store2, 20)}
    with Runtime(Workload(models=models)) as runtime:
        least = sum(min(o.memory_bytes for o in s.options) for s in whole_table(runtime))
        device = Shrinks(5, lambda device: leave(device, runtime, least + 1))
        governor = Governor(runtime, monitor=device)
        (step,) = replay(runtime, both, [Budget()], governor=governor)
    # After four inferences it rests, and comes back once memory has been free again for ten seconds, ten readings.
    assert step.replanned == 2
    assert step.models["tiny"].inferences == 20
    assert 4 < step.models["tiny2"].inferences < 20
    assert not step.plan.suspended


def test_where_a_block_cannot_be_loaded_the_plan_before_runs_and_is_said_to(
    tiny_store: Store, store_copy: Path, tmp_path: Path
) -> None:
    store = Store(store_copy)
    with Runtime(workload("tiny", store, tiny_store, tmp_path, "interpreter"), executor="interpreter") as runtime:
        before, tight = runtime.plan, Budget(memory_bytes=least_memory(runtime))
        chosen = runtime.scheduler.plan(tight)["tiny"].options
        for block in store.manifest.blocks:
            (store_copy / block.option(chosen[block.name]).file).unlink()
        governor = Governor(runtime, monitor=Scripted())
        steps = replay(runtime, inputs(tiny_store), [Budget(), tight, Budget(memory_bytes=1)], governor=governor)
    assert [step.outcome for step in steps] == ["", "kept", "refused"]
    assert steps[0].loaded
    assert (steps[1].loaded, steps[1].plan_ms, steps[1].switch_ms, steps[1].plan) == ((), 0, 0, before)
    assert str(store_copy) in str(steps[1].why)
    assert steps[2].why is None, "this is of another budget"


def test_what_a_model_missed_while_it_was_suspended_is_kept_and_scored_when_it_is_back(
    tiny_store: Store, tiny_store2: Store, tmp_path: Path
) -> None:
    (critical,) = workload("tiny", tiny_store, tiny_store, tmp_path).models
    (other,) = workload("tiny2", tiny_store2, tiny_store2, tmp_path).models
    models, kept = (critical, other.model_copy(update={"critical": False})), []
    with Runtime(Workload(models=models)) as runtime:
        least = sum(min(o.memory_bytes for o in s.options) for s in whole_table(runtime))
        x = inputs(tiny_store2)["tiny2"].x
        right = np.array([np.argmax(runtime.infer("tiny2", x[i])) for i in range(len(x))])  # type: ignore[arg-type]
        both = {**inputs(tiny_store), "tiny2": Inputs(x, right)}
        governor = Governor(runtime, monitor=Shrinks(0, lambda device: leave(device, runtime, least + 1)))
        (step,) = replay(
            runtime, both, [Budget()], keep=lambda *what: kept.append(what[1:3]), seconds=0.5, governor=governor
        )
    assert step.models["tiny2"].accuracy == 1.0
    assert sorted(kept) == [(name, number) for name in ("tiny", "tiny2") for number in range(4)]
    assert kept[:4] == [("tiny", number) for number in range(4)], "the other one rested then"


def test_where_every_model_is_suspended_the_device_is_read_on_and_they_come_back(
    tiny_store: Store, tmp_path: Path
) -> None:
    (model,) = workload("tiny", tiny_store, tiny_store, tmp_path).models
    with Runtime(Workload(models=(model.model_copy(update={"critical": False}),))) as runtime:
        governor = Governor(runtime, monitor=Shrinks(1, lambda device: setattr(device, "available", 0.0)))
        (step,) = replay(runtime, inputs(tiny_store), [Budget()], seconds=0.5, governor=governor)
    assert step.replanned == 2, "it is suspended after two inferences, and comes back"
    assert not step.plan.suspended
    assert step.models["tiny"].inferences > 4


def test_slow_inferences_count(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        governor = Governor(runtime, monitor=Scripted())
        (step,) = replay(runtime, inputs(tiny_store, 40), [Budget()], governor=governor)
        assert set(governor._slowdowns.ratios(15)) == {"tiny"}
    assert step.models["tiny"].inferences == 40


def test_a_device_that_cannot_be_read_is_read_again(tiny_store: Store) -> None:
    def unread(device: Scripted) -> Any:
        device.second += 1
        raise OSError("too many open files")

    device = Shrinks(3, unread)
    with Runtime.open([tiny_store.path]) as runtime:
        (step,) = replay(runtime, inputs(tiny_store), [Budget()], governor=Governor(runtime, monitor=device))
    assert device.second == 4
    assert step.models["tiny"].inferences == 4
