"""What a switch costs, against reloading a whole model.

    python benchmarks/switch.py --json > benchmarks/results/switch.json
    python benchmarks/switch.py --quick

A model switches from its originals to its first descendants and back, in one, half or all of its blocks, in turns with
what one does without this package: open the undivided model's file with the public Interpreter. Measured of both are
wall time, CPU time, bytes read by system calls, page faults, and how much longer the first inference takes than the
next. `warm` has files in the page cache; for `cold` they are thrown out of it first. Opening a store, in a process
that has not seen it, with and without packed weights in the cache folder, is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.plan import ModelPlan
from legodnn.runtime.executors.base import Choice, covering_compositions
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.executors.weight_cache import entry_path
from legodnn.store import Store
from support import untrained
from support.originals import image, running
from support.report import Bars, Figures, bar, run, spread

_PLAN = ModelPlan(name="model")


def counters() -> np.ndarray:
    """Return this process's counters: wall ms, CPU ms, bytes read, page faults served from memory and from disk."""
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return np.array(
        [time.perf_counter() * 1e3, time.process_time() * 1e3, int(io["rchar"]), usage.ru_minflt, usage.ru_majflt]
    )


def measured(change: Callable[[], Any], infer: Callable[[], Any]) -> dict[str, float]:
    """Return what a change takes, and how much more the inference after it takes than the next one."""
    start = counters()
    change()
    changed = counters()
    infer()
    first = counters()
    infer()
    second = counters()
    spent, extra = changed - start, (first - changed) - (second - first)
    return {
        "ms": spent[0],
        "cpu_ms": spent[1],
        "bytes_read": spent[2],
        "faults": spent[3] + spent[4],
        "first_inference_ms": (first - changed)[0],
        "first_inference_extra_ms": extra[0],
        "first_inference_extra_cpu_ms": extra[1],
        "next_inference_ms": (second - first)[0],
    }


def drop(*files: Path) -> None:
    """Throw files out of the page cache."""
    for file in files:
        fd = os.open(file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def compare(store: Store, whole: Store, rounds: int) -> Figures:
    """Measure one model: switches of one block, half and all of them, and reloading, in turns."""
    x, model = image(store), running(store)
    (pixels,) = x.values()
    originals = covering_compositions(store)[0]
    blocks = [b.name for b in store.manifest.blocks]
    kinds = {"one block": blocks[len(blocks) // 2 :][:1], "half": blocks[::2], "all blocks": blocks}
    packed = entry_path(store) / "weights.packed"
    file = whole.path / "whole.tflite"

    def to(replaced: list[str]) -> tuple[Choice, ...]:
        return tuple(Choice(c.segment, "s0.5", 1) if c.segment in replaced else c for c in originals)

    interpreter: Any = None

    def reload() -> None:
        nonlocal interpreter
        interpreter = open_interpreter(1, model_path=str(file))

    def interpreted() -> None:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[np.newaxis])
        interpreter.invoke()
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(-1, rounds):
        for temperature in ("warm", "cold"):
            done: dict[str, dict[str, float]] = {}
            for name, replaced in kinds.items():
                # There and back, so that small blocks and large ones are loaded equally often.
                for direction, choices in (("to pruned", to(replaced)), ("to originals", originals)):
                    if temperature == "cold":
                        model.executor.retain(())
                        drop(packed)
                    change = lambda c=choices: model.change(c, _PLAN)  # noqa: E731
                    done[f"{name}, {direction}"] = measured(change, lambda: model.infer(x))
            interpreter = None
            if temperature == "cold":
                drop(file)
            done["reload"] = measured(reload, interpreted)
            if number >= 0:
                for name, row in done.items():
                    rows.setdefault(f"{temperature}, {name}", []).append(row)
    return {name: {key: spread([r[key] for r in found]) for key in found[0]} for name, found in rows.items()}


_OPEN = """
import json, sys, time
from legodnn.runtime.executors.select import executor_name, open_executor
from legodnn.store import Store
times = [time.perf_counter()]
store = Store(sys.argv[1]); times.append(time.perf_counter())
executor_name(); times.append(time.perf_counter())
open_executor(store); times.append(time.perf_counter())
print(json.dumps([(b - a) * 1e3 for a, b in zip(times, times[1:])]))
"""


def opening(store: Store, rounds: int) -> Figures:
    """Open a store in fresh processes: what its verification, the executor's self-test, and loading take."""
    rows: dict[str, list[list[float]]] = {"packed": [], "not packed": []}
    for _ in range(rounds):
        for name in rows:
            if name == "not packed":
                shutil.rmtree(entry_path(store))
            command = [sys.executable, "-c", _OPEN, str(store.path)]
            rows[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    keys = ("verify_store_ms", "self_test_ms", "open_ms")
    return {
        name: {key: spread([row[i] for row in found]) for i, key in enumerate(keys)} for name, found in rows.items()
    }


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure both models."""
    figures: Figures = {}
    bars: Bars = []
    for name in ("resnet18",) if args.quick else ("resnet18", "vgg16"):
        store = untrained.build(name, args.stores / name)
        found = compare(store, untrained.undivided(args.stores / name), 3 if args.quick else 40)
        figures[name] = {**found, "opening": opening(store, 1 if args.quick else 5)}
        for way in ("to pruned", "to originals"):
            switch, reload = found[f"warm, all blocks, {way}"], found["warm, reload"]
            title = f"{name}, all blocks {way}"
            times = reload["ms"]["median"] / switch["ms"]["median"]
            bars.append(bar(f"{title}: reload's time / switch's", times, 30, "higher"))
            saved = 1 - switch["cpu_ms"]["median"] / reload["cpu_ms"]["median"]
            bars.append(bar(f"{title}: CPU time saved", saved, 0.95, "higher"))
            both = switch["cpu_ms"]["median"] + max(0.0, switch["first_inference_extra_cpu_ms"]["median"])
            figures[name][f"CPU time saved, first inference's extra included, {way}"] = (
                1 - both / reload["cpu_ms"]["median"]
            )
    return figures, bars


if __name__ == "__main__":
    run("switch", __doc__, measure, folders=["stores"])
