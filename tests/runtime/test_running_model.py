"""Models whose blocks are changed while they run: a change that fails, however it fails, leaves all as it was."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ClosedError, ExecutionError, SuspendedError, WorkloadError
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.running_model import RunningModel, changes_to
from legodnn.runtime.switch import planned_choices
from legodnn.streamed import StreamedModel, StreamedOption


def image(store: Store) -> np.ndarray:
    return np.random.default_rng(0).random(store.manifest.inputs[0].shape, np.float32)


@pytest.fixture
def model(tiny_store: Store) -> Iterator[RunningModel]:
    """A model that the Interpreter runs with its originals."""
    sizes = {(s.name, o.name): 1 for s in tiny_store.manifest.segments for o in s.options}
    opened = RunningModel("m", tiny_store, sizes, open_executor(tiny_store, "interpreter"))
    plan = of_options("s0")
    opened.change(planned_choices(tiny_store, plan), plan)
    yield opened
    opened.close()


@pytest.fixture
def runtime(tiny_store: Store, tiny_store2: Store) -> Iterator[Runtime]:
    with Runtime.open([tiny_store.path, tiny_store2.path]) as opened:
        yield opened


def of_options(option: str) -> ModelPlan:
    return ModelPlan(name="m", options={"block1": option, "block2": option})


def smaller(plan: Plan, *names: str) -> Plan:
    """The same plan with pruned blocks in the named models."""
    models = (
        m.model_copy(update={"options": dict.fromkeys(m.options, "s0.5")}) if m.name in names else m
        for m in plan.models
    )
    return plan.model_copy(update={"models": tuple(models)})


@pytest.mark.parametrize("beside", [True, False])
def test_nothing_holds_what_ran_when_the_executor_gives_memory_back(
    model: RunningModel, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    assert model._running
    ran, held, retain = weakref.ref(model._running[0]), [], model.executor.retain

    def watched(choices: Collection[Choice]) -> None:
        held.append(ran())
        retain(choices)

    monkeypatch.setattr(model.executor, "retain", watched)
    after = of_options("s0.5")
    model.change(planned_choices(model.store, after), after, beside)
    assert held
    assert not any(held)


def test_a_change_that_failed_holds_nothing_of_the_new_while_the_old_is_loaded_again(
    model: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose, retain, new, held = model.executor.compose, model.executor.retain, [], []

    def watched(choices: tuple[Choice, ...]) -> Any:
        composed = compose(choices)
        new.append(weakref.ref(composed))
        return composed

    def fails_once(choices: Collection[Choice]) -> None:
        held.append(new[0]() is not None)
        if len(held) == 1:
            raise ExecutionError("short of memory")
        retain(choices)

    monkeypatch.setattr(model.executor, "compose", watched)
    monkeypatch.setattr(model.executor, "retain", fails_once)
    after = of_options("s0.5")
    with pytest.raises(ExecutionError, match="short"):
        model.change(planned_choices(model.store, after), after)
    assert held == [True, False]
    assert model.infer(image(model.store)).plan == of_options("s0")


@pytest.mark.parametrize(
    ("beside", "steps"), [(True, ["s0 ran", "compose", "retain"]), (False, ["retain", "compose", "retain"])]
)
def test_inference_goes_on_while_what_stands_beside_the_old_is_loaded(
    model: RunningModel, monkeypatch: pytest.MonkeyPatch, beside: bool, steps: list[str]
) -> None:
    done, real = list[str](), {name: getattr(model.executor, name) for name in ("compose", "retain")}

    def infer() -> None:
        done.append(f"{model.infer(image(model.store)).plan.options['block1']} ran")

    def watched(name: str, choices: tuple[Choice, ...]) -> Any:
        if name == "compose" and beside:
            other = threading.Thread(target=infer, daemon=True)
            other.start()
            other.join(30)
        done.append(name)
        return real[name](choices)

    for name in real:
        monkeypatch.setattr(model.executor, name, partial(watched, name))
    after = of_options("s0.5")
    model.change(planned_choices(model.store, after), after, beside)
    assert done == steps


def test_a_model_that_was_not_put_back_says_so_whatever_the_error_was(
    model: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise MemoryError

    after = of_options("s0.5")
    with monkeypatch.context() as patched:
        patched.setattr(model.executor, "compose", short)
        with pytest.raises(MemoryError):
            model.change(planned_choices(model.store, after), after, beside=False)
    with pytest.raises(SuspendedError, match="cannot be loaded any more: MemoryError"):
        model.infer(image(model.store))
    model.change((), after)
    with pytest.raises(SuspendedError, match="under the current budget"):
        model.infer(image(model.store))


@pytest.mark.timeout(60)
def test_a_handler_whose_plan_is_refused_has_switched_no_other_model(runtime: Runtime, tiny_store: Store) -> None:
    before, model, told = runtime.plan, runtime._models["tiny"], []
    assert model._running
    composed = model._running[0]

    class Interrupted:
        def run(self, inputs: Any) -> Any:
            signal.raise_signal(signal.SIGUSR1)
            return composed.run(inputs)

    def handle(*_: object) -> None:
        with pytest.raises(ExecutionError, match="'tiny' is in use") as e:
            runtime.plan = smaller(before, "tiny2")
        told.append(e)

    previous = signal.signal(signal.SIGUSR1, handle)
    model._running = (Interrupted(), *model._running[1:])
    try:
        runtime.infer("tiny", image(tiny_store))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert told
    assert runtime.plan == before
    assert runtime.run("tiny2", image(runtime.stores["tiny2"])).plan == before["tiny2"]


@pytest.mark.parametrize("step", ["change", "claim"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_anywhere_in_a_switch_leaves_the_plan_before(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    before, x = runtime.plan, {name: image(store) for name, store in runtime.stores.items()}
    expected = {name: runtime.infer(name, x[name]) for name in x}
    real: Callable[..., None] = getattr(RunningModel, step)
    done: list[str] = []

    def interrupted(self: RunningModel, *given: Any) -> None:
        done.append(self.name)
        if len(done) == 2 and moment == "before":
            raise KeyboardInterrupt
        real(self, *given)
        if len(done) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunningModel, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        runtime.plan = smaller(before, "tiny", "tiny2")
    assert runtime.plan == before
    for name in x:
        answer = runtime.run(name, x[name])
        assert answer.plan == before[name]
        np.testing.assert_array_equal(next(iter(answer.outputs.values())), expected[name])


def test_inferences_report_the_plan_that_is_claimed_and_none_while_suspended(model: RunningModel) -> None:
    claimed = of_options("s0").model_copy(update={"latency_limit_ms": 9.0})
    model.claim(claimed)
    assert model.infer(image(model.store)).plan is claimed
    model.change((), claimed)
    model.claim(claimed)
    with pytest.raises(SuspendedError):
        model.infer(image(model.store))


def test_a_suspended_model_that_could_not_be_started_is_suspended_as_before(
    model: RunningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ExecutionError("gone")

    plan = of_options("s0.5")
    model.change((), plan)
    for beside in (True, False):
        with monkeypatch.context() as patched:
            patched.setattr(model.executor, "compose", gone)
            with pytest.raises(ExecutionError, match="gone"):
                model.change(planned_choices(model.store, plan), plan, beside)
        with pytest.raises(SuspendedError, match="is suspended under the current budget"):
            model.infer(image(model.store))


def test_a_closed_model_gives_back_everything_and_says_so(model: RunningModel) -> None:
    choices = model.choices
    model.close()
    with pytest.raises(ClosedError, match="'m' belongs to a runtime that is closed"):
        model.infer(image(model.store))
    with pytest.raises(ClosedError):
        model.executor.compose(choices)


def test_a_switch_counts_the_memory_of_all_models_and_changes_those_with_other_blocks(runtime: Runtime) -> None:
    assert changes_to(runtime.plan, runtime._models) == []
    plan, sizes = smaller(runtime.plan, "tiny"), runtime._models["tiny"]._sizes
    (change,) = changes_to(plan, runtime._models)
    before, after = (sum(sizes[c.segment, c.option] for c in made) for made in (change.before, change.after))
    assert (change.model, change.growth) == ("tiny", after - before)
    room = sum(model.bytes(model.choices) for model in runtime._models.values()) + change.load + 1_500_000
    for limit, beside in ((room, True), (room - 1, False)):
        limited = plan.model_copy(update={"budget": Budget(memory_bytes=limit)})
        assert [c.beside for c in changes_to(limited, runtime._models)] == [beside]


def test_a_change_that_failed_can_be_tried_again(model: RunningModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise ExecutionError("gone")

    after = of_options("s0.5")
    with monkeypatch.context() as patched:
        patched.setattr(model.executor, "compose", gone)
        with pytest.raises(ExecutionError):
            model.change(planned_choices(model.store, after), after, beside=False)
    model.change(planned_choices(model.store, after), after)
    assert model.infer(image(model.store)).plan == after


def test_a_plan_that_streams_with_threads_that_were_not_measured_so_is_refused(tiny_store: Store) -> None:
    streamed = StreamedModel(
        threads=(1,),
        floor_bytes=5,
        options=tuple(
            StreamedOption(segment=s.name, option=o.name, weights_bytes=1, median_ms=(1.0,))
            for s in tiny_store.manifest.segments
            for o in s.options
        ),
    )
    sizes = {(o.segment, o.option): 1 for o in streamed.options}
    model = RunningModel("m", tiny_store, sizes, open_executor(tiny_store, "interpreter"), (1, 2), streamed)
    plan = of_options("s0").model_copy(update={"streamed": True})
    model.check(plan)
    assert model.bytes(planned_choices(tiny_store, plan)) == 5 + 1  # the weights of one segment at a time
    model.check(of_options("s0").model_copy(update={"threads": 2}))
    with pytest.raises(WorkloadError, match="runs 'm' streamed with 2 threads; it was profiled so with 1; "):
        model.check(plan.model_copy(update={"threads": 2}))
    model.close()
