"""Scheduling problems as lists of integers, and four that solve them: this package, CBC, HiGHS and CP-SAT.

Each gets the LegoDNN authors' formulation: one binary for each option, one choice for each block, one memory limit, a
latency limit for each model. `benchmarks/scheduler.py` runs each in a process of its own.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

# What float32, float16 and int8 weights multiply memory and latency by, and add to the loss.
PRECISIONS = ((1.0, 1.0, 0.0), (0.5, 0.95, 0.0005), (0.25, 0.45, 0.004))
LOSS_UNITS = 10**6
TIME_LIMIT_S = 60
Instance = dict[str, Any]


# --- instances -------------------------------------------------------------------------------------------------------


def draw(models: int, blocks: int, sparsities: int, precisions: int = 1, *, seed: int) -> Instance:
    """Tables like those of pruned CNN blocks: what an option saves is nearly, not quite, proportional to its sparsity.

    Memory in bytes, latency in nanoseconds, loss in millionths.
    """
    rng = np.random.default_rng(seed)
    sparsity = np.tile(np.linspace(0, 0.9, sparsities), precisions)
    options = len(sparsity)
    smaller, faster, worse = np.repeat(np.array(PRECISIONS[:precisions]), sparsities, axis=0).T
    tables = []
    for _ in range(models):
        rows = []
        for _ in range(blocks):
            memory = 4e6 * rng.lognormal(0, 1) * (1 - sparsity) * rng.normal(1, 0.02, options) * smaller + 2e4
            latency = 1.5e6 * rng.lognormal(0, 0.5) * (1 - sparsity) ** rng.uniform(0.7, 1.1)
            latency = latency * rng.normal(1, 0.04, options) * faster + 5e4
            loss = rng.lognormal(-3, 0.7) * sparsity ** rng.uniform(1.5, 3) * rng.normal(1, 0.05, options) + worse
            columns = (memory, latency, loss * LOSS_UNITS)
            rows.append([np.rint(c).astype(int).tolist() for c in columns])
        tables.append(rows)
    return with_limits(f"{models}x{blocks}x{options}", tables, rng)


def with_limits(name: str, tables: list[Any], rng: np.random.Generator) -> Instance:
    """Limits between the least and the most that the tables can take."""

    def limit(blocks: list[Any], figure: int, share: float) -> int:
        least = sum(min(b[figure]) for b in blocks)
        most = sum(max(b[figure]) for b in blocks)
        return int(max(share * most, least + 0.2 * (most - least)))

    latency = [limit(t, 1, rng.uniform(0.4, 0.8)) for t in tables]
    memory = limit([block for t in tables for block in t], 0, rng.uniform(0.3, 0.7))
    return {"name": name, "tables": tables, "memory": memory, "latency": latency}


def of_stores(paths: list[str]) -> Instance:
    """The tables of a workload's stores, one thread, losses instead of linked accuracy, without interactions."""
    from legodnn.profile import Profile
    from legodnn.runtime.planning.model_table import ModelTable
    from legodnn.store import Store
    from legodnn.workload import load_workload

    tables = []
    for model in load_workload(paths).models:
        table = ModelTable.from_workload(model, Store(model.store), Profile.load(model.profile_path))
        n = table.thread_counts[0]
        tables.append(
            [
                [
                    [o.memory_bytes for o in block.options],
                    [round(o.latency_ms[n] * 1e6) for o in block.options],
                    [round(o.loss * LOSS_UNITS) for o in block.options],
                ]
                for block in table.blocks
            ]
        )
    rng = np.random.default_rng(0)
    instance = with_limits("stores", tables, rng)
    # Real options that save memory need not save time: limits drawn apart may not hold together. One plan holds these.
    chosen = [[rng.integers(len(block[0])) for block in table] for table in tables]
    sums = [
        [sum(block[figure][o] for block, o in zip(table, of, strict=True)) for figure in (0, 1)]
        for table, of in zip(tables, chosen, strict=True)
    ]
    instance["memory"] = max(instance["memory"], sum(memory for memory, _ in sums))
    instance["latency"] = [max(limit, ns) for limit, (_, ns) in zip(instance["latency"], sums, strict=True)]
    return instance


# --- the four of them ------------------------------------------------------------------------------------------------


def model_tables(instance: Instance) -> list[Any]:
    """The instance as the scheduler takes it."""
    from legodnn.manifest import Link
    from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow

    tables = []
    for i, table in enumerate(instance["tables"]):
        blocks = tuple(
            BlockRows(
                f"b{j}",
                tuple(
                    OptionRow(f"o{k}", m, {1: t / 1e6}, loss / LOSS_UNITS, bytes=m, load_ms=m / 1e7)
                    for k, (m, t, loss) in enumerate(zip(*block, strict=True))
                ),
            )
            for j, block in enumerate(table)
        )
        linear = Link(x=(-100.0, 100.0), y=(100.0, -100.0))
        tables.append(ModelTable(f"m{i}", blocks, link=linear, rate_hz=20.0))
    return tables


def budget_of(instance: Instance, memory: float = 1.0, latency: Any = None) -> Any:
    """The instance's limits, scaled."""
    from legodnn.workload import Budget

    scales = np.ones(len(instance["latency"])) if latency is None else latency
    limits = {f"m{i}": float(t * s) / 1e6 for i, (t, s) in enumerate(zip(instance["latency"], scales, strict=True))}
    return Budget(memory_bytes=int(instance["memory"] * memory), latency_ms=limits)


def answer(begin: float, start: float, loss: float, proven: bool) -> dict[str, Any]:
    """A solver's answer, just now: it was asked at `begin`, and its solve call started at `start`."""
    now = time.perf_counter()
    return {"seconds": now - begin, "solve_seconds": now - start, "loss": loss, "proven": proven}


def solve_legodnn(instance: Instance) -> dict[str, Any]:
    """This scheduler, cold."""
    from legodnn.runtime.planning.scheduler import Scheduler

    begin = time.perf_counter()
    tables, budget = model_tables(instance), budget_of(instance)
    start = time.perf_counter()
    plan = Scheduler(tables).plan(budget)
    return answer(begin, start, -plan.objective, proven=True)


def solve_cbc(instance: Instance) -> dict[str, Any]:
    """CBC through PuLP."""
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
    """HiGHS through highspy."""
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
    """CP-SAT, with as many workers as there are cores."""
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
