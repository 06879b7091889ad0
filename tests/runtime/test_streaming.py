"""A streamed model gives the same answers with the weights of one block in memory at a time, where plans need that.

Covers also: streamed, profiler.streaming, runtime.planning.solver.modes, commands.workload.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn import Runtime
from legodnn.cli import main
from legodnn.errors import ConfigError, InfeasibleError, ProfileError, WorkloadError
from legodnn.profile import Profile, default_path
from legodnn.profile_merge import merge
from legodnn.profiler import Effort, profile_store
from legodnn.profiler.streaming import measure_streaming
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.select import EXECUTOR_VARIABLE, warm_up
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from tests.runtime.probe_store import probe_store

pytestmark = pytest.mark.capi
ROOT = Path(__file__).resolve().parents[2]
SIZE, CHANNELS, WIDTHS, BLOCKS = 4, 160, (160, 80), 6
X = np.random.default_rng(0).normal(size=(SIZE, SIZE, CHANNELS)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = probe_store(tmp_path_factory.mktemp("streamed") / "m", SIZE, CHANNELS, WIDTHS, BLOCKS)
    effort = Effort(seconds=0.3, processes=1, plans=0, streaming=True)
    profile_store(opened, effort).save(default_path(opened.path))
    return opened


def allowed(store: Store, streaming: bool = True) -> Workload:
    return Workload(models=(WorkloadModel(name="m", store=str(store.path), streaming=streaming),))


def test_a_profile_says_what_each_option_takes_streamed(store: Store) -> None:
    profile = Profile.load(default_path(store.path))
    assert profile.streamed is not None
    weights = {(o.segment, o.option): o.weights_bytes for o in profile.streamed.options}
    assert len(weights) == BLOCKS * len(WIDTHS)
    for segment in store.manifest.segments:
        for option in segment.options:
            assert 0.8 * option.bytes < weights[segment.name, option.name] < 1.5 * option.bytes
    whole = sum(o.memory_bytes for o in profile.options if o.option == "w160")
    assert profile.streamed.floor_bytes + max(weights.values()) < whole / 2
    assert merge([profile, profile.model_copy(update={"streamed": None})]).streamed == profile.streamed


def test_it_is_streamed_where_that_keeps_accuracy_and_answers_the_same(store: Store) -> None:
    with Runtime(allowed(store)) as runtime:
        whole = runtime.plan["m"]
        assert not whole.streamed
        expected = runtime.infer("m", X)
        runtime.budget = Budget(memory_bytes=whole.memory_bytes // 2)
        streamed = runtime.plan["m"]
        assert streamed.streamed
        assert streamed.options == whole.options
        assert streamed.memory_bytes <= whole.memory_bytes // 2
        for _ in range(2):
            np.testing.assert_array_equal(runtime.infer("m", X), expected)
        runtime.budget = Budget(memory_bytes=streamed.memory_bytes * 2 // 3)
        assert runtime.plan["m"].streamed
        assert runtime.plan["m"].options != whole.options
        assert np.isfinite(np.asarray(runtime.infer("m", X))).all()
        runtime.budget = Budget()
        assert not runtime.plan["m"].streamed
        np.testing.assert_array_equal(runtime.infer("m", X), expected)


def test_a_third_of_the_smallest_plan_does(store: Store) -> None:
    with Runtime(allowed(store)) as runtime, Runtime(allowed(store, streaming=False)) as other:
        with pytest.raises(InfeasibleError) as e:
            other.budget = Budget(memory_bytes=1)
        smallest = e.value.report.nearest
        assert smallest is not None
        runtime.budget = Budget(memory_bytes=smallest.memory_bytes // 3)
        assert runtime.plan["m"].streamed
        same = runtime.plan["m"].model_copy(update={"streamed": False})
        other.plan = other.plan.model_copy(update={"models": (same,)})
        np.testing.assert_array_equal(runtime.infer("m", X), other.infer("m", X))


def peak(path: str) -> list[int]:
    """What a streamed composition holds at most while it runs, what after that, and what is predicted of both."""
    store = Store(path)
    profile = Profile.load(default_path(store.path))
    assert profile.streamed is not None
    warm_up(store)
    release_freed_memory()
    base = process_memory_bytes()
    executor = CApiExecutor(store)
    choices = tuple(Choice(s.name, "w160", 1, True) for s in store.manifest.segments)
    composed, steps = executor.compose(choices), executor.streamed_steps(choices)
    composed.run({"t0": X})
    held = []
    for step in steps:
        step.run()
        held.append(process_memory_bytes() - base)
        step.drop()
    largest = max(o.weights_bytes for o in profile.streamed.options)
    floor = profile.streamed.floor_bytes
    return [max(held), process_memory_bytes() - base, floor + largest, floor]


def test_memory_is_below_what_is_predicted_while_it_runs(store: Store) -> None:
    measure = f"print(json.dumps(t.peak({str(store.path)!r})))"
    program = f"import json; from tests.runtime import test_streaming as t; {measure}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    most, after, predicted, floor = json.loads(done.stdout)
    assert most < predicted + 0.5e6
    assert after < floor + 0.5e6
    assert after < most / 2


def test_an_isolated_model_is_streamed_too(store: Store) -> None:
    with Runtime(allowed(store), isolated=True) as runtime:
        expected, half = runtime.infer("m", X), runtime.plan.memory_bytes // 2
        runtime.budget = Budget(memory_bytes=half)
        assert runtime.plan["m"].streamed
        np.testing.assert_array_equal(runtime.infer("m", X), expected)


def test_what_was_not_measured_is_not_streamed(store: Store, tmp_path: Path) -> None:
    profile = Profile.load(default_path(store.path)).model_copy(update={"streamed": None})
    profile.save(tmp_path / "profile.json")
    assert "streamed" not in json.loads((tmp_path / "profile.json").read_text())
    model = WorkloadModel(name="m", store=str(store.path), profile=str(tmp_path / "profile.json"), streaming=True)
    with pytest.raises(ProfileError, match=r"legodnn profile .* --streaming"):
        Runtime(Workload(models=(model,)))


def test_a_plan_that_streams_is_refused_where_the_workload_does_not_allow_it(store: Store) -> None:
    with Runtime(allowed(store, streaming=False)) as runtime:
        one = runtime.plan["m"].model_copy(update={"streamed": True})
        with pytest.raises(WorkloadError, match="does not allow"):
            runtime.plan = runtime.plan.model_copy(update={"models": (one,)})


@pytest.mark.parametrize("isolated", [False, True])
def test_where_packed_weights_cannot_be_kept_no_plan_streams(
    store: Store, isolated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The Interpreter runs the model then, which cannot; a budget that falls makes it smaller all the same."""
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path))
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "1kB")
    with Runtime(allowed(store), isolated=isolated) as runtime:
        whole = runtime.plan
        runtime.budget = Budget(memory_bytes=whole.memory_bytes - 1)
        assert not runtime.plan["m"].streamed
        assert runtime.plan["m"].options != whole["m"].options
        assert np.isfinite(np.asarray(runtime.infer("m", X))).all()
    assert "m is never streamed, though its workload allows that: its packed weights take more" in caplog.text


def test_the_interpreter_cannot_stream(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXECUTOR_VARIABLE, "interpreter")
    with pytest.raises(ConfigError, match="C API alone"):
        measure_streaming(store, [1], 0.1)


def test_the_command_tells_what_streaming_takes(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    command = ["profile", str(store.path), "--streaming", "--seconds", "0.3", "--quick", "--out", str(out)]
    assert main(command) == 0
    assert "streamed it takes" in capsys.readouterr().out
    (tmp_path / "w.toml").write_text(
        f'[[models]]\nname = "m"\nstore = "{store.path}"\nprofile = "{out}"\nstreaming = true\n'
    )
    memory = sum(o.memory_bytes for o in Profile.load(out).options if o.option == "w160") // 2
    assert main(["plan", str(tmp_path / "w.toml"), "--memory", f"{memory}B"]) == 0
    assert "m (streamed)" in capsys.readouterr().out


def test_a_flag_allows_it_to_every_model(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Profile.load(default_path(store.path)).options
    limit = ["--memory", f"{sum(o.memory_bytes for o in options if o.option == 'w160') // 2}B"]
    assert main(["plan", str(store.path), *limit, "--streaming"]) == 0
    assert "m (streamed)" in capsys.readouterr().out
    assert main(["plan", str(store.path), *limit]) == 1  # half of the channels and what always stays take more
    assert "streamed" not in capsys.readouterr().out
    np.save(tmp_path / "x.npy", X[None])
    run = ["run", str(store.path), "--input", str(tmp_path / "x.npy"), "--json", *limit]
    assert main([*run, "--streaming"]) == 0
    assert '"streamed": true' in capsys.readouterr().out
