"""The scheduler against CBC, HiGHS and CP-SAT: cold and warm plans, the same optimum from all, and 100,000 re-plans.

    python benchmarks/scheduler.py --json > benchmarks/results/scheduler.json
    python benchmarks/scheduler.py --quick
    python benchmarks/scheduler.py --workload workload.toml                 (with tables of real stores as well)
    python benchmarks/scheduler.py --only 4x8x10 replans --json > a.json    (in parts, which are then joined)
    python benchmarks/scheduler.py --join a.json b.json

Instances are models x blocks x options, from 1x5x6 to 16x12x12; 18 options are 6 sparsities in 3 precisions. Our
scheduler and the solvers get the same integers and linear accuracy (a plan's objective is minus its summed loss), which
is the LegoDNN authors' formulation: one binary for each option, one choice for each block, one memory limit, a latency
limit for each model; CBC is called through PuLP, as they do it. Solvers run in processes of their own and take turns on
every instance.

`cold` is everything from lists of integers to the plan: for us with tables and frontiers, for the solvers with building
the model in Python. `warm` is a re-plan under a new memory limit and new latency limits; it is compared with the
solvers' own solve call alone, as if their model had been kept and changed in no time.

Needs: pip install ortools pulp highspy
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from support.instances import SIZES, Instance, budget_of, draw, model_tables, of_stores
from support.report import Bars, Figures, bar, run, spread_ms
from support.solvers import solve_cbc, solve_cpsat, solve_highs, solve_legodnn
from support.workers import Worker, script_worker, served

if TYPE_CHECKING:
    from legodnn.runtime.planning.model_table import ModelTable

SOLVERS = {"legodnn": solve_legodnn, "cbc": solve_cbc, "highs": solve_highs, "cpsat": solve_cpsat}


def warm(instance: Instance, count: int, seed: int = 0) -> list[float]:
    """Return the seconds of re-plans under random memory and latency limits; each starts from the plan before it."""
    from legodnn.errors import InfeasibleError
    from legodnn.runtime.planning.scheduler import Scheduler

    scheduler = Scheduler(model_tables(instance))
    rng = np.random.default_rng(seed)
    seconds: list[float] = []
    plan = scheduler.plan(budget_of(instance))
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
    """Return the seconds of re-plans with a limit of compute, and of those with a charge for switching."""
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
    """Return the seconds to build frontiers and of re-plans, without interactions and with more than most fits find."""
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
    """Return the table with interactions: a share of the geometric mean of two neighbours' losses, with deviations."""
    blocks = [table.blocks[0]]
    for block in table.blocks[1:]:
        before, here = ([max(o.loss, 0.0) for o in b.options] for b in (blocks[-1], block))
        share = rng.normal(0, 0.3) + rng.normal(0, 0.12, (len(before), len(here)))
        found = share * np.sqrt(np.outer(before, here))
        blocks.append(replace(block, interaction=tuple(map(tuple, found.tolist()))))
    return replace(table, blocks=tuple(blocks))


def endurance(instance: Instance, count: int) -> dict[str, Any]:
    """Re-plan under wildly differing budgets in one process; return times, failures, and how memory grows.

    Freed memory that the C library keeps is returned to the system before memory is read, so that it does not count.
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


# --- workers and figures ---------------------------------------------------------------------------------------------


def answer(solve: Callable[[Instance], Any], request: dict[str, Any]) -> Any:
    """Do what a request asks of a worker: solve an instance, or another task, which only ours is asked to do."""
    listed: tuple[Callable[..., Any], ...] = (warm, variants, interactions, endurance)
    tasks: dict[str, Callable[..., Any]] = {"solve": solve, **{task.__name__: task for task in listed}}
    return tasks[request["task"]](request["instance"], *request["arguments"])


def ask(worker: Worker, task: str, instance: Instance, *arguments: Any) -> Any:
    """Have a worker do a task on an instance."""
    return worker.ask({"task": task, "instance": instance, "arguments": arguments})


def compare(workers: dict[str, Worker], instance: Instance, rounds: int, replans: int) -> Figures:
    """Have an instance solved by all solvers in turn, `rounds` times, and then re-planned."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            runs[name].append(ask(worker, "solve", instance))
    proven = [r["loss"] for answers in runs.values() for r in answers if r["proven"]]
    figures: Figures = {
        name: {
            **spread_ms([a["seconds"] for a in answers]),
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
    figures["warm"] = spread_ms(ask(workers["legodnn"], "warm", instance, replans))
    return {"instance": instance["name"], **figures}


def bars_of(results: list[Figures], endured: Figures | None) -> Bars:
    """Return the figures that have a goal: medians over instances; of cold plans the worst instance's."""
    bars: Bars = []
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


def joined(files: list[Path]) -> Figures:
    """Join the figures in the last lines of several runs."""
    parts = [json.loads(f.read_text().splitlines()[-1])["figures"] for f in files]
    others = {key: value for part in parts for key, value in part.items() if key != "instances"}
    return {"instances": [row for part in parts for row in part["instances"]], **others}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument(
        "--instances", type=int, default=6, help="instances of each size (default 6; 3 and 2 of the greatest)"
    )
    parser.add_argument("--workload", nargs="+", default=[], help="also the tables of these stores, or of a .toml file")
    parser.add_argument("--only", nargs="*", choices=(*SIZES, "replans"), help="some sizes, or the re-plans alone")
    parser.add_argument("--join", nargs="+", type=Path, help="measure nothing: join what runs with --only printed")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure what is asked for, or join what other runs measured."""
    figures = joined(args.join) if args.join else measured(args)
    return figures, bars_of(figures["instances"], figures.get("endurance"))


def measured(args: argparse.Namespace) -> Figures:
    """Return all figures that are asked for."""
    asked = (list(SIZES)[:3] if args.quick else list(SIZES)) + ["replans"] if args.only is None else args.only
    count = 1 if args.quick else args.instances
    most = {"4x8x18": 3, "8x8x10": 3, "16x12x12": 2}  # on which solvers take minutes
    sizes = [size for size in asked if size in SIZES]
    instances = [draw(*SIZES[size], seed=seed) for size in sizes for seed in range(min(count, most.get(size, count)))]
    if args.workload:
        instances.append(of_stores(args.workload))
    workers = {name: script_worker(__file__, name) for name in SOLVERS}
    for worker in workers.values():  # imports and first calls
        ask(worker, "solve", draw(1, 2, 3, seed=0))
    results = []
    for instance in instances:
        rounds = 1 if args.quick else {"16x12x12": 1, "8x8x10": 2, "4x8x18": 3}.get(instance["name"], 5)
        results.append(compare(workers, instance, rounds, 50 if args.quick else 300))
        print(line(results[-1]), file=sys.stderr, flush=True)
    figures: Figures = {"instances": results}
    if "replans" in asked:
        ours = workers["legodnn"]
        figures["endurance"] = ask(ours, "endurance", draw(4, 8, 10, seed=0), 2_000 if args.quick else 100_000)
        for size in ("4x8x10",) if args.quick else ("4x8x10", "4x8x18", "8x8x10"):
            found = ask(ours, "variants", draw(*SIZES[size], seed=0), 10 if args.quick else 200)
            found |= ask(ours, "interactions", draw(*SIZES[size], seed=0), 3 if args.quick else 30)
            figures[f"variants {size}"] = {name: spread_ms(seconds) for name, seconds in found.items()}
    for worker in workers.values():
        worker.close()
    return figures


def line(row: Figures) -> str:
    """Return an instance's times as a line."""
    times = "  ".join(f"{solver} {row[solver]['median_ms']:.1f}" for solver in SOLVERS)
    warm_ms = f"{row['warm']['median_ms']:.2f} (max {row['warm']['max_ms']:.1f})"
    return f"{row['instance']:>9}  cold ms: {times}   warm ms {warm_ms}"


def table(figures: Figures) -> str:
    """Return a line for each instance, and one for each kind of re-plan."""
    lines = [line(row) for row in figures["instances"]]
    for title in [key for key in figures if key.startswith("variants ")]:
        for name, found in figures[title].items():
            lines.append(
                f"{title.removeprefix('variants '):>9}  {name} {found['median_ms']:.2f} ms (max {found['max_ms']:.1f})"
            )
    if endured := figures.get("endurance"):
        growth, worst = f"{endured['rss_growth_mb']:.2f} MB", f"{endured['worst_ms']:.1f} ms"
        lines.append(f"{endured['replans']} re-plans: memory grew by {growth}, the slowest took {worst}")
    return "\n".join(lines)


if __name__ == "__main__" and not served({name: partial(answer, solve) for name, solve in SOLVERS.items()}):
    packages = ["numpy", "pulp", "highspy", "ortools"]
    run("scheduler", __doc__, measure, packages=packages, add_arguments=add_arguments, table=table)
