"""A process that is forked off cannot use what was opened before, and does it no harm."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ClosedError, LegoError
from legodnn.runtime.executors import isolated
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.governing.governor import Governor
from tests.runtime.governing.scripted import Scripted
from tests.runtime.opened import KINDS, X, calls, open_runtime


def forked(work: Callable[[], None], seconds: float = 300) -> None:
    """Do something in a process that is forked off, and leave it as any program ends."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        except BaseException as e:
            os.write(2, f"in the forked process: {e!r}\n".encode())
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the forked process hangs")


@pytest.fixture(params=KINDS)
def busy(request: pytest.FixtureRequest, tiny_store: Store, tmp_path: Path) -> Iterator[tuple[Runtime, Governor]]:
    """A runtime that is governed and used by a thread, so that its locks may be held when the process forks."""
    runtime = open_runtime(tiny_store, request.param, tmp_path)
    runtime.plan = with_threads(runtime.plan, 2)
    stop = threading.Event()

    def infer() -> None:
        while not stop.is_set():
            runtime.infer("tiny", X)

    thread = threading.Thread(target=infer)
    thread.start()
    with Governor(runtime, monitor=Scripted(), interval_s=0.01) as governor:
        yield runtime, governor
    stop.set()
    thread.join()
    runtime.close()


def answer(runtime: Runtime, x: np.ndarray = X) -> np.ndarray:
    return np.asarray(runtime.infer("tiny", x))


def with_threads(plan: Any, threads: int) -> Any:
    return plan.model_copy(update={"models": tuple(m.model_copy(update={"threads": threads}) for m in plan.models)})


def test_in_a_forked_process_every_call_says_to_open_one_there(busy: tuple[Runtime, Governor]) -> None:
    """And closing, dropping and ending there does nothing to the first process's."""
    runtime, governor = busy
    plan, expected = runtime.plan, answer(runtime)
    executor = runtime._models["tiny"].executor

    def work() -> None:
        for call in [*calls(runtime, plan), governor.step, governor.start, executor.elsewhere_bytes]:
            with pytest.raises(ClosedError, match="forked off, and cannot be used here; open one in this process"):
                call()
        governor.close()
        with runtime:
            pass
        executor.close()
        runtime._models.clear()
        gc.collect()

    for _ in range(3):
        forked(work)
        np.testing.assert_allclose(answer(runtime), expected, atol=1e-5)


def test_a_forked_process_opens_a_runtime_of_its_own(
    busy: tuple[Runtime, Governor], tiny_store: Store, tmp_path: Path
) -> None:
    runtime, _ = busy
    expected = answer(runtime)
    kind = "isolated" if isinstance(runtime._models["tiny"].executor, IsolatedExecutor) else None

    def work() -> None:
        with Runtime.open([tiny_store.path], isolated=kind is not None) as own:
            np.testing.assert_allclose(answer(own), expected, atol=1e-5)
            own.budget = Budget(memory_bytes=own.plan.memory_bytes)

    forked(work)
    np.testing.assert_allclose(answer(runtime), expected, atol=1e-5)


ENDS = """
import os, sys
import numpy as np
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.select import (open_executor)
from legodnn.runtime.executors import isolated
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.store import Store
store, kind = Store(sys.argv[1]), sys.argv[2]
executor = IsolatedExecutor(store) if kind == "isolated" else open_executor(store, kind)
composition = executor.compose(covering_compositions(store, 2)[0])
x = {"image": np.zeros((12, 12, 1), np.float32)}
y = composition.run(x)["head"]
pid = os.fork()
if pid:
    print("child", os.waitpid(pid, 0)[1])
    assert np.array_equal(composition.run(x)["head"], y)
    executor.close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_process_ends_as_any_does(kind: str, tiny_store: Store) -> None:
    """A forked process that ends as Python does by itself, which drops everything that was opened before."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(tiny_store.path), kind],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "child 0\n"


def test_an_isolated_model_ends_by_itself_while_a_forked_process_lives(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although that has the socket open too, at whose end the model's process ends. It need not be killed."""
    monkeypatch.setattr(isolated, "_END_S", 10.0)
    executor = IsolatedExecutor(tiny_store)
    worker = executor._worker
    assert worker
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    try:
        executor.close()
        assert worker.process.returncode == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_two_processes_never_get_each_others_answers(tiny_store: Store, tmp_path: Path) -> None:
    """As web servers do it: opened before forking, used in the parent and in four children."""
    with open_runtime(tiny_store, "isolated", tmp_path) as runtime:
        images = np.random.default_rng(1).random((8, 12, 12, 1), np.float32)
        expected = [answer(runtime, x) for x in images]

        def use() -> list[int]:
            wrong = []
            for turn in range(40):
                try:
                    if not np.array_equal(answer(runtime, images[turn % 8]), expected[turn % 8]):
                        wrong.append(turn)
                except LegoError:
                    continue
            return wrong

        children = []
        for _ in range(4):
            pid = os.fork()
            if not pid:
                os._exit(len(use()))
            children.append(pid)
        assert use() == []
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
