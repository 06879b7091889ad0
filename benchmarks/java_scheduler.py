"""The Java library's scheduler against Python's: the same tables, budgets and running plans, in turn, the same plans.

    python benchmarks/java_scheduler.py --json > benchmarks/results/java_scheduler.json
    python benchmarks/java_scheduler.py --quick

4 models of 8 blocks with 10 options, drawn as `scheduler.py` draws them. `warm` is a re-plan under new memory and
latency limits, with the plan before it as the running one; `cold` is from tables to the first plan. Each round is 200
re-plans by Python, then the same by Java, in a JVM that goes on running. The first round is reported separately:
neither side is warm yet, and the JVM has not compiled Java's code.

A plan is improved for 100 ms at most. One that was cut short by that, which its gap tells, may be another one on the
other side; such plans are counted, and not compared.

Needs a JDK (javac and java), and once Maven Central, for the annotations of the library's sources (4 KB).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.errors import InfeasibleError
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from support.instances import SIZES, Instance, budget_of, draw, model_tables
from support.maven import JSPECIFY, central
from support.report import Bars, Figures, bar, run, spread_ms
from support.workers import Worker

LIBRARY = Path(__file__).parents[1] / "android_demo/lego-runtime"
SIZE, REPLANS = "4x8x10", 200


def compiled(classes: Path) -> Worker:
    """Compile the Java scheduler into a folder, and start a JVM that plans what it is asked."""
    sources = f"{LIBRARY}/src/main/java:{LIBRARY}/src/test/java"
    program = LIBRARY / "src/test/java/org/legodnn/ReplanBenchmark.java"
    compile_ = ["javac", "--release", "8", "-nowarn", "-Xlint:-options", "-sourcepath", sources, "-d", str(classes)]
    compile_ += ["-cp", str(central(*JSPECIFY))]
    subprocess.run([*compile_, str(program)], check=True)
    return Worker(["java", "-cp", str(classes), "org.legodnn.ReplanBenchmark"])


def rows_of(instance: Instance) -> list[dict[str, Any]]:
    """Return the instance's tables as the JVM reads them (see tests/vectors/vectors.py)."""
    return [
        {
            "name": table.name,
            "blocks": [
                [b.name, [[o.name, o.memory_bytes, dict(o.latency_ms), o.loss, o.bytes, o.load_ms] for o in b.options]]
                for b in table.blocks
            ],
            "link": [list(table.link.x), list(table.link.y)],
        }
        for table in model_tables(instance)
    ]


def python_replans(scheduler: Scheduler, budgets: list[Budget]) -> tuple[list[float], list[Any], list[float]]:
    """Return the seconds of each re-plan; for each budget the options chosen, None where nothing fits; and the gaps."""
    times: list[float] = []
    chosen: list[Any] = []
    gaps: list[float] = []
    plan = None
    for budget in budgets:
        start = time.perf_counter()
        try:
            plan = scheduler.plan(budget, running=plan)
            times.append(time.perf_counter() - start)
            chosen.append([list(m.options.values()) for m in plan.models])
            gaps.append(plan.gap)
        except InfeasibleError:
            chosen.append(None)
            gaps.append(0.0)
    return times, chosen, gaps


def compare(instance: Instance, java: Worker, rounds: int) -> Figures:
    """Have one instance planned by both in turn."""
    tables, rows = model_tables(instance), rows_of(instance)
    cold: dict[str, list[float]] = {"python": [], "java": []}
    first = budget_of(instance)
    for _ in range(3):
        start = time.perf_counter()
        scheduler = Scheduler(tables)
        scheduler.plan(first)
        cold["python"].append((time.perf_counter() - start) * 1e3)
        cold["java"].append(java.ask({"models": rows, "budgets": [first.model_dump()]})["cold_ms"])
    rng = np.random.default_rng(0)
    warm: dict[str, list[float]] = {"python": [], "java": []}
    java_first: list[float] = []
    plans = cut = different = 0
    for number in range(rounds + 1):
        budgets = [
            budget_of(instance, rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25, len(instance["latency"])))
            for _ in range(REPLANS)
        ]
        times, chosen, gaps = python_replans(scheduler, budgets)
        answer = java.ask({"budgets": [b.model_dump() for b in budgets]})
        plans += len(chosen)
        proven = [max(both) == 0 for both in zip(gaps, answer["gaps"], strict=True)]
        cut += len(chosen) - sum(proven)
        different += sum(p and a != b for p, a, b in zip(proven, chosen, answer["chosen"], strict=True))
        if number:
            warm["python"] += times
            warm["java"] += [ms / 1e3 for ms in answer["ms"]]
        else:  # neither has filled its index by latency
            java_first = [ms / 1e3 for ms in answer["ms"]]
    return {
        "seed": instance["seed"],
        "warm": {side: spread_ms(seconds) for side, seconds in warm.items()},
        "java_first_round": spread_ms(java_first),
        "cold_ms": {side: float(np.median(times)) for side, times in cold.items()},
        "plans": plans,
        "cut_short": cut,
        "different": different,
    }


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Compare both on one or several instances."""
    version = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        java = compiled(Path(folder))
        for seed in range(1 if args.quick else 5):
            results.append(compare({**draw(*SIZES[SIZE], seed=seed), "seed": seed}, java, 1 if args.quick else 5))
        java.close()
    ratios = [r["warm"]["java"]["median_ms"] / r["warm"]["python"]["median_ms"] for r in results]
    bars = [
        bar(f"{SIZE}: Java's warm re-plan / Python's, worst instance", max(ratios), 1.0),
        bar("proven plans that differ", sum(r["different"] for r in results), 0),
    ]
    return {"java": version, "instances": results}, bars


if __name__ == "__main__":
    run("java_scheduler", __doc__, measure)
