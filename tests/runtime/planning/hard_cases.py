"""Scheduling problems that are hard: many small models worth about what they weigh, and charges for switching."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from legodnn.manifest import Link
from legodnn.plan import Plan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget, SwitchCharge

_LINK = Link(x=(0.0, 0.05, 0.15, 0.3, 0.6, 1.2), y=(0.95, 0.94, 0.88, 0.75, 0.4, 0.1))


def many_small_models(models: int, options: int, seed: int, *, cores: bool) -> tuple[list[ModelTable], Budget]:
    """Models of one block; values that go with memory and latency (odd seeds) or with nothing, under half of the most
    memory, and .6 of the most compute."""
    rng = np.random.default_rng(seed)
    tables, memory, compute = [], 0.0, 0.0
    for m in range(models):
        kb, us = rng.integers(1, 1000, options), rng.integers(1, 1000, options)
        value = (kb + us) / 2e3 * rng.uniform(0.8, 1.2, options) if seed % 2 else rng.random(options)
        rows = tuple(
            OptionRow(f"o{k}", int(kb[k]) * 1000, {1: float(us[k]) / 1e3}, loss=float(1 - value[k]))
            for k in range(options)
        )
        best = int(value.argmax())
        memory += (float(kb[best]) + float(kb.min())) * 500
        compute += float(us[best]) * 10 / 1e6
        linear = Link(x=(-2.0, 2.0), y=(2.0, -2.0))
        tables.append(ModelTable(f"m{m}", (BlockRows("b", rows),), link=linear, rate_hz=10.0))
    return tables, Budget(memory_bytes=int(memory), cores=0.6 * compute if cores else None)


def deep_model(name: str, rng: np.random.Generator, blocks: int = 8, sparsities: int = 6) -> ModelTable:
    """Blocks as of a pruned ResNet, with their options in three precisions."""
    sparsity = np.tile(np.linspace(0, 0.9, sparsities), 3)
    smaller, faster, worse = np.repeat(
        [(1.0, 1.0, 0.0), (0.5, 0.95, 0.0005), (0.25, 0.45, 0.004)], sparsities, axis=0
    ).T
    rows = []
    for b in range(blocks):
        noise = rng.normal(1, [[0.02], [0.04], [0.05]], (3, len(sparsity)))
        memory = 4e6 * rng.lognormal(0, 1) * (1 - sparsity) * noise[0] * smaller + 2e4
        latency = rng.lognormal(0.4, 0.5) * (1 - sparsity) ** rng.uniform(0.7, 1.1) * noise[1] * faster + 0.05
        loss = rng.lognormal(-3, 0.7) * sparsity ** rng.uniform(1.5, 3) * noise[2] + worse
        options = tuple(
            OptionRow(f"o{k}", int(m), {1: round(t, 6)}, loss=float(x), bytes=int(m))
            for k, (m, t, x) in enumerate(zip(memory.tolist(), latency.tolist(), loss.tolist(), strict=True))
        )
        rows.append(BlockRows(f"b{b}", options))
    return ModelTable(name, tuple(rows), link=_LINK, rate_hz=20.0)


def charged_question(models: int, per_mb: float, seed: int = 0) -> tuple[Scheduler, Budget, Plan]:
    """Half of the memory between the smallest and the most accurate plan, which runs, and .8 of its latency."""
    rng = np.random.default_rng(seed)
    tables = [replace(deep_model(f"m{m}", rng)) for m in range(models)]
    scheduler = Scheduler(tables, SwitchCharge(per_mb=per_mb))
    running = scheduler.plan(Budget())
    least = sum(min(o.memory_bytes for o in b.options) for t in tables for b in t.blocks)
    latency = {m.name: m.latency_ms * 0.8 for m in running.models}
    return scheduler, Budget(memory_bytes=(running.memory_bytes + least) // 2, latency_ms=latency), running
