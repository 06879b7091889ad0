"""Several networks at once under one limit: blocks against whole models, and against one DNN at a time.

    python benchmarks/comparison.py --data DATA --work DIR/resnet20 --test 2000                          (makes stores)
    python benchmarks/comparison.py --data DATA --work DIR/vgg16_half --network vgg16_half --test 2000   (makes stores)
    python benchmarks/several.py --work DIR --json > benchmarks/results/several.json
    python benchmarks/several.py --work DIR --networks resnet20,resnet56,vgg16_half

The networks share a limit of memory, or of processor time where each runs 1,000 times a second: twelve of each kind, in
even ratios from the least that any of the systems can keep to what all originals take. The systems are those of
`comparison.py`. `paper` plans each network alone, as published: a limit is divided as the originals' need is. All
others plan all networks together by the same scheduler. What counts is the mean of the measured accuracies; a network
that cannot be had counts as 0. Interrupted, it goes on: what has been run is kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comparison import legodnn, original_takes, profile
from legodnn.console import text_table
from legodnn.files import write_atomic
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget
from support.kept import begun, kept
from support.limits import least
from support.report import Bars, Figures, bar, run
from support.steady import Steady, reference_ms

NETWORKS = "resnet20,vgg16_half"
TOGETHER = ("ours", "uniform", "quantised")  # these plan all networks together
# What is limited, by the fields of a Budget, and what makes a limit of a number.
KINDS: dict[str, Callable[[float], float]] = {"memory_bytes": math.ceil, "cores": float}
LIMITS = 12  # of each kind
RATE = 1000  # inferences a second of each network
Row = dict[str, Any]
Limit = dict[str, float]  # of one kind


def workload_of(system: str, networks: Sequence[str], work: Path) -> Path:
    """Return a workload file of these networks with a system's stores."""
    path = work / f"{'-'.join([system, *networks])}.toml"
    models = (
        f'[[models]]\nname = "{n}"\nstore = "{work / n / "stores" / system}"\nrate_hz = {RATE}\n' for n in networks
    )
    write_atomic(path, "".join(models))
    return path


def least_of(system: str, networks: Sequence[str], work: Path) -> tuple[float, float]:
    """Return the least memory in bytes, and the fewest cores, that a system can keep with all networks."""
    with Runtime.open([workload_of(system, networks, work)]) as runtime:
        budgets = (Budget(memory_bytes=1), Budget(cores=1e-6))
        memory, cores = (float(least(runtime.scheduler, budget)) for budget in budgets)
        return memory, cores


def needs_of(network: str, work: Path) -> tuple[float, float]:
    """Return the memory in bytes, and the cores, that a network's original takes, of one file."""
    memory, latency_ms = original_takes(work / network / "stores" / "uniform")
    return memory, RATE * latency_ms / 1e3


def limits_of(networks: Sequence[str], work: Path, count: int) -> list[Limit]:
    """Return limits of memory and then of cores."""
    memory, cores = zip(*(least_of(system, networks, work) for system in TOGETHER), strict=True)
    most = [sum(needs) for needs in zip(*(needs_of(network, work) for network in networks), strict=True)]
    return [
        {kind: make(limit)}
        for (kind, make), least_of_all, needed in zip(KINDS.items(), (min(memory), min(cores)), most, strict=True)
        for limit in np.geomspace(least_of_all, needed, count).tolist()
    ]


def replayed(workload: Path, limits: Sequence[Limit], work: Path, images: Path) -> list[Row]:
    """Run a workload under limits, after a plan without any, and return what was measured."""
    trace = work / "trace.json"
    write_atomic(trace, json.dumps([{}, *limits]))
    steps = json.loads(legodnn("run", str(workload), "--input", str(images), "--trace", str(trace), "--json"))
    return [
        {
            "accuracy": {} if step["refused"] else {name: m["accuracy"] for name, m in step["models"].items()},
            "memory_bytes": step["memory_bytes"],
            "cores": RATE * sum(m["median_ms"] for m in step["models"].values()) / 1e3,
            "switch_ms": step["switch_ms"],
            "options": {m["name"]: m["options"] for m in step["plan"]["models"]},
        }
        for step in steps[1:]
    ]


def one_at_a_time(networks: Sequence[str], limits: Sequence[Limit], work: Path, kept_in: Path) -> list[Row]:
    """Run the paper's stores, each network alone under its part of each limit, and return what all take together."""
    needs = np.array([needs_of(network, work) for network in networks])
    alone = []
    for network, parts in zip(networks, needs / needs.sum(axis=0), strict=True):
        part = dict(zip(KINDS, map(float, parts), strict=True))
        divided = [{kind: KINDS[kind](most * part[kind]) for kind, most in limit.items()} for limit in limits]
        run_alone = partial(replayed, workload_of("paper", [network], work), divided, work, images_of(networks, work))
        alone.append(kept(kept_in / f"paper.{network}.rows.json", run_alone))
    return [
        {
            "accuracy": {name: a for row in rows for name, a in row["accuracy"].items()},
            **{what: sum(row[what] for row in rows) for what in (*KINDS, "switch_ms")},
            "options": {name: o for row in rows for name, o in row["options"].items()},
        }
        for rows in zip(*alone, strict=True)
    ]


def images_of(networks: Sequence[str], work: Path) -> Path:
    """Return the images that accuracy is measured on; all networks take the same."""
    return work / networks[0] / "test.npz"


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Run every system."""
    work, networks = args.work.resolve(), args.networks.split(",")
    kept_in = work / "-".join(networks)
    kept_in.mkdir(exist_ok=True)
    begun(kept_in, {"quick": args.quick})
    reference = Store(work / networks[0] / "stores" / "quantised")
    steady = Steady(partial(reference_ms, reference), kept_in / "speed.txt", not args.quick)
    for network in networks:
        for system in (*TOGETHER, "paper"):
            profile(work / network / "stores" / system, steady)
    limits = kept(kept_in / "limits.json", partial(limits_of, networks, work, 3 if args.quick else LIMITS))
    rows = {}
    for system in TOGETHER:
        workload = workload_of(system, networks, work)
        replay = partial(replayed, workload, limits, work, images_of(networks, work))
        rows[system] = kept(kept_in / f"{system}.rows.json", partial(steady.measured, replay))
    rows["paper"] = one_at_a_time(networks, limits, work, kept_in)
    settings = {network: json.loads((work / network / "settings.json").read_text()) for network in networks}
    figures = {"settings": settings, "rate_hz": RATE, "limits": limits, "rows": rows}
    bars = []
    for what, kind in zip(("memory", "processor time"), KINDS, strict=True):
        counted = [n for n, limit in enumerate(limits) if kind in limit]
        gains = [mean_of(rows["ours"][n]) - max(mean_of(r[n]) for s, r in rows.items() if s != "ours") for n in counted]
        over = f"gain over the best other under limits of {what}, points"
        bars += [
            bar(f"least {over}", min(gains), -0.5, "higher"),
            bar(f"mean {over}", statistics.mean(gains), 0, "higher"),
        ]
    return figures, bars


def mean_of(row: Row) -> float:
    """Return the mean accuracy of the networks in percent; one that cannot be had gives nothing right."""
    return 100 * float(sum(row["accuracy"].values())) / len(row["options"])


def table(figures: Figures) -> str:
    """Return the mean accuracy of every system under every limit."""
    rows = []
    for i, limit in enumerate(figures["limits"]):
        named = f"{limit['memory_bytes'] / 1e6:.2f} MB" if "memory_bytes" in limit else f"{limit['cores']:.3f} cores"
        rows.append((named, *(f"{mean_of(of[i]):.2f}" for of in figures["rows"].values())))
    return text_table(rows, ("limit", *figures["rows"]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which networks run."""
    parser.add_argument("--networks", default=NETWORKS, help=f"folders in DIR, with commas (default: {NETWORKS})")


if __name__ == "__main__":
    run(
        "several",
        __doc__,
        measure,
        folders=("work",),
        packages=("numpy", "keras", "tensorflow"),
        add_arguments=add_arguments,
        table=table,
    )
