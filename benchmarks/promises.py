"""Whether limits hold as promised while the device is disturbed, beside what a user would have had instead.

    python benchmarks/promises.py --work DIR --json > benchmarks/results/promises.json
    python benchmarks/promises.py --quick

Two and four models run at their rates in real time, each with a limit of latency for 95 % of its inferences: what its
originals are planned to keep while nothing disturbs them. All have one limit of memory, below what the originals take.
Other processes disturb them by three traces with fixed seeds: they compute, by steps or by a random walk, hold memory,
or empty the caches. On each trace run, one after the other:

    governed       this: planned by blocks, with a governor
    careful        the same, with the same limits for 99 % of a model's inferences
    static         the first plan, without a governor
    whole          with a governor, but whole models are switched: stores of one block
    clairvoyant    planned by blocks, told every second what the models' medians and tails will be in it, as they were
                   when the static plan ran on that trace

For each: the share of inferences above their limit, apart from those of a second in which a disturbance sets in
(`late`, and `late at onset`); the share of readings, one a second, of memory above its limit by more than 2 % and by
more than .5 MB; accuracy as predicted (the weights are random), summed over inferences in time, a second; switches; and
the seconds of processor time for planning and switching. Beside them stand the limits. With --work an interrupted run
goes on, system by system. The full run takes four hours of a machine on which nothing else runs; shorter traces
(--seconds) have the same disturbances, closer together.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store, with_contention
from legodnn.runtime import Governor
from legodnn.runtime.planning.as_profiled import profiled_ms
from legodnn.runtime.planning.tails import stretch
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from support import untrained
from support.disturbances import Disturbance, Disturbed, draw
from support.kept import begun, kept
from support.originals import image
from support.report import Bars, Figures, bar, run

MODELS = ("resnet18", "vgg16-half")
SYSTEMS = ("static", "governed", "careful", "whole", "clairvoyant")  # the last one knows what the first plan saw
GOVERNED = ("governed", "careful", "whole")
CAREFUL = 0.99  # of a careful model's inferences keep its limit
RATES_HZ = (15.0, 10.0, 5.0, 5.0)
MEMORY = 0.8  # of what the originals take together, which the limit leaves


@dataclass
class Record:
    """What happened: (seconds, model, ms, accuracy, limit, ratio to profiled), and (seconds, bytes too many)."""

    inferences: list[tuple[float, str, float, float, float, float]] = field(default_factory=list)
    memory_above: list[tuple[float, float]] = field(default_factory=list)
    switches: int = 0
    switching_s: float = 0.0


def workload(stores: Mapping[str, Store], count: int, quantile: float | None = None) -> Workload:
    """Return the first models, as often as needed, with their rates; limits are about the quantile."""
    names = [f"{name}{i // len(stores) or ''}" for i, name in enumerate(list(stores) * 2)][:count]
    of = list(stores.values()) * 2
    models = (
        WorkloadModel(name=n, store=str(s.path), rate_hz=r, threads=1, quantile=quantile)
        for n, s, r in zip(names, of, RATES_HZ, strict=False)
    )
    return Workload(models=tuple(models))


def budget_of(asked: Workload) -> Budget:
    """Return the limits: all systems have those that fit the stores of blocks."""
    with Runtime(asked) as runtime:
        plan = runtime.plan
        limits = {m.name: m.quantile_ms or m.latency_ms for m in plan.models}
        return Budget(memory_bytes=int(MEMORY * plan.memory_bytes), latency_ms=limits)


def drive(
    asked: Workload,
    budget: Budget,
    trace: Sequence[Disturbance],
    seconds: float,
    governed: bool,
    told: Mapping[int, Mapping[str, tuple[float, float]]] | None = None,
) -> Record:
    """Run a workload in real time beside a trace.

    Args:
        asked, budget: what runs, and its limits.
        trace: the disturbances.
        seconds: how long.
        governed: whether a governor sets the budget.
        told: by second, by model, the slow-down and tail to plan for; None for nobody who knows.
    """
    record, ended = Record(), threading.Event()
    # Filled before the models are opened: what is noted meanwhile would count as their memory.
    notes = {m.name: np.full((int(seconds * (m.rate_hz or 1.0)) + 100, 5), np.nan) for m in asked.models}
    above = np.full(int(seconds), np.nan)
    with Runtime(asked) as runtime, Disturbed(trace) as disturbed:
        runtime.replan(budget, {}, nearest=True)  # whole models may be too coarse to hold the limits
        tables = {table.name: table for table in runtime.scheduler.tables}
        start = time.monotonic()

        def infer(model: WorkloadModel) -> None:
            x, due, count = next(iter(image(Store(model.store)).values())), time.monotonic(), 0
            while not ended.is_set():
                if not runtime.plan[model.name].suspended:
                    done = runtime.run(model.name, x)
                    limit = done.plan.latency_limit_ms or np.inf
                    ratio = done.latency_ms / profiled_ms(tables[model.name], done.plan)
                    notes[model.name][count] = (
                        time.monotonic() - start,
                        done.latency_ms,
                        done.plan.accuracy,
                        limit,
                        ratio,
                    )
                    count += 1
                due += 1 / (model.rate_hz or 1.0)
                ended.wait(max(0.0, due - time.monotonic()))

        replan = runtime.replan

        def counted(*arguments: Any, **more: Any) -> Any:
            before, begin = runtime.plan, time.thread_time()
            try:
                return replan(*arguments, **more)
            finally:
                record.switching_s += time.thread_time() - begin
                record.switches += any(
                    a.options != b.options for a, b in zip(before.models, runtime.plan.models, strict=True)
                )

        runtime.replan = counted  # type: ignore[method-assign]
        threads = [threading.Thread(target=infer, args=(model,)) for model in asked.models]
        governor = Governor(runtime) if governed else None
        if governor:
            governor.start()
        for thread in threads:
            thread.start()
        try:
            for second in range(int(seconds)):
                disturbed.at(float(second))
                if told is not None:
                    known = told.get(second, {})
                    slow, tail = ({name: pair[i] for name, pair in known.items()} for i in (0, 1))
                    runtime.replan(budget, slow, nearest=True, tail=tail)
                time.sleep(max(0.0, start + second + 0.9 - time.monotonic()))
                allowed = max(1.02 * (budget.memory_bytes or 0), (budget.memory_bytes or 0) + 5e5)
                above[second] = max(0.0, runtime.memory_bytes - allowed)
                time.sleep(max(0.0, start + second + 1.0 - time.monotonic()))
        finally:
            ended.set()
            for thread in threads:
                thread.join()
            if governor:
                governor.close()
    for name, rows in notes.items():
        for at, *others in rows[~np.isnan(rows[:, 0])].tolist():
            record.inferences.append((at, name, *others))
    record.memory_above += list(enumerate(above.tolist()))
    return record


def foretold(asked: Workload, record: Record) -> dict[int, dict[str, tuple[float, float]]]:
    """Return by second and model the slow-down, and the tail beside it, that the static plan had in that second."""
    with Runtime(asked) as runtime:
        tables = {table.name: table for table in runtime.scheduler.tables}
        promised = {m.name: stretch(tables[m.name].tails, m.threads, m.quantile) or 1.0 for m in runtime.plan.models}
    seen: dict[tuple[int, str], list[float]] = defaultdict(list)
    for at, name, _, _, _, ratio in record.inferences:
        seen[int(at), name].append(ratio)
    told: dict[int, dict[str, tuple[float, float]]] = defaultdict(dict)
    for (second, name), ratios in seen.items():
        median, most = float(np.median(ratios)), max(ratios)
        told[second][name] = (median, most / median / promised[name])
    return told


def driven(
    system: str,
    asked: Workload,
    budget: Budget,
    trace: Sequence[Disturbance],
    seconds: float,
    static: Record | None,
) -> dict[str, Any]:
    """Return what `drive` records of a system, as JSON holds it; `static` is what the first plan alone did before."""
    told = foretold(asked, static) if system == "clairvoyant" and static else None
    return vars(drive(asked, budget, trace, seconds, system in GOVERNED, told))


def summary(record: Record, trace: Sequence[Disturbance], seconds: float) -> Figures:
    """Return the figures of one system on one trace."""
    onsets = {int(d.start_s) + i for d in trace for i in (0, 1)}
    late: dict[str, list[bool]] = defaultdict(list)
    onset: list[bool] = []
    for at, name, ms, _, limit, _ in record.inferences:
        (onset if int(at) in onsets else late[name]).append(ms > limit)
    worth = sum(accuracy for _, _, ms, accuracy, limit, _ in record.inferences if ms <= limit)
    accuracy = [accuracy for _, _, _, accuracy, _, _ in record.inferences]
    above = [bytes_above > 0 for _, bytes_above in record.memory_above]
    return {
        "late": {name: float(np.mean(values)) for name, values in late.items()},
        "late at onset": float(np.mean(onset)) if onset else 0.0,
        "memory above": float(np.mean(above)),
        "accuracy": float(np.mean(accuracy)),
        "accuracy-weighted inferences a second": worth / seconds,
        "switches": record.switches,
        "processor seconds planning and switching": record.switching_s,
        "inferences": len(record.inferences),
    }


def profiled(stores: Mapping[str, Store], quick: bool) -> None:
    """Profile stores together, unless they have profiles."""
    missing = [store for store in stores.values() if not default_path(store.path).exists()]
    if missing:
        profiles = [profile_store(s, Effort(seconds=4.0 if quick else 60.0, processes=1)) for s in stores.values()]
        for store, profile in zip(
            stores.values(), with_contention(list(stores.values()), profiles, 1.0 if quick else 4.0), strict=True
        ):
            profile.save(default_path(store.path))


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Run every system on every trace, with two models and with four."""
    seconds, traces, counts = (12.0, 1, (2,)) if args.quick else (args.seconds, 3, (2, 4))
    begun(args.work, {"quick": args.quick, "seconds": seconds})
    blocks = {name: untrained.build(name, args.stores / name) for name in MODELS}
    whole = {name: untrained.one_block(name, args.stores / name) for name in MODELS}
    profiled(blocks, args.quick)
    profiled(whole, args.quick)
    figures: Figures = {"seconds of each trace": seconds}
    bars: Bars = []
    for count in counts:
        asked = workload(blocks, count)
        others = {"careful": workload(blocks, count, CAREFUL), "whole": workload(whole, count)}
        budget = budget_of(asked)
        figures[f"{count} models, limits, ms"] = budget.latency_ms
        for seed in range(traces):
            trace = draw(seconds, seed)
            records: dict[str, Record] = {}
            for system in SYSTEMS:
                models, static = others.get(system, asked), records.get("static")
                go = partial(driven, system, models, budget, trace, seconds, static)
                path = args.work and args.work / f"{count}-{seed}-{system}.json"
                records[system] = record = Record(**kept(path, go))
                figures[f"{count} models, trace {seed}, {system}"] = summary(record, trace, seconds)
            bars += promises(
                {s: figures[f"{count} models, trace {seed}, {s}"] for s in SYSTEMS}, f"{count} models, trace {seed}"
            )
    return figures, bars


def promises(found: Mapping[str, Figures], title: str) -> Bars:
    """Return the bars of one trace."""
    late = {system: max(values["late"].values(), default=0.0) for system, values in found.items()}
    governed, least = found["governed"], max(late["governed"], 1e-3)
    accuracy = governed["accuracy"] / found["clairvoyant"]["accuracy"]
    return [
        bar(f"{title}: share above the limit, of the worst model", late["governed"], 0.05),
        bar(f"{title}: share of time with memory above", governed["memory above"], 0.0),
        bar(f"{title}: accuracy over the clairvoyant's", accuracy, 0.97, "higher"),
        bar(f"{title}: late with the static plan over late", late["static"] / least, 5.0, "higher"),
        bar(f"{title}: late with whole models over late", late["whole"] / least, 3.0, "higher"),
        bar(f"{title}: share above the limit where 99 % are promised", late["careful"], 1 - CAREFUL),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how long a trace is."""
    parser.add_argument("--seconds", type=float, default=600.0, help="of each trace (default: 600)")


if __name__ == "__main__":
    run("promises", __doc__, measure, folders=["stores", "work"], add_arguments=add_arguments)
