"""What switching costs, and what it keeps, when the limits of 2, 4 and 6 models move.

    python benchmarks/moving_limits.py --work DIR --json > benchmarks/results/moving_limits.json
    python benchmarks/moving_limits.py --quick

ResNet-18 and VGG16 of half width, one to three times each, share a limit of memory and one of cores. Both walk at
random between what the least plans of blocks and the originals need. After each step every system plans and switches,
and each model runs twice: what the first of the two takes more is the switch's. Weights are random; accuracy is what
plans predict. The systems, each on the same walks:

    blocks        this: planned by blocks
    charged       the same, where what gains less than the time of loading is worth is not switched to
    unpacked      the same as blocks, by the Interpreter: without packed weights, every file is read and packed anew
    whole         whole models switched: stores of one block
    reloaded      the same by the Interpreter, which is what applications do without this package

For each: accuracy; the share of steps in which nothing held the limits (the nearest plan runs then) and in which
measured memory was above its limit by more than 2 % and by more than .5 MB; steps that switch, and models switched in
them all; megabytes of the files of options that were switched to; and milliseconds of processor time, of planning and
of switching with the first inferences' extra. With --work an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from legodnn.console import text_table
from legodnn.plan import Plan
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.executors.select import EXECUTOR_VARIABLE
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget, SwitchCharge, Workload, WorkloadModel
from support import untrained
from support.kept import begun, kept
from support.limits import least
from support.originals import image
from support.report import Bars, Figures, bar, run

MODELS = ("resnet18", "vgg16-half")
COUNTS = (2, 4, 6)
# Of each system: whether whole models are switched, the executor, and the charge of a millisecond of loading.
SYSTEMS: dict[str, tuple[bool, str, float]] = {
    "blocks": (False, "capi", 0.0),
    "charged": (False, "capi", 1e-5),
    "unpacked": (False, "interpreter", 0.0),
    "whole": (True, "capi", 0.0),
    "reloaded": (True, "interpreter", 0.0),
}
RATE_HZ = 10.0  # of each model
PAPER = 0.7107  # of the energy of scaling, which LegoDNN as published saves over whole models
_STEP = 0.2  # of the logarithm of a limit, at most


def profiled(store: Store, executor: str, seconds: float) -> Path:
    """Return the profile of a store by an executor; measure it if it is not there."""
    path = store.path.with_name(f"{store.path.name}.{executor}.{seconds:g}s.profile.json")
    if not path.exists():
        before = os.environ.get(EXECUTOR_VARIABLE)
        os.environ[EXECUTOR_VARIABLE] = executor
        try:
            profile_store(store, Effort(seconds=seconds, processes=1, plans=0)).save(path)
        finally:
            del os.environ[EXECUTOR_VARIABLE]
            if before is not None:
                os.environ[EXECUTOR_VARIABLE] = before
    return path


def workload(system: str, count: int, stores: Path, seconds: float) -> Workload:
    """Return the models of a system, each network as often as needed."""
    whole, executor, per_ms = SYSTEMS[system]
    made = untrained.one_block if whole else untrained.build
    models = []
    for i in range(count):
        network = MODELS[i % len(MODELS)]
        store = made(network, stores / network)
        profile = str(profiled(store, executor, seconds))
        name = f"{network}{i // len(MODELS) or ''}"
        models.append(WorkloadModel(name=name, store=str(store.path), profile=profile, rate_hz=RATE_HZ, threads=1))
    return Workload(models=tuple(models), switch_charge=SwitchCharge(per_ms=per_ms))


def ends(asked: Workload) -> dict[str, tuple[float, float]]:
    """Return, for limits of memory and of cores, what the least plan needs and what the originals do."""
    with Runtime(asked) as runtime:
        memory, cores = (least(runtime.scheduler, b) for b in (Budget(memory_bytes=1), Budget(cores=1e-6)))
        return {"memory_bytes": (memory, runtime.plan.memory_bytes), "cores": (cores, runtime.plan.cores)}


def walk(between: Mapping[str, tuple[float, float]], steps: int, seed: int) -> Iterator[Budget]:
    """Yield budgets whose limits walk at random between two ends, and turn back there."""
    rng = random.Random(seed)
    shares = {kind: rng.random() for kind in between}
    for _ in range(steps):
        limits: dict[str, Any] = {}
        for kind, (low, high) in between.items():
            moved = shares[kind] + rng.uniform(-_STEP, _STEP)
            shares[kind] = moved = abs(moved) if moved < 1 else 2 - moved
            limits[kind] = low * (high / low) ** moved
        yield Budget(memory_bytes=int(limits["memory_bytes"]) + 1, cores=limits["cores"])


def walked(system: str, asked: Workload, between: Mapping[str, tuple[float, float]], steps: int, seed: int) -> Figures:
    """Take one system along one walk, and return what it did."""
    executor = SYSTEMS[system][1]
    accuracies, refused, above, switches, switched, loaded_bytes = [], 0, 0, 0, 0, 0
    planning_s = switching_s = 0.0
    pixels = {m.name: next(iter(image(Store(m.store)).values())) for m in asked.models}
    sizes = {
        m.name: {(s.name, o.name): o.bytes for s in Store(m.store).manifest.segments for o in s.options}
        for m in asked.models
    }

    def infer(runtime: Runtime) -> float:
        begin = time.process_time()
        for name, x in pixels.items():
            runtime.run(name, x)
        return time.process_time() - begin

    with Runtime(asked, executor=executor) as runtime:
        search, searched_s = runtime.scheduler.plan, 0.0

        def plan(*arguments: Any, **more: Any) -> Plan:
            nonlocal searched_s
            begin = time.process_time()
            try:
                return search(*arguments, **more)
            finally:
                searched_s = time.process_time() - begin

        runtime.scheduler.plan = plan  # type: ignore[method-assign]
        infer(runtime)
        for budget in walk(between, steps, seed):
            begin, before = time.process_time(), runtime.plan
            refused += runtime.replan(budget, {}, nearest=True) is not None
            switching_s += time.process_time() - begin - searched_s
            planning_s += searched_s
            first_s, next_s = infer(runtime), infer(runtime)
            changed = sum(a.options != b.options for a, b in zip(before.models, runtime.plan.models, strict=True))
            if changed:
                switches += 1
                switched += changed
                switching_s += first_s - next_s
                loaded = runtime.last_switch.loaded.items()
                loaded_bytes += sum(sizes[m][c.segment, c.option] for m, new in loaded for c in new)
            accuracies.append(statistics.fmean(m.accuracy for m in runtime.plan.models))
            limit = budget.memory_bytes or 0
            above += runtime.memory_bytes > max(1.02 * limit, limit + 5e5)
    return {
        "accuracy": statistics.fmean(accuracies),
        "no plan": refused / steps,
        "memory above": above / steps,
        "switches": switches,
        "models switched": switched,
        "megabytes": loaded_bytes / 1e6,
        "planning, ms": 1e3 * planning_s,
        "switching, ms": 1e3 * switching_s,
    }


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Take every system along every walk."""
    seconds, steps, seeds, counts = (2.0, 8, 1, (2,)) if args.quick else (30.0, args.steps, 3, COUNTS)
    begun(args.work, {"quick": args.quick, "steps": steps})
    figures: Figures = {"steps": steps}
    bars: Bars = []
    for count in counts:
        asked = {system: workload(system, count, args.stores, seconds) for system in SYSTEMS}
        where = partial(ends, asked["blocks"])
        between = kept(args.work and args.work / f"{count}.json", where)
        for seed in range(seeds):
            for system, models in asked.items():
                take = partial(walked, system, models, between, steps, seed)
                found = kept(args.work and args.work / f"{count}-{seed}-{system}.json", take)
                figures[f"{count} models, walk {seed}, {system}"] = found
        of = {
            s: {k: sum(figures[f"{count} models, walk {i}, {s}"][k] for i in range(seeds)) for k in found}
            for s in SYSTEMS
        }
        ours = of["blocks"]
        each = {s: found["switching, ms"] / max(1, found["models switched"]) for s, found in of.items()}
        saved = 1 - each["blocks"] / each["reloaded"]
        bars += [
            bar(
                f"{count} models: share of a model's switch saved over reloading",
                saved,
                PAPER,
                "higher",
            ),
            bar(
                f"{count} models: accuracy over whole models'",
                ours["accuracy"] / of["whole"]["accuracy"],
                1.0,
                "higher",
            ),
            bar(f"{count} models: steps with memory above the limit", ours["memory above"], 0.0),
        ]
    return figures, bars


def table(figures: Figures) -> str:
    """Return what each system did on each walk."""
    rows = {title: found for title, found in figures.items() if isinstance(found, dict)}
    heads = list(next(iter(rows.values())))
    return text_table([(t, *(f"{found[h]:.4g}" for h in heads)) for t, found in rows.items()], ("models, walk", *heads))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how long a walk is."""
    parser.add_argument("--steps", type=int, default=100, help="of each walk (default: 100)")


if __name__ == "__main__":
    run("moving_limits", __doc__, measure, folders=("stores", "work"), add_arguments=add_arguments, table=table)
