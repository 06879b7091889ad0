"""Streamed models: what they take of memory and time, against the same compositions with all weights in memory.

    python benchmarks/streaming.py --json > benchmarks/results/streaming.json
    python benchmarks/streaming.py --quick

Originals and smallest compositions run both ways in turn. Memory is the most that a process holds while the composition
runs, read after each segment. `warm` has the weights in the page cache, as between inferences of a device with memory
to spare; before each inference that is `cold` they are thrown out of it, so that storage has to give them again. What
reading the same bytes from storage takes by itself is measured beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.capi_executor import CApiExecutor, StreamedStep
from legodnn.runtime.executors.select import warm_up
from legodnn.runtime.executors.weight_cache import WEIGHTS, entry_path
from legodnn.store import Store
from support import untrained
from support.originals import image
from support.report import Bars, Figures, bar, run, spread

MODELS = ("resnet18", "vgg16-half")


def forget(file: Path) -> None:
    """Throw a file out of the page cache."""
    fd = os.open(file, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def milliseconds(call: Callable[[Any], Any], argument: Any) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call(argument)
    return 1e3 * (time.perf_counter() - start)


def most_held(model: ComposedModel, inputs: Any, base: int) -> int:
    """Return the most that this process holds beyond `base` while a model runs, read after each step."""
    model.put(inputs)
    held = 0
    for step in model.steps:
        (step.run if isinstance(step, StreamedStep) else step)()
        held = max(held, process_memory_bytes() - base)
        if isinstance(step, StreamedStep):
            step.drop()
    return held


def of_composition(path: str, which: str, rounds: int) -> Figures:
    """Measure one composition both ways in this process, which should be a fresh one."""
    store = Store(path)
    inputs, weights = image(store), entry_path(store) / WEIGHTS
    warm_up(store)
    release_freed_memory()
    base, executor = process_memory_bytes(), CApiExecutor(store)
    options = [s.options[0] if which == "originals" else min(s.options, key=lambda o: o.bytes)
               for s in store.manifest.segments]  # fmt: skip
    choices = {
        how: tuple(
            Choice(s.name, o.name, 1, how == "streamed") for s, o in zip(store.manifest.segments, options, strict=True)
        )
        for how in ("whole", "streamed")
    }
    found: Figures = {}
    for how, chosen in choices.items():
        model = executor.compose(chosen)
        executor.retain(chosen)
        model.run(inputs)
        found[f"{how}_bytes"] = most_held(model, inputs, base)
        del model
    models = {how: executor.compose(chosen) for how, chosen in choices.items()}
    same = [models[how].run(inputs) for how in choices]
    found["same_outputs"] = all(np.array_equal(same[0][name], same[1][name]) for name in same[0])
    times: dict[str, list[float]] = {how: [] for how in (*choices, "streamed cold", "reading")}
    for _ in range(rounds):
        for how, model in models.items():
            model.run(inputs)
            times[how].append(milliseconds(model.run, inputs))
    executor.retain(choices["streamed"])  # a mapping of what is in memory would keep it there
    for _ in range(max(3, rounds // 10)):
        forget(weights)
        times["streamed cold"].append(milliseconds(models["streamed"].run, inputs))
    size = sum(o.bytes for o in options)
    for _ in range(max(3, rounds // 10)):
        forget(weights)
        with weights.open("rb", buffering=0) as file:
            times["reading"].append(milliseconds(file.read, size))
    found["ms"] = {how: spread(values) for how, values in times.items()}
    found["times_whole"] = found["ms"]["streamed"]["median"] / found["ms"]["whole"]["median"]
    found["share_of_memory"] = found["streamed_bytes"] / found["whole_bytes"]
    return found


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure both compositions of every model, each in a process of its own."""
    figures: Figures = {}
    for name in MODELS[: 1 if args.quick else None]:
        store = untrained.build(name, args.stores / name)
        for which in ("originals", "smallest"):
            command = [sys.executable, __file__, "--measure", str(store.path), which, "5" if args.quick else "100"]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            figures[f"{name}, {which}"] = json.loads(done.stdout)
    bars = [bar(f"{name}: streamed memory / whole", row["share_of_memory"], 0.6) for name, row in figures.items()]
    bars += [bar(f"{name}: streamed time / whole", row["times_whole"], 1.5) for name, row in figures.items()]
    return figures, bars


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        at = sys.argv.index("--measure")
        print(json.dumps(of_composition(sys.argv[at + 1], sys.argv[at + 2], int(sys.argv[at + 3]))))
    else:
        run("streaming", __doc__, measure, folders=["stores"])
