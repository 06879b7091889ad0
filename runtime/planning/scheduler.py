"""The scheduler: which option every block of every running model should be, exactly, within a frame's time.

Models m have blocks b with options o; option o adds loss l, memory w and, with n threads, latency t, and loss i with
the option of the block before. Choose for every model a thread count n_m and one option x_mb for each of its blocks:

    maximise    sum_m weight_m a_m  -  charge(x, running plan)  -  S x (number of suspended models)

    where       a_m   = link_m(sum_b l(x_mb) + i(x_m,b-1, x_mb))    predicted accuracy; link_m non-increasing
                t_m   = slowdown_m x sum_b t(x_mb, n_m)             latency; segments without options are constants

    subject to  sum_m sum_b w(x_mb)          <= memory              one limit for all
                t_m                          <= latency_m           a limit for each model
                sum_m rate_m x n_m x t_m     <= cores               CPU cores' worth of compute
                a_m                          >= least accuracy_m

    A best-effort model may be suspended: no memory, latency, compute or accuracy. S exceeds all accuracy in play, so
    as few as possible are, and which ones the rest of the objective decides.

    charge = sum over the blocks whose option changes, of per_mb x megabytes of its file + per_ms x milliseconds to
    load it. A model that was not running, or whose thread count changes, loads all its segments.

A link may be any non-increasing function: per model, less loss is never worse, so only the Pareto frontier of
(memory, latency, loss) matters (`frontier`); it depends on no limit and is built once. A slow-down rescales the limit
instead of the latencies. A re-plan filters each frontier by latency, and what remains is a multiple-choice knapsack
with one limit or two (`knapsack`), solved exactly.

Ties are broken, in this order: for the plan that leaves the most models exactly as they run; for less memory in all;
where compute was limiting, for less compute in all; and for each model, for less work (threads x latency). The same
question always gets the same answer if that is proven to be the best; a search that a deadline ends says how far from
the best its plan may be (`Plan.gap`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.plan import Gain, Gains, ModelPlan, Plan
from legodnn.printable import shown
from legodnn.runtime.planning.infeasible import infeasibility_report
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.solver.candidates import Instance
from legodnn.runtime.planning.solver.deadline import Clock
from legodnn.runtime.planning.solver.instance import (
    NANO,
    NS_PER_MS,
    CompiledModel,
    CompositionSums,
    Limits,
    ValueScale,
    compile_model,
    composition_of,
    load_charge,
)
from legodnn.runtime.planning.solver.optimum import Optimum, optimum
from legodnn.schema import MOST_MODELS
from legodnn.workload import Budget, SwitchCharge

__all__ = ["ModelTable", "Scheduler"]

# A re-plan goes on improving for so long, unless it is told otherwise.
DEADLINE_MS = 100.0


class Scheduler:
    """Plans for a set of models. Building one builds their frontiers; every plan after that is quick.

    Example:
        >>> scheduler = Scheduler([ModelTable.from_store(store, profile)])
        >>> plan = scheduler.plan(Budget())
        >>> plan["tiny"].options
        {'block1': 's0', 'block2': 's0'}
        >>> smaller = scheduler.plan(Budget(memory_bytes=plan.memory_bytes - 1), running=plan)
        >>> smaller.memory_bytes < plan.memory_bytes
        True

    Attributes:
        tables: the models' tables, in the order of plans.
        switch_charge: what leaving a running plan costs.
    """

    def __init__(self, tables: Sequence[ModelTable], switch_charge: SwitchCharge | None = None) -> None:
        """Build the frontiers.

        Raises:
            WorkloadError: no tables, two of one name, or one whose figures are mostly noise.
        """
        if not tables:
            raise WorkloadError("there is nothing to schedule: no models were given")
        if len(tables) > MOST_MODELS:
            raise WorkloadError(f"{len(tables)} models are too many: at most {MOST_MODELS} are planned together")
        names = [t.name for t in tables]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise WorkloadError(f"two models are called {twice[0]!r}; give each a name of its own")
        self.tables = tuple(tables)
        self.switch_charge = SwitchCharge() if switch_charge is None else switch_charge
        charge = self.switch_charge
        most = sum(
            max(load_charge(o, charge) for o in segment.options)
            for table in self.tables
            for segment in (*table.blocks, *table.fixed)
        )
        scale = self._scale = ValueScale.of(self.tables, most)
        self._charges = most > 0
        self._models = tuple(compile_model(table, scale, charge) for table in self.tables)
        self._last: tuple[Plan, tuple[CompositionSums | None, ...]] | None = None

    def plan(
        self,
        budget: Budget,
        running: Plan | None = None,
        slowdown: Mapping[str, float] | None = None,
        deadline_ms: float | None = DEADLINE_MS,
    ) -> Plan:
        """The optimal plan; or, where it cannot be proven in time, the best that was found, with its `gap`.

        Args:
            budget: the limits of the moment. A model's own limits, in its table, hold as well.
            running: the plan that runs now, for ties and the switch charge; models it does not know do not run yet.
            slowdown: by model, how many times slower it runs than it was profiled; if not named, as its table expects.
            deadline_ms: when to stop improving; None for never. Whether anything fits is found out in any case.

        Raises:
            InfeasibleError: no plan holds the limits; its `report` says which, and what would do.
            WorkloadError: the budget or slow-down names an unknown model, cores are limited but a model has no rate,
                or the running plan is of other stores.
        """
        clock = Clock.of(deadline_ms)
        limits = self._limits(budget)
        charged = self._charges and running is not None
        instance = Instance(self._models, self._slowdowns(slowdown or {}), self._running(running), charged)
        found = optimum(instance, limits, clock)
        if found is None:
            raise InfeasibleError(infeasibility_report(instance, limits, budget, self._plan, Clock.of(deadline_ms)))
        plan = self._plan(instance, limits, budget, found)
        self._last = (plan, tuple(found.chosen))
        return plan

    def gains(self, plan: Plan, slowdown: Mapping[str, float] | None = None) -> Gains:
        """What one more megabyte, a tenth of a core, or one more millisecond for a model that has a limit, would buy.

        Args:
            plan: the plan for the budget in question, made without a running plan.
            slowdown: as in `plan`.
        """
        limits = self._limits(plan.budget)
        instance = Instance(self._models, self._slowdowns(slowdown or {}), (None,) * len(self.tables))

        def gain(wider: Limits) -> Gain:
            found = optimum(instance, wider, Clock.of(DEADLINE_MS))
            assert found is not None, "wider limits admit whatever the narrower ones did"
            other = self._plan(instance, wider, plan.budget, found)
            resumes = tuple(name for name in plan.suspended if name not in other.suspended)
            return Gain(objective=other.objective - plan.objective, resumes=resumes)

        latency = {}
        for i, table in enumerate(self.tables):
            if (limit := limits.latency[i]) is not None:
                row = (*limits.latency[:i], limit + 1, *limits.latency[i + 1 :])
                latency[table.name] = gain(replace(limits, latency=row))
        memory = None if limits.memory is None else gain(replace(limits, memory=limits.memory + 1_000_000))
        cores = None if limits.cores is None else gain(replace(limits, cores=limits.cores + NANO // 10))
        return Gains(memory=memory, cores=cores, latency=latency)

    def _limits(self, budget: Budget) -> Limits:
        by_name = budget.latency_ms if isinstance(budget.latency_ms, dict) else {}
        for_all = None if isinstance(budget.latency_ms, dict) else budget.latency_ms
        self._check_names(by_name, "the budget limits the latency of")
        if budget.cores is not None and (without := [t.name for t in self.tables if t.rate_hz is None]):
            raise WorkloadError(f"the budget limits cores, so {without[0]!r} needs a rate_hz (inferences per second)")
        latency = []
        for table in self.tables:
            given = [x for x in (table.latency_ms, by_name.get(table.name), for_all) if x is not None]
            latency.append(Fraction(min(given)) if given else None)
        return Limits(
            memory=budget.memory_bytes,
            cores=None if budget.cores is None else round(min(budget.cores * NANO, 2.0**60)),
            latency=tuple(latency),
            accuracy=tuple(t.min_accuracy for t in self.tables),
        )

    def _slowdowns(self, slowdown: Mapping[str, float]) -> tuple[Fraction, ...]:
        self._check_names(slowdown, "a slow-down was given for")
        for name, factor in slowdown.items():
            if not (isinstance(factor, int | float) and 0 < factor <= 1e6):
                raise WorkloadError(
                    f"the slow-down of {name!r} is {shown(factor)}; it must be a positive number, 1 for none"
                )
        return tuple(Fraction(float(slowdown.get(t.name, t.slowdown))) for t in self.tables)

    def _running(self, running: Plan | None) -> tuple[CompositionSums | None, ...]:
        if running is None:
            return (None,) * len(self.tables)
        if self._last is not None and self._last[0] is running:
            return self._last[1]
        planned = {m.name: m for m in running.models}
        return tuple(
            composition_of(m, planned[m.table.name]) if m.table.name in planned else None for m in self._models
        )

    def _check_names(self, names: Mapping[str, float], what: str) -> None:
        known = [t.name for t in self.tables]
        if unknown := sorted(set(names) - set(known), key=str):
            raise WorkloadError(f"{what} {unknown[0]!r}, which is none of {', '.join(known)}")

    def _plan(self, instance: Instance, limits: Limits, budget: Budget, found: Optimum) -> Plan:
        models = []
        for i, (model, composition) in enumerate(zip(instance.models, found.chosen, strict=True)):
            limit = limits.latency[i]
            models.append(
                _model_plan(model, composition, instance.slowdown[i], None if limit is None else float(limit))
            )
        weights = [t.weight for t in self.tables]
        objective = math.fsum(w * m.accuracy for w, m in zip(weights, models, strict=True) if not m.suspended)
        charge = (
            math.fsum(self._charge(i, instance.running[i], c) for i, c in enumerate(found.chosen))
            if instance.charged
            else 0.0
        )
        gap = self._scale.gap(found.value, found.bound)
        return Plan(models=tuple(models), budget=budget, objective=objective, switch_charge=charge, gap=gap)

    def _charge(self, i: int, now: CompositionSums | None, then: CompositionSums | None) -> float:
        """What a model's change is charged, in the objective's units."""
        if then is None:
            return 0.0
        table = self.tables[i]
        reload = now is None or now.threads != then.threads
        loaded = [f.options[0] for f in table.fixed if reload]
        loaded += [
            block.options[o]
            for b, (block, o) in enumerate(zip(table.blocks, then.choice, strict=True))
            if reload or now is None or now.choice[b] != o
        ]
        return math.fsum(load_charge(option, self.switch_charge) for option in loaded)


def _model_plan(
    model: CompiledModel, composition: CompositionSums | None, slowdown: Fraction, limit_ms: float | None
) -> ModelPlan:
    table = model.table
    if composition is None:
        return ModelPlan(name=table.name, suspended=True, latency_limit_ms=limit_ms)
    # Integers divided, so that the quotient is rounded once and never beyond the limit that the exact one holds.
    latency_ms = composition.latency * slowdown.numerator / (NS_PER_MS * slowdown.denominator)
    rate = (table.rate_hz or 0.0) * float(slowdown)
    return ModelPlan(
        name=table.name,
        threads=composition.threads,
        options={b.name: b.options[o].name for b, o in zip(table.blocks, composition.choice, strict=True)},
        accuracy=composition.accuracy,
        accuracy_error=table.accuracy_error,
        latency_ms=latency_ms,
        latency_limit_ms=limit_ms,
        memory_bytes=composition.memory,
        cores=math.ceil(composition.latency * (rate * composition.threads)) / NANO,
    )
