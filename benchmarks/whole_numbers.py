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
from functools import partial

import numpy as np

from legodnn.store import Store
from support import untrained
from support.originals import held_bytes, image, running
from support.report import Bars, Figures, bar, run, spread
from support.timing import in_turns

MODELS = ("resnet20", "resnet56", "vgg16-half", "resnet18", "unet", "mobilenetv2", "resnet50")
_PROCESSES = 3


def held(path: str) -> int:
    """Return the bytes that a store's model takes in this process, which should be a fresh one."""
    store = Store(path)
    inputs = image(store)
    return held_bytes(store, lambda: partial(running(store).infer, inputs))


def weighed(store: Store) -> int:
    """Return the median of what fresh processes hold."""
    command = [sys.executable, __file__, "--measure", str(store.path)]
    found = [
        int(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout) for _ in range(_PROCESSES)
    ]
    return sorted(found)[_PROCESSES // 2]


def timed(stores: dict[str, Store], seconds: float) -> Figures:
    """Run the model of each store in turn."""
    inputs = image(stores["whole"])
    times = in_turns({kind: partial(running(store).infer, inputs) for kind, store in stores.items()}, seconds)
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
            **timed(stores, 1.0 if args.quick else 20.0),
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
