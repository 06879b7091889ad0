"""The runtime: plans under budgets, switches only what changes, and loses nothing when something is wrong.

Covers also: checked_inputs.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ClosedError, InputError, ProfileError, StoreError, SuspendedError, WorkloadError
from legodnn.plan import ModelPlan
from legodnn.profile import ChainOverhead, Latency, Profile, Skipped, default_path
from legodnn.runtime.executors import interpreter
from legodnn.runtime.executors.select import executor_name, open_executor
from legodnn.runtime.running_model import RunningModel
from legodnn.runtime.switch import planned_choices
from legodnn.workload import SwitchCharge, Workload, WorkloadModel
from tests.runtime.opened import least_memory, workload


@pytest.fixture
def runtime(tiny_store: Store, tiny_store2: Store) -> Iterator[Runtime]:
    with Runtime.open([tiny_store.path, tiny_store2.path]) as opened:
        yield opened


def image(store: Store, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(store.manifest.inputs[0].shape, np.float32)


def loaded_files(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, budget: Budget) -> list[str]:
    """The .tflite files that interpreters are opened for when a budget is set."""
    opened: list[str] = []
    opening = interpreter.open_interpreter

    def counting(threads: int, model_path: str) -> object:
        opened.append(str(Path(model_path).readlink()))
        return opening(threads, model_path=model_path)

    monkeypatch.setattr(interpreter, "open_interpreter", counting)
    runtime.budget = budget
    return opened


def test_without_limits_every_block_is_its_best_option(runtime: Runtime) -> None:
    for model in runtime.plan.models:
        assert set(model.options.values()) == {"s0"}


def test_a_composed_model_gives_the_outputs_of_its_segments_run_one_by_one(runtime: Runtime, tiny_store: Store) -> None:
    x = image(tiny_store)
    executor = open_executor(tiny_store, "interpreter")
    expected = executor.compose(planned_choices(tiny_store, runtime.plan["tiny"])).run({"image": x})
    np.testing.assert_allclose(np.asarray(runtime.infer("tiny", x)), expected["head"], atol=1e-5)


def test_a_plan_holds_the_budget_and_a_wider_budget_brings_the_originals_back(runtime: Runtime) -> None:
    originals = runtime.plan
    half = Budget(memory_bytes=least_memory(runtime) + 1)
    runtime.budget = half
    assert runtime.plan.memory_bytes <= half.memory_bytes  # type: ignore[operator]
    assert runtime.plan.objective <= originals.objective
    runtime.budget = Budget()
    assert runtime.plan.objective == originals.objective


def with_one_cheap_option(store: Store, measured: Store, folder: Path, executor: str) -> Workload:
    """A workload with one thread whose profile says that one option of the last block is far smaller than all others.

    All take equally long, whatever was measured, and every file that is loaded costs more than all accuracy is worth:
    a plan changes what memory makes it change, and no more, whatever the tiny models have learnt.
    """
    profile = Profile.load(default_path(measured.path))
    block = store.manifest.blocks[-1]
    alike = (Latency(threads=1, runs=1, min_ms=1.0, median_ms=1.0, p95_ms=1.0),)
    entries = tuple(
        o.model_copy(
            update={"memory_bytes": 1_000 if (o.segment, o.option) == (block.name, "s0.5") else 1_000_000}
        ).model_copy(update={"latency": alike})
        for o in profile.options
    )
    device = profile.device.model_copy(update={"executor": executor_name(executor)})
    path = folder / "profile.json"
    profile.model_copy(update={"options": entries, "device": device}).save(path)
    return Workload(
        models=(WorkloadModel(name="tiny", store=str(store.path), profile=str(path), threads=1),),
        switch_charge=SwitchCharge(per_mb=1e4),
    )


def test_changing_one_blocks_option_opens_exactly_one_file(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    block = tiny_store.manifest.blocks[-1]
    workload = with_one_cheap_option(tiny_store, tiny_store, tmp_path, "interpreter")
    with Runtime(workload, executor="interpreter") as runtime:
        before = runtime.plan["tiny"].options
        opened = loaded_files(runtime, monkeypatch, Budget(memory_bytes=runtime.plan.memory_bytes - 1))
        assert opened == [str(tiny_store.path / block.name / "s0.5.tflite")]
        assert runtime.plan["tiny"].options == {**before, block.name: "s0.5"}
        assert [c.segment for c in runtime.last_switch.loaded["tiny"]] == [block.name]
        monkeypatch.undo()
        assert loaded_files(runtime, monkeypatch, runtime.budget) == []


def with_one_option_skipped(store: Store, folder: Path, **more: object) -> Workload:
    """A workload whose profile does not have the last block's s0.5, but says so."""
    profile = Profile.load(default_path(store.path))
    key = (store.manifest.blocks[-1].name, "s0.5")
    fewer = {
        "options": tuple(o for o in profile.options if (o.segment, o.option) != key),
        "skipped": (Skipped(segment=key[0], option=key[1], reason="short of time"),),
        **more,
    }
    profile.model_copy(update=fewer).save(folder / "fewer.json")
    return Workload(
        models=(WorkloadModel(name="tiny", store=str(store.path), profile=str(folder / "fewer.json"), threads=1),)
    )


def test_an_option_that_was_not_measured_is_never_planned_and_refused_in_a_plan_made_elsewhere(
    tiny_store: Store, tmp_path: Path
) -> None:
    block = tiny_store.manifest.blocks[-1].name
    with Runtime(with_one_option_skipped(tiny_store, tmp_path)) as runtime:
        rows = next(b for b in runtime.scheduler.tables[0].blocks if b.name == block)
        assert [o.name for o in rows.options] == ["s0", "s0.75"]
        before, x = runtime.plan, image(tiny_store)
        expected = runtime.infer("tiny", x)
        changed = before["tiny"].model_copy(update={"options": {**before["tiny"].options, block: "s0.5"}})
        with pytest.raises(WorkloadError, match=f"gives tiny/{block} the option 's0.5', which its profile does not"):
            runtime.plan = before.model_copy(update={"models": (changed,)})
        assert runtime.plan is before
        np.testing.assert_array_equal(runtime.infer("tiny", x), expected)
        other = before["tiny"].model_copy(update={"options": {**before["tiny"].options, block: "s0.75"}})
        runtime.plan = before.model_copy(update={"models": (other,)})
        assert runtime.plan["tiny"].options[block] == "s0.75"


def test_a_runtime_plans_with_what_its_profile_says_of_the_chain(tiny_store: Store, tmp_path: Path) -> None:
    latency = []
    for ms in (0.0, 250.0):
        chain = tuple(ChainOverhead(threads=n, overhead_ms=ms) for n in (1, 2))
        with Runtime(with_one_option_skipped(tiny_store, tmp_path, chain=chain)) as runtime:
            latency.append(runtime.plan["tiny"].latency_ms)
    assert latency[1] - latency[0] == pytest.approx(250.0)


@pytest.mark.parametrize("nonsense", [{"memory_bytes": 0}, {"memory_bytes": -5}, {"latency_ms": float("nan")}])
def test_a_budget_that_makes_no_sense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError):
        Budget(**nonsense)


@pytest.mark.parametrize("budget", [Budget(memory_bytes=1), Budget(latency_ms=1e-6), Budget(latency_ms={"who": 1.0})])
def test_a_budget_that_nothing_fits_leaves_the_running_plan(
    runtime: Runtime, tiny_store: Store, budget: Budget
) -> None:
    before, x = runtime.plan, image(tiny_store)
    expected = runtime.infer("tiny", x)
    with pytest.raises(WorkloadError) as error:
        runtime.budget = budget
    assert len(str(error.value).splitlines()) <= 2
    assert runtime.plan == before
    np.testing.assert_array_equal(runtime.infer("tiny", x), expected)


@pytest.mark.parametrize("room", [10_000_000, 0], ids=["beside the old", "instead of the old"])
def test_a_block_that_cannot_be_loaded_leaves_the_running_plan(
    store_copy: Path, tiny_store: Store, tmp_path: Path, room: int
) -> None:
    store = Store(store_copy)
    with Runtime(with_one_cheap_option(store, tiny_store, tmp_path, "interpreter"), executor="interpreter") as runtime:
        before, x = runtime.plan, image(store)
        expected = runtime.infer("tiny", x)
        small = Budget(memory_bytes=before.memory_bytes - 1)
        wanted = runtime.scheduler.plan(small)
        (store_copy / store.manifest.blocks[-1].option("s0.5").file).write_bytes(b"not a model")
        running = runtime._models["tiny"]
        after = planned_choices(store, wanted["tiny"])
        with pytest.raises(StoreError, match="bytes"):
            running.change(after, wanted["tiny"], beside=bool(room))
        with pytest.raises(StoreError, match="bytes"):
            runtime.budget = small
        assert runtime.plan == before
        np.testing.assert_array_equal(runtime.infer("tiny", x), expected)


def test_a_model_whose_old_blocks_cannot_be_loaded_again_stands_still_and_says_so(store_copy: Path) -> None:
    store = Store(store_copy)
    sizes = {(s.name, o.name): 1 for s in store.manifest.segments for o in s.options}
    model = RunningModel("m", store, sizes, open_executor(store, "interpreter"))
    before, after = (ModelPlan(name="m", options={"block1": o, "block2": o}) for o in ("s0", "s0.5"))
    model.change(planned_choices(store, before), before)
    for option in store.manifest.blocks[0].options:
        (store_copy / option.file).write_bytes(b"not a model")
    with pytest.raises(StoreError):
        model.change(planned_choices(store, after), after, beside=False)
    with pytest.raises(SuspendedError, match=r"'m' cannot be loaded any more: .* has 11 bytes"):
        model.infer({"image": image(store)})
    model.close()


def test_of_several_models_all_that_can_are_put_back_and_the_first_error_is_told(
    tiny_store: Store, tmp_path: Path
) -> None:
    (model,) = workload(tiny_store, "interpreter", tmp_path).models
    copies = {name: shutil.copytree(tiny_store.path, tmp_path / name) for name in "abc"}
    models = [model.model_copy(update={"name": name, "store": str(path)}) for name, path in copies.items()]
    with Runtime(Workload(models=tuple(models)), executor="interpreter") as runtime:
        before, x = runtime.plan, image(tiny_store)
        expected = runtime.infer("a", x)
        after = [m.model_copy(update={"options": dict.fromkeys(m.options, "s0.5")}) for m in before.models]
        block = tiny_store.manifest.blocks[0]
        for name, option in (("b", block.original), ("c", block.option("s0.5"))):
            (tmp_path / name / option.file).write_bytes(b"not a model")
        with pytest.raises(StoreError, match="/c/"):
            runtime.plan = before.model_copy(update={"models": tuple(after)})
        assert runtime.plan == before
        np.testing.assert_array_equal(runtime.infer("a", x), expected)
        np.testing.assert_array_equal(runtime.infer("c", x), expected)
        with pytest.raises(SuspendedError, match=r"'b' cannot be loaded any more: .*/b/.* has 11 bytes"):
            runtime.infer("b", x)
        assert runtime.resting == ("b",)


@pytest.mark.capi
def test_a_store_that_is_altered_while_it_runs_changes_nothing(
    store_copy: Path, tiny_store: Store, tmp_path: Path
) -> None:
    """What runs are the packed weights: not even a switch needs the store's files."""
    store = Store(store_copy)
    with Runtime(with_one_cheap_option(store, tiny_store, tmp_path, "capi"), executor="capi") as runtime:
        x, full, small = image(store), Budget(), Budget(memory_bytes=runtime.plan.memory_bytes - 1)
        expected = []
        for budget in (small, full):
            runtime.budget = budget
            expected.append(runtime.infer("tiny", x))
        for file in store_copy.rglob("*.tflite"):
            file.write_bytes(b"not a model")
        for budget, answer in zip((small, full), expected, strict=True):
            runtime.budget = budget
            np.testing.assert_array_equal(runtime.infer("tiny", x), answer)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        ("nobody", np.zeros((12, 12, 1), np.float32)),
        ("tiny", np.zeros((12, 12, 3), np.float32)),
        ("tiny", np.zeros((1, 12, 12, 1), np.float32)),
        ("tiny", np.zeros((12, 12, 1), np.float64)),
        ("tiny", np.zeros((12, 12, 1), np.uint8)),
        ("tiny", [[0.0]]),
        ("tiny", {"picture": np.zeros((12, 12, 1), np.float32)}),
        ("tiny", np.full((12, 12, 1), np.nan, np.float32)),
        ("tiny", np.full((12, 12, 1), -np.inf, np.float32)),
    ],
)
def test_a_request_that_the_model_cannot_take_is_an_input_error(runtime: Runtime, model: str, x: object) -> None:
    with pytest.raises(InputError) as error:
        runtime.infer(model, x)  # type: ignore[arg-type]
    assert len(str(error.value).splitlines()) <= 2


def test_large_finite_values_are_no_nan(runtime: Runtime) -> None:
    runtime.infer("tiny", np.full((12, 12, 1), np.finfo(np.float32).max, np.float32))


def test_an_inference_says_what_it_ran(runtime: Runtime, tiny_store: Store) -> None:
    x = image(tiny_store)
    inference = runtime.run("tiny", x)
    assert inference.plan == runtime.plan["tiny"]
    assert inference.latency_ms > 0
    np.testing.assert_array_equal(inference.outputs["head"], runtime.infer("tiny", x))


def test_what_an_inference_took_includes_checking_its_inputs(runtime: Runtime, tiny_store: Store) -> None:
    class SlowMapping(dict[str, np.ndarray]):
        def keys(self) -> Any:
            time.sleep(0.05)
            return super().keys()

    assert runtime.run("tiny", SlowMapping(image=image(tiny_store))).latency_ms >= 50


@pytest.mark.capi
def test_a_profile_of_another_executor_is_refused(tiny_store: Store) -> None:
    with pytest.raises(ProfileError, match=r"another device \(executor"):
        Runtime.open([tiny_store.path], executor="interpreter")


def test_a_profile_of_another_store_or_device_is_refused(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> None:
    other = str(default_path(tiny_store2.path))
    with pytest.raises(ProfileError, match="another store"):
        Runtime(Workload(models=(WorkloadModel(name="tiny", store=str(tiny_store.path), profile=other),)))
    profile = Profile.load(default_path(tiny_store.path))
    moved = profile.model_copy(update={"device": profile.device.model_copy(update={"cpu": "Cortex-A76"})})
    moved.save(tmp_path / "pi.json")
    with pytest.raises(ProfileError, match="another device"):
        Runtime(
            Workload(
                models=(WorkloadModel(name="tiny", store=str(tiny_store.path), profile=str(tmp_path / "pi.json")),)
            )
        )


def test_a_best_effort_model_is_suspended_and_says_so_and_comes_back(tiny_store: Store, tiny_store2: Store) -> None:
    critical = WorkloadModel(name="a", store=str(tiny_store.path))
    best_effort = WorkloadModel(name="b", store=str(tiny_store2.path), critical=False)
    with Runtime(Workload(models=(critical, best_effort))) as runtime:
        only_one = sum(m.memory_bytes for m in runtime.plan.models if m.name == "a")
        x = image(tiny_store2)
        expected = runtime.infer("b", x)
        smallest_b = runtime.plan["b"].memory_bytes // 10
        runtime.budget = Budget(memory_bytes=least_memory(runtime) + smallest_b)
        if runtime.plan.suspended != ("b",):
            pytest.skip(f"the smallest b fits beside a in {only_one} bytes on this machine")
        with pytest.raises(SuspendedError, match="suspended"):
            runtime.infer("b", x)
        runtime.budget = Budget()
        np.testing.assert_array_equal(runtime.infer("b", x), expected)


def test_a_closed_runtime_says_so(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        pass
    with pytest.raises(ClosedError, match="closed"):
        runtime.infer(tiny_store.path.name, image(tiny_store))
    with pytest.raises(ClosedError, match="closed"):
        runtime.budget = Budget()


def test_inference_goes_on_in_other_threads_while_budgets_change(runtime: Runtime, tiny_store: Store) -> None:
    """Every output is that of one of the two plans, never a mixture."""
    x = image(tiny_store)
    small = Budget(memory_bytes=least_memory(runtime))
    answers = []
    for budget in (Budget(), small):
        runtime.budget = budget
        answers.append(np.asarray(runtime.infer("tiny", x)))
    stop, wrong, served = threading.Event(), [], []

    def serve() -> None:
        while not stop.is_set():
            y = np.asarray(runtime.infer("tiny", x))
            served.append(1)
            if not any(np.array_equal(y, answer) for answer in answers):
                wrong.append(y)

    threads = [threading.Thread(target=serve) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(40):
        runtime.budget = (Budget(), small)[i % 2]
    while not served and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert served
    assert not wrong
