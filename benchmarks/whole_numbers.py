"""Blocks in int8 that meet in whole numbers, against the same blocks with floats between them, and the whole int8 file.

    python benchmarks/whole_numbers.py --json > benchmarks/results/whole_numbers.json
    python benchmarks/whole_numbers.py --quick

Whole networks with random weights, all blocks unpruned and in int8, run all three ways in turn on one thread. Memory is
what a process holds after a few inferences, each way in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.select import warm_up
from legodnn.store import Store
from support import untrained
from support.originals import image, running
from support.report import Bars, Figures, bar, run, spread

MODELS = ("resnet20", "resnet56", "vgg16-half", "resnet18", "unet", "mobilenetv2", "resnet50")
_SETTLING_RUNS, _PROCESSES = 3, 3


def held(path: str) -> int:
    """Return the bytes that a store's model takes in this process, which should be a fresh one."""
    store = Store(path)
    inputs = image(store)
    warm_up(store)
    release_freed_memory()
    base, model = process_memory_bytes(), running(store)
    for _ in range(_SETTLING_RUNS):
        model.infer(inputs)
    return process_memory_bytes() - base


def weighed(store: Store) -> int:
    """Return the median of what fresh processes hold."""
    command = [sys.executable, __file__, "--measure", str(store.path)]
    found = [
        int(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout) for _ in range(_PROCESSES)
    ]
    return sorted(found)[_PROCESSES // 2]


def timed(stores: dict[str, Store], rounds: int) -> Figures:
    """Run the model of each store in turn."""
    models = {kind: running(store) for kind, store in stores.items()}
    inputs = image(stores["whole"])
    for model in models.values():
        for _ in range(_SETTLING_RUNS):
            model.infer(inputs)
    times: dict[str, list[float]] = {kind: [] for kind in models}
    for _ in range(rounds):
        for kind, model in models.items():
            model.infer(inputs)  # caches hold the model before it
            start = time.perf_counter()
            model.infer(inputs)
            times[kind].append(1e3 * (time.perf_counter() - start))
    found: Figures = {"ms": {kind: spread(of) for kind, of in times.items()}}
    for kind, other in (("apart", "whole"), ("joined", "whole"), ("joined", "apart")):
        ratios = np.divide(times[kind], times[other])
        found[f"{kind}_over_{other}"] = float(np.median(ratios))
        found[f"{kind}_over_{other}_quartiles"] = [float(q) for q in np.percentile(ratios, [25, 75])]
    return found


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure every network."""
    figures: Figures = {}
    for name in MODELS[: 1 if args.quick else None]:
        stores = untrained.int8_compositions(name, args.stores / name)
        figures[name] = {
            "segments": len(stores["joined"].manifest.segments),
            "bytes": {kind: weighed(store) for kind, store in stores.items()},
            **timed(stores, 20 if args.quick else 400),
        }
    bars = [
        bar(f"{name}: joined memory / whole", f["bytes"]["joined"] / f["bytes"]["whole"], 1.1)
        for name, f in figures.items()
    ]
    bars += [bar(f"{name}: joined time / whole", row["joined_over_whole"], 1.1) for name, row in figures.items()]
    return figures, bars


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        print(json.dumps(held(sys.argv[-1])))
    else:
        run("whole_numbers", __doc__, measure, folders=["stores"])
