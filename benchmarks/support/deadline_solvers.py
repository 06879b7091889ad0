"""HiGHS and CP-SAT on the re-plans of `benchmarks/deadline.py`: one binary for each option, the charge in its cost."""

from __future__ import annotations

import os
import time
from typing import Any

DEADLINE_MS = 100.0
# Solvers count time on the wall: they get more of it, and what counts is the processor time that it took.
WALL_S = 2.0
Problem = dict[str, Any]


def columns(given: Problem, asked: Problem) -> list[tuple[int, int, int, int, int]]:
    """Return a column for each option: model, block, memory, latency, and cost (loss and charge in 10^-9)."""
    found = []
    for m, table in enumerate(given["tables"]):
        for b, block in enumerate(table):
            for k, (memory, latency, loss) in enumerate(zip(*block, strict=True)):
                stays = asked["running"] is None or asked["running"][m][b] == k
                charge = 0 if stays else round(given["per_mb"] * memory * 1e3)
                found.append((m, b, memory, latency, loss * 1000 + charge))
    return found


def solve_highs(given: Problem, asked: Problem) -> dict[str, Any]:
    """Solve by HiGHS, called through highspy."""
    import highspy

    h = highspy.Highs()
    for name, value in (
        ("output_flag", False),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 1e-7),
        ("time_limit", WALL_S),
    ):
        h.setOptionValue(name, value)
    found = columns(given, asked)
    groups: dict[tuple[int, int], list[int]] = {}
    models: dict[int, list[int]] = {}
    for i, (m, b, _, _, cost) in enumerate(found):
        h.addCol(cost / 1e9, 0.0, 1.0, 0, [], [])
        h.changeColIntegrality(i, highspy.HighsVarType.kInteger)
        groups.setdefault((m, b), []).append(i)
        models.setdefault(m, []).append(i)
    for group in groups.values():
        h.addRow(1.0, 1.0, len(group), group, [1.0] * len(group))
    every = list(range(len(found)))
    h.addRow(-highspy.kHighsInf, asked["memory"] / 1e6, len(every), every, [c[2] / 1e6 for c in found])
    if asked["busy"] is not None:
        h.addRow(-highspy.kHighsInf, asked["busy"] / 1e6, len(every), every, [c[3] / 1e6 for c in found])
    for m, limit in enumerate(asked["latency"] or []):
        h.addRow(-highspy.kHighsInf, limit / 1e6, len(models[m]), models[m], [found[i][3] / 1e6 for i in models[m]])
    start = time.process_time()
    h.run()
    seconds = time.process_time() - start
    feasible = h.getInfo().primal_solution_status == 2
    return {
        "ms": 1e3 * seconds,
        "proven": h.getModelStatus() == highspy.HighsModelStatus.kOptimal and 1e3 * seconds <= DEADLINE_MS,
        "worth": -h.getObjectiveValue() if feasible else None,
    }


def solve_cpsat(given: Problem, asked: Problem) -> dict[str, Any]:
    """Solve by CP-SAT with as many workers as there are cores."""
    from ortools.sat.python import cp_model

    model, found = cp_model.CpModel(), columns(given, asked)
    x = [model.new_bool_var("") for _ in found]
    groups: dict[Any, list[Any]] = {}
    for variable, (m, b, *_) in zip(x, found, strict=True):
        groups.setdefault((m, b), []).append(variable)
    for group in groups.values():
        model.add_exactly_one(group)
    model.add(cp_model.LinearExpr.weighted_sum(x, [c[2] for c in found]) <= asked["memory"])
    if asked["busy"] is not None:
        model.add(cp_model.LinearExpr.weighted_sum(x, [c[3] for c in found]) <= asked["busy"])
    for m, limit in enumerate(asked["latency"] or []):
        own = [(v, c[3]) for v, c in zip(x, found, strict=True) if c[0] == m]
        model.add(cp_model.LinearExpr.weighted_sum([v for v, _ in own], [t for _, t in own]) <= limit)
    model.minimize(cp_model.LinearExpr.weighted_sum(x, [c[4] for c in found]))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = os.cpu_count() or 1
    solver.parameters.max_time_in_seconds = WALL_S
    start = time.process_time()
    status = solver.solve(model)
    seconds = (time.process_time() - start) / solver.parameters.num_workers
    has_plan = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return {
        "ms": 1e3 * seconds,
        "proven": status == cp_model.OPTIMAL and 1e3 * seconds <= DEADLINE_MS,
        "worth": -solver.objective_value / 1e9 if has_plan else None,
    }
