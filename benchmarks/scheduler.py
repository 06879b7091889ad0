"""The scheduler against CBC, HiGHS and CP-SAT: cold and warm plans, the same optimum from all, and 100,000 re-plans.

    python benchmarks/scheduler.py --json > benchmarks/results/scheduler.json
    python benchmarks/scheduler.py --quick
    python benchmarks/scheduler.py --workload workload.toml       (tables of real stores as well)
    python benchmarks/scheduler.py --only 4x8x10 replans --json > a.json    (in parts, then joined)
    python benchmarks/scheduler.py --join a.json b.json

Instances are models x blocks x options, from 1x5x6 to 16x12x12; 18 options are 6 sparsities in 3 precisions. Everyone
gets the same integers and linear accuracy (a plan's objective is minus its summed loss), which is the LegoDNN authors'
formulation: one binary for each option, one choice for each block, one memory limit, a latency limit for each model;
CBC through PuLP as they call it. Solvers run in processes of their own, because OR-Tools and highspy clash, and take
turns on every instance.

`cold` is everything from lists of integers to the plan: tables and frontiers included for us, building the model in
Python for the solvers.
`warm` is a re-plan under a new memory limit and new latency limits; it is held against the solvers' own solve call
alone, as if their model had been kept and changed in no time.

Needs: pip install ortools pulp highspy
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from report import bar, json_line
from solvers import (
    Instance,
    budget_of,
    draw,
    model_tables,
    of_stores,
    solve_cbc,
    solve_cpsat,
    solve_highs,
    solve_legodnn,
)

if TYPE_CHECKING:
    from legodnn.runtime.planning.model_table import ModelTable

SOLVERS = ("legodnn", "cbc", "highs", "cpsat")
SIZES = {
    "1x5x6": (1, 5, 6),
    "1x8x6": (1, 8, 6),
    "4x8x10": (4, 8, 10),
    "4x8x18": (4, 8, 6, 3),
    "8x8x10": (8, 8, 10),
    "16x12x12": (16, 12, 12),
}


def warm(instance: Instance, count: int, seed: int = 0) -> list[float]:
    """Seconds of re-plans under random memory and latency limits, each with the plan before it as the running one."""
    from legodnn.errors import InfeasibleError
    from legodnn.runtime.planning.scheduler import Scheduler

    scheduler = Scheduler(model_tables(instance))
    rng = np.random.default_rng(seed)
    seconds, plan = [], scheduler.plan(budget_of(instance))
    while len(seconds) < count:
        budget = budget_of(instance, rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25, len(instance["latency"])))
        start = time.perf_counter()
        try:
            plan = scheduler.plan(budget, running=plan)
        except InfeasibleError:
            continue
        seconds.append(time.perf_counter() - start)
    return seconds


def variants(instance: Instance, count: int) -> dict[str, list[float]]:
    """Seconds of re-plans with a limit of compute, and with a charge for switching."""
    from legodnn.runtime.planning.scheduler import Scheduler
    from legodnn.workload import Budget, SwitchCharge

    rng = np.random.default_rng(0)
    tables = model_tables(instance)
    free = Scheduler(tables)
    charged = Scheduler(tables, SwitchCharge(per_mb=0.001))
    base = budget_of(instance)
    used = free.plan(base).cores
    plan = charged.plan(base)
    seconds: dict[str, list[float]] = {"compute_limit": [], "switch_charge": []}
    for _ in range(count):
        budget = budget_of(instance, rng.uniform(0.85, 1.15))
        start = time.perf_counter()
        plan = charged.plan(budget, running=plan)
        seconds["switch_charge"].append(time.perf_counter() - start)
        budget = Budget(
            memory_bytes=budget.memory_bytes, latency_ms=budget.latency_ms, cores=used * rng.uniform(0.7, 1)
        )
        start = time.perf_counter()
        free.plan(budget)
        seconds["compute_limit"].append(time.perf_counter() - start)
    return seconds


def interactions(instance: Instance, count: int) -> dict[str, list[float]]:
    """Seconds to build frontiers, and of re-plans: in turn without interactions, and with more than most fits find."""
    from legodnn.runtime.planning.scheduler import Scheduler

    rng = np.random.default_rng(0)
    tables = {"additive": model_tables(instance), "interacting": [interacting(t, rng) for t in model_tables(instance)]}
    seconds: dict[str, list[float]] = {f"{name}_{step}": [] for name in tables for step in ("build", "warm")}
    for _ in range(count):
        budget = budget_of(instance, rng.uniform(1, 1.25))
        for name, each in tables.items():
            start = time.perf_counter()
            scheduler = Scheduler(each)
            seconds[f"{name}_build"].append(time.perf_counter() - start)
            plan = scheduler.plan(budget_of(instance))
            start = time.perf_counter()
            scheduler.plan(budget, running=plan)
            seconds[f"{name}_warm"].append(time.perf_counter() - start)
    return seconds


def interacting(table: ModelTable, rng: np.random.Generator) -> ModelTable:
    """A table whose neighbours interact: by a share of the geometric mean of their losses, and deviations from it."""
    blocks = [table.blocks[0]]
    for block in table.blocks[1:]:
        before, here = ([max(o.loss, 0.0) for o in b.options] for b in (blocks[-1], block))
        share = rng.normal(0, 0.3) + rng.normal(0, 0.12, (len(before), len(here)))
        found = share * np.sqrt(np.outer(before, here))
        blocks.append(replace(block, interaction=tuple(map(tuple, found.tolist()))))
    return replace(table, blocks=tuple(blocks))


def endurance(instance: Instance, count: int) -> dict[str, Any]:
    """Re-plans under wild random budgets in one process: time, failures, and how memory grows.

    What the C library keeps of freed memory is given back before memory is read, so that it does not count.
    """
    import psutil

    from legodnn.errors import InfeasibleError
    from legodnn.runtime.device.memory import release_freed_memory
    from legodnn.runtime.planning.scheduler import Scheduler

    scheduler = Scheduler(model_tables(instance))
    rng = np.random.default_rng(1)
    process = psutil.Process()
    worst, worst_report, infeasible, plan = 0.0, 0.0, 0, None
    settled = half = 0

    def held() -> int:
        release_freed_memory()
        return int(process.memory_info().rss)

    for i in range(count):
        if i == count // 10:
            settled = held()
        if i == count // 2:
            half = held()
        budget = budget_of(instance, rng.uniform(0.1, 2.0), rng.uniform(0.3, 2.0, len(instance["latency"])))
        start = time.perf_counter()
        try:
            plan = scheduler.plan(budget, running=plan)
            worst = max(worst, time.perf_counter() - start)
        except InfeasibleError:
            infeasible += 1
            worst_report = max(worst_report, time.perf_counter() - start)
    end = held()
    return {
        "replans": count,
        "infeasible": infeasible,
        "worst_ms": 1e3 * worst,
        "worst_infeasible_report_ms": 1e3 * worst_report,
        "rss_growth_mb": (end - settled) / 1e6,
        "rss_growth_in_second_half_mb": (end - half) / 1e6,
        "rss_mb": end / 1e6,
    }


# --- processes and figures -------------------------------------------------------------------------------------------


def serve(solver: str) -> None:
    """A worker: one JSON request a line on stdin, one JSON answer a line on stdout, after the marker that is ours."""
    listed: tuple[Callable[..., Any], ...] = (warm, variants, interactions, endurance)
    tasks = {task.__name__: task for task in listed}
    solve = {"legodnn": solve_legodnn, "cbc": solve_cbc, "highs": solve_highs, "cpsat": solve_cpsat}[solver]
    for line in sys.stdin:
        request = json.loads(line)
        task = tasks.get(request["task"], solve)
        print("\n#" + json.dumps(task(request["instance"], *request.get("arguments", []))), flush=True)


class Worker:
    """A solver in a process of its own."""

    def __init__(self, solver: str) -> None:
        command = [sys.executable, __file__, "--worker", solver]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, task: str, instance: Instance, *arguments: Any) -> Any:
        """Have a task done on an instance."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"task": task, "instance": instance, "arguments": arguments}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("#"):
                return json.loads(line[1:])
        raise RuntimeError("the worker ended; its message is above")


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and percentiles in milliseconds."""
    ms = 1e3 * np.array(seconds)
    quantiles = {f"p{q}_ms": float(np.percentile(ms, q)) for q in (5, 95, 99)}
    return {"median_ms": float(np.median(ms)), **quantiles, "max_ms": float(ms.max()), "runs": len(seconds)}


def measure(workers: dict[str, Worker], instance: Instance, rounds: int, replans: int) -> dict[str, Any]:
    """All solvers in turn, `rounds` times; then warm re-plans."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            runs[name].append(worker.ask("solve", instance))
    proven = [r["loss"] for answers in runs.values() for r in answers if r["proven"]]
    figures: dict[str, Any] = {
        name: {
            **spread([a["seconds"] for a in answers]),
            "solve_median_ms": 1e3 * float(np.median([a["solve_seconds"] for a in answers])),
            "proven": all(a["proven"] for a in answers),
            "loss": answers[-1]["loss"],
        }
        for name, answers in runs.items()
    }
    others = [figures[name] for name in workers if name != "legodnn"]
    figures["fastest_solver_ms"] = min(o["median_ms"] for o in others)
    figures["fastest_solve_call_ms"] = min(o["solve_median_ms"] for o in others)
    figures["objective_spread"] = max(proven) - min(proven)
    figures["warm"] = spread(workers["legodnn"].ask("warm", instance, replans))
    return {"instance": instance["name"], **figures}


def bars_of(results: list[dict[str, Any]], endured: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The goals: medians over instances, except that cold counts the worst instance."""
    bars = []
    for size in SIZES:
        rows = [r for r in results if r["instance"] == size]
        if not rows:
            continue
        if size != "16x12x12":
            ratio = max(r["legodnn"]["median_ms"] / r["fastest_solver_ms"] for r in rows)
            bars.append(bar(f"{size}: cold time / fastest solver's, worst instance", ratio, 1.0))
        warm_ms = float(np.median([r["warm"]["median_ms"] for r in rows]))
        if size == "4x8x10":
            bars.append(bar(f"{size}: warm re-plan, ms", warm_ms, 1.0))
            faster = float(np.median([r["fastest_solve_call_ms"] / r["warm"]["median_ms"] for r in rows]))
            bars.append(bar(f"{size}: fastest solve call's time / warm re-plan's", faster, 100.0, "higher"))
        if size == "16x12x12":
            bars.append(bar(f"{size}: warm re-plan, ms", warm_ms, 10.0))
    if results:
        bars.append(bar("difference of proven objectives, most", max(r["objective_spread"] for r in results), 1e-6))
    if endured:
        bars.append(bar(f"memory growth over {endured['replans']} re-plans, MB", endured["rss_growth_mb"], 1.0))
    return bars


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--quick", action="store_true", help="small sizes, few runs: proves that it works")
    parser.add_argument(
        "--instances", type=int, default=6, help="instances of each size (default 6; 3 and 2 of the greatest)"
    )
    parser.add_argument("--workload", nargs="+", default=[], help="also the tables of these stores, or of a .toml file")
    parser.add_argument("--only", nargs="*", choices=(*SIZES, "replans"), help="some sizes, or the re-plans alone")
    parser.add_argument("--join", nargs="+", type=Path, help="measure nothing: join what runs with --only printed")
    parser.add_argument("--worker", choices=SOLVERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return serve(args.worker)
    figures = joined(args.join) if args.join else measured(args)
    bars = bars_of(figures["instances"], figures.get("endurance"))
    if not args.json:
        for b in bars:
            print("ok  " if b["holds"] else "FAIL", f"{b['name']}: {b['value']:.4g} (limit {b['limit']:g})")
    print(json_line("scheduler", figures, bars, ["numpy", "pulp", "highspy", "ortools"]))


def joined(files: list[Path]) -> dict[str, Any]:
    """The figures of several runs' last lines as one."""
    parts = [json.loads(f.read_text().splitlines()[-1])["figures"] for f in files]
    others = {key: value for part in parts for key, value in part.items() if key != "instances"}
    return {"instances": [row for part in parts for row in part["instances"]], **others}


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """All figures asked for."""
    asked = (list(SIZES)[:3] if args.quick else list(SIZES)) + ["replans"] if args.only is None else args.only
    count = 1 if args.quick else args.instances
    most = {"4x8x18": 3, "8x8x10": 3, "16x12x12": 2}  # on which solvers take minutes
    sizes = [size for size in asked if size in SIZES]
    instances = [draw(*SIZES[size], seed=seed) for size in sizes for seed in range(min(count, most.get(size, count)))]
    if args.workload:
        instances.append(of_stores(args.workload))
    workers = {name: Worker(name) for name in SOLVERS}
    for worker in workers.values():  # imports and first calls
        worker.ask("solve", draw(1, 2, 3, seed=0))
    results = []
    for instance in instances:
        rounds = 1 if args.quick else {"16x12x12": 1, "8x8x10": 2, "4x8x18": 3}.get(instance["name"], 5)
        results.append(measure(workers, instance, rounds, 50 if args.quick else 300))
        row = results[-1]
        times = "  ".join(f"{s} {row[s]['median_ms']:.1f}" for s in SOLVERS)
        warm_ms = f"{row['warm']['median_ms']:.2f} (max {row['warm']['max_ms']:.1f})"
        print(f"{instance['name']:>9}  cold ms: {times}   warm ms {warm_ms}", file=sys.stderr, flush=True)
    figures: dict[str, Any] = {"instances": results}
    if "replans" in asked:
        ours = workers["legodnn"]
        figures["endurance"] = ours.ask("endurance", draw(4, 8, 10, seed=0), 2_000 if args.quick else 100_000)
        for size in ("4x8x10",) if args.quick else ("4x8x10", "4x8x18", "8x8x10"):
            found = ours.ask("variants", draw(*SIZES[size], seed=0), 10 if args.quick else 200)
            found |= ours.ask("interactions", draw(*SIZES[size], seed=0), 3 if args.quick else 30)
            figures[f"variants {size}"] = {name: spread(seconds) for name, seconds in found.items()}
    for worker in workers.values():
        worker.process.kill()
    return figures


if __name__ == "__main__":
    main()
