"""The Java library's scheduler against Python's: the same tables, budgets and running plans, in turn, the same plans.

    python benchmarks/java_scheduler.py --json > benchmarks/results/java_scheduler.json
    python benchmarks/java_scheduler.py --quick

4 models of 8 blocks with 10 options, drawn as `scheduler.py` draws them. `warm` is a re-plan under new memory and
latency limits, with the plan before it as the running one; `cold` is from tables to the first plan. Each round is 200
re-plans by Python, then the same by Java, in a JVM that stays. The first round is told apart: neither side is warm yet,
and Java's code is not compiled.

Needs a JDK (javac and java).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from report import bar, json_line
from scheduler import SIZES, Instance, budget_of, draw, model_tables, spread

from legodnn.errors import InfeasibleError
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget

LIBRARY = Path(__file__).parents[1] / "android_demo/lego-runtime"
SIZE, REPLANS = "4x8x10", 200


class Java:
    """A JVM that answers one JSON request a line with one JSON answer a line."""

    def __init__(self, classes: Path) -> None:
        """Compile the scheduler and start it."""
        sources = f"{LIBRARY}/src/main/java:{LIBRARY}/src/test/java"
        program = LIBRARY / "src/test/java/org/legodnn/ReplanBenchmark.java"
        compile_ = ["javac", "--release", "8", "-nowarn", "-Xlint:-options", "-sourcepath", sources, "-d", str(classes)]
        subprocess.run([*compile_, str(program)], check=True)
        self.process = subprocess.Popen(
            ["java", "-cp", str(classes), "org.legodnn.ReplanBenchmark"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have something planned."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def rows_of(instance: Instance) -> list[dict[str, Any]]:
    """The instance's tables as the JVM reads them (see tests/vectors/vectors.py)."""
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


def python_replans(scheduler: Scheduler, budgets: list[Budget]) -> tuple[list[float], list[Any]]:
    """Milliseconds of each re-plan, and the options chosen (None: infeasible)."""
    times, chosen, plan = [], [], None
    for budget in budgets:
        start = time.perf_counter()
        try:
            plan = scheduler.plan(budget, running=plan)
            times.append((time.perf_counter() - start) * 1e3)
            chosen.append([list(m.options.values()) for m in plan.models])
        except InfeasibleError:
            chosen.append(None)
    return times, chosen


def measure(instance: Instance, java: Java, rounds: int) -> dict[str, Any]:
    """Both in turn on one instance."""
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
    plans = different = 0
    for number in range(rounds + 1):
        budgets = [
            budget_of(instance, rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25, len(instance["latency"])))
            for _ in range(REPLANS)
        ]
        times, chosen = python_replans(scheduler, budgets)
        answer = java.ask({"budgets": [b.model_dump() for b in budgets]})
        plans += len(chosen)
        different += sum(a != b for a, b in zip(chosen, answer["chosen"], strict=True))
        if number:
            warm["python"] += times
            warm["java"] += answer["ms"]
        else:  # neither has filled its index by latency
            java_first = answer["ms"]
    ms = {side: spread([t / 1e3 for t in times]) for side, times in warm.items()}
    return {
        "seed": instance["seed"],
        "warm": ms,
        "java_first_round": spread([t / 1e3 for t in java_first]),
        "cold_ms": {side: float(np.median(times)) for side, times in cold.items()},
        "plans": plans,
        "different": different,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--quick", action="store_true", help="one instance, few rounds: proves that it works")
    args = parser.parse_args()
    seeds = range(1 if args.quick else 5)
    version = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        java = Java(Path(folder))
        for seed in seeds:
            results.append(measure({**draw(*SIZES[SIZE], seed=seed), "seed": seed}, java, 1 if args.quick else 5))
        java.process.kill()
    ratios = [r["warm"]["java"]["median_ms"] / r["warm"]["python"]["median_ms"] for r in results]
    bars = [
        bar(f"{SIZE}: Java's warm re-plan / Python's, worst instance", max(ratios), 1.0),
        bar("plans that differ", sum(r["different"] for r in results), 0),
    ]
    if not args.json:
        for r in results:
            print(json.dumps(r, indent=1))
        for b in bars:
            print("ok  " if b["holds"] else "FAIL", f"{b['name']}: {b['value']:.4g} (limit {b['limit']:g})")
    print(json_line("java_scheduler", {"java": version, "instances": results}, bars, ["numpy"]))


if __name__ == "__main__":
    main()
