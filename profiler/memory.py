"""Memory and load time of every option, weighed in fresh processes.

A process loads one option after another, runs each once and keeps it, so that nothing is reused and what an option
adds is what the process grows by. Proportional set size (PSS) counts private pages whole and shared pages by share;
where the system does not tell it, resident size is used. Several processes do this in different orders.

    python -m legodnn.profiler.memory STORE SEED

prints the measurements of one process as JSON.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import subprocess
import sys
import time

import numpy as np

from legodnn.console import Progress
from legodnn.errors import ProfileError
from legodnn.runtime.device import process_memory_bytes, release_freed_memory
from legodnn.runtime.switcher import Choice, load
from legodnn.store import Store

Key = tuple[str, str]


def measure_memory(store: Store, processes: int = 3) -> dict[Key, tuple[int, float]]:
    """Memory (bytes) and load time (ms) of every option: the median over several fresh processes.

    Raises:
        ProfileError: a measuring process failed.
    """
    samples: dict[Key, list[tuple[int, float]]] = {}
    with Progress(f"weighing {store.name}", processes) as progress:
        for seed in range(processes):
            command = [sys.executable, "-m", "legodnn.profiler.memory", str(store.path), str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise ProfileError(f"the process that measures memory failed: {last}")
            for segment, option, memory, load_ms in json.loads(done.stdout):
                samples.setdefault((segment, option), []).append((memory, load_ms))
            progress.step()
    return {
        key: (round(statistics.median(m for m, _ in values)), statistics.median(t for _, t in values))
        for key, values in samples.items()
    }


def weigh(store: Store, seed: int) -> list[tuple[str, str, int, float]]:
    """(segment, option, bytes, load ms) of every option, measured in this process in random order."""
    specs = store.manifest.specs
    tasks = [(s, o) for s in store.manifest.segments for o in s.options]
    random.Random(seed).shuffle(tasks)
    kept = []
    results = []
    gc.disable()
    for warm_up, (segment, option) in [(True, tasks[0]), *((False, task) for task in tasks)]:
        tensors = {name: np.zeros((1, *specs[name].shape), np.float32) for name in segment.inputs}
        release_freed_memory()  # else the option would move into holes that are counted already
        before, start = process_memory_bytes(), time.perf_counter()
        executor = load(store, Choice(segment.name, option.name, 1))
        load_ms = (time.perf_counter() - start) * 1e3
        executor.run(tensors)
        kept.append(executor)
        if not warm_up:
            results.append((segment.name, option.name, max(0, process_memory_bytes() - before), load_ms))
    return results


if __name__ == "__main__":
    print(json.dumps(weigh(Store(sys.argv[1]), int(sys.argv[2]))))
