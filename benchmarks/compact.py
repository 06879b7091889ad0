"""Compact models: what they take of memory and time, against the same models as they run otherwise.

    python benchmarks/compact.py --json > benchmarks/results/compact.json
    python benchmarks/compact.py --quick

Whole networks with random weights, in float32 and int8, run both ways in turn on one thread. Memory is what a process
holds after a few inferences, each way in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from typing import Any

import numpy as np

from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.store import Store
from support import untrained
from support.originals import SETTLING_RUNS, held_bytes, image
from support.report import Bars, Figures, bar, run, spread

MODELS = ("resnet20", "vgg16-half", "resnet18", "unet", "mobilenetv2", "resnet50")
PRECISIONS = ("float32", "int8")


def switched(executor: CApiExecutor, precision: str, compact: bool) -> ComposedModel:
    """Switch to the model of one precision, as a runtime does."""
    choices = (Choice("model", precision, 1, compact=compact),)
    model = executor.compose(choices)
    executor.retain(choices)
    return model


def held(path: str, precision: str, compact: bool) -> int:
    """Return the bytes that the model takes in this process, which should be a fresh one."""
    store = Store(path)
    inputs = image(store)
    return held_bytes(store, lambda: partial(switched(CApiExecutor(store), precision, compact).run, inputs))


def timed(store: Store, precision: str, rounds: int) -> Figures:
    """Run a model both ways in turn."""
    inputs = image(store)
    executors = [CApiExecutor(store), CApiExecutor(store)]
    models = {bool(n): switched(executor, precision, bool(n)) for n, executor in enumerate(executors)}
    same = [model.run(inputs)["y"] for _ in range(SETTLING_RUNS) for model in models.values()]
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for compact, model in models.items():
            start = time.perf_counter()
            model.run(inputs)
            times[compact].append(1e3 * (time.perf_counter() - start))
    for executor in executors:
        executor.close()
    ratios = np.divide(times[True], times[False])
    return {
        "same_outputs": all(np.array_equal(y, same[0]) for y in same),
        "ms": spread(times[False]),
        "compact_ms": spread(times[True]),
        "times": float(np.median(ratios)),
        "times_quartiles": [float(q) for q in np.percentile(ratios, [25, 75])],
    }


def measured(store: Store, precision: str, rounds: int) -> Figures:
    """Measure one network in one precision."""
    found: dict[str, Any] = {}
    for key, compact in (("bytes", "0"), ("compact_bytes", "1")):
        command = [sys.executable, __file__, "--measure", str(store.path), precision, compact]
        found[key] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    share = found["compact_bytes"] / found["bytes"]
    return {**found, "share_of_memory": share, **timed(store, precision, rounds)}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure every network in both precisions."""
    figures: Figures = {}
    for name in MODELS[: 1 if args.quick else None]:
        store = untrained.both_precisions(name, args.stores / name)
        for precision in PRECISIONS:
            figures[f"{name}, {precision}"] = measured(store, precision, 20 if args.quick else 400)
    bars = [bar(f"{name}: compact memory / other", row["share_of_memory"], 1.0) for name, row in figures.items()]
    return figures, bars


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        place, kind, small = sys.argv[sys.argv.index("--measure") + 1 :]
        print(held(place, kind, small == "1"))
    else:
        run("compact", __doc__, measure, folders=["stores"])
