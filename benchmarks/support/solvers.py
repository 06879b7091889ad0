"""Four that solve the problems of `instances`: this package's scheduler, CBC, HiGHS and CP-SAT.

Each solver gets the LegoDNN authors' formulation: one binary for each option, one choice for each block, one memory
limit, a latency limit for each model. `benchmarks/scheduler.py` runs each in a process of its own.
"""

from __future__ import annotations

import os
import time
from typing import Any

from support.instances import LOSS_UNITS, Instance, budget_of, model_tables

TIME_LIMIT_S = 60


def answer(begin: float, start: float, loss: float, proven: bool) -> dict[str, Any]:
    """Return the answer of a solver that has just finished, was asked at `begin` and started to solve at `start`."""
    now = time.perf_counter()
    return {"seconds": now - begin, "solve_seconds": now - start, "loss": loss, "proven": proven}


def solve_legodnn(instance: Instance) -> dict[str, Any]:
    """Solve by this package's scheduler, its tables and frontiers built anew."""
    from legodnn.runtime.planning.scheduler import Scheduler

    begin = time.perf_counter()
    tables, budget = model_tables(instance), budget_of(instance)
    start = time.perf_counter()
    plan = Scheduler(tables).plan(budget)
    return answer(begin, start, -plan.objective, proven=True)


def solve_cbc(instance: Instance) -> dict[str, Any]:
    """Solve by CBC, called through PuLP."""
    import pulp

    begin = time.perf_counter()
    problem = pulp.LpProblem("blocks", pulp.LpMinimize)
    memory, loss = [], []
    for i, (table, limit) in enumerate(zip(instance["tables"], instance["latency"], strict=True)):
        latency = []
        for j, block in enumerate(table):
            x = [pulp.LpVariable(f"x_{i}_{j}_{k}", cat="Binary") for k in range(len(block[0]))]
            problem += pulp.lpSum(x) == 1
            for column, m, t, o in zip(x, *block, strict=True):
                memory.append((column, m / 1e6))
                latency.append((column, t / 1e6))
                loss.append((column, o))  # in units: CBC ignores improvements below 1e-5
        problem += pulp.LpAffineExpression(latency) <= limit / 1e6
    problem += pulp.LpAffineExpression(memory) <= instance["memory"] / 1e6
    problem.setObjective(pulp.LpAffineExpression(loss))
    solver = pulp.PULP_CBC_CMD(msg=False, gapRel=0, gapAbs=0, timeLimit=TIME_LIMIT_S)
    start = time.perf_counter()
    problem.solve(solver)
    seconds = time.perf_counter() - start
    proven = problem.sol_status == pulp.LpSolutionOptimal and seconds < TIME_LIMIT_S
    return answer(begin, start, float(pulp.value(problem.objective)) / LOSS_UNITS, proven)


def solve_highs(instance: Instance) -> dict[str, Any]:
    """Solve by HiGHS, called through highspy."""
    import highspy

    begin = time.perf_counter()
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("mip_rel_gap", 0.0)
    h.setOptionValue("mip_abs_gap", 1e-7)
    h.setOptionValue("time_limit", float(TIME_LIMIT_S))
    memory: list[tuple[int, float]] = []
    columns = 0
    for table, limit in zip(instance["tables"], instance["latency"], strict=True):
        latency: list[tuple[int, float]] = []
        for block in table:
            count = len(block[0])
            here = list(range(columns, columns + count))
            for m, t, loss in zip(*block, strict=True):
                h.addCol(loss / LOSS_UNITS, 0.0, 1.0, 0, [], [])
                h.changeColIntegrality(columns, highspy.HighsVarType.kInteger)
                memory.append((columns, m / 1e6))
                latency.append((columns, t / 1e6))
                columns += 1
            h.addRow(1.0, 1.0, count, here, [1.0] * count)
        h.addRow(-highspy.kHighsInf, limit / 1e6, len(latency), *map(list, zip(*latency, strict=True)))
    h.addRow(-highspy.kHighsInf, instance["memory"] / 1e6, len(memory), *map(list, zip(*memory, strict=True)))
    start = time.perf_counter()
    h.run()
    return answer(begin, start, h.getObjectiveValue(), h.getModelStatus() == highspy.HighsModelStatus.kOptimal)


def solve_cpsat(instance: Instance) -> dict[str, Any]:
    """Solve by CP-SAT with as many workers as there are cores."""
    from ortools.sat.python import cp_model

    begin = time.perf_counter()
    model = cp_model.CpModel()
    x, memory, loss = [], [], []
    for table, limit in zip(instance["tables"], instance["latency"], strict=True):
        here, latency = [], []
        for block in table:
            choice = [model.new_bool_var("") for _ in block[0]]
            model.add_exactly_one(choice)
            here += choice
            memory += block[0]
            latency += block[1]
            loss += block[2]
        model.add(cp_model.LinearExpr.weighted_sum(here, latency) <= limit)
        x += here
    model.add(cp_model.LinearExpr.weighted_sum(x, memory) <= instance["memory"])
    model.minimize(cp_model.LinearExpr.weighted_sum(x, loss))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = os.cpu_count() or 1
    solver.parameters.max_time_in_seconds = TIME_LIMIT_S
    start = time.perf_counter()
    status = solver.solve(model)
    return answer(begin, start, solver.objective_value / LOSS_UNITS, status == cp_model.OPTIMAL)
