"""Scheduling problems as lists of integers, drawn at random or read from stores, and as the scheduler takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

# What float32, float16 and int8 weights multiply memory and latency by, and add to the loss.
PRECISIONS = ((1.0, 1.0, 0.0), (0.5, 0.95, 0.0005), (0.25, 0.45, 0.004))
LOSS_UNITS = 10**6
# Models, blocks, sparsities and (where it is not one) precisions, by the name of the size: models x blocks x options.
SIZES = {
    "1x5x6": (1, 5, 6),
    "1x8x6": (1, 8, 6),
    "4x8x10": (4, 8, 10),
    "4x8x18": (4, 8, 6, 3),
    "8x8x10": (8, 8, 10),
    "16x12x12": (16, 12, 12),
}
Instance = dict[str, Any]


def draw(models: int, blocks: int, sparsities: int, precisions: int = 1, *, seed: int) -> Instance:
    """Draw tables like those of pruned CNN blocks, in which an option saves nearly in proportion to its sparsity.

    A block is three lists with a figure for each option: memory in bytes, latency in nanoseconds, loss in millionths.
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
    """Return an instance with limits drawn between the least and the most that the tables can take."""

    def limit(blocks: list[Any], figure: int, share: float) -> int:
        least = sum(min(b[figure]) for b in blocks)
        most = sum(max(b[figure]) for b in blocks)
        return int(max(share * most, least + 0.2 * (most - least)))

    latency = [limit(t, 1, rng.uniform(0.4, 0.8)) for t in tables]
    memory = limit([block for t in tables for block in t], 0, rng.uniform(0.3, 0.7))
    return {"name": name, "tables": tables, "memory": memory, "latency": latency}


def of_stores(paths: list[str]) -> Instance:
    """Return a workload's stores as an instance: one thread, losses instead of accuracy, without interactions."""
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


def model_tables(instance: Instance) -> list[Any]:
    """Return the instance's models as the scheduler takes them."""
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
    """Return the instance's limits as a budget, each multiplied by a scale (for latency one for each model)."""
    from legodnn.workload import Budget

    scales = np.ones(len(instance["latency"])) if latency is None else latency
    limits = {f"m{i}": float(t * s) / 1e6 for i, (t, s) in enumerate(zip(instance["latency"], scales, strict=True))}
    return Budget(memory_bytes=int(instance["memory"] * memory), latency_ms=limits)
