"""Two networks at once under one limit of memory: blocks against whole models, and against one DNN at a time.

    python benchmarks/comparison.py --data DATA --work DIR/resnet20 --test 2000                          (makes stores)
    python benchmarks/comparison.py --data DATA --work DIR/vgg16_half --network vgg16_half --test 2000   (makes stores)
    python benchmarks/several.py --work DIR --json > benchmarks/results/several.json

ResNet-20 and VGG16 at half width share a limit of memory: twelve, in even ratios from the least that any of the systems
can keep to what both originals take. The systems are those of `comparison.py`. `paper` plans each network alone, as
published: the limit is divided as the originals' memory is. All others plan both together by the same scheduler. What
counts is the mean of both measured accuracies; a network that cannot be had counts as 0.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comparison import legodnn, original_takes, profile_of
from legodnn.console import text_table
from legodnn.files import write_atomic
from legodnn.runtime.runtime import Runtime
from legodnn.workload import Budget
from support.kept import kept
from support.limits import least
from support.report import Bars, Figures, bar, run

NETWORKS = ("resnet20", "vgg16_half")
TOGETHER = ("ours", "uniform", "quantised")  # these plan both networks together
LIMITS = 12
Row = dict[str, Any]


def workload_of(system: str, networks: Sequence[str], work: Path) -> Path:
    """Return a workload file of these networks with a system's stores."""
    path = work / f"{'-'.join([system, *networks])}.toml"
    models = (f'[[models]]\nname = "{n}"\nstore = "{work / n / "stores" / system}"\n' for n in networks)
    write_atomic(path, "".join(models))
    return path


def least_of(system: str, work: Path) -> float:
    """Return the least memory in bytes that a system can keep with both networks."""
    with Runtime.open([workload_of(system, NETWORKS, work)]) as runtime:
        return float(least(runtime.scheduler, Budget(memory_bytes=1)))


def replayed(workload: Path, limits: Sequence[int], work: Path) -> list[Row]:
    """Run a workload under limits of memory, after a plan without any, and return what was measured."""
    trace = work / "trace.json"
    write_atomic(trace, json.dumps([{}, *({"memory_bytes": limit} for limit in limits)]))
    images = str(work / NETWORKS[0] / "test.npz")  # both networks take the same
    steps = json.loads(legodnn("run", str(workload), "--input", images, "--trace", str(trace), "--json"))
    return [
        {
            "accuracy": {} if step["refused"] else {name: m["accuracy"] for name, m in step["models"].items()},
            "memory_bytes": step["memory_bytes"],
            "switch_ms": step["switch_ms"],
            "options": {m["name"]: m["options"] for m in step["plan"]["models"]},
        }
        for step in steps[1:]
    ]


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Run every system."""
    work = args.work.resolve()
    for network in NETWORKS:
        for system in (*TOGETHER, "paper"):
            profile_of(work / network / "stores" / system)
    takes = [original_takes(work / network / "stores" / "uniform")[0] for network in NETWORKS]
    smallest = min(least_of(system, work) for system in TOGETHER)
    count = 3 if args.quick else LIMITS
    limits = kept(work / "limits.json", lambda: [math.ceil(m) for m in np.geomspace(smallest, sum(takes), count)])
    rows = {}
    for system in TOGETHER:
        rows[system] = kept(
            work / f"{system}.rows.json", partial(replayed, workload_of(system, NETWORKS, work), limits, work)
        )
    alone = []
    for network, own in zip(NETWORKS, takes, strict=True):
        workload = workload_of("paper", [network], work)
        divided = [math.ceil(limit * own / sum(takes)) for limit in limits]
        alone.append(kept(work / f"paper.{network}.rows.json", partial(replayed, workload, divided, work)))
    rows["paper"] = [
        {
            "accuracy": {**one["accuracy"], **other["accuracy"]},
            "memory_bytes": one["memory_bytes"] + other["memory_bytes"],
            "switch_ms": one["switch_ms"] + other["switch_ms"],
            "options": {**one["options"], **other["options"]},
        }
        for one, other in zip(*alone, strict=True)
    ]
    settings = {network: json.loads((work / network / "settings.json").read_text()) for network in NETWORKS}
    figures = {"settings": settings, "limits": limits, "originals_take": takes, "rows": rows}
    gains = [mean_of(a) - max(map(mean_of, others)) for a, *others in zip(*rows.values(), strict=True)]
    return figures, [
        bar("least gain over the best other under limits of memory, points", min(gains), -0.5, "higher"),
        bar("mean gain over the best other under limits of memory, points", statistics.mean(gains), 0, "higher"),
    ]


def mean_of(row: Row) -> float:
    """Return the mean accuracy of the networks in percent; one that cannot be had gives nothing right."""
    return 100 * float(sum(row["accuracy"].values())) / len(NETWORKS)


def table(figures: Figures) -> str:
    """Return the mean accuracy of every system under every limit."""
    rows = [
        (f"{limit / 1e6:.2f} MB", *(f"{mean_of(rows[i]):.2f}" for rows in figures["rows"].values()))
        for i, limit in enumerate(figures["limits"])
    ]
    return text_table(rows, ("limit", *figures["rows"]))


if __name__ == "__main__":
    run("several", __doc__, measure, folders=("work",), packages=("numpy", "keras", "tensorflow"), table=table)
