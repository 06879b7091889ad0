"""Energy of inferences and switches, measured by one of the meters of `legodnn.profiler.meters`."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from legodnn.profile import Energy, OptionKey
from legodnn.profiler.bench import Bench
from legodnn.profiler.meters import Meter
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress


def measure_energy(
    bench: Bench, meter: Meter, stage: StageState | None = None, progress: Progress = no_progress
) -> tuple[dict[OptionKey, float], Energy]:
    """The energy of a run of each option, and of a switch, beyond what the idle device takes.

    At the first of the bench's thread counts. Each option runs on its own, on whatever its input tensors hold, since
    the values of weights and activations hardly matter to the time that it takes. The bench cannot be used afterwards,
    because switches unload options.

    Args:
        bench: the options.
        meter: the meter.
        stage: holds the millijoules of each option that an interrupted measurement by this meter measured, by
            (segment, option); all are saved after each option.
        progress: is told how many options have been measured.

    Returns:
        Millijoules of each option, and how they were measured.

    Raises:
        ProfileError: the meter failed.
    """
    stage = stage or StageState()
    threads, window = bench.threads[0], meter.window_s
    idle_w = 0.0 if meter.estimate else meter.joules(lambda: time.sleep(window)) / window
    bench.by_segments((0,) * len(bench.segments), threads).run(bench.inputs)

    found = dict(stage.done)
    total = sum(map(len, bench.options))
    with progress(f"energy of {bench.store.name}", total, len(found)) as task:
        for s, (segment, options) in enumerate(zip(bench.segments, bench.options, strict=True)):
            for i, option in enumerate(options):
                if (segment.name, option.name) in found:
                    continue
                numbers = [0] * len(bench.segments)
                numbers[s] = i
                run = bench.by_segments(numbers, threads).steps[s]
                found[segment.name, option.name] = np.array(_millijoules(run, meter, idle_w))
                stage.save(found)
                task.step()
    switch_mj = _switch_millijoules(bench, threads, meter, idle_w)
    energies = {key: float(millijoules) for key, millijoules in found.items()}
    return energies, Energy(meter=meter.name, estimate=meter.estimate, idle_w=idle_w, switch_mj=switch_mj)


def _switch_millijoules(bench: Bench, threads: int, meter: Meter, idle_w: float) -> float:
    """Millijoules of a switch between the first and the last options: what two of them add to two runs, halved."""
    ends = [tuple(n % len(o) for o in bench.options) for n in (0, -1)]
    compositions = [bench.composed(numbers, threads) for numbers in ends]

    def run_both() -> None:
        for composition in compositions:
            composition.run()

    def switch_to_both() -> None:
        for numbers in ends:
            bench.switch_and_run(numbers, threads)

    run_mj = _millijoules(run_both, meter, idle_w)
    return max(0.0, _millijoules(switch_to_both, meter, idle_w) - run_mj) / 2


def _millijoules(work: Callable[[], object], meter: Meter, idle_w: float) -> float:
    """Millijoules of one call, beyond the idle device's: the mean over as many calls as fill the meter's window."""
    count, seconds = 0, 0.0

    def repeat() -> None:
        nonlocal count, seconds
        start = time.monotonic()
        while time.monotonic() - start < meter.window_s:
            work()
            count += 1
        seconds = time.monotonic() - start

    joules = meter.joules(repeat)
    return max(0.0, joules - idle_w * seconds) / count * 1e3
