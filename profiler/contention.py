"""How much slower each model runs while another one runs: pairs of models, in two threads as in a runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import numpy as np

from legodnn.profile import Contention, Profile
from legodnn.profiler.bench import RunnableModel, random_inputs
from legodnn.profiler.beside import RunningBeside
from legodnn.profiler.company import tails_in_company
from legodnn.profiler.packing import open_measured
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors.base import Choice
from legodnn.store import Store
from legodnn.tail import last_of_each

_TURNS = 6
_LEAST_RUNS = 4


def with_contention(
    stores: Sequence[Store], profiles: Sequence[Profile], seconds: float = 3.0, progress: Progress = no_progress
) -> list[Profile]:
    """The profiles of stores that will run together, completed by how they slow each other down.

    That is `contention`, by the medians, and the tails after and beside each other (`company`).

    Args:
        stores, profiles: of the same models, at least two.
        seconds: time for each ordered pair, and for each of its tails.
        progress: is told how many pairs have been measured.
    """
    slowdowns = measure_contention(stores, seconds, progress)
    tails = tails_in_company(stores, profiles, seconds, progress)
    return [
        profile.model_copy(update={"contention": slowdown, "tail": last_of_each((*profile.tail, *measured))})
        for profile, slowdown, measured in zip(profiles, slowdowns, tails, strict=True)
    ]


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


def _open_originals(store: Store, opened: ExitStack) -> RunnableModel:
    executor = opened.enter_context(closing(open_measured(store)))
    originals = tuple(Choice(s.name, s.original.name, 1) for s in store.manifest.segments)
    return RunnableModel(store, executor.compose(originals), random_inputs(store))


def _slowdown(model: RunnableModel, other: RunnableModel, seconds: float) -> float:
    """How many times longer a model takes beside another than alone, by medians; both are timed in turns."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(_TURNS):
        alone += _run_times(model.run, seconds / _TURNS / 2)
        with RunningBeside(other.run):
            beside += _run_times(model.run, seconds / _TURNS / 2)
    return float(np.median(beside) / np.median(alone))


def _run_times(run: Callable[[], object], seconds: float) -> list[float]:
    """Run a model for so many seconds, after one run that warms up; returns the seconds that each run took."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times
