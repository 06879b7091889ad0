"""How much slower each model runs while another one does: pairs of models, in two threads as in a runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from legodnn.console import ProgressLine
from legodnn.profile import Contention
from legodnn.profiler.latency import input_of
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

_TURNS = 6
_LEAST_RUNS = 4


def measure_contention(stores: Sequence[Store], seconds: float) -> list[tuple[Contention, ...]]:
    """For each store, how much slower its originals run while each other's run without pause.

    Alone and beside the other take turns.

    Args:
        stores: at least two.
        seconds: for each ordered pair.
    """
    executors = [open_executor(store) for store in stores]
    composed = [
        executor.compose(tuple(Choice(s.name, s.original.name, 1) for s in store.manifest.segments))
        for executor, store in zip(executors, stores, strict=True)
    ]
    images = [input_of(store) for store in stores]
    found: list[tuple[Contention, ...]] = []
    with ProgressLine("contention", len(stores) * (len(stores) - 1)) as progress:
        for i in range(len(stores)):
            row = []
            for j, other in enumerate(stores):
                if j == i:
                    continue
                alone: list[float] = []
                beside: list[float] = []
                for _ in range(_TURNS):
                    _run(composed[i], images[i], seconds / _TURNS / 2, alone)
                    with _Running(composed[j], images[j]):
                        _run(composed[i], images[i], seconds / _TURNS / 2, beside)
                ratio = float(np.median(beside) / np.median(alone))
                row.append(Contention(store_id=other.id, model=other.name, slowdown=max(1.0, ratio)))
                progress.step()
            found.append(tuple(row))
    for executor in executors:
        executor.close()
    return found


def _run(composition: ComposedModel, image: dict[str, np.ndarray], seconds: float, times: list[float]) -> None:
    """Time runs for so long, after one that warms up."""
    composition.run(image)
    end = time.perf_counter() + seconds
    count = 0
    while count < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        composition.run(image)
        times.append(time.perf_counter() - start)
        count += 1


class _Running:
    """A model that runs without pause in a thread of its own; if it fails, that is raised when it is to end."""

    def __init__(self, composition: ComposedModel, image: dict[str, np.ndarray]) -> None:
        self._work = (composition, image)
        self._ended = threading.Event()
        self._began = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        composition, image = self._work
        try:
            while not self._ended.is_set():
                composition.run(image)
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
