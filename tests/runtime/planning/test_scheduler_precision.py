"""The scheduler where options differ by their last bytes and nanoseconds, and where figures are very small.

Prices of limits are then so great that products with memory or latency are far beyond what doubles hold exactly.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from typing import Any

import pytest

from legodnn.errors import InfeasibleError
from legodnn.manifest import Link
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget, SwitchCharge

NS = 1e-6


def close_table(rng: random.Random, name: str, memory: int, latency_ms: float) -> ModelTable:
    """Two blocks of three options, whose memories differ by a few bytes and whose latencies by a few nanoseconds."""
    limit = 2 * latency_ms + rng.randrange(12) * NS if rng.random() < 0.5 else None
    blocks = tuple(
        BlockRows(
            f"b{b}",
            tuple(
                OptionRow(
                    f"o{k}",
                    memory + rng.randrange(6),
                    {1: latency_ms + rng.randrange(6) * NS},
                    loss=round(rng.uniform(0, 0.3), 3),
                    bytes=rng.randrange(10**6),
                )
                for k in range(3)
            ),
        )
        for b in range(2)
    )
    return ModelTable(name=name, blocks=blocks, rate_hz=10.0, latency_ms=limit)


def best_worth(tables: list[ModelTable], budget: Budget, per_mb: float, running: Plan | None) -> float | None:
    """The greatest objective less charge of all plans; None if none holds the limits."""
    best = None
    every = [[(t, b.name, o) for o in b.options] for t in tables for b in t.blocks]
    for pick in itertools.product(*every):
        if sum(o.memory_bytes for _, _, o in pick) > (budget.memory_bytes or 0):
            continue
        worth, cores, holds = 0.0, 0, True
        for table in tables:
            own = [(b, o) for t, b, o in pick if t is table]
            latency = sum(round(o.latency_ms[1] * 1e6) for _, o in own)
            holds &= table.latency_ms is None or latency / 10**6 <= table.latency_ms
            cores += latency * 10
            worth += 1 - min(1, sum(o.loss for _, o in own))
            if running is not None:
                new = [o.bytes for b, o in own if running[table.name].options[b] != o.name]
                worth -= per_mb * sum(new) / 1e6
        if holds and (budget.cores is None or cores <= round(budget.cores * 1e9)):
            best = worth if best is None else max(best, worth)
    return best


@pytest.mark.parametrize(
    ("memory", "latency_ms"), [(10**4, 0.001), (10**6, 1.0), (10**8, 100.0), (10**10, 1.0), (10**3, 1e4)]
)
def test_a_plan_is_optimal_even_where_the_last_byte_decides(memory: int, latency_ms: float) -> None:
    for seed in range(60):
        rng = random.Random(seed)
        tables = [close_table(rng, f"m{m}", memory, latency_ms) for m in range(rng.randint(1, 2))]
        blocks = sum(len(t.blocks) for t in tables)
        cores = blocks * latency_ms + rng.randrange(5 * blocks) * NS if rng.random() < 0.5 else None
        budget = Budget(memory_bytes=blocks * memory + rng.randrange(5 * blocks), cores=cores and cores * 10 / 1000)
        per_mb = rng.choice([0.0, 0.05, 0.3])
        running = None
        if rng.random() < 0.7:
            models = tuple(
                ModelPlan(name=t.name, options={b.name: rng.choice(b.options).name for b in t.blocks}) for t in tables
            )
            running = Plan(models=models, budget=Budget(), objective=0.0)
        wanted = best_worth(tables, budget, per_mb, running)
        try:
            plan = Scheduler(tables, SwitchCharge(per_mb=per_mb)).plan(budget, running, deadline_ms=None)
        except InfeasibleError:
            assert wanted is None, seed
        else:
            assert plan.objective - plan.switch_charge == pytest.approx(wanted, abs=1e-9), seed


def one_composition(*latency_ms: float, loss: float = 0.0, **rest: Any) -> ModelTable:
    """A model whose blocks have one option each."""
    losses = [loss, *[0.0] * len(latency_ms)]
    options = [OptionRow("o", 10, {1: ms}, loss=losses[b]) for b, ms in enumerate(latency_ms)]
    return ModelTable("a", tuple(BlockRows(f"b{b}", (o,)) for b, o in enumerate(options)), rate_hz=30.0, **rest)


def fits(table: ModelTable, budget: Budget) -> bool:
    try:
        Scheduler([table]).plan(budget)
    except InfeasibleError:
        return False
    return True


def test_a_limit_equal_to_the_latency_is_held() -> None:
    for tenths in range(1, 200):
        table, limit = one_composition(tenths / 10), tenths / 10
        assert fits(table, Budget(latency_ms=limit)), limit
        assert not fits(table, Budget(latency_ms=math.nextafter(limit, 0))), limit
        assert not fits(table, Budget(latency_ms=limit - NS)), limit


def test_a_plan_holds_its_own_figures_as_limits() -> None:
    rng = random.Random(0)
    for _ in range(200):
        blocks = [round(rng.uniform(0.01, 9), 3) for _ in range(5)]
        tails = {1: {0.95: round(rng.uniform(1, 1.5), 3)}}
        table = one_composition(*blocks, loss=rng.random(), slowdown=round(rng.uniform(0.8, 2), 2), tails=tails)
        free = Scheduler([table]).plan(Budget())
        found = free["a"]
        assert found.quantile_ms is not None
        same = Budget(memory_bytes=free.memory_bytes, cores=free.cores, latency_ms=found.quantile_ms)
        assert fits(replace(table, min_accuracy=found.accuracy), same), blocks
        assert not fits(table, Budget(latency_ms=math.nextafter(found.quantile_ms, 0))), blocks
        with pytest.raises(InfeasibleError) as caught:
            Scheduler([table]).plan(Budget(latency_ms=found.quantile_ms / 2))
        assert [limit.needed for limit in caught.value.report.limits] == [found.quantile_ms]


def test_compute_is_rounded_up_to_the_billionth_of_a_core() -> None:
    """Half an inference a second of 3 ns takes 1.5 billionths."""
    table = replace(one_composition(3 * NS), rate_hz=0.5)
    assert not fits(table, Budget(cores=1e-9))
    assert fits(table, Budget(cores=2e-9))
    assert Scheduler([table]).plan(Budget(cores=2e-9))["a"].cores == 2e-9


def test_a_least_accuracy_equal_to_what_losses_leave_is_held() -> None:
    for thousandths in range(1, 1000):
        table, least = one_composition(1.0, loss=thousandths / 1000), round(1 - thousandths / 1000, 3)
        assert fits(replace(table, min_accuracy=least), Budget()), thousandths
        assert not fits(replace(table, min_accuracy=least + 1e-9), Budget()), thousandths
        of_a_million = replace(table, link=Link(x=(0.0, 1.0), y=(1e6, 0.0)))
        assert fits(replace(of_a_million, min_accuracy=1e6 - 1000 * thousandths), Budget()), thousandths


def test_weights_and_losses_may_be_as_small_as_numbers_are() -> None:
    def table(loss: float, weight: float) -> ModelTable:
        options = (OptionRow("big", 20, {1: 1.0}), OptionRow("small", 10, {1: 1.0}, loss=loss))
        return ModelTable(name="a", blocks=(BlockRows("b", options),), weight=weight)

    for loss, weight in ((5e-324, 1.0), (1e-300, 1.0), (0.5, 5e-324), (0.5, 1e-300), (5e-324, 5e-324)):
        scheduler = Scheduler([table(loss, weight)])
        assert scheduler.plan(Budget(memory_bytes=15))["a"].options == {"b": "small"}
