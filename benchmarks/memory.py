"""Whether the memory limit holds: two models under random budgets, peaks during switches included.

    python benchmarks/memory.py --json > benchmarks/results/memory.json
    python benchmarks/memory.py --quick

ResNet-18 and VGG16-half are profiled, then run under budgets drawn between the smallest plan and the originals. Each
budget is set and both models run three times, while another process reads this one's memory as fast as it can. `peak`
is the most that it read from the moment at which the old budget was left, less what the process had before the models;
during a switch the limit is the larger of the two budgets. `measured` is read at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

import numpy as np

from legodnn.profile import Profile, default_path
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget
from support import untrained
from support.originals import image
from support.report import Bars, Figures, bar, run, spread

MODELS = ("resnet18", "vgg16-half")

# Reads a process's memory until its input is closed; then prints, for each reading, when it began and when it ended (by
# the system's monotonic clock), and the bytes.
_SAMPLER = """
import sys, threading, time
from legodnn.runtime.device.memory import process_memory_bytes
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
samples = []
while not done.is_set():
    start = time.monotonic()
    held = process_memory_bytes(sys.argv[1])
    samples.append(f"{start} {time.monotonic()} {held}")
    time.sleep(0.0005)
print("\\n".join(samples))
"""


def profiled(store: Store) -> Profile:
    """Return the store's profile, measured here if there is none."""
    path = default_path(store.path)
    if not path.exists():
        profile_store(store, Effort(seconds=2.0, plans=0)).save(path)
    return Profile.load(path)


def bounds(profile: Profile, store: Store) -> tuple[int, int]:
    """Return the memory, in bytes, that is predicted of the smallest options and of the originals."""
    sizes = {(o.segment, o.option): o.memory_bytes for o in profile.options}
    segments = store.manifest.segments
    least = sum(min(sizes[s.name, o.name] for o in s.options) for s in segments)
    return least, sum(sizes[s.name, s.original.name] for s in segments)


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Set random budgets, and measure the memory that the models hold under each."""
    stores = {name: untrained.build(name, args.stores / name) for name in MODELS}
    limits = [bounds(profiled(store), store) for store in stores.values()]
    least, most = (sum(column) for column in zip(*limits, strict=True))
    rng = random.Random(0)
    budgets = [least + round(rng.random() * (most - least)) for _ in range(10 if args.quick else 200)]
    images = {name: next(iter(image(store).values())) for name, store in stores.items()}
    steps: list[dict[str, float]] = []
    with Runtime.open([s.path for s in stores.values()], Budget(memory_bytes=most)) as runtime:
        sampler = subprocess.Popen(
            [sys.executable, "-c", _SAMPLER, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        before = most
        for limit in budgets:
            start = time.monotonic()
            runtime.budget = Budget(memory_bytes=limit)
            switched = time.monotonic()
            for _ in range(3):
                for name, x in images.items():
                    runtime.infer(name, x)
            steps.append(
                {
                    "limit": limit,
                    "limit_during_switch": max(limit, before),
                    "predicted": runtime.plan.memory_bytes,
                    "measured": runtime.memory_bytes,
                    "start": start,
                    "switched": switched,
                    "end": time.monotonic(),
                    "switch_ms": runtime.last_switch.switch_ms,
                }
            )
            before = limit
        lines = sampler.communicate("")[0].splitlines()
        base = runtime.base_memory_bytes
    began, ended, sizes = np.array([[float(v) for v in line.split()] for line in lines]).T
    for step in steps:
        for name, first, last in (("switching", "start", "switched"), ("running", "switched", "end")):
            inside = (began >= step[first]) & (ended <= step[last])
            step[f"peak_{name}"] = float(sizes[inside].max() - base) if inside.any() else 0.0
        step["excess"] = max(
            _excess(max(step["peak_running"], step["measured"]), step["limit"]),
            _excess(step["peak_switching"], step["limit_during_switch"]),
        )
    errors = [abs(s["predicted"] - s["measured"]) / s["measured"] for s in steps]
    figures = {
        "budgets": len(steps),
        "least_bytes": least,
        "most_bytes": most,
        "samples": len(sizes),
        "measured / limit": spread([s["measured"] / s["limit"] for s in steps]),
        "peak / limit": spread([s["peak_running"] / s["limit"] for s in steps]),
        "prediction_error": spread(errors),
        "signed_prediction_error": spread([s["predicted"] / s["measured"] - 1 for s in steps]),
        "switch_ms": spread([s["switch_ms"] for s in steps]),
        "worst": max(steps, key=lambda s: s["excess"]),
    }
    bars = [
        bar("budgets exceeded by more than 5 % or 2 MB, peaks included", sum(s["excess"] > 0 for s in steps), 0),
        bar("predicted against measured memory, median relative error", float(np.median(errors)), 0.05),
    ]
    return figures, bars


def _excess(held: float, limit: float) -> float:
    """Return by how many bytes more is held than the limit and 5 % of it or 2 MB; it is negative where less is held."""
    return held - limit - max(0.05 * limit, 2e6)


if __name__ == "__main__":
    run("memory", __doc__, measure, folders=["stores"])
