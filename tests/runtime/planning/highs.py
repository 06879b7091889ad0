"""An oracle for the scheduler: HiGHS, given the whole problem.

It gets a mixed-integer programme with one binary for each (model, way to run, block, option), the links as piecewise
linear functions with a binary for each piece, and no frontier, no dominance, no fixed point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from legodnn.runtime.planning.model_table import ModelTable, OptionRow
from tests.runtime.planning.random_cases import Case, Way, latency_limit, loss_of, suspension, ways

optimize, sparse = pytest.importorskip("scipy.optimize"), pytest.importorskip("scipy.sparse")


class Programme:
    """A mixed-integer programme being written down: columns with costs, rows with bounds."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.integer: list[int] = []
        self.upper: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.bounds: list[tuple[float, float]] = []

    def column(self, cost: float = 0.0, integer: bool = True, upper: float = 1.0) -> int:
        self.cost.append(cost)
        self.integer.append(int(integer))
        self.upper.append(upper)
        return len(self.cost) - 1

    def row(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        self.entries += [(len(self.bounds), c, v) for c, v in terms]
        self.bounds.append((low, high))

    def solve(self) -> tuple[float, np.ndarray] | None:
        rows, columns, values = zip(*self.entries, strict=True)
        matrix = sparse.coo_array((values, (rows, columns)), shape=(len(self.bounds), len(self.cost))).tocsr()
        low, high = zip(*self.bounds, strict=True)
        found = optimize.milp(
            self.cost,
            integrality=self.integer,
            bounds=optimize.Bounds(0, self.upper),
            constraints=optimize.LinearConstraint(matrix, low, high),
            options={"mip_rel_gap": 0, "time_limit": 120},
        )
        if found.status == 2:
            return None
        assert found.status == 0, found.message
        return float(found.fun), found.x


@dataclass(frozen=True)
class Answer:
    """What HiGHS found. Its tolerances may let a plan through that misses a limit by a millionth: `holds` is False.

    `worth` is that of its plan, added up again without tolerances; `least` the relaxed limit's value, where asked for.
    """

    worth: float
    holds: bool
    least: float


def highs(case: Case, relax: tuple[str, str | None] | None = None) -> Answer | None:
    """The optimal plan, or with one limit (kind, model) freed, the least value of that limit; None if infeasible."""
    p = Programme()
    memory: list[tuple[int, float]] = []
    cores: list[tuple[int, float]] = []
    chosen: list[list[tuple[int, Way, str, OptionRow]]] = []
    objective = 1.0 if relax is None else 0.0
    free = p.column(cost=0.0 if relax is None else -1.0 if relax[0] == "accuracy" else 1.0, integer=False, upper=np.inf)
    for table in case.tables:
        out = p.column(cost=objective * suspension(case))
        if table.critical:
            p.row([(out, 1)], 0, 0)
        slow = case.slowdown.get(table.name, 1.0)
        columns: list[tuple[int, Way, str, OptionRow]] = []
        interacting: list[tuple[int, float]] = []
        switches = []
        for n in ways(table):
            charge = sum(case.load_charge(table, f.name, n, f.options[0]) for f in table.fixed)
            on = p.column(objective * (charge + n.less(table)))
            switches.append(on)
            columns += [(on, n, f.name, f.options[0]) for f in table.fixed]
            if n.level is not None:
                memory.append((on, n.memory(table, ()) / 1e6))
                p.row([(on, 1)], 0, int(all(n.admits(f.options[0]) for f in table.fixed)))
            # Which level of workspace there is: one that all options of this way are within.
            levels_of = [(p.column(), size) for size in n.levels(table) if n.level is None]
            if levels_of:
                p.row([*((y, 1) for y, _ in levels_of), (on, -1)], 0, 0)
                memory += [(y, size / 1e6) for y, size in levels_of]
            first = len(columns)
            before: list[int] = []
            for block in table.blocks:
                xs = [p.column(objective * case.load_charge(table, block.name, n, o)) for o in block.options]
                for x, o in zip(xs, block.options, strict=True):
                    p.row([(x, 1)], 0, int(n.admits(o)))
                p.row([*((x, 1) for x in xs), (on, -1)], 0, 0)
                columns += [(x, n, block.name, o) for x, o in zip(xs, block.options, strict=True)]
                if block.interaction:  # a column for each pair, 1 where both of it are
                    pairs = [[p.column(integer=False) for _ in xs] for _ in before]
                    for x, row in zip(before, pairs, strict=True):
                        p.row([*((y, 1) for y in row), (x, -1)], 0, 0)
                    for j, x in enumerate(xs):
                        p.row([*((row[j], 1) for row in pairs), (x, -1)], 0, 0)
                    for row, values in zip(pairs, block.interaction, strict=True):
                        interacting += zip(row, values, strict=True)
                before = xs
            if levels_of:
                for x, _, _, o in (*columns[first:], *((on, n, f.name, f.options[0]) for f in table.fixed)):
                    p.row([*((y, 1) for y, size in levels_of if size >= n.shared(o)), (x, -1)], 0, np.inf)
        p.row([*((s, 1) for s in switches), (out, 1)], 1, 1)
        chosen.append(columns)
        rate = table.rate_hz or 0
        latency = [(x, n.latency(o) * slow * case.stretch(table, n.threads)) for x, n, _, o in columns]
        cores += [(x, n.latency(o) * slow * n.threads * rate / 1000) for x, n, _, o in columns]
        memory += [(x, n.held(o) / 1e6) for x, n, _, o in columns if n.level is None]
        loss = [*((x, o.loss) for x, _, _, o in columns), *interacting]
        # The link: a point on it as a mixture of two neighbouring knots.
        reach = sum(max(abs(o.loss) for o in b.options) for b in (*table.blocks, *table.fixed)) + 1
        reach += sum(max(map(abs, row)) for b in table.blocks for row in b.interaction)
        knots = [min(-reach, table.link.x[0] - 1), *table.link.x, max(reach, table.link.x[-1] + 1)]
        levels = [table.link.y[0], *table.link.y, table.link.y[-1]]
        mix = [p.column(cost=-objective * table.weight * v, integer=False) for v in levels]
        pieces = [p.column() for _ in knots[1:]]
        p.row([*((m, 1) for m in mix), (out, 1)], 1, 1)
        p.row([*((z, 1) for z in pieces), (out, 1)], 1, 1)
        for k, m in enumerate(mix):
            p.row([(m, 1), *((z, -1) for z in pieces[max(0, k - 1) : k + 1])], -np.inf, 0)
        p.row([*loss, *((m, -v) for m, v in zip(mix, knots, strict=True))], 0, 0)
        limit = latency_limit(case, table)
        if relax == ("latency", table.name):
            p.row([*latency, (free, -1)], -np.inf, 0)
        elif limit is not None:
            p.row(latency, -np.inf, limit)
        accuracy = list(zip(mix, levels, strict=True))
        if relax == ("accuracy", table.name):
            p.row([*accuracy, (free, -1)], 0, np.inf)
        elif table.min_accuracy is not None:
            p.row([*accuracy, (out, table.min_accuracy)], table.min_accuracy, np.inf)
    if relax == ("memory", None):
        p.row([*memory, (free, -1)], -np.inf, 0)
    elif case.budget.memory_bytes is not None:
        p.row(memory, -np.inf, case.budget.memory_bytes / 1e6)
    if relax == ("cores", None):
        p.row([*cores, (free, -1)], -np.inf, 0)
    elif case.budget.cores is not None:
        p.row(cores, -np.inf, case.budget.cores)
    found = p.solve()
    if found is None:
        return None
    solution = found[1]
    picks = [[(n, b, o) for column, n, b, o in columns if solution[column] > 0.5] for columns in chosen]
    return Answer(worth_of(case, picks), holds(case, picks), abs(found[0]))


def picked_loss(table: ModelTable, picked: list[tuple[Way, str, OptionRow]]) -> float:
    options = {segment: option for _, segment, option in picked}
    return loss_of(table, [options[s.name] for s in (*table.blocks, *table.fixed)])


def worth_of(case: Case, picks: list[list[tuple[Way, str, OptionRow]]]) -> float:
    total = 0.0
    for table, picked in zip(case.tables, picks, strict=True):
        if not picked:
            total -= suspension(case)
            continue
        total += table.weight * float(np.interp(picked_loss(table, picked), table.link.x, table.link.y))
        total -= math.fsum(case.load_charge(table, b, n, o) for n, b, o in picked) + picked[0][0].less(table)
    return total


def holds(case: Case, picks: list[list[tuple[Way, str, OptionRow]]]) -> bool:
    memory, cores = 0, 0.0
    for table, picked in zip(case.tables, picks, strict=True):
        if not picked:
            continue
        latency = math.fsum(n.latency(o) for n, _, o in picked) * case.slowdown.get(table.name, 1.0)
        limit = latency_limit(case, table)
        accuracy = float(np.interp(picked_loss(table, picked), table.link.x, table.link.y))
        if limit is not None and latency * case.stretch(table, picked[0][0].threads) > limit:
            return False
        if table.min_accuracy is not None and accuracy < table.min_accuracy:
            return False
        memory += picked[0][0].memory(table, [o for _, _, o in picked])
        cores += (table.rate_hz or 0) * picked[0][0].threads * latency / 1000
    budget = case.budget
    return (budget.memory_bytes is None or memory <= budget.memory_bytes) and (
        budget.cores is None or cores <= budget.cores - 1e-8
    )
