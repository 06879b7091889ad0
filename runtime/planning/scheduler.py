"""The scheduler: which option each block of each running model should have, exactly, within the time of a frame.

Models m have blocks b with options o. Option o adds a loss l, a memory w and, with n threads, a latency t; and together
with the option of the block before it, a loss i. Choose for each model a thread count n_m and for each of its blocks
one option x_mb:

    maximise    sum_m weight_m a_m  -  charge(x, running plan)  -  S x (number of suspended models)

    where       a_m   = link_m(sum_b l(x_mb) + i(x_m,b-1, x_mb))    predicted accuracy; link_m does not increase
                t_m   = slowdown_m x (overhead_m + sum_b t(x_mb, n_m))    latency; fixed segments are constants in it
                u_m   = stretch_m(quantile_m, n_m) x t_m          what that share of inferences takes at most

    subject to  sum_m (level_m + sum_b w(x_mb)) <= memory           one limit for all models
                u_m                          <= latency_m           a limit for each model
                sum_m rate_m x n_m x t_m     <= cores               compute, in CPU cores
                a_m                          >= least accuracy_m

    Options share a workspace, v(x_mb): level_m is the least of a few levels with v(x_mb) <= level_m in all segments.
    A model that may be streamed can also run with the weights of one segment at a time in memory, s(x_mb) bytes: with
    the latencies of that, a floor and a level of s. A compact one has other memories and latencies of all options.

    A best-effort model may be suspended: it then has no memory, latency, compute or accuracy. S exceeds all accuracy in
    play, so as few models as possible are suspended; the rest of the objective decides which ones.

    charge = sum over the blocks whose option changes, of  per_mb x megabytes of its file + per_ms x milliseconds to
    load it.  A model that did not run, or not so (with other threads, streamed or compact or not), loads all.

A link may be any function that does not increase. Within a model, less loss is therefore never worse, so only its
Pareto frontier of (memory, latency, loss) matters (`solver.frontier`). The frontier depends on no limit and is built
once. A slow-down and a tail rescale the latency limit instead of the latencies. A re-plan filters each frontier by
latency; what remains is a multiple-choice knapsack with one limit or two (`solver.knapsack`), solved exactly.

Ties are broken, in this order: for the plan that leaves the most models exactly as they run; for less memory in all;
where compute was limiting, for less compute in all; and for each model, for less threads x latency. The same question
always gets the same answer if that is proven to be the best. A search that a deadline ends says how far from the best
its plan may be (`Plan.gap`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from legodnn.by_model import given_to
from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.plan import Gain, Gains, ModelPlan, Plan, checked_plan
from legodnn.printable import shown
from legodnn.runtime.planning.infeasible import infeasibility_report
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.solver.compiled_model import CompiledModel, compile_model, load_charge
from legodnn.runtime.planning.solver.composition_sums import CompositionSums, composition_of
from legodnn.runtime.planning.solver.deadline import Deadline
from legodnn.runtime.planning.solver.instance import NANO, ONE, Instance, Limits, milliseconds
from legodnn.runtime.planning.solver.modes import how_run, loaded_in, threads_of
from legodnn.runtime.planning.solver.optimum import Optimum, holds, optimum
from legodnn.runtime.planning.solver.value_scale import ValueScale
from legodnn.runtime.planning.table_checks import check_by_model
from legodnn.runtime.planning.tails import stretch, unknown_tail
from legodnn.schema import MOST_MODELS
from legodnn.tail import DEFAULT_QUANTILE
from legodnn.workload import Budget, SwitchCharge, checked_budget

__all__ = ["ModelTable", "Scheduler"]

# How long a plan is improved, unless the caller says otherwise.
DEADLINE_MS = 100.0


class Scheduler:
    """Plans for a set of models. Making a scheduler builds their frontiers; every plan after that is quick.

    Example:
        >>> from legodnn.runtime.planning.model_table import BlockRows, OptionRow
        >>> original = OptionRow("s0", memory_bytes=4_000_000, latency_ms={1: 3.0})
        >>> pruned = OptionRow("s50", memory_bytes=1_500_000, latency_ms={1: 1.4}, loss=0.02)
        >>> scheduler = Scheduler([ModelTable("faces", (BlockRows("block1", (original, pruned)),))])
        >>> plan = scheduler.plan(Budget(memory_bytes=5_000_000, latency_ms=5.0))
        >>> plan["faces"].options
        {'block1': 's0'}
        >>> plan = scheduler.plan(Budget(memory_bytes=2_000_000, latency_ms=5.0), running=plan)
        >>> plan["faces"].options, plan["faces"].accuracy
        ({'block1': 's50'}, 0.98)

    Attributes:
        tables: the models' tables, in the order of plans.
        switch_charge: what leaving a running plan costs.
    """

    def __init__(self, tables: Sequence[ModelTable], switch_charge: SwitchCharge | None = None) -> None:
        """Build the frontiers of the models.

        Args:
            tables: the models' tables, at least one.
            switch_charge: what leaving a running plan costs; None for nothing.

        Raises:
            WorkloadError: there are no tables, two have one name, or the figures of one are mostly noise.
        """
        if not tables:
            raise WorkloadError("there is nothing to schedule: no models were given")
        if len(tables) > MOST_MODELS:
            raise WorkloadError(f"{len(tables)} models are too many: at most {MOST_MODELS} are planned together")
        names = [t.name for t in tables]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise WorkloadError(f"two models are called {twice[0]!r}; give each a name of its own")
        self.tables: tuple[ModelTable, ...] = tuple(tables)
        self.switch_charge: SwitchCharge = SwitchCharge() if switch_charge is None else switch_charge
        charge = self.switch_charge
        segments = [segment for table in self.tables for segment in (*table.blocks, *table.fixed)]
        most = sum(max(load_charge(o, charge) for o in segment.options) for segment in segments)
        scale = self._scale = ValueScale.of(self.tables, most)
        self._charges = most > 0
        self._models = tuple(compile_model(table, scale, charge) for table in self.tables)
        self._expected = tuple(Fraction(float(t.slowdown)) for t in self.tables)
        self._known_stretches: dict[tuple[int, float], Mapping[int, Fraction | None]] = {}
        self._last: tuple[Plan, tuple[CompositionSums | None, ...]] | None = None

    def plan(
        self,
        budget: Budget,
        running: Plan | None = None,
        slowdown: Mapping[str, float] | None = None,
        deadline_ms: float | None = DEADLINE_MS,
        tail: Mapping[str, float] | None = None,
    ) -> Plan:
        """Return the optimal plan; or, if no plan is proven optimal in time, the best that was found, with its `gap`.

        Args:
            budget: the limits of the moment. A model's own limits, in its table, hold as well.
            running: the plan that runs now, for ties and the switch charge. A model that it does not name does not run.
            slowdown: by model, how many times slower than profiled it runs; a model that is not named, as its table
                expects.
            deadline_ms: how long to improve the plan; None for no deadline. Whether anything fits is found out in any
                case.
            tail: by model, how many times longer than its table says the inferences at the limit's quantile take,
                beside the slow-down; 1 for a model that is not named.

        Raises:
            InfeasibleError: no plan is within the limits; its `report` says which limits clash, and what would do.
            WorkloadError: the budget, slow-down or tail names an unknown model, cores are limited but a model has no
                rate, the running plan is of other stores, or something is of another kind than it says here.
            ProfileError: a limit of latency is for more inferences than a model's tail is known for, with any of its
                thread counts.
        """
        deadline = Deadline.after(deadline_ms)
        limits = self._limits(checked_budget(budget))
        charged = self._charges and running is not None
        slow, factors = self._slowdowns(slowdown), self._stretches(limits, tail)
        instance = Instance(self._models, slow, factors, self._running(running), charged)
        found = optimum(instance, limits, deadline)
        if found is None:
            deadline = Deadline.after(deadline_ms)
            raise InfeasibleError(infeasibility_report(instance, limits, budget, self._plan, deadline))
        plan = self._plan(instance, limits, budget, found)
        self._last = (plan, tuple(found.chosen))
        return plan

    def gains(
        self, plan: Plan, slowdown: Mapping[str, float] | None = None, tail: Mapping[str, float] | None = None
    ) -> Gains:
        """Return what one more megabyte, tenth of a core, or millisecond for a model with a latency limit would buy.

        Args:
            plan: the plan for the budget in question, made without a running plan.
            slowdown, tail: as for `plan`.

        Raises:
            WorkloadError: the plan does not hold its budget, with these slow-downs.
        """
        limits = self._limits(checked_plan(plan).budget)
        slow, factors = self._slowdowns(slowdown), self._stretches(limits, tail)
        instance = Instance(self._models, slow, factors, (None,) * len(self.tables))
        if not holds(instance, limits, self._running(plan)):
            raise WorkloadError("this plan does not hold its budget; ask for one that does")

        def gain(wider: Limits) -> Gain:
            found = optimum(instance, wider, Deadline.after(DEADLINE_MS))
            assert found is not None, "the plan itself is within them"
            wide = self._plan(instance, wider, plan.budget, found)
            other = min(plan, wide, key=lambda p: (len(p.suspended), -p.objective))  # that search may end too early
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
        for numbers, what in ((budget.latency_ms, "limits the latency of"), (budget.quantile, "has a quantile for")):
            if isinstance(numbers, dict):
                self._check_names(numbers, f"the budget {what}")
        if budget.cores is not None and (without := [t.name for t in self.tables if t.rate_hz is None]):
            raise WorkloadError(f"the budget limits cores, so {without[0]!r} needs a rate_hz (inferences per second)")
        latency, quantile = [], []
        for table in self.tables:
            given = [x for x in (table.latency_ms, given_to(table.name, budget.latency_ms)) if x is not None]
            latency.append(float(min(given)) if given else None)
            asked = [q for q in (table.quantile, given_to(table.name, budget.quantile)) if q is not None]
            quantile.append(max(asked, default=DEFAULT_QUANTILE))
        return Limits(
            memory=budget.memory_bytes,
            cores=None if budget.cores is None else max(1, round(min(budget.cores * NANO, 2.0**60))),
            latency=tuple(latency),
            quantile=tuple(quantile),
            accuracy=tuple([t.min_accuracy for t in self.tables]),
        )

    def _stretches(self, limits: Limits, tail: Mapping[str, float] | None) -> tuple[Mapping[int, Fraction | None], ...]:
        """By model and mode, how many times its latency has to be within its limit; None if unknown."""
        tail = self._factors(tail, "tail")
        found = []
        for m, (table, limit, quantile) in enumerate(zip(self.tables, limits.latency, limits.quantile, strict=True)):
            known = self._known_stretches.get((m, quantile))
            if known is None:
                each = {n: stretch(table.tails, n, quantile) for n in table.thread_counts}
                exact = {n: None if x is None else ONE if x == 1 else Fraction(x) for n, x in each.items()}
                known = {mode: exact[threads_of(mode)] for mode in self._models[m].rows}
                self._known_stretches[m, quantile] = known
            if limit is not None and all(x is None for x in known.values()):
                raise unknown_tail(table.name, table.tails, table.thread_counts, quantile)
            if table.name in tail:
                longer = Fraction(float(tail[table.name]))
                known = {n: None if x is None else x * longer for n, x in known.items()}
            found.append(known)
        return tuple(found)

    def _factors(self, given: Mapping[str, float] | None, what: str) -> Mapping[str, float]:
        factors: Mapping[str, float] = {} if given is None else given
        check_by_model(factors)
        self._check_names(factors, f"a {what} was given for")
        for name, factor in factors.items():
            if isinstance(factor, bool) or not (isinstance(factor, int | float) and 0 < factor <= 1e6):
                raise WorkloadError(
                    f"the {what} of {name!r} is {shown(factor)}; it must be above 0 and at most 1000000, 1 for none"
                )
        return factors

    def _slowdowns(self, given: Mapping[str, float] | None) -> tuple[Fraction, ...]:
        if not (slowdown := self._factors(given, "slow-down")):
            return self._expected
        return tuple([Fraction(float(slowdown.get(t.name, t.slowdown))) for t in self.tables])

    def _running(self, running: Plan | None) -> tuple[CompositionSums | None, ...]:
        if running is None:
            return (None,) * len(self.tables)
        if (last := self._last) is not None and last[0] is running:
            return last[1]
        planned = {m.name: m for m in checked_plan(running).models}
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
            models.append(_model_plan(model, composition, instance.slowdown[i], instance.stretch[i], limits, i))
        weights = [t.weight for t in self.tables]
        objective = math.fsum(w * m.accuracy for w, m in zip(weights, models, strict=True) if not m.suspended)
        charges = (self._charge(i, instance.running[i], c) for i, c in enumerate(found.chosen))
        charge = math.fsum(charges) if instance.charged else 0.0
        gap = self._scale.gap(found.value, found.bound)
        return Plan(models=tuple(models), budget=budget, objective=objective, switch_charge=charge, gap=gap)

    def _charge(self, i: int, now: CompositionSums | None, then: CompositionSums | None) -> float:
        """What going from one composition of model `i` to another is charged, in units of the objective."""
        if then is None:
            return 0.0
        table = self.tables[i]
        reload = now is None or loaded_in(now.mode) != loaded_in(then.mode)
        loaded = [f.options[0] for f in table.fixed if reload]
        loaded += [
            block.options[o]
            for b, (block, o) in enumerate(zip(table.blocks, then.choice, strict=True))
            if reload or now is None or now.choice[b] != o
        ]
        return math.fsum(load_charge(option, self.switch_charge) for option in loaded)


def _model_plan(
    model: CompiledModel,
    composition: CompositionSums | None,
    slowdown: Fraction,
    factors: Mapping[int, Fraction | None],
    limits: Limits,
    i: int,
) -> ModelPlan:
    table, limit, quantile = model.table, limits.latency[i], limits.quantile[i]
    if composition is None:
        return ModelPlan(name=table.name, suspended=True, latency_limit_ms=limit, quantile=quantile)
    latency_ms, factor = milliseconds(composition.latency, slowdown), factors[composition.mode]
    quantile_ms = latency_ms if factor is ONE else None
    if factor is not None and factor is not ONE:
        quantile_ms = milliseconds(composition.latency, slowdown * factor)
    how = how_run(composition.mode)
    rate = (table.rate_hz or 0.0) * float(slowdown) * how.threads
    return ModelPlan(
        name=table.name,
        **how._asdict(),
        options={b.name: b.options[o].name for b, o in zip(table.blocks, composition.choice, strict=True)},
        accuracy=composition.accuracy,
        accuracy_error=table.accuracy_error,
        latency_ms=latency_ms,
        latency_limit_ms=limit,
        quantile=quantile,
        quantile_ms=quantile_ms,
        memory_bytes=composition.memory,
        cores=math.ceil(composition.latency * rate) / NANO,
    )
