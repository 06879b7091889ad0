"""How far a profile's predictions are from what plans take, and whether two profiles agree.

    python benchmarks/profile_error.py --json > benchmarks/results/profile_error.json
    python benchmarks/profile_error.py --quick

ResNet-18 and VGG16-half are profiled twice, with 1 and 2 threads. Then 50 random plans of each run in turns: `profile`
compares the first profile's predictions with the times measured; `naive` does the same with sums of times of single
files, each measured, in turns too, as benchmark tools do it: the file runs alone, again and again, by the public
Interpreter. Memory of 20 of the plans is measured in fresh processes. Pairs of options of a block whose medians differ
by more than 5 % are compared as well: `pairs ranked equally` are those that both profiles put in the same order.

Tails are held against 50 other random plans, which run again and again (`alone`), or in turn with a plan of
the other model (`in turn`): `p95, median error` is the relative error of what 95 % of inferences are predicted to take,
over plans, and `coverage` the share of all inferences that keep it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from legodnn.profile import Profile
from legodnn.profiler import Effort, profile_store, with_contention
from legodnn.profiler.bench import Bench, RunnableModel
from legodnn.profiler.validation import measure_plans, predict
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.planning.tails import Companion, stretch, tails_of
from legodnn.store import Store
from legodnn.tail import DEFAULT_QUANTILE
from support import untrained
from support.report import Bars, Figures, bar, run, spread
from support.timing import in_turns

MODELS = ("resnet18", "vgg16-half")
THREADS = (1, 2)

# Prints by how many bytes a process grows that opens and runs a composition, measured as the profiler does it.
_MEASURE_MEMORY = """
import gc, json, sys
import numpy as np
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.store import Store

store = Store(sys.argv[1])
choices = tuple(Choice(s.name, name, 1) for s, name in zip(store.manifest.segments, json.loads(sys.argv[2])))
zeros = {i.name: np.zeros(i.shape, np.float32) for i in store.manifest.inputs}
gc.disable()
warm_up(store)
release_freed_memory()
base = process_memory_bytes()
executor = open_executor(store)
composition = executor.compose(choices)
executor.retain(choices)
composition.run(zeros)
print(process_memory_bytes() - base)
"""


def naive(store: Store, threads: int, seconds: float) -> dict[tuple[str, str], float]:
    """Return the median milliseconds of every option's file, run alone by the public Interpreter."""
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    for segment in store.manifest.segments:
        for option in segment.options:
            interpreter = open_interpreter(threads, model_path=str(store.verified_file(option)))
            runs[segment.name, option.name] = interpreter.invoke
    return {key: float(np.median(times)) for key, times in in_turns(runs, seconds).items()}


def latency_errors(store: Store, profile: Profile, threads: int, plans: int, seconds: float) -> dict[str, list[float]]:
    """Return the relative errors of both ways to predict latency, by way."""
    bench = Bench(store, (threads,))
    rng = random.Random(7)
    drawn = [bench.draw(rng) for _ in range(plans)]
    alone = naive(store, threads, seconds)
    measured = np.median(measure_plans(bench, drawn, threads, seconds)[:, :, 1:].reshape(plans, -1), axis=1)
    latency = {(o.segment, o.option): o.latency for o in profile.options}
    predicted = np.array(predict(bench, drawn, threads, latency, profile.chain))
    summed = np.array([sum(alone[c.segment, c.option] for c in bench.choices(d, threads)) for d in drawn])
    bench.close()
    return {"profile": list(predicted / measured - 1), "naive": list(summed / measured - 1)}


def tail_errors(
    store: Store, other: Store, profile: Profile, threads: int, plans: int, seconds: float
) -> dict[str, Figures]:
    """Return how far the 95th percentile is from the predicted one, and how many inferences keep that, by condition."""
    with closing(Bench(store, (threads,))) as bench, closing(Bench(other, (1,))) as beside:
        rng = random.Random(9)
        drawn = [bench.draw(rng) for _ in range(plans)]
        latency = {(o.segment, o.option): o.latency for o in profile.options}
        predicted_ms = np.array(predict(bench, drawn, threads, latency, profile.chain))
        alone_ms = measure_plans(bench, drawn, threads, seconds)[:, :, 1:].reshape(plans, -1)
        others = [beside.composed(beside.draw(rng), 1) for _ in drawn]
        models = [bench.composed(numbers, threads) for numbers in drawn]
        turns_ms = np.array(in_turn(models, others, seconds))
    found = {}
    for condition, times_ms, companions in (
        ("alone", alone_ms, ()),
        ("in turn", turns_ms, (Companion(other.id),)),
    ):
        promised = stretch(tails_of(profile, companions=companions), threads, DEFAULT_QUANTILE)
        assert promised is not None, "a profile of today knows this quantile"
        p95_ms = np.percentile(times_ms, 100 * DEFAULT_QUANTILE, axis=1)
        errors = promised * predicted_ms / p95_ms - 1
        kept = float(np.mean(times_ms <= promised * predicted_ms[:, None]))
        median = float(np.median(np.abs(errors)))
        found[condition] = {"signed": spread(list(errors)), "median": median, "coverage": kept, "stretch": promised}
    return found


def in_turn(models: Sequence[RunnableModel], others: Sequence[RunnableModel], seconds: float) -> list[list[float]]:
    """Return, for each of these pairs, the milliseconds of the model each time after the other ran.

    A pair runs so several times in a row, as in use; the first time, which follows on other pairs, is left out.
    """
    times: list[list[float]] = [[] for _ in models]
    end = time.monotonic() + seconds
    while len(times[0]) < 20 or time.monotonic() < end:
        for model, other, found in zip(models, others, times, strict=True):
            in_a_row = []
            for _ in range(5):
                other.run()
                in_a_row.append(model.run_ms())
            found += in_a_row[1:]
    return times


def memory_errors(store: Store, profile: Profile, plans: int) -> dict[str, list[float]]:
    """Return the relative errors of predicted memory; `naive` takes the files' bytes for it."""
    sizes = {(o.segment, o.option): o.memory_bytes for o in profile.options}
    rng = random.Random(8)
    errors: dict[str, list[float]] = {"profile": [], "naive": []}
    for _ in range(plans):
        chosen = [(s, rng.choice(s.options)) for s in store.manifest.segments]
        command = [sys.executable, "-c", _MEASURE_MEMORY, str(store.path), json.dumps([o.name for _, o in chosen])]
        measured = int(subprocess.run(command, capture_output=True, check=True).stdout)
        errors["profile"].append(sum(sizes[s.name, o.name] for s, o in chosen) / measured - 1)
        errors["naive"].append(sum(o.bytes for _, o in chosen) / measured - 1)
    return errors


def agreement(store: Store, first: Profile, second: Profile, threads: int) -> tuple[int, int]:
    """Return how many pairs of a block's options both profiles rank equally, and the number of pairs."""
    medians = [
        {(o.segment, o.option): e.median_ms for o in p.options for e in o.latency if e.threads == threads}
        for p in (first, second)
    ]
    equal = count = 0
    for block in store.manifest.blocks:
        for a, b in itertools.combinations(block.options, 2):
            one, other = (m[block.name, a.name] / m[block.name, b.name] for m in medians)
            if not 1 / 1.05 <= one <= 1.05:
                count += 1
                equal += (one > 1) == (other > 1)
    return equal, count


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure both stores, or with --quick one."""
    figures: Figures = {}
    bars: Bars = []
    plans, seconds = (8, 3.0) if args.quick else (50, 40.0)
    effort = Effort(threads=THREADS, seconds=5.0 if args.quick else 60.0, precision=0.005)
    equal = count = 0
    stores = [untrained.build(name, args.stores / name) for name in MODELS]
    profiles = with_contention(stores, [profile_store(store, effort) for store in stores], 1.0 if args.quick else 10.0)
    for name, store, first, other in zip(MODELS, stores, profiles, reversed(stores), strict=True):
        second = profile_store(store, effort)
        own = {str(v.threads): v.model_dump() for v in first.validation}
        figures[name] = {"overhead_ms": first.overhead_ms, "own_validation": own}
        for threads in THREADS:
            title = f"{name}, {threads} thread{'s' * (threads > 1)}"
            for method, errors in latency_errors(store, first, threads, plans, seconds).items():
                p50, p95 = np.percentile(np.abs(errors), [50, 95])
                figures[f"{title}, {method}"] = {"signed": spread(errors), "median": p50, "p95": p95}
                if method == "profile":
                    bars.append(bar(f"{title}: latency, median error", float(p50), 0.05))
                    bars.append(bar(f"{title}: latency, 95th percentile of errors", float(p95), 0.12))
            for condition, of_tail in tail_errors(store, other, first, threads, plans, seconds).items():
                figures[f"{title}, tail {condition}"] = of_tail
                bars.append(bar(f"{title}: p95 {condition}, median error", of_tail["median"], 0.08))
                bars.append(
                    bar(f"{title}: coverage of the .95 promise {condition}", of_tail["coverage"], 0.93, "higher")
                )
                bars.append(bar(f"{title}: coverage {condition}, not too careful", of_tail["coverage"], 0.99))
            same, pairs = agreement(store, first, second, threads)
            equal, count = equal + same, count + pairs
        for method, errors in memory_errors(store, first, 4 if args.quick else 20).items():
            median = float(np.median(np.abs(errors)))
            figures[f"{name}, memory, {method}"] = {"signed": spread(errors), "median": median}
            if method == "profile":
                bars.append(bar(f"{name}: memory, median error", median, 0.05))
    figures["pairs ranked equally"] = {"equal": equal, "of": count}
    bars.append(bar("pairs of options that two profiles rank equally", equal / count, 0.95, "higher"))
    return figures, bars


if __name__ == "__main__":
    run("profile_error", __doc__, measure, folders=["stores"])
