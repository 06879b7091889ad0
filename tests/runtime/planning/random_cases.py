"""Random scheduling problems in plain figures, and what a plan for one is worth: what the oracles are asked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from legodnn.manifest import Link
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.option_rows import least_level
from legodnn.runtime.planning.solver.compiled_model import COMPACT_LESS, STREAMED_LESS
from legodnn.workload import Budget, SwitchCharge


@dataclass(frozen=True)
class Way:
    """How a model runs: with how many threads, compact or not, and streamed with so many bytes of weights at a time."""

    threads: int
    level: int | None = None
    compact: bool = False

    @property
    def loads(self) -> tuple[int, bool, bool]:
        """What segments are loaded for: going from one of these to another loads all of them."""
        return self.threads, self.level is None, self.compact

    def admits(self, option: OptionRow) -> bool:
        return self.level is None or option.streamed_bytes <= self.level

    def latency(self, option: OptionRow) -> float:
        of = option.latency_ms if self.level is None else option.streamed_ms
        return (option.compact_ms if self.compact else of)[self.threads]

    def less(self, table: ModelTable) -> float:
        """What a plan in which the model runs so is worth less."""
        return table.weight * (COMPACT_LESS if self.compact else 0.0 if self.level is None else STREAMED_LESS)

    def held(self, option: OptionRow) -> int:
        """What an option adds to a model that is not streamed, its workspace apart."""
        return option.compact_bytes if self.compact else option.memory_bytes

    def shared(self, option: OptionRow) -> int:
        """The workspace that it takes in such a model."""
        return option.compact_workspace_bytes if self.compact else option.workspace_bytes

    def levels(self, table: ModelTable) -> tuple[int, ...]:
        """The sizes that a workspace may have in such a model."""
        return table.compact_workspaces if self.compact else table.workspaces

    def memory(self, table: ModelTable, options: Sequence[OptionRow]) -> int:
        if self.level is None or table.streaming is None:
            needed = max(map(self.shared, options))
            return min(size for size in self.levels(table) if size >= needed) + sum(map(self.held, options))
        return table.streaming.floor_bytes + self.level


def ways(table: ModelTable) -> list[Way]:
    levels = table.streaming.levels if table.streaming else ()
    compact = [Way(n, compact=True) for n in table.thread_counts if table.compact_overhead_ms is not None]
    streamed = [Way(n, level) for level in levels for n in table.streamed_thread_counts]
    return [Way(n) for n in table.thread_counts] + streamed + compact


def way_of(table: ModelTable, planned: ModelPlan) -> Way | None:
    """The way in which a plan runs a model: if it is streamed, at the least level that admits its options."""
    options = [o for b in table.blocks for o in b.options if o.name == planned.options.get(b.name)]
    fit = (
        way
        for way in ways(table)
        if way.threads == planned.threads
        and (way.level is not None) == planned.streamed
        and way.compact == planned.compact
        and all(map(way.admits, options))
    )
    return None if planned.suspended else next(fit, None)


@dataclass(frozen=True)
class Case:
    tables: tuple[ModelTable, ...]
    budget: Budget
    slowdown: dict[str, float]
    charge: SwitchCharge = field(default_factory=SwitchCharge)
    running: Plan | None = None
    tail: dict[str, float] = field(default_factory=dict)

    def quantile(self, table: ModelTable) -> float:
        """The share of inferences that must keep the model's limit."""
        asked = self.budget.quantile
        of_budget = asked.get(table.name) if isinstance(asked, dict) else asked
        return max([q for q in (table.quantile, of_budget) if q is not None] or [0.95])

    def stretch(self, table: ModelTable, threads: int) -> float:
        """How many times its latency that share takes at most."""
        tail = (table.tails or {}).get(threads, {1.0: 1.0})
        return tail[min(q for q in tail if q >= self.quantile(table))] * self.tail.get(table.name, 1.0)

    def load_charge(self, table: ModelTable, segment: str, way: Way, option: OptionRow) -> float:
        """What having an option in the plan is charged: nothing if it runs already."""
        if self.running is None:
            return 0.0
        now = self.running[table.name]
        runs = way_of(table, now)
        alike = runs is not None and runs.loads == way.loads
        if alike and now.options.get(segment, option.name) == option.name:
            return 0.0
        return self.charge.per_mb * option.bytes / 1e6 + self.charge.per_ms * option.load_ms


def random_table(
    rng: np.random.Generator, name: str, blocks: int, options: int, threads: tuple[int, ...]
) -> ModelTable:
    def segment(label: str, count: int) -> BlockRows:
        size, time = rng.integers(20, 400), rng.integers(100, 3000)
        sparsity = np.linspace(0, 0.9, count)
        rows = []
        for k, s in enumerate(sparsity):
            ms = max(1, int(time * (1 - s) * rng.uniform(0.9, 1.1)))
            rows.append(
                OptionRow(
                    name=f"o{k}",
                    memory_bytes=max(0, int(size * (1 - s) * rng.uniform(0.9, 1.1))) * 1000,
                    latency_ms={n: round(ms / n ** rng.uniform(0.4, 0.9)) / 1000 for n in threads},
                    bytes=int(size * (1 - s) * 4000) + 1,
                    load_ms=float(np.round(rng.uniform(0.1, 2), 3)),
                    loss=float(np.round(s ** rng.uniform(1, 3) * rng.uniform(0, 0.3) + rng.uniform(-0.01, 0.01), 4)),
                )
            )
        return BlockRows(label, tuple(rows))

    def interacting(segments: list[BlockRows]) -> Iterator[BlockRows]:
        yield segments[0]
        for before, block in itertools.pairwise(segments):
            shape = (len(before.options), len(block.options))
            found = np.round(rng.normal(0, rng.choice([0.01, 0.1]), shape), 4)
            yield replace(block, interaction=tuple(map(tuple, found.tolist()))) if rng.random() < 0.8 else block

    segments = [segment(f"b{b}", int(rng.integers(1, options + 1))) for b in range(blocks)]
    knots = int(rng.integers(2, 5))
    x = np.round(np.cumsum(rng.uniform(0.05, 0.5, knots)) - 0.1, 3)
    y = np.round(np.sort(rng.uniform(0, 1, knots))[::-1], 3)
    if knots > 2 and rng.random() < 0.3:
        y[1] = y[0]  # a flat piece: different losses, equal accuracy
    blocks_of = tuple(interacting(segments) if rng.random() < 0.5 else segments)
    fixed = (segment("stem", 1),) if rng.random() < 0.5 else ()
    streaming = None
    if rng.random() < 0.4:
        blocks_of, fixed, streaming = _streamed(rng, blocks_of, fixed)
    if rng.random() < 0.4:
        blocks_of = tuple(_with_workspaces(rng, b) for b in blocks_of)
        fixed = tuple(_with_workspaces(rng, f) for f in fixed)
    may_be_compact = bool(rng.random() < 0.4)
    if may_be_compact:
        blocks_of, fixed = tuple(_compact(rng, b) for b in blocks_of), tuple(_compact(rng, f) for f in fixed)
    return ModelTable(
        name=name,
        blocks=blocks_of,
        fixed=fixed,
        streaming=streaming,
        compact_overhead_ms={} if may_be_compact else None,
        link=Link(x=tuple(map(float, x)), y=tuple(map(float, y))),
        tails=_random_tails(rng, threads) if rng.random() < 0.6 else {},
        weight=float(np.round(rng.uniform(0.2, 3), 2)),
        rate_hz=float(rng.integers(0, 60)),
    )


def _with_workspaces(rng: np.random.Generator, segment: BlockRows) -> BlockRows:
    """A segment whose options share a workspace: the larger ones more of it, or whichever options."""
    most = int(rng.integers(0, 300)) * 1000
    shares = [o.memory_bytes / (segment.options[0].memory_bytes + 1) for o in segment.options]
    if rng.random() < 0.5:  # options that nobody would choose may then be the only ones that need the most
        shares = rng.uniform(0, 1, len(shares)).tolist()
    options = (replace(o, workspace_bytes=int(most * s)) for o, s in zip(segment.options, shares, strict=True))
    return replace(segment, options=tuple(options))


def _compact(rng: np.random.Generator, segment: BlockRows) -> BlockRows:
    """A segment that may be compact: smaller and slower for the most part."""
    options = (
        replace(
            o,
            compact_bytes=int(o.memory_bytes * rng.uniform(0.5, 1.05)),
            compact_workspace_bytes=int(o.workspace_bytes * rng.uniform(0.5, 2)),
            compact_ms={n: round(ms * rng.uniform(0.95, 2), 3) for n, ms in o.latency_ms.items()},
        )
        for o in segment.options
    )
    return replace(segment, options=tuple(options))


def _streamed(
    rng: np.random.Generator, blocks: tuple[BlockRows, ...], fixed: tuple[BlockRows, ...]
) -> tuple[tuple[BlockRows, ...], tuple[BlockRows, ...], Streaming]:
    """Segments that may be streamed, with a few levels; at times not with all thread counts."""
    counts = sorted({n for s in (*blocks, *fixed) for o in s.options for n in o.latency_ms})
    some = set(counts) if rng.random() < 0.8 else {int(rng.choice(counts))}

    def streamed(segment: BlockRows) -> BlockRows:
        return replace(
            segment,
            options=tuple(
                replace(
                    o,
                    streamed_bytes=int(o.memory_bytes * rng.uniform(0.7, 1)),
                    streamed_ms={n: round(ms * rng.uniform(1, 1.4), 3) for n, ms in o.latency_ms.items() if n in some},
                )
                for o in segment.options
            ),
        )

    blocks, fixed = tuple(map(streamed, blocks)), tuple(map(streamed, fixed))
    segments = (*blocks, *fixed)
    sizes = {o.streamed_bytes for s in segments for o in s.options if o.streamed_bytes > least_level(segments)}
    more = [size for size in sizes if rng.random() < 0.4]
    levels = sorted({least_level(segments) + int(rng.choice([0, 500])), *more})
    return blocks, fixed, Streaming(int(rng.integers(0, 50)) * 1000, tuple(levels))


def _random_tails(rng: np.random.Generator, threads: tuple[int, ...]) -> dict[int, dict[float, float]]:
    """A tail for each thread count, the longer the more threads there are."""
    quantiles = (0.5, 0.9, 0.95, 0.99)
    return {
        n: dict(zip(quantiles, np.round(np.sort(rng.uniform(0.95, 1 + n / 4, 4)), 3).tolist(), strict=True))
        for n in threads
    }


def random_case(rng: np.random.Generator, models: int, blocks: int, options: int) -> Case:
    """Limits of every kind, each present or not, around what a random plan takes; at times another one runs."""
    tables, memory, cores = [], 0, 0.0
    running = []
    slowdown = {f"m{i}": float(np.round(rng.uniform(0.7, 2), 2)) for i in range(models) if rng.random() < 0.3}
    for i in range(models):
        threads = (1, 2, 4) if rng.random() < 0.3 else (1,)
        table = random_table(rng, f"m{i}", int(rng.integers(1, blocks + 1)), options, threads)
        n = int(rng.choice(threads))
        picks = [int(rng.integers(len(b.options))) for b in table.blocks]
        pick = [
            *(b.options[k] for b, k in zip(table.blocks, picks, strict=True)),
            *(f.options[0] for f in table.fixed),
        ]
        latency = sum(o.latency_ms[n] for o in pick) * slowdown.get(table.name, 1.0)
        loss = loss_of(table, pick)
        memory += max(o.workspace_bytes for o in pick) + sum(o.memory_bytes for o in pick)
        cores += (table.rate_hz or 0) * n * latency / 1000
        accuracy = float(np.interp(loss, table.link.x, table.link.y))
        now = {b.name: b.options[int(rng.integers(len(b.options)))].name for b in table.blocks}
        if rng.random() < 0.5:  # near the plan that the limits are made around
            now = {b.name: b.options[k].name for b, k in zip(table.blocks, picks, strict=True)}
        streamed = table.streaming is not None and bool(rng.random() < 0.5)
        compact = table.compact_overhead_ms is not None and not streamed and bool(rng.random() < 0.5)
        how = {"threads": int(rng.choice(threads)), "streamed": streamed, "compact": compact}
        running.append(ModelPlan.model_validate({"name": table.name, "options": now, **how}))
        if rng.random() < 0.1:
            running[-1] = ModelPlan(name=table.name, suspended=True)
        tables.append(
            replace(
                table,
                latency_ms=float(np.round(latency * rng.uniform(0.8, 1.3), 4)) + 0.001 if rng.random() < 0.6 else None,
                min_accuracy=float(np.round(accuracy * rng.uniform(0.6, 1.02), 3)) if rng.random() < 0.3 else None,
                critical=bool(rng.random() < 0.8),
                threads=n if rng.random() < 0.2 and n in (table.streamed_thread_counts or threads) else None,
                quantile=float(rng.choice([0.5, 0.93, 0.99])) if rng.random() < 0.2 else None,
            )
        )
    budget = Budget(
        memory_bytes=int(memory * rng.uniform(0.7, 1.2)) + 1 if rng.random() < 0.85 else None,
        latency_ms={"m0": float(np.round(rng.uniform(0.5, 30), 3))} if rng.random() < 0.2 else None,
        quantile=_random_quantile(rng, models),
        cores=cores * float(rng.uniform(0.6, 1.3)) + 1e-6 if rng.random() < 0.4 else None,
    )
    tail = {f"m{i}": float(np.round(rng.uniform(0.8, 1.5), 2)) for i in range(models) if rng.random() < 0.15}
    if rng.random() < 0.6:
        return Case(tuple(tables), budget, slowdown, tail=tail)
    charge = SwitchCharge(per_mb=float(rng.choice([0.0, 0.01, 0.1])), per_ms=float(rng.choice([0.0, 0.002, 0.02])))
    plan = Plan(models=tuple(running), budget=budget, objective=0.0)
    return Case(tuple(tables), budget, slowdown, charge, plan, tail)


def _random_quantile(rng: np.random.Generator, models: int) -> float | dict[str, float] | None:
    if rng.random() < 0.5:
        return None
    if rng.random() < 0.5:
        return float(rng.choice([0.5, 0.9, 0.95, 0.97, 0.99]))
    return {f"m{i}": float(rng.choice([0.5, 0.9, 0.97])) for i in range(models) if rng.random() < 0.5}


def loss_of(table: ModelTable, options: Sequence[OptionRow]) -> float:
    """The loss of one option for each segment, blocks first, interactions included."""
    numbers = [b.options.index(o) for b, o in zip(table.blocks, options, strict=False)]
    interactions = (
        block.interaction[i][j]
        for block, (i, j) in zip(table.blocks[1:], itertools.pairwise(numbers), strict=True)
        if block.interaction
    )
    return math.fsum((*(o.loss for o in options), *interactions))


def latency_limit(case: Case, table: ModelTable) -> float | None:
    named = case.budget.latency_ms
    asked = named.get(table.name) if isinstance(named, dict) else named
    limits = [x for x in (table.latency_ms, asked) if x is not None]
    return min(limits) if limits else None


def suspension(case: Case) -> float:
    """More than all accuracy and all charges in play."""
    options = [o for t in case.tables for b in (*t.blocks, *t.fixed) for o in b.options]
    charges = sum(case.charge.per_mb * o.bytes / 1e6 + case.charge.per_ms * o.load_ms for o in options)
    return 2 * sum(t.weight * max(map(abs, t.link.y)) for t in case.tables) + charges + 1


def worth(case: Case, plan: Plan) -> float:
    models = list(zip(case.tables, plan.models, strict=True))
    less = sum(t.weight * (STREAMED_LESS * m.streamed + COMPACT_LESS * m.compact) for t, m in models)
    return plan.objective - less - plan.switch_charge - suspension(case) * len(plan.suspended)
