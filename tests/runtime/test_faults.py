"""What goes wrong on a device: a typed error or a clean degradation, never a crash, a hang or a wrong answer.

Faults that need no hours or limits of their own are tested where they belong: damaged entries in test_packed, altered
stores and budgets that nothing fits in test_runtime, kills in test_isolated.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from legodnn import Runtime, Store
from legodnn.errors import ExecutionError
from legodnn.files import sha256_bytes
from legodnn.plan import Plan
from legodnn.runtime.executors import isolated
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.switch import planned_choices

pytestmark = pytest.mark.faults


def program(text: str, cache: Path, timeout: float = 120) -> str:
    """Run a program in a process, which must not end by a signal; return what it prints."""
    environment = {**os.environ, "LEGODNN_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, env=environment, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


_OPEN = """
import resource
import numpy as np
from legodnn import Budget, Runtime
from legodnn.errors import LegoError
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.select import (open_executor)
from legodnn.store import Store
store = Store({store!r})
x = {{"image": np.zeros((12, 12, 1), np.float32)}}
"""


def test_a_disk_that_is_full_while_weights_are_packed(tiny_store: Store, tmp_path: Path) -> None:
    """The packing process may write 8 kB a file: the model runs by the Interpreter, with a warning."""
    printed = program(
        _OPEN.format(store=str(tiny_store.path)) + "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "executor = open_executor(store)\n"
        "print(type(executor).__name__, executor.compose(covering_compositions(store)[0]).run(x)['head'].shape)",
        tmp_path / "cache",
    )
    assert "InterpreterExecutor (10,)" in printed
    assert "tiny runs without packed weights" in printed
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_small_disk(tiny_store: Store, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", disk], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        text = _OPEN.format(store=str(tiny_store.path)) + "print(type(open_executor(store)).__name__)"
        printed = program(text, disk / "cache")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert "InterpreterExecutor" in printed
    assert "there is no room for packed weights" in printed


def test_no_file_descriptors_are_left(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> None:
    """What runs goes on running; what needs a descriptor is a typed error that leaves the plan; then all is well."""
    printed = program(
        _OPEN.format(store=str(tiny_store.path))
        + f"with Runtime.open([store.path, {str(tiny_store2.path)!r}]) as runtime:\n"
        "    y, plan = runtime.infer('tiny', x['image']), runtime.plan\n"
        "    models = tuple(m.model_copy(update={'threads': 2}) for m in plan.models)\n"
        "    two = plan.model_copy(update={'models': models})\n"
        "    taken = []\n"
        "    while True:\n"
        "        try: taken.append(open('/dev/null'))\n"
        "        except OSError: break\n"
        "    assert np.array_equal(runtime.infer('tiny', x['image']), y)\n"
        "    for attempt in (lambda: setattr(runtime, 'plan', two), lambda: Runtime.open([store.path])):\n"
        "        try: attempt()\n"
        "        except LegoError as e: print(type(e).__name__, e)\n"
        "    assert runtime.plan == plan and np.array_equal(runtime.infer('tiny', x['image']), y)\n"
        "    while taken: taken.pop().close()\n"
        "    runtime.plan = two\n"
        "    assert np.allclose(runtime.infer('tiny', x['image']), y, atol=1e-5)\n"
        "    print('well')",
        tmp_path / "cache",
    )
    lines = printed.splitlines()
    assert lines[0].startswith("ExecutionError")
    assert lines[1].split()[0] in ("StoreError", "ProfileError")
    assert lines[-1] == "well"


@pytest.fixture(scope="module")
def heavy_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One dense layer with 16 MB of weights."""
    import keras

    from legodnn.blocks.export.convert import convert

    inputs = keras.Input((64,), name="image")
    content = convert(keras.Model(inputs, keras.layers.Dense(1 << 16)(inputs)))
    option = {"name": "s0", "sparsity": 0.0, "file": "whole.tflite", "sha256": sha256_bytes(content), "macs": 1 << 22}
    document = {
        "schema": "legodnn.store/1",
        "model": {"name": "heavy", "task": "test"},
        "inputs": [{"name": "image", "shape": [64]}],
        "outputs": ["y"],
        "tensors": [{"name": "y", "shape": [1 << 16]}],
        "segments": [
            {
                "name": "whole",
                "kind": "fixed",
                "inputs": ["image"],
                "outputs": ["y"],
                "options": [{**option, "bytes": len(content), "params": 1 << 22}],
            }
        ],
        "accuracy": {
            "metric": "top1",
            "data": "none",
            "original": 1.0,
            "link": {"x": [0.0, 1.0], "y": [1.0, 0.0]},
            "error": 0.0,
            "samples": 0,
        },
        "built": {"created": "now", "versions": {}, "seed": 0, "recipe": {}},
    }
    folder = tmp_path_factory.mktemp("heavy")
    (folder / "whole.tflite").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(document))
    return Store(folder)


_SHORT = """
import os
open_executor(store).close()  # packed
x = {{"image": np.zeros(64, np.float32)}}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
for kind in ("capi", "interpreter"):
    for left in range(0, 176, 8):
        pid = os.fork()
        if not pid:
            resource.setrlimit(resource.RLIMIT_AS, (used + left * 1_000_000,) * 2)
            try:
                executor = open_executor(store, kind)
                for threads in (1, 2):
                    executor.compose(covering_compositions(store, threads)[0]).run(x)
                os._exit(0)
            except LegoError as e:
                os._exit(1 if "StoreError" not in type(e).__name__ else 3)
            finally:
                os._exit(2)
        print(kind, left, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_address_space_that_runs_out_is_an_error_whatever_is_left(heavy_store: Store, tmp_path: Path) -> None:
    """LiteRT itself ends the process where the weights cannot be mapped."""
    printed = program(_OPEN.format(store=str(heavy_store.path)) + _SHORT.format(), tmp_path / "cache")
    ends: dict[str, list[int]] = {}
    for line in printed.splitlines():
        if line.startswith(("capi ", "interpreter ")):
            kind, _, code = line.split()
            ends.setdefault(kind, []).append(int(code))
    for codes in ends.values():
        assert set(codes) == {0, 1}, printed
        assert codes == sorted(codes, reverse=True), "more room, and yet an error"
    assert len(ends) == 2


def test_packed_weights_cut_short_in_place_end_only_a_worker(
    tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one thing that no check before use can rule out: the file's owner shortens it while it is mapped."""
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    executor = IsolatedExecutor(tiny_store)
    originals = tuple(Choice(s.name, s.original.name, 1) for s in tiny_store.manifest.segments)
    x = {"image": np.random.default_rng(0).random((12, 12, 1), np.float32)}
    composition = executor.compose(originals)
    expected = composition.run(x)["head"]
    executor.retain(originals)
    (weights,) = (tmp_path / "cache").rglob("weights.packed")
    weights.chmod(0o600)
    os.truncate(weights, 100)
    with pytest.raises(ExecutionError, match="was ended by SIGBUS; it was started again and only this request is lost"):
        composition.run(x)
    np.testing.assert_array_equal(composition.run(x)["head"], expected)
    executor.close()


def test_a_worker_that_hangs_is_ended(tiny_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = IsolatedExecutor(tiny_store)
    originals = tuple(Choice(s.name, s.original.name, 1) for s in tiny_store.manifest.segments)
    composition = executor.compose(originals)
    x = {"image": np.zeros((12, 12, 1), np.float32)}
    expected = composition.run(x)["head"]
    assert executor.pid
    os.kill(executor.pid, signal.SIGSTOP)
    monkeypatch.setattr(isolated, "_TIMEOUT_S", 10.0)
    with pytest.raises(ExecutionError, match="did not answer and was ended"):
        composition.run(x)
    np.testing.assert_array_equal(composition.run(x)["head"], expected)
    executor.close()


INFERENCES, SWITCHES, THREADS = 1_000_000, 10_000, 4


@pytest.mark.timeout(3600)
def test_a_million_inferences_and_ten_thousand_switches(tiny_store: Store, tiny_store2: Store) -> None:
    """From four threads, while a fifth switches both models at random: every output is that of the plan it claims, and
    at the end there are no more threads and file descriptors than at the beginning, and no more memory."""
    stores = {"tiny": tiny_store, "tiny2": tiny_store2}
    rng = np.random.default_rng(0)
    images = {n: rng.random((8, *s.manifest.inputs[0].shape), np.float32) for n, s in stores.items()}
    with Runtime.open([s.path for s in stores.values()]) as runtime:
        plans = every_plan(runtime.plan, stores)
        answers = {name: answers_of(stores[name], plans, name, images[name]) for name in stores}
        wrong: list[str] = []
        served = [0] * THREADS
        enough = threading.Event()

        def serve(thread: int) -> None:
            drawn = random.Random(thread)
            while not enough.is_set():
                name = drawn.choice(("tiny", "tiny2"))
                i = drawn.randrange(8)
                inference = runtime.run(name, images[name][i])
                (output,) = inference.outputs.values()
                if not np.array_equal(output, answers[name][inference.plan.model_dump_json()][i]):
                    wrong.append(f"{name} image {i} under {inference.plan}")
                served[thread] += 1

        threads = [threading.Thread(target=serve, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        drawn = random.Random(99)
        states = []
        for number in range(SWITCHES):
            while sum(served) < INFERENCES * number // SWITCHES:
                time.sleep(0.0005)
            runtime.plan = drawn.choice(plans)
            if number in (SWITCHES // 10, SWITCHES - 1):
                states.append(state())
        while sum(served) < INFERENCES:
            time.sleep(0.01)
        enough.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    before, after = states
    assert after[0] <= before[0] + 4, "file descriptors leak"
    assert after[1] <= before[1] + 4, "threads leak"
    assert after[2] - before[2] < 8e6, f"memory grew from {before[2]} to {after[2]} bytes"


def state() -> tuple[int, int, int]:
    process = psutil.Process()
    return process.num_fds(), process.num_threads(), process.memory_info().rss


def every_plan(plan: Plan, stores: dict[str, Store]) -> list[Plan]:
    """One hundred random combinations of options and thread counts."""
    drawn = random.Random(1)
    plans = []
    for _ in range(100):
        models = []
        for model in plan.models:
            options = {b.name: drawn.choice(b.options).name for b in stores[model.name].manifest.blocks}
            models.append(model.model_copy(update={"options": options, "threads": drawn.choice((1, 2))}))
        plans.append(plan.model_copy(update={"models": tuple(models)}))
    return plans


def answers_of(store: Store, plans: list[Plan], name: str, images: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return the output for every image under each plan of a model, computed by an executor of its own."""
    executor = open_executor(store)
    answers: dict[str, list[np.ndarray]] = {}
    for plan in [*plans]:
        model = plan[name]
        composition = executor.compose(planned_choices(store, model))
        outputs = [composition.run({store.manifest.inputs[0].name: x}) for x in images]
        answers[model.model_dump_json()] = [next(iter(o.values())) for o in outputs]
        executor.retain(planned_choices(store, model))
    executor.close()
    return answers
