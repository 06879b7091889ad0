"""A signal handler that needs what it has interrupted is told so, where it would wait for ever."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.arrays import AnyArray
from legodnn.errors import ClosedError, ExecutionError
from legodnn.runtime.executors.base import Runnable
from legodnn.runtime.governing.governor import Governor
from legodnn.turn import turn
from tests.runtime.governing.scripted import Scripted
from tests.runtime.opened import KINDS, X, open_runtime


@pytest.fixture(params=KINDS)
def runtime(request: pytest.FixtureRequest, tiny_store: Store, tmp_path: Path) -> Iterator[Runtime]:
    opened = open_runtime(tiny_store, request.param, tmp_path)
    yield opened
    opened.close()


class Interrupted:
    """A model that a signal comes to while it runs."""

    def __init__(self, model: Runnable) -> None:
        self.model = model

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        signal.raise_signal(signal.SIGUSR1)
        return self.model.run(inputs)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "ask",
    [
        lambda runtime: runtime.infer("tiny", X),
        lambda runtime: setattr(runtime, "budget", Budget(memory_bytes=runtime.plan.memory_bytes)),
        lambda runtime: runtime.close(),
    ],
)
def test_a_handler_that_needs_the_model_that_it_interrupts_is_told_so(
    runtime: Runtime, ask: Callable[[Runtime], None]
) -> None:
    expected, model, told = runtime.infer("tiny", X), runtime._models["tiny"], []

    def handle(*_: object) -> None:
        with pytest.raises(ExecutionError, match="'tiny' is in use by what this signal handler has interrupted") as e:
            ask(runtime)
        told.append(e)

    assert model._running
    model._running = (Interrupted(model._running[0]), *model._running[1:])
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        np.testing.assert_array_equal(runtime.infer("tiny", X), expected)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(told) == 1


def test_other_threads_wait() -> None:
    lock, order = threading.RLock(), []

    def second() -> None:
        with turn(lock, "this"):
            order.append(2)

    with turn(lock, "this"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append(1)
    thread.join()
    assert order == [1, 2]


def test_a_runtime_whose_closing_was_refused_is_open_and_can_be_closed(runtime: Runtime) -> None:
    model = runtime._models["tiny"]

    def handle(*_: object) -> None:
        with pytest.raises(ExecutionError, match="do this afterwards"):
            runtime.close()

    assert model._running
    model._running = (Interrupted(model._running[0]), *model._running[1:])
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        runtime.infer("tiny", X)
        with turn(runtime._changing, "this runtime"):
            handle()
        runtime.infer("tiny", X)
    finally:
        signal.signal(signal.SIGUSR1, before)
    runtime.close()
    with pytest.raises(ClosedError):
        runtime.infer("tiny", X)
    assert model._closed


@pytest.mark.timeout(60)
def test_a_handler_that_closes_the_governor_amid_an_inference_is_told_so(tiny_store: Store) -> None:
    """The governor's thread may be waiting for the very model that the handler has interrupted."""
    told = []
    with Runtime.open([tiny_store.path]) as runtime, Governor(runtime, monitor=Scripted()) as governor:
        model = runtime._models["tiny"]

        def handle(*_: object) -> None:
            with pytest.raises(ExecutionError, match="'tiny' is in use") as e:
                governor.close()
            told.append(e)

        assert model._running
        model._running = (Interrupted(model._running[0]), *model._running[1:])
        before = signal.signal(signal.SIGUSR1, handle)
        try:
            runtime.infer("tiny", X)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert told
        governor.step()  # it is open


@pytest.mark.timeout(60)
def test_a_handler_may_ask_what_was_learned_amid_a_note_of_it(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        governor = Governor(runtime, monitor=Scripted())
        for lock in (governor._tails._lock, governor._slowdowns._lock):
            with lock:  # as a note holds it that a signal comes to
                assert governor.learned("tiny") == ()
                assert governor._slowdowns.ratios(1) == {}
