"""A model in a process of its own gives the same answers, and its crash loses one request and nothing else.

Covers also: runtime.executors.worker.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ExecutionError, StoreError
from legodnn.runtime.executors.base import Choice, covering_compositions
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import open_executor


def image(seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).random((12, 12, 1), np.float32)}


@pytest.fixture(params=["capi", "interpreter"])
def executor(request: pytest.FixtureRequest, tiny_store: Store) -> Any:
    opened = IsolatedExecutor(tiny_store, request.param)
    yield opened
    opened.close()


def test_it_gives_what_the_same_executor_gives_in_this_process(executor: IsolatedExecutor, tiny_store: Store) -> None:
    own = open_executor(tiny_store, executor._kind)
    for choices in covering_compositions(tiny_store):
        assert executor.to_load(choices) == own.to_load(sorted(choices, key=lambda c: c.segment))
        expected = own.compose(choices).run(image())
        found = executor.compose(choices).run(image())
        executor.retain(choices)
        assert list(found) == ["head"]
        np.testing.assert_array_equal(found["head"], expected["head"])
    assert executor.elsewhere_bytes() > 0


def test_a_worker_killed_between_requests_is_not_even_noticed(executor: IsolatedExecutor, tiny_store: Store) -> None:
    composition = executor.compose(covering_compositions(tiny_store)[1])
    expected, pid = composition.run(image())["head"], executor.pid
    kill(executor)
    np.testing.assert_array_equal(composition.run(image())["head"], expected)
    assert executor.pid != pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_a_service_manager_sends_to_all_processes_is_left_to_the_application(
    executor: IsolatedExecutor, tiny_store: Store, number: signal.Signals
) -> None:
    """It may have requests to answer before it ends."""
    composition, pid = executor.compose(covering_compositions(tiny_store)[1]), executor.pid
    assert pid
    os.kill(pid, number)
    time.sleep(0.2)
    composition.run(image())
    assert executor.pid == pid


def test_a_worker_started_again_finds_its_store_from_another_current_folder(
    store_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store_copy.parent)
    with closing(IsolatedExecutor(Store(store_copy.name))) as executor:
        composition = executor.compose(covering_compositions(Store(store_copy))[0])
        expected = composition.run(image())["head"]
        monkeypatch.chdir("/")
        kill(executor)
        np.testing.assert_array_equal(composition.run(image())["head"], expected)


@pytest.mark.capi
def test_what_was_asked_for_counts_in_the_worker_whatever_the_environment_says(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does in this process."""
    monkeypatch.setenv("LEGODNN_EXECUTOR", "interpreter")
    choices = covering_compositions(tiny_store)[0]
    for kind, loaded in (("auto", ()), (None, choices)):  # of weights the Interpreter alone takes memory at once
        with closing(IsolatedExecutor(tiny_store, kind)) as executor:
            assert set(executor.to_load(choices)) == set(loaded)


def test_a_store_that_was_replaced_is_not_run_by_a_worker_started_again(store_copy: Path, tiny_store2: Store) -> None:
    """It would be run with the plan of the old one; and where its tensors have other shapes, the outputs of the
    inference before would be taken for its own."""
    with closing(IsolatedExecutor(Store(store_copy))) as executor:
        composition = executor.compose(covering_compositions(Store(store_copy))[0])
        composition.run(image())
        shutil.rmtree(store_copy)
        shutil.copytree(tiny_store2.path, store_copy)
        kill(executor)
        for _ in range(2):
            with pytest.raises(StoreError, match="was replaced after it was opened; open it again"):
                composition.run(image())


def kill(executor: IsolatedExecutor) -> None:
    """Kill the worker, and wait until it has ended."""
    assert executor.pid
    psutil.Process(executor.pid).kill()
    os.waitid(os.P_PID, executor.pid, os.WEXITED | os.WNOWAIT)  # all of its threads, and left for the executor to see


def test_errors_come_back_as_what_they_are(executor: IsolatedExecutor, tiny_store: Store) -> None:
    first, *rest = covering_compositions(tiny_store)[0]
    with pytest.raises(StoreError, match=r"has no option 's0\.9'"):
        executor.compose((type(first)(first.segment, "s0.9", 1), *rest))


def test_a_store_that_is_damaged_when_it_is_opened_is_a_store_error(store_copy: Path) -> None:
    store = Store(store_copy)
    (store_copy / store.manifest.segments[0].original.file).write_bytes(b"x")
    with pytest.raises(StoreError, match="has 1 bytes"):
        IsolatedExecutor(store)


def test_closing_ends_the_worker(tiny_store: Store) -> None:
    executor = IsolatedExecutor(tiny_store)
    pid = executor.pid
    executor.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("narrow", [False, True])
def test_a_worker_that_ends_at_the_end_of_a_switch_leaves_the_old_plan(
    tiny_store: Store, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the new blocks have been loaded, beside the old ones or in their place, and the old ones are let go."""
    with Runtime.open([tiny_store.path], isolated=True) as runtime:
        plan, executor, x = runtime.plan, runtime._models["tiny"].executor, image()["image"]
        assert isinstance(executor, IsolatedExecutor)
        expected, retain = runtime.infer("tiny", x), executor.retain
        smaller = {"options": dict.fromkeys(plan["tiny"].options, "s0.5")}
        budget = Budget(memory_bytes=plan.memory_bytes) if narrow else Budget()
        models = (plan["tiny"].model_copy(update=smaller),)

        def retain_and_die(choices: Collection[Choice]) -> None:
            if {c.option for c in choices} == {"s0.5", "s0"}:  # the new blocks, and the head
                assert executor._worker
                worker, connection = executor._worker.process, executor._worker._connection
                send = connection.send_bytes

                def send_and_kill(message: bytes) -> None:
                    send(message)
                    worker.kill()

                worker.send_signal(signal.SIGSTOP)  # it does not answer before it ends
                monkeypatch.setattr(connection, "send_bytes", send_and_kill)
            retain(choices)

        monkeypatch.setattr(executor, "retain", retain_and_die)
        with pytest.raises(ExecutionError, match="was ended by SIGKILL"):
            runtime.plan = plan.model_copy(update={"budget": budget, "models": models})
        answer = runtime.run("tiny", x)
        np.testing.assert_array_equal(answer.outputs["head"], expected)
        assert runtime.plan == plan
        assert answer.plan == plan["tiny"]


@pytest.mark.faults
def test_a_runtime_of_isolated_models_switches_and_survives_kills(tiny_store: Store, tiny_store2: Store) -> None:
    """kill -9 while inferences run: each gives the right answer or an ExecutionError, and the plan stays."""
    with Runtime.open([tiny_store.path, tiny_store2.path], isolated=True) as runtime:
        runtime.budget = Budget(memory_bytes=runtime.plan.memory_bytes)
        x, plan, worker = image()["image"], runtime.plan, runtime._models["tiny"].executor
        assert isinstance(worker, IsolatedExecutor)
        expected, lost, right, stop = runtime.infer("tiny", x), [], [], threading.Event()

        def kill() -> None:
            for _ in range(3):
                time.sleep(0.3)
                if pid := worker.pid:
                    with suppress(ProcessLookupError):  # it has been started again already
                        os.kill(pid, signal.SIGKILL)
            stop.set()

        killer = threading.Thread(target=kill)
        killer.start()
        while not stop.is_set():
            try:
                np.testing.assert_array_equal(runtime.infer("tiny", x), expected)
                right.append(1)
            except ExecutionError as e:
                lost.append(e)
        killer.join()
        np.testing.assert_array_equal(runtime.infer("tiny", x), expected)
        assert len(lost) <= 3
        assert right
        assert runtime.plan == plan
