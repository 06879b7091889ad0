"""How long inferences take at most that do not follow on others at once, as those of a model that runs at a rate.

While a model pauses, its processor does something else or sleeps: the next inference finds caches emptied and, perhaps,
a lower clock. A small model may take twice as long as when it runs again and again. Random compositions are predicted
and then run after pauses, and the profile keeps by which factor the slowest ones are above their predictions
(`legodnn.tail`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from legodnn.profile import ChainOverhead, Latency, OptionKey
from legodnn.profiler.bench import Bench
from legodnn.profiler.profiling_state import StageState
from legodnn.profiler.validation import predict
from legodnn.progress import Progress, no_progress
from legodnn.tail import Tail, tail_of

# A camera's, at 30 frames a second. Most of what a pause costs is there after it, but longer ones cost more.
_PAUSE_S = 0.03
_INFERENCES = 8  # of each composition, after one that is not timed


def tails_after_pauses(
    bench: Bench,
    latencies: Mapping[OptionKey, Sequence[Latency]],
    overheads: Sequence[ChainOverhead],
    plans: int,
    stage: StageState | None = None,
    progress: Progress = no_progress,
) -> tuple[Tail, ...]:
    """The tail of inferences after pauses, at every thread count.

    Args:
        bench: the options.
        latencies, overheads: what predictions are made of, see `predict`.
        plans: number of random compositions; no tail is known if it is 0.
        stage: holds, by thread count, the milliseconds (plans, inferences) that an interrupted profiling measured, and
            is saved after each thread count. Those of another number of compositions are not used.
        progress: is told how many compositions have been measured.
    """
    if not plans:
        return ()
    stage = stage or StageState()
    rng = random.Random(3)
    drawn = [bench.draw(rng) for _ in range(plans)]
    measured_ms = {threads: ms for threads, ms in stage.done.items() if ms.shape == (plans, _INFERENCES)}
    tails = []
    for threads in bench.threads:
        if threads not in measured_ms:
            label = f"{bench.store.name} after pauses, {threads} thread{'s' * (threads > 1)}"
            with progress(label, plans) as task:
                rows = []
                for plan in drawn:
                    rows.append(_milliseconds(bench, plan, threads))
                    task.step()
            measured_ms[threads] = np.array(rows)
            stage.save(measured_ms)
        predicted_ms = np.array(predict(bench, drawn, threads, latencies, overheads))
        tails.append(tail_of((measured_ms[threads] / predicted_ms[:, None]).tolist(), threads, "periodic"))
    return tuple(tails)


def _milliseconds(bench: Bench, plan: Sequence[int], threads: int) -> NDArray[np.float64]:
    composition, times = bench.composed(plan, threads), []
    composition.run()
    for _ in range(_INFERENCES):
        time.sleep(_PAUSE_S)
        times.append(composition.run_ms())
    return np.array(times)
