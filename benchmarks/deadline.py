"""Hard re-plans with a deadline: their time and memory, and how many are proven best, beside HiGHS and CP-SAT.

    python benchmarks/deadline.py --json > benchmarks/results/deadline.json
    python benchmarks/deadline.py --quick
    python benchmarks/deadline.py --work DIR --replans 10000     (interrupted, it goes on)

Four kinds of problems, drawn at random; each question changes the limits, and the plan before it is the one that runs:

    charged 4x8x18   four models of eight blocks with 18 options; charges for switching, memory, latency
    charged demo     two models of 5 and 8 blocks with 18 options, as in the demo; charges, memory, cores
    cores 20-40      20 to 40 models of 4 blocks with 6 options; memory and cores
    mmkp 10-40       10 to 40 models of one block with 30 options worth what they weigh; memory and cores

Our scheduler and the solvers get the same integers and 100 ms of processor time; our deadline's clock is set to count
processor time, so that what else runs on the machine does not matter. Solvers get one binary for each option, with the
charge in its cost, and answer every 20th question in processes of their own. To build their model is not counted; what
they have proven in 100 ms counts (of each core where they use several). Accuracy is linear in the losses.

Needs: pip install ortools highspy
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from support.deadline_solvers import DEADLINE_MS, Problem, solve_cpsat, solve_highs
from support.instances import LOSS_UNITS, draw, model_tables
from support.kept import begun, kept
from support.report import Bars, Figures, bar, run
from support.workers import Worker, script_worker, served

FAMILIES = ("charged 4x8x18", "charged demo", "cores 20-40", "mmkp 10-40")
QUESTIONS_EACH = 25


# --- problems --------------------------------------------------------------------------------------------------------


def problem(family: str, seed: int) -> Problem:
    """Draw a problem: tables of integers (bytes, nanoseconds, loss in millionths), a charge, and questions' limits."""
    rng = np.random.default_rng([FAMILIES.index(family), seed])
    per_mb = float(10 ** rng.uniform(-3.5, -1)) if family.startswith("charged") else 0.0
    if family == "mmkp 10-40":
        tables = [[_near_proportional(rng)] for _ in range(int(rng.integers(10, 41)))]
    elif family == "charged demo":
        tables = draw(1, 5, 6, 3, seed=2 * seed)["tables"] + draw(1, 8, 6, 3, seed=2 * seed + 1)["tables"]
    elif family == "charged 4x8x18":
        tables = draw(4, 8, 6, 3, seed=seed)["tables"]
    else:
        tables = draw(int(rng.integers(20, 41)), 4, 6, seed=seed)["tables"]
    questions = []
    for _ in range(QUESTIONS_EACH):
        memory = _between([b for t in tables for b in t], 0, rng.uniform(0.2, 0.8))
        latency = [_between(t, 1, rng.uniform(0.5, 1.0)) for t in tables] if family == "charged 4x8x18" else None
        cores = None if latency else _between([b for t in tables for b in t], 1, rng.uniform(0.3, 0.8))
        questions.append({"memory": memory, "latency": latency, "busy": cores})
    return {"family": family, "seed": seed, "tables": tables, "per_mb": per_mb, "questions": questions}


def _between(blocks: list[Any], figure: int, share: float) -> int:
    least, most = sum(min(b[figure]) for b in blocks), sum(max(b[figure]) for b in blocks)
    return int(least + share * (most - least))


def _near_proportional(rng: np.random.Generator, options: int = 30) -> list[list[int]]:
    memory, latency = rng.integers(1, 1000, (2, options)) * 1000
    value = (memory + latency) / 2e6 * rng.uniform(0.8, 1.2, options)
    return [memory.tolist(), latency.tolist(), np.rint((1.2 - value) * LOSS_UNITS).astype(int).tolist()]


# --- this package ----------------------------------------------------------------------------------------------------


def solve_legodnn(given: Problem, every: int) -> list[dict[str, Any]]:
    """Answer all questions; every `every`th answer holds what solvers need to answer the same one."""
    from legodnn.errors import InfeasibleError
    from legodnn.runtime.planning.scheduler import Scheduler
    from legodnn.runtime.planning.solver import deadline
    from legodnn.workload import Budget, SwitchCharge

    deadline.now = time.process_time
    tables = [replace(table, rate_hz=1.0) for table in model_tables(given)]
    scheduler = Scheduler(tables, SwitchCharge(per_mb=given["per_mb"]))
    plan = scheduler.plan(Budget())
    answers = []
    for number, question in enumerate(given["questions"]):
        limits = {f"m{i}": ns / 1e6 for i, ns in enumerate(question["latency"] or [])} or None
        cores = None if question["busy"] is None else question["busy"] / 1e9
        budget = Budget(memory_bytes=question["memory"], latency_ms=limits, cores=cores)
        running = (
            [[int(o.removeprefix("o")) for o in m.options.values()] for m in plan.models] if given["per_mb"] else None
        )
        held = _peak(reset=True)
        start = time.process_time()
        try:
            found = scheduler.plan(budget, running=plan, deadline_ms=DEADLINE_MS)
        except InfeasibleError:
            continue
        answer: dict[str, Any] = {
            "ms": 1e3 * (time.process_time() - start),
            "mb": (_peak() - held) / 1e6,
            "worth": found.objective - found.switch_charge,
            "gap": found.gap,
        }
        if number % every == 0:
            answer["asked"] = {**question, "running": running}
        answers.append(answer)
        plan = found
    return answers


def _peak(reset: bool = False) -> int:
    """Return the most bytes that were resident since the last reset; after a reset those that are resident now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


# --- figures ---------------------------------------------------------------------------------------------------------


def summary(rows: list[dict[str, Any]]) -> Figures:
    """Summarise one kind of problem: times, memory, gaps, and the solvers on the questions that they were asked."""
    ours = [a for row in rows for a in row["legodnn"]]
    ms = np.array([a["ms"] for a in ours])
    gaps = np.array([a["gap"] for a in ours])
    figures: Figures = {
        "replans": len(ours),
        "proven": float((gaps == 0).mean()),
        "ms": {"median": float(np.median(ms)), "p99": float(np.percentile(ms, 99)), "max": float(ms.max())},
        "most_mb": max(a["mb"] for a in ours),
        "gap": {"p99": float(np.percentile(gaps, 99)), "max": float(gaps.max())},
    }
    both = [
        (a, s) for row in rows for a, s in zip([a for a in row["legodnn"] if "asked" in a], row["solvers"], strict=True)
    ]
    figures["asked_of_all"] = len(both)
    figures["proven_of_these"] = float(np.mean([a["gap"] == 0 for a, _ in both]))
    for name in both[0][1] if both else ():
        worth = [(a["worth"], s[name]["worth"]) for a, s in both]
        figures[name] = {
            "proven": float(np.mean([s[name]["proven"] for _, s in both])),
            "ms": float(np.median([s[name]["ms"] for _, s in both])),
            "without_a_plan": sum(theirs is None for _, theirs in worth),
            "worse_than_ours": sum(theirs is None or theirs < ours - 1e-6 for ours, theirs in worth),
            "better_than_ours": sum(theirs is not None and theirs > ours + 1e-6 for ours, theirs in worth),
            "beyond_our_bound": sum(
                s[name]["worth"] is not None and s[name]["worth"] > a["worth"] + a["gap"] + 1e-6 for a, s in both
            ),
        }
    return figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("--replans", type=int, default=10_000, help="in all (default 10000)")
    parser.add_argument("--only-legodnn", action="store_true", help="without the solvers")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Have all problems solved that have not been solved yet, and summarise."""
    each = 1 if args.quick else -(-args.replans // (len(FAMILIES) * QUESTIONS_EACH))
    begun(args.work, {"solvers": not args.only_legodnn})
    others = {} if args.only_legodnn else {name: script_worker(__file__, name) for name in ("highs", "cpsat")}
    ours = script_worker(__file__, "legodnn")
    rows = [
        kept(args.work and args.work / f"{family}-{seed}.json", partial(solved, family, seed, ours, others))
        for seed in range(each)
        for family in FAMILIES
    ]
    for worker in (ours, *others.values()):
        worker.close()
    figures = {family: summary([r for r in rows if r["family"] == family]) for family in FAMILIES}
    return figures, bars_of(figures)


def solved(family: str, seed: int, ours: Worker, others: dict[str, Worker]) -> dict[str, Any]:
    """Return our answers to a problem's questions, and the solvers' to those that they are asked."""
    given = problem(family, seed)
    answers = ours.ask([given, 20])
    asked = [a["asked"] for a in answers if "asked" in a]
    proven, worst = sum(a["gap"] == 0 for a in answers), max(a["ms"] for a in answers)
    print(f"{family} {seed}: {proven} of {len(answers)} proven, worst {worst:.0f} ms", file=sys.stderr, flush=True)
    return {
        "family": family,
        "seed": seed,
        "legodnn": answers,
        "solvers": [{name: w.ask([given, question]) for name, w in others.items()} for question in asked],
    }


def bars_of(figures: Figures) -> Bars:
    """Return the figures that have a goal."""
    bars: Bars = []
    for family, found in figures.items():
        bars.append(bar(f"{family}: the slowest re-plan, ms", found["ms"]["max"], 1.1 * DEADLINE_MS))
        bars.append(bar(f"{family}: most memory, MB", found["most_mb"], 50.0))
        beyond = max((found[name]["beyond_our_bound"] for name in ("highs", "cpsat") if name in found), default=0)
        bars.append(bar(f"{family}: plans of solvers beyond our bound", beyond, 0))
    return bars


def answer(solve: Callable[..., Any], request: list[Any]) -> Any:
    """Answer a request, which is a problem, and a question or how many questions there are for each of the solvers'."""
    return solve(*request)


SOLVERS: dict[str, Callable[..., Any]] = {"legodnn": solve_legodnn, "highs": solve_highs, "cpsat": solve_cpsat}

if __name__ == "__main__" and not served({name: partial(answer, solve) for name, solve in SOLVERS.items()}):
    packages = ["numpy", "highspy", "ortools"]
    run("deadline", __doc__, measure, folders=["work"], packages=packages, add_arguments=add_arguments)
