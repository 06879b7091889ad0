"""A profile covers every option at every thread count and fits the store and the device it was measured on.

Covers also: profiler.effort, profiler.measuring_process, profiler.packing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.array_files import read_arrays
from legodnn.errors import ConfigError, PackingError, ProfileError, StoreError
from legodnn.manifest import MANIFEST
from legodnn.profile import Profile, default_path
from legodnn.profiler import QUICK, Effort, profile_store
from legodnn.profiler.bench import Bench
from legodnn.profiler.memory import Footprint, measure_memory
from legodnn.profiler.meters import CpuSeconds
from legodnn.profiler.profiling_state import StageState
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_kind, executor_name
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress

SHORT = Effort(seconds=0.3, processes=1, plans=0)


def test_a_path_in_place_of_a_store_is_refused_with_what_opens_one(tiny_store2: Store) -> None:
    with pytest.raises(ConfigError, match=r"is a legodnn\.Store, not PosixPath; Store\(path\) opens one"):
        profile_store(tiny_store2.path)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def profile(tiny_store2: Store) -> Profile:
    meter = CpuSeconds(3.0)
    meter.window_s = 0.02
    return profile_store(tiny_store2, Effort(threads=(2, 1, 3), seconds=0.5, processes=1, plans=3), meter)


def test_every_option_has_memory_and_latency_at_every_thread_count(profile: Profile, tiny_store2: Store) -> None:
    expected = [(s.name, o.name) for s in tiny_store2.manifest.segments for o in s.options]
    assert [(o.segment, o.option) for o in profile.options] == expected
    for option in profile.options:
        assert [latency.threads for latency in option.latency] == [2, 1, 3]
        assert option.load_ms > 0
        for entry in option.latency:
            assert 0 < entry.min_ms <= entry.median_ms <= entry.p95_ms
            assert entry.first_ms > 0  # type: ignore[operator]
            assert entry.runs >= 15
    # What each option has of a model this small is by chance, and may be nothing; what all have together is not.
    originals = {(s.name, s.original.name) for s in tiny_store2.manifest.segments}
    assert sum(o.memory_bytes for o in profile.options if (o.segment, o.option) in originals) > 0


def test_the_profile_fits_its_store_and_this_device(profile: Profile, tiny_store: Store, tiny_store2: Store) -> None:
    profile.check_store(tiny_store2)
    profile.check_device(fingerprint(executor_name()))
    assert profile.model == "tiny2"
    with pytest.raises(ProfileError):
        profile.check_store(tiny_store)


def test_it_says_what_the_chain_takes_how_well_it_predicts_and_under_which_conditions(profile: Profile) -> None:
    assert [c.threads for c in profile.chain] == [2, 1, 3]
    assert [(v.threads, v.plans) for v in profile.validation] == [(2, 3), (1, 3), (3, 3)]
    assert profile.skipped == profile.contention == ()
    assert profile.conditions is not None
    assert profile.conditions.kernel


def test_every_stage_tells_how_far_it_is_and_nothing_is_printed(
    tiny_store2: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    meter, progress = CpuSeconds(3.0), RecordedProgress()
    meter.window_s = 0.02
    profile_store(tiny_store2, replace(SHORT, plans=2), meter, progress=progress)
    latency = ["timing tiny2", "validating tiny2, 1 thread", "tiny2 after pauses, 1 thread"]
    assert progress.labels() == ["weighing tiny2", *latency, "energy of tiny2"]
    progress.check_complete()
    assert capfd.readouterr().out == ""


def test_what_disturbed_the_measurements_is_a_warning_of_the_logger(
    tiny_store2: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("legodnn.profiler.measure.busy_elsewhere", lambda: 0.5)
    found = profile_store(tiny_store2, SHORT)
    message = "other processes kept 50% of the processor busy when measuring began"
    assert (message, "WARNING") in [(r.getMessage(), r.levelname) for r in caplog.records]
    assert found.conditions is not None
    assert message in found.conditions.warnings


def test_energy_is_in_it_where_a_meter_was_given(profile: Profile, tiny_store2: Store) -> None:
    assert profile.energy is not None
    assert profile.energy.meter == "CPU seconds x 3 W"
    assert all(o.energy_mj is not None and o.energy_mj > 0 for o in profile.options)
    without = Profile.load(default_path(tiny_store2.path))
    assert without.energy is None
    assert all(o.energy_mj is None for o in without.options)


def test_the_shared_stores_profiles_fit_them(tiny_store: Store, tiny_store2: Store) -> None:
    for store in (tiny_store, tiny_store2):
        Profile.load(default_path(store.path)).check_store(store)


@pytest.mark.parametrize(
    "arguments",
    [
        {"threads": ()},
        {"threads": (0,)},
        {"threads": (1, -2)},
        {"threads": (1, 2, 1)},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"precision": 0},
        {"precision": 1},
        {"precision": float("nan")},
        {"processes": 0},
        {"plans": -1},
    ],
)
def test_efforts_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ConfigError, match=rf"^{name} must ") as caught:
        Effort(**arguments)
    shown = " ".join(map(str, value)) or "none" if name == "threads" else f"{value:g}"
    assert str(caught.value).endswith(f" {shown}")


@pytest.mark.parametrize("asked", [replace(SHORT, streaming=True), replace(SHORT, compact=True)])
def test_what_the_executor_cannot_do_is_refused_before_anything_is_measured(
    tiny_store2: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Effort
) -> None:
    monkeypatch.setenv("LEGODNN_EXECUTOR", "interpreter")
    progress = RecordedProgress()
    with pytest.raises(ConfigError, match=r"by LiteRT's C API alone"):
        profile_store(tiny_store2, asked, None, tmp_path / "p.work", progress)
    assert progress.labels() == []
    assert list(tmp_path.iterdir()) == []


# --- options that are left out when time is short --------------------------------------------------------------------


def marked(folder: Path, *options: tuple[int, int]) -> Store:
    """A copy of a store in which options (number of the segment, number of the option) are dominated."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for segment, option in options:
        manifest["segments"][segment]["options"][option]["dominated"] = True
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return Store(folder)


def test_quick_leaves_out_what_is_dominated_and_says_so(store_copy: Path) -> None:
    store = marked(store_copy, (0, 1), (1, 2))
    profile = profile_store(store, replace(QUICK, seconds=0.3, plans=0))
    assert [(s.segment, s.option) for s in profile.skipped] == [("block1", "s0.5"), ("block2", "s0.75")]
    assert all("dominated" in s.reason for s in profile.skipped)
    profile.check_store(store)
    everything = {(s.name, o.name) for s in store.manifest.segments for o in s.options}
    assert {(o.segment, o.option) for o in profile.options} == everything - {("block1", "s0.5"), ("block2", "s0.75")}


def test_originals_are_measured_even_if_something_is_better(store_copy: Path) -> None:
    store = marked(store_copy, (0, 0), (0, 1), (0, 2), (2, 0))
    profile = profile_store(store, replace(QUICK, seconds=0.3, plans=0))
    assert [(s.segment, s.option) for s in profile.skipped] == [("block1", "s0.5"), ("block1", "s0.75")]
    profile.check_store(store)


def test_without_hurry_everything_is_measured(store_copy: Path) -> None:
    assert profile_store(marked(store_copy, (0, 1)), SHORT).skipped == ()


# --- packing ---------------------------------------------------------------------------------------------------------


def test_packing_is_timed_once_and_not_where_it_was_done_before(
    tiny_store2: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    first, again = (profile_store(tiny_store2, SHORT).pack_ms for _ in range(2))
    assert first is not None
    assert first > 0
    assert again is None
    (weights,) = (tmp_path / "cache").glob("*/weights.packed")
    weights.chmod(0o600)
    weights.write_bytes(b"damaged")
    assert profile_store(tiny_store2, SHORT).pack_ms is not None


def test_packing_is_not_timed_where_nothing_is_packed(
    tiny_store2: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEGODNN_EXECUTOR", "interpreter")
    assert profile_store(tiny_store2, SHORT).pack_ms is None
    assert not list((tmp_path / "cache").glob("*/weights.packed"))


# --- interruptions ---------------------------------------------------------------------------------------------------


def kept(work: Path, stage: str) -> dict[Any, np.ndarray]:
    """What a file keeps of a stage, by key."""
    names = {name: array for name, array in read_arrays(work, ProfileError, "").items() if name != "terms"}
    found = {}
    for name, array in names.items():
        of, key = json.loads(name)
        if of == stage:
            found[tuple(key) if isinstance(key, list) else key] = array
    return found


class Broken(CpuSeconds):
    """A meter that fails when everything else has been measured."""

    def joules(self, work: Callable[[], None]) -> float:
        raise ProfileError("the meter was unplugged")


def test_what_was_measured_before_an_error_is_gone_on_with(
    tiny_store2: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "p.work"
    with pytest.raises(ProfileError, match="unplugged"):
        profile_store(tiny_store2, SHORT, Broken(1.0), work)
    caplog.set_level(logging.INFO, "legodnn.profiler")
    timings, rows, packing = kept(work, "latency"), kept(work, "memory"), kept(work, "packing")
    profile = profile_store(tiny_store2, SHORT, None, work)
    assert f"going on with what {work} has" in caplog.messages
    found = measure_memory(tiny_store2, len(rows), stage=StageState(rows))
    assert found.options == {
        (o.segment, o.option): Footprint(o.memory_bytes, o.load_ms, o.own_bytes, o.workspace_bytes)
        for o in profile.options
    }
    assert profile.company_bytes == found.company_bytes
    first = profile.options[0]
    runs = len(timings["warm", first.segment, first.option, 1, False, False])
    assert runs < first.latency[0].runs <= runs + 9
    assert profile.pack_ms == float(packing["ms"])


def test_what_disturbed_before_an_interruption_is_told_of_after_it(
    tiny_store2: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times are still in the medians."""
    monkeypatch.setattr("legodnn.profiler.measure.busy_elsewhere", lambda: 0.6)
    with pytest.raises(ProfileError, match="unplugged"):
        profile_store(tiny_store2, SHORT, Broken(1.0), tmp_path / "p.work")
    monkeypatch.setattr("legodnn.profiler.measure.busy_elsewhere", lambda: 0.0)
    for work, told in ((tmp_path / "p.work", 1), (tmp_path / "new.work", 0)):
        found = profile_store(tiny_store2, SHORT, None, work).conditions
        assert found is not None
        assert found.warnings.count("other processes kept 60% of the processor busy when measuring began") == told


def test_validation_is_kept_for_as_many_plans(tiny_store2: Store, tmp_path: Path) -> None:
    work, effort = tmp_path / "p.work", replace(SHORT, plans=3, threads=(1, 2))
    with pytest.raises(ProfileError, match="unplugged"):
        profile_store(tiny_store2, effort, Broken(1.0), work)
    assert {threads: len(ms) for threads, ms in kept(work, "validation for 0.045 s").items()} == {1: 3, 2: 3}
    again, more = RecordedProgress(), RecordedProgress()
    found = profile_store(tiny_store2, effort, None, work, again).validation
    assert [(v.threads, v.plans) for v in found] == [(1, 3), (2, 3)]
    assert not any("thread" in label for label in again.labels())
    found = profile_store(tiny_store2, replace(effort, plans=4), None, work, more).validation
    assert [(v.threads, v.plans) for v in found] == [(1, 4), (2, 4)]
    stages = ["validating tiny2, 1 thread", "validating tiny2, 2 threads"]
    assert more.labels()[-4:] == [*stages, "tiny2 after pauses, 1 thread", "tiny2 after pauses, 2 threads"]


def test_what_was_measured_for_another_time_is_measured_again(tiny_store2: Store, tmp_path: Path) -> None:
    work, effort = tmp_path / "p.work", replace(SHORT, plans=2, streaming=executor_kind() == "capi")
    profile_store(tiny_store2, effort, None, work)
    same, longer = RecordedProgress(), RecordedProgress()
    profile_store(tiny_store2, effort, None, work, same)
    assert not any("validating" in label for label in same.labels())
    before = kept(work, "streaming for 0.075 s")
    profile_store(tiny_store2, replace(effort, seconds=0.6), None, work, longer)
    assert "validating tiny2, 1 thread" in longer.labels()
    assert bool(kept(work, "streaming for 0.15 s")) == bool(before) == effort.streaming


class Failing(CpuSeconds):
    """A meter that measures three times and then fails."""

    window_s, left = 0.05, 3

    def joules(self, work: Callable[[], None]) -> float:
        if not self.left:
            raise ProfileError("the meter was unplugged")
        self.left -= 1
        return super().joules(work)


def test_energy_is_kept_for_the_same_meter(tiny_store2: Store, tmp_path: Path) -> None:
    work = tmp_path / "p.work"
    with pytest.raises(ProfileError, match="unplugged"):
        profile_store(tiny_store2, SHORT, Failing(2.0), work)
    energies = [float(v) for v in kept(work, "energy by CPU seconds x 2 W").values()]
    assert len(energies) == 3
    same, other = CpuSeconds(2.0), CpuSeconds(100.0)
    same.window_s = other.window_s = 0.05
    found = [o.energy_mj for o in profile_store(tiny_store2, SHORT, other, work).options]
    assert not set(found) & set(energies)
    found = [o.energy_mj for o in profile_store(tiny_store2, SHORT, same, work).options]
    assert found[:3] == energies
    assert len(found) > 3
    assert all(found)


@pytest.mark.parametrize("effort", [replace(SHORT, threads=(2,)), replace(SHORT, threads=(1, 2))])
def test_another_question_starts_anew(
    tiny_store2: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, effort: Effort
) -> None:
    caplog.set_level(logging.INFO, "legodnn.profiler")
    profile_store(tiny_store2, SHORT, None, tmp_path / "p.work")
    profile = profile_store(tiny_store2, effort, None, tmp_path / "p.work")
    assert any(m.endswith("measured elsewhere or otherwise: measuring starts anew") for m in caplog.messages)
    assert [e.threads for e in profile.options[0].latency] == list(effort.threads)


def test_a_damaged_store_is_not_measured(store_copy: Path) -> None:
    store = Store(store_copy)
    file = store.verified_file(store.manifest.segments[0].options[1])
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises((StoreError, ProfileError)) as caught:
        profile_store(store, SHORT)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.skipif(executor_kind() != "capi", reason="the Interpreter packs weights whenever it loads them")
def test_a_store_whose_weights_cannot_be_packed_is_not_measured_as_something_else_runs_it(
    tiny_store2: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path))
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "1kB")
    for measure in (lambda: profile_store(tiny_store2, SHORT), lambda: Bench(tiny_store2, (1,))):
        with pytest.raises(PackingError, match="'tiny2' cannot be measured as LiteRT's C API runs it") as refused:
            measure()
        assert "by LEGODNN_EXECUTOR=interpreter" in str(refused.value)
