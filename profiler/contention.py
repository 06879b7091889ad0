"""How much slower each model runs while another one runs: pairs of models, in two threads as in a runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Array
from legodnn.profile import Contention, Profile
from legodnn.profiler.bench import random_inputs
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

_TURNS = 6
_LEAST_RUNS = 4


def with_contention(
    stores: Sequence[Store], profiles: Sequence[Profile], seconds: float = 3.0, progress: Progress = no_progress
) -> list[Profile]:
    """The profiles of stores that will run together, completed by how they slow each other down.

    Args:
        stores, profiles: of the same models, at least two. For the rest see `measure_contention`.
    """
    found = measure_contention(stores, seconds, progress)
    return [p.model_copy(update={"contention": c}) for p, c in zip(profiles, found, strict=True)]


def measure_contention(
    stores: Sequence[Store], seconds: float, progress: Progress = no_progress
) -> list[tuple[Contention, ...]]:
    """For each store, how much slower its originals run while those of each other store run without pause.

    Args:
        stores: at least two.
        seconds: time for each ordered pair.
        progress: is told how many pairs have been measured.
    """
    with ExitStack() as opened:
        models = [_open_originals(store, opened) for store in stores]
        task = opened.enter_context(progress("contention", len(stores) * (len(stores) - 1)))
        found: list[tuple[Contention, ...]] = []
        for model in models:
            row = []
            for other, store in zip(models, stores, strict=True):
                if other is not model:
                    slowdown = max(1.0, _slowdown(model, other, seconds))
                    row.append(Contention(store_id=store.id, model=store.name, slowdown=slowdown))
                    task.step()
            found.append(tuple(row))
    return found


@dataclass(frozen=True, eq=False)
class _RunnableModel:
    """A composition and the inputs that it runs on."""

    composition: ComposedModel
    inputs: Mapping[str, Array]

    def run(self) -> None:
        self.composition.run(self.inputs)


def _open_originals(store: Store, opened: ExitStack) -> _RunnableModel:
    executor = opened.enter_context(closing(open_executor(store)))
    originals = tuple(Choice(s.name, s.original.name, 1) for s in store.manifest.segments)
    return _RunnableModel(executor.compose(originals), random_inputs(store))


def _slowdown(model: _RunnableModel, other: _RunnableModel, seconds: float) -> float:
    """How many times longer a model takes beside another than alone, by medians; both are timed in turns."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(_TURNS):
        alone += _run_times(model, seconds / _TURNS / 2)
        with _RunningBeside(other):
            beside += _run_times(model, seconds / _TURNS / 2)
    return float(np.median(beside) / np.median(alone))


def _run_times(model: _RunnableModel, seconds: float) -> list[float]:
    """Run a model for so many seconds, after one run that warms up; returns the seconds that each run took."""
    model.run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        model.run()
        times.append(time.perf_counter() - start)
    return times


class _RunningBeside:
    """Runs a model without pause in a thread of its own, from the beginning of a `with` statement to its end.

    If a run fails, the end of the `with` statement raises its error.
    """

    def __init__(self, model: _RunnableModel) -> None:
        self._model = model
        self._ended = threading.Event()
        self._began = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        try:
            while not self._ended.is_set():
                self._model.run()
                self._began.set()
        except BaseException as e:
            self._failure = e
            self._began.set()

    def __enter__(self) -> None:
        self._thread.start()
        self._began.wait()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure:
            raise self._failure
