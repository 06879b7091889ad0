"""A compact model gives the same answers in less memory, where plans need that.

Covers also: runtime.planning.solver.modes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import psutil
import pytest

from legodnn import Runtime
from legodnn.cli import main
from legodnn.errors import ConfigError, InfeasibleError, PackingError, ProfileError, WorkloadError
from legodnn.profile import Profile, default_path
from legodnn.profile_merge import merge
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.executors import weight_cache
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.executors.select import EXECUTOR_VARIABLE
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.runtime.governing.governor import Governor
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from tests.runtime.feeds.test_replay_governed import Shrinks
from tests.runtime.governing.scripted import leave
from tests.runtime.opened import least_memory
from tests.runtime.probe_store import probe_store

pytestmark = pytest.mark.capi
SIZE, CHANNELS, WIDTHS, BLOCKS = 32, 8, (8, 4), 4
X = np.random.default_rng(0).normal(size=(SIZE, SIZE, CHANNELS)).astype(np.float32)
POINTERS = 2 * BLOCKS * 9 * SIZE * SIZE * 8  # bytes of the addresses that convolutions of 3 x 3 read
QUICK = Effort(seconds=0.3, processes=1, plans=0, compact=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = probe_store(tmp_path_factory.mktemp("compact") / "m", SIZE, CHANNELS, WIDTHS, BLOCKS)
    profile_store(opened, QUICK).save(default_path(opened.path))
    return opened


def of(store: Store, profile: Path | None = None) -> Workload:
    at = str(profile or default_path(store.path))
    return Workload(models=(WorkloadModel(name="m", store=str(store.path), profile=at),))


def without_compact(store: Store) -> Profile:
    return Profile.load(default_path(store.path)).model_copy(update={"compact": None})


def test_a_profile_says_that_it_takes_less_memory_by_the_addresses_that_are_not_kept(store: Store) -> None:
    profile = Profile.load(default_path(store.path))
    assert profile.compact is not None
    for option in ("w8", "w4"):
        kept, less = (
            sum(o.memory_bytes for o in options if o.option == option)
            for options in (profile.options, profile.compact.options)
        )
        assert 0.5 * POINTERS < kept - less < 1.3 * POINTERS
    assert [o.latency[0].threads for o in profile.compact.options] == [1] * len(profile.options)


def test_it_is_compact_where_that_keeps_accuracy_and_answers_the_same(store: Store) -> None:
    with Runtime(of(store)) as runtime:
        whole = runtime.plan["m"]
        assert not whole.compact
        expected = runtime.infer("m", X)
        runtime.budget = Budget(memory_bytes=whole.memory_bytes - POINTERS // 2)
        compact = runtime.plan["m"]
        assert compact.compact
        assert compact.options == whole.options
        assert str(runtime.plan).count("m (compact)") == 1
        for _ in range(2):
            np.testing.assert_array_equal(runtime.infer("m", X), expected)
        runtime.budget = Budget()
        assert not runtime.plan["m"].compact
        np.testing.assert_array_equal(runtime.infer("m", X), expected)


def test_a_replay_counts_plans_of_a_governor_that_change_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legodnn.runtime.feeds.replay._GOVERNED_S", 0.0)
    with Runtime(of(store)) as runtime:
        less = runtime.plan.memory_bytes - POINTERS // 2
        device = Shrinks(1, lambda device: leave(device, runtime, less))
        (step,) = replay(runtime, {"m": Inputs([X] * 4)}, [Budget()], governor=Governor(runtime, monitor=device))
    assert step.plan["m"].compact
    assert step.replanned == 1


def test_it_is_not_compact_where_there_is_no_time_for_that(store: Store) -> None:
    profile = Profile.load(default_path(store.path))
    assert profile.compact is not None
    slow = tuple(
        o.model_copy(update={"latency": tuple(e.model_copy(update={"median_ms": 1e3}) for e in o.latency)})
        for o in profile.compact.options
    )
    changed = profile.model_copy(update={"compact": profile.compact.model_copy(update={"options": slow}), "tail": ()})
    path = default_path(store.path).with_name("slow.json")
    changed.save(path)
    with Runtime(of(store, path)) as runtime:
        memory = runtime.plan.memory_bytes - POINTERS // 2
        smallest = sum(o.memory_bytes for o in profile.options if o.option == "w4")
        runtime.budget = Budget(memory_bytes=max(memory, smallest))
        assert runtime.plan["m"].compact
        runtime.budget = Budget(memory_bytes=max(memory, smallest), latency_ms=1e3, quantile=0.5)
        assert not runtime.plan["m"].compact


def private_bytes_of_children() -> int:
    return sum(child.memory_full_info().uss for child in psutil.Process().children(recursive=True))


def test_an_isolated_model_is_compact_too_and_takes_less_memory(store: Store) -> None:
    """Its process is new: in one that has run other tests, what they let go hides what a model takes."""
    with Runtime(of(store), isolated=True) as runtime:
        expected, less = runtime.infer("m", X), runtime.plan.memory_bytes - POINTERS // 2
        runtime.budget = Budget(memory_bytes=less)
        assert runtime.plan["m"].compact
        np.testing.assert_array_equal(runtime.infer("m", X), expected)
        held = private_bytes_of_children()
        runtime.budget = Budget()
        np.testing.assert_array_equal(runtime.infer("m", X), expected)
        assert private_bytes_of_children() - held > POINTERS // 2


def test_weights_are_packed_for_it_before_plans_need_them(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    without_compact(store).save(tmp_path / "p.json")
    for profile, made in ((tmp_path / "p.json", False), (None, True)):
        with Runtime(of(store, profile)):
            assert weight_cache.entry_path(store, compact=True).is_dir() == made


def test_else_they_are_packed_when_it_first_runs(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path))
    executor = CApiExecutor(store)
    assert [weight_cache.entry_path(store, compact).is_dir() for compact in (False, True)] == [True, False]
    choices = tuple(Choice(s.name, "w8", 1, compact=True) for s in store.manifest.segments)
    model = executor.compose(choices)
    model.run({"t0": X})
    assert weight_cache.entry_path(store, True).is_dir()
    executor.close()
    assert "stale" not in "".join(capfd.readouterr())  # which LiteRT says where weights were packed otherwise


def test_a_profile_without_it_plans_nothing_compact_and_refuses_plans_that_are(store: Store, tmp_path: Path) -> None:
    without_compact(store).save(tmp_path / "p.json")
    assert "compact" not in json.loads((tmp_path / "p.json").read_text())
    with Runtime(of(store, tmp_path / "p.json")) as runtime:
        one = runtime.plan["m"].model_copy(update={"compact": True})
        with pytest.raises(WorkloadError, match=r"profile --compact"):
            runtime.plan = runtime.plan.model_copy(update={"models": (one,)})


def test_where_compact_weights_cannot_be_packed_no_plan_has_the_model_compact(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Runtime(of(store)) as runtime:
        least = least_memory(runtime)
        assert runtime.scheduler.plan(Budget(memory_bytes=least))["m"].compact

    def full(*_: object, **__: object) -> None:
        raise PackingError("there is no room for packed weights")

    monkeypatch.setattr(weight_cache, "open_packed", full)
    monkeypatch.setattr(weight_cache, "is_made", lambda store, compact=False: not compact)
    with Runtime(of(store)) as runtime:
        assert "m is never compact, though its profile has that measured: there is no room" in caplog.text
        with pytest.raises(InfeasibleError):
            runtime.budget = Budget(memory_bytes=least)
        runtime.budget = Budget(memory_bytes=least_memory(runtime))
        assert not runtime.plan["m"].compact


@pytest.mark.parametrize("how", [{"streamed": True}, {"compact": True}])
def test_the_interpreter_runs_none(store: Store, how: dict[str, bool]) -> None:
    choices = tuple(Choice(s.name, "w8", 1, **how) for s in store.manifest.segments)
    with pytest.raises(WorkloadError, match="C API alone"):
        InterpreterExecutor(store).compose(choices)


def test_a_model_is_compact_as_a_whole_and_not_streamed(store: Store) -> None:
    first, *others = (Choice(s.name, "w8", 1, compact=True) for s in store.manifest.segments)
    executor = CApiExecutor(store)
    with pytest.raises(WorkloadError, match="either all segments"):
        executor.compose((Choice(first.segment, "w8", 1), *others))
    with pytest.raises(WorkloadError, match="not both"):
        executor.compose(tuple(Choice(s.name, "w8", 1, True, True) for s in store.manifest.segments))
    executor.close()


def test_the_interpreter_measures_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXECUTOR_VARIABLE, "interpreter")
    with pytest.raises(ConfigError, match="C API alone"):
        profile_store(store, QUICK)


def test_merging_keeps_what_was_measured_of_all_options(store: Store, tmp_path: Path) -> None:
    one = Profile.load(default_path(store.path))
    assert one.compact is not None
    assert merge([one, without_compact(store)]).compact == one.compact
    two = profile_store(store, Effort(threads=(2,), seconds=0.3, processes=1, plans=0, compact=True))
    both = merge([one, two]).compact
    assert both is not None
    assert {tuple(e.threads for e in o.latency) for o in both.options} == {(1, 2)}
    assert [entry.threads for entry in both.chain] == [1, 2]
    assert merge([one, two.model_copy(update={"compact": None})]).compact is None
    document = json.loads(default_path(store.path).read_text())
    del document["compact"]["options"][0]
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(ProfileError, match="not measured of the same options"):
        Profile.load(tmp_path / "p.json")


def test_an_interrupted_profiling_goes_on(store: Store, tmp_path: Path) -> None:
    once = profile_store(store, QUICK, work=tmp_path / "work.npz")
    again = profile_store(store, QUICK, work=tmp_path / "work.npz")
    assert once.compact is not None
    assert again.compact is not None
    assert [o.memory_bytes for o in again.compact.options] == [o.memory_bytes for o in once.compact.options]
    runs = [sum(e.runs for o in p.compact.options for e in o.latency) for p in (once, again) if p.compact]
    assert runs[1] > runs[0]


def test_the_command_tells_what_compact_models_take(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    assert main(["profile", str(store.path), "--compact", "--seconds", "0.3", "--quick", "--out", str(out)]) == 0
    assert "compact, its options take 0." in capsys.readouterr().out
    (tmp_path / "w.toml").write_text(f'[[models]]\nname = "m"\nstore = "{store.path}"\nprofile = "{out}"\n')
    memory = sum(o.memory_bytes for o in Profile.load(out).options if o.option == "w8") - POINTERS // 2
    assert main(["plan", str(tmp_path / "w.toml"), "--memory", f"{memory}B"]) == 0
    assert "m (compact)" in capsys.readouterr().out
