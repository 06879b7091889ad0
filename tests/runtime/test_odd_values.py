"""Whatever is given to a runtime, a governor or an executor: a LegoError in a line or two, or it is right; and the plan
that runs stays as it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn import Budget, Plan, Runtime, Store
from legodnn.errors import ConfigError, InputError, LegoError, WorkloadError
from legodnn.runtime.executors.base import Choice, Executor, covering_compositions
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.governing.governor import Governor
from legodnn.workload import Workload

X = np.random.default_rng(0).random((12, 12, 1), np.float32)

numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from([0, -1, 1, 2, 100_000, 2**31, 2**63, 10**400, True, np.int64(1), np.float32(1), 1 + 2j]),
)
odd = st.recursive(
    st.one_of(numbers, st.none(), st.text(max_size=5), st.binary(max_size=5), st.sampled_from([object(), int, ..., X])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.tuples(inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers(), st.none()), inner, max_size=2),
        st.dictionaries(st.sampled_from(["image", "tiny"]), inner, max_size=1),
    ),
    max_leaves=4,
)
arrays = st.builds(
    lambda shape, dtype: np.zeros(shape, dtype),
    st.sampled_from([(12, 12, 1), (12, 12), (1, 12, 12, 1), (0,), (), (12, 12, 2)]),
    st.sampled_from(["float32", ">f4", "float64", "uint8", "object", "U3", "complex64", "datetime64[s]", "bool"]),
)


@pytest.fixture(scope="module")
def runtime(tiny_store: Store) -> Iterator[Runtime]:
    from legodnn.workload import WorkloadModel

    models = (WorkloadModel(name="tiny", store=str(tiny_store.path)),)
    with Runtime(Workload(models=models)) as opened:
        yield opened


@pytest.fixture(scope="module", params=["capi", "interpreter", "isolated"])
def executor(request: pytest.FixtureRequest, tiny_store: Store) -> Iterator[Executor]:
    kind = request.param
    opened = IsolatedExecutor(tiny_store) if kind == "isolated" else open_executor(tiny_store, kind)
    yield opened
    opened.close()


def refused_or_done(call: Callable[[], Any]) -> None:
    try:
        call()
    except LegoError as e:
        message = str(e)
    else:
        return
    assert 0 < len(message) < 2000
    assert len(message.splitlines()) <= 2


@given(model=st.one_of(odd, st.just("tiny")), x=st.one_of(odd, arrays))
def test_inferences(runtime: Runtime, model: Any, x: Any) -> None:
    refused_or_done(lambda: runtime.infer(model, x))
    assert runtime.infer("tiny", X).shape == (10,)


@given(value=odd)
def test_budgets_plans_and_slow_downs(runtime: Runtime, value: Any) -> None:
    plan = runtime.plan
    for name in ("budget", "plan"):
        with pytest.raises(WorkloadError):
            setattr(runtime, name, value)
    with pytest.raises(WorkloadError):
        runtime.replan(value, {})
    for call in (runtime.scheduler.plan, runtime.scheduler.gains):
        with pytest.raises(WorkloadError):
            call(value)
    if value is not None:
        with pytest.raises(WorkloadError):
            runtime.scheduler.plan(Budget(), running=value)
    refused_or_done(lambda: runtime.scheduler.plan(Budget(), deadline_ms=value))
    refused_or_done(lambda: runtime.replan(Budget(), value))
    refused_or_done(lambda: runtime.replan(Budget(), {"tiny": value}))
    refused_or_done(lambda: Budget(memory_bytes=value, latency_ms=value, cores=value))
    refused_or_done(lambda: setattr(runtime, "budget", Budget(latency_ms={"tiny": 1e9, "other": 1.0})))
    runtime.plan = plan


@given(value=odd)
def test_openings(value: Any) -> None:
    for call in (
        lambda: Runtime.open(value),
        lambda: Runtime.open([value]),
        lambda: Runtime(value),
    ):
        with pytest.raises(LegoError) as error:
            call()
        assert len(str(error.value).splitlines()) <= 2


@given(value=odd.filter(lambda v: v is not None))
def test_the_ways_to_open(tiny_store: Store, value: Any) -> None:
    with pytest.raises(WorkloadError):
        Runtime.open([tiny_store.path], budget=value)
    if not isinstance(value, str) or value != "auto":
        with pytest.raises(ConfigError):
            Runtime.open([tiny_store.path], executor=value)


@given(value=odd)
def test_governors(runtime: Runtime, value: Any) -> None:
    refused_or_done(lambda: Governor(runtime, interval_s=value).close())
    if value is not None:
        with pytest.raises(ConfigError):
            Governor(runtime, value)
    with pytest.raises(WorkloadError):
        Governor(runtime).set_budget(value)


def test_slow_downs_and_tails_are_those_of_the_moment_when_they_were_given(runtime: Runtime) -> None:
    slowdown, tail = {"tiny": 2.0}, {"tiny": 3.0}
    runtime.replan(Budget(), slowdown, tail=tail)
    slow = runtime.plan
    slowdown["tiny"] = tail["tiny"] = -1.0
    runtime.budget = Budget()
    assert runtime.plan == slow
    runtime.replan(Budget(), {})


@pytest.mark.parametrize("milliseconds", [True, -1, float("nan"), float("inf"), "1", 10**400])
def test_a_deadline_that_is_no_time_is_refused(runtime: Runtime, milliseconds: Any) -> None:
    with pytest.raises(WorkloadError, match="a deadline is 0 to 1e\\+21 milliseconds, or None for none, not "):
        runtime.scheduler.plan(Budget(), deadline_ms=milliseconds)


plans = st.fixed_dictionaries(
    {},
    optional={
        "threads": st.integers(1, 200_000),
        "suspended": st.booleans(),
        "options": st.dictionaries(
            st.sampled_from(["block1", "block2", "stem", ""]), st.sampled_from(["s0", "s0.5", "s9", ""]), max_size=3
        ),
        "name": st.sampled_from(["tiny", "other"]),
    },
)


@given(changes=plans)
def test_plans_made_elsewhere(runtime: Runtime, changes: dict[str, Any]) -> None:
    before = runtime.plan
    changed = before.model_copy(update={"models": (before["tiny"].model_copy(update=changes),)})
    try:
        runtime.plan = changed
    except LegoError:
        assert runtime.plan is before
    else:
        assert runtime.plan["tiny"].threads in (1, 2) or runtime.plan["tiny"].suspended
        runtime.plan = before
    runtime.infer("tiny", X)


choices = st.lists(
    st.builds(
        Choice,
        st.sampled_from(["stem", "block1", "block2", "head", "none"]),
        st.sampled_from(["s0", "s0.5", "none"]),
        st.one_of(numbers, st.sampled_from([1, 2])),
    ),
    max_size=5,
)


@settings(max_examples=40)
@given(drawn=choices, threads=numbers)
def test_compositions(executor: Executor, tiny_store: Store, drawn: list[Choice], threads: Any) -> None:
    refused_or_done(lambda: executor.compose(tuple(drawn)))
    right = covering_compositions(tiny_store)[0]
    if not (type(threads) is int and 1 <= threads <= 256):
        with pytest.raises(WorkloadError, match="1 to 256"):
            executor.compose(tuple(Choice(c.segment, c.option, threads) for c in right))
    wrong: Any
    for wrong in (right[:-1], right[::-1], (*right, right[0]), (), (1, None)):
        with pytest.raises(WorkloadError, match="one choice for each of"):
            executor.compose(wrong)
    assert executor.compose(right).run({"image": X})["head"].shape == (10,)
    executor.retain(right)


def test_threads_that_were_not_profiled_are_refused(runtime: Runtime) -> None:
    before = runtime.plan
    changed = before["tiny"].model_copy(update={"threads": 100_000})
    with pytest.raises(WorkloadError, match=r"'tiny' with 100000 threads; it was profiled so with 1, 2; .*--threads"):
        runtime.plan = before.model_copy(update={"models": (changed,)})
    assert runtime.plan is before


def test_a_plan_without_options_is_not_one_of_these_stores(runtime: Runtime) -> None:
    before = runtime.plan
    updates: list[dict[str, Any]] = [{"options": {}}, {"options": {"block1": "s0"}}, {"name": "who"}]
    for update in updates:
        changed = before["tiny"].model_copy(update=update)
        with pytest.raises(WorkloadError, match="this plan"):
            runtime.plan = before.model_copy(update={"models": (changed,)})
    other = before["tiny"].model_copy(update={"name": "one more"})
    with pytest.raises(WorkloadError, match="this plan is for tiny, one more; this runtime has tiny"):
        runtime.plan = Plan(models=(before["tiny"], other), budget=before.budget, objective=0.0)


def test_a_masked_array_is_refused_and_not_computed_with(runtime: Runtime) -> None:
    hidden = X.copy()
    hidden[0, 0, 0] = np.nan
    for values in (hidden, X):
        masked = np.ma.masked_array(values, mask=~np.isfinite(values))
        with pytest.raises(InputError, match=r"masked array as 'image'; fill what is masked: x.filled"):
            runtime.infer("tiny", masked)


def test_inferences_do_not_mind_that_another_thread_imports_masked_arrays(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))  # as long as its names are missing
    assert runtime.infer("tiny", X) is not None


def test_arrays_of_other_classes_are_what_they_hold(runtime: Runtime, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(runtime.infer("tiny", mapped), runtime.infer("tiny", X))


def test_nothing_imports_masked_arrays_while_it_plans_and_runs_and_serves(tiny_store: Store) -> None:
    code = (
        "import sys, time, numpy; there = 'numpy.ma' in sys.modules\n"  # as in NumPy 1
        "from legodnn import Budget, Runtime\n"
        "from legodnn.errors import InfeasibleError\n"
        "from legodnn.runtime.feeds.inputs import Inputs\n"
        "from legodnn.runtime.feeds.replay import replay\n"
        "from legodnn.runtime.serving.history import History\n"
        "from legodnn.runtime.serving.inference_queue import InferenceQueue\n"
        "with Runtime.open(sys.argv[1:]) as runtime:\n"
        "    (spec,) = next(iter(runtime.stores.values())).manifest.inputs\n"
        "    runtime.infer('tiny', spec.zeros())\n"
        "    replay(runtime, {'tiny': Inputs([spec.zeros()])}, [Budget()])\n"
        "    queue = InferenceQueue(runtime, 'tiny', 9, 9.0)\n"
        "    queue.latencies_ms.append((time.monotonic(), 1.0))\n"
        "    assert queue.seconds_to_wait() == 1\n"
        "    assert History(runtime, [queue]).sample()['models']['tiny']['median_ms'] == 1.0\n"
        "    try: runtime.budget = Budget(memory_bytes=1, latency_ms=1e-4)\n"
        "    except InfeasibleError: print('numpy.ma' in sys.modules and not there)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tiny_store.path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False", "half a megabyte would count as memory of models"
