"""The questions to schedulers: those in `chosen`, and others drawn at random."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

from legodnn.errors import InfeasibleError
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.vectors import vectors
from tests.vectors.chosen import chosen_cases, option
from tests.vectors.vectors import Json

# --- models --------------------------------------------------------------------------------------------------------


def smooth(rng: random.Random, name: str, blocks: int, options: int, threads: tuple[int, ...] = (1,)) -> Json:
    """A model whose options trade memory, latency and loss as real ones do."""

    def segment(label: str, count: int) -> Json:
        size, time = rng.randrange(20, 400), rng.randrange(100, 3000)
        rows = []
        for k in range(count):
            s = 0.9 * k / max(1, count - 1)
            ms = max(1, int(time * (1 - s) * rng.uniform(0.9, 1.1)))
            loss = 0.0 if k == 0 else round(s ** rng.uniform(1, 3) * rng.uniform(0, 0.3) + rng.uniform(-0.01, 0.01), 4)
            latency = {str(n): round(ms / n ** rng.uniform(0.4, 0.9)) / 1000 for n in threads}
            memory = max(0, int(size * (1 - s) * rng.uniform(0.9, 1.1))) * 1000
            rows.append([f"o{k}", memory, latency, loss, int(size * (1 - s) * 4000) + 1, round(rng.uniform(0.1, 2), 3)])
        return [label, rows]

    knots = rng.randrange(2, 5)
    x, y = [-0.1], sorted((round(rng.uniform(0, 1), 3) for _ in range(knots)), reverse=True)
    for _ in range(knots - 1):
        x.append(round(x[-1] + rng.uniform(0.05, 0.5), 3))
    if knots > 2 and rng.random() < 0.3:
        y[1] = y[0]  # a flat piece: different losses, equal accuracy
    return {
        "name": name,
        "blocks": [segment(f"b{b}", rng.randint(1, options)) for b in range(blocks)],
        "fixed": [segment("stem", 1)] if rng.random() < 0.5 else [],
        "link": [x, y],
        "weight": round(rng.uniform(0.2, 3), 2),
        "rate_hz": float(rng.randrange(0, 60)),
    }


def tied(rng: random.Random, name: str, blocks: int, options: int, threads: tuple[int, ...] = (1,)) -> Json:
    """A model with few different figures, so that most compositions are tied with others."""
    link = rng.choice([None, [[0.0, 0.5, 1.0], [0.9, 0.9, 0.1]], [[0.0, 1.0], [0.5, 0.5]]])
    return {
        "name": name,
        "blocks": [
            [
                f"b{b}",
                [
                    [
                        f"o{k}",
                        rng.choice([0, 1, 1, 2, 3]),
                        {str(n): rng.choice([0, 1, 1, 2]) for n in threads},
                        rng.choice([0.0, 0.25, 0.25, 0.5]),
                        rng.choice([0, 1_000_000]),
                        float(rng.choice([0, 1])),
                    ]
                    for k in range(rng.randint(1, options))
                ],
            ]
            for b in range(blocks)
        ],
        "fixed": [],
        "link": link,
        "weight": rng.choice([0.5, 1.0, 1.0]),
        "rate_hz": rng.choice([0.0, 10.0, 100.0]),
    }


def huge(rng: random.Random, name: str, blocks: int, options: int, threads: tuple[int, ...] = (1,)) -> Json:
    """A model with the greatest figures that tables take."""
    return {
        "name": name,
        "blocks": [
            [
                f"b{b}",
                [
                    [
                        f"o{k}",
                        (1 << 48) - rng.randrange(5),
                        {str(n): 1e9 - rng.randrange(5) for n in threads},
                        rng.choice([1e12, -1e12, 1e-3, 0.0]),
                        1 << 48,
                        1e9,
                    ]
                    for k in range(rng.randint(1, options))
                ],
            ]
            for b in range(blocks)
        ],
        "fixed": [],
        "link": [[-1e6, 0.0, 1e6], [1e6, 0.5, -1e6]],
        "weight": 1e6,
        "rate_hz": rng.choice([0.0, 1e-3, 1e6]),
    }


KINDS: dict[str, Callable[..., Json]] = {"smooth": smooth, "tied": tied, "huge": huge}


# --- questions -----------------------------------------------------------------------------------------------------


def running_plan(rng: random.Random, tables: list[Json]) -> Json:
    """A plan that may run for some models; at times one that does not match a table."""
    models = []
    for t in tables:
        counts = sorted({n for _, options, *_ in t["blocks"] for o in options for n in o[2]}) or ["1"]
        if rng.random() < 0.1:
            models.append({"name": t["name"], "suspended": True})
            continue
        options = {label: rng.choice(rows)[0] for label, rows, *_ in t["blocks"]}
        models.append({"name": t["name"], "threads": int(rng.choice(counts)), "options": options})
    if rng.random() < 0.05:
        models[0]["name"] = "another"
    return {"schema": "legodnn.plan/1", "models": models, "budget": {}, "objective": 0.0}


def random_budget(rng: random.Random, scheduler: Scheduler) -> Json:
    """Limits of every kind, each present or not, around what some plan takes."""
    free = scheduler.plan(Budget())
    budget: dict[str, Json] = {}
    if rng.random() < 0.85:
        budget["memory_bytes"] = max(1, int(free.memory_bytes * rng.uniform(0.15, 1.1)))
    draw = rng.random()
    if draw < 0.3:
        budget["latency_ms"] = max(1e-6, max(m.latency_ms for m in free.models) * rng.uniform(0.2, 1.2))
    elif draw < 0.6:
        limited = [m for m in free.models if rng.random() < 0.6]
        budget["latency_ms"] = {m.name: max(1e-6, m.latency_ms * rng.uniform(0.2, 1.2)) for m in limited}
    if rng.random() < 0.35 and free.cores > 0:
        budget["cores"] = free.cores * rng.uniform(0.3, 1.1)
    return budget


def random_workload(rng: random.Random, kind: str, models: int, blocks: int, options: int) -> Json:
    tables = []
    for i in range(models):
        threads = rng.choice([(1,), (1,), (1, 2), (1, 2, 4), (2, 4)])
        table = KINDS[kind](rng, f"m{i}", rng.randint(0 if rng.random() < 0.1 else 1, blocks), options, threads)
        if not table["blocks"]:
            table["fixed"] = [["all", [["o", 1000, {str(n): 1.5 for n in threads}, 0.1, 10, 1.0]]]]
        if table["fixed"] and table["blocks"]:
            counts = table["blocks"][0][1][0][2]
            for _, rows in table["fixed"]:
                rows[0][2] = {n: rows[0][2].get(n, 0.5) for n in counts}
        if rng.random() < 0.2:
            table["critical"] = False
        if rng.random() < 0.2:
            table["threads"] = rng.choice(threads)
        if rng.random() < 0.2:
            table["min_accuracy"] = round(rng.uniform(0, 0.6), 3)
        if rng.random() < 0.15:
            table["latency_ms"] = round(rng.uniform(0.5, 20), 3)
        tables.append(table)
    if models > 1 and rng.random() < 0.15:  # twins: many plans of the same worth
        tables[1] = {**tables[0], "name": tables[1]["name"]}
    workload: dict[str, Json] = {"models": tables}
    if rng.random() < 0.5:
        workload["charge"] = {"per_mb": rng.choice([0.0, 0.01, 0.1]), "per_ms": rng.choice([0.0, 0.002, 0.02])}
    return workload


def interacting(rng: random.Random, workload: Json) -> Json:
    """The workload with interactions of most neighbours: none, small, large, or few values so that there are ties."""
    tables = []
    for table in workload["models"]:
        blocks = table["blocks"][:1]
        spread = rng.choice([0.0, 0.003, 0.03, 0.3, None])
        for (_, before, *_), (label, rows) in itertools.pairwise(table["blocks"]):
            found = [
                [
                    rng.choice([0.0, 0.0, 0.25, -0.25]) if spread is None else round(rng.gauss(0, spread), 4)
                    for _ in rows
                ]
                for _ in before
            ]
            blocks.append([label, rows, found] if rng.random() < 0.8 else [label, rows])
        tables.append({**table, "blocks": blocks})
    return {**workload, "models": tables}


def relaxed(workload: Json) -> Json:
    """The workload without its models' own limits."""
    limits = ("min_accuracy", "latency_ms")
    return {**workload, "models": [{k: v for k, v in t.items() if k not in limits} for t in workload["models"]]}


def tailed(rng: random.Random, workload: Json) -> Json:
    """The workload with tails of most models, and quantiles of some."""
    tables = []
    for table in workload["models"]:
        counts = sorted({n for _, options, *_ in (*table["blocks"], *table["fixed"]) for o in options for n in o[2]})
        row = {n: sorted(round(rng.uniform(0.9, 1.2 + int(n) / 4), 3) for _ in range(3)) for n in counts}
        tails = {n: dict(zip(("0.5", "0.95", "0.99"), values, strict=True)) for n, values in row.items()}
        more: dict[str, Json] = {"tails": rng.choice([tails, tails, tails, None])}
        if rng.random() < 0.3:
            more["quantile"] = rng.choice([0.5, 0.9, 0.99])
        tables.append({**table, **more})
    return {**workload, "models": tables}


def random_case(rng: random.Random, name: str, workload: Json) -> tuple[Json, Json]:
    """A workload, and some questions about it."""
    scheduler = vectors.scheduler_of(relaxed(workload))
    steps = []
    for i in range(rng.randint(1, 3)):
        step: dict[str, Json] = {"budget": random_budget(rng, scheduler)}
        if rng.random() < 0.3:
            step["slowdown"] = {
                t["name"]: round(rng.uniform(0.5, 3), 2) for t in workload["models"] if rng.random() < 0.6
            }
        if i and rng.random() < 0.7:
            step["running"] = "last"
        elif rng.random() < 0.4:
            step["running"] = running_plan(rng, workload["models"])
        if any("tails" in t for t in workload["models"]):
            names = [t["name"] for t in workload["models"]]
            if rng.random() < 0.6:
                shares: Json = {n: rng.choice([0.5, 0.7, 0.95, 0.999]) for n in names if rng.random() < 0.5}
                step["budget"]["quantile"] = rng.choice([0.5, 0.95, 0.99, shares])
            if rng.random() < 0.3:
                step["tail"] = {n: round(rng.uniform(0.8, 2), 2) for n in names if rng.random() < 0.6}
        steps.append(step)
    return workload, {"name": name, "workload": name, "steps": steps}


def exact_case(rng: random.Random, name: str, kind: str) -> tuple[Json, Json]:
    """Limits that are met to the byte, the nanosecond and the billionth of a core, or missed by the least amount."""
    workload = relaxed(random_workload(rng, kind, rng.randint(1, 3), 3, 4))
    for table in workload["models"]:
        table["critical"] = True
    scheduler = vectors.scheduler_of(workload)
    free = scheduler.plan(Budget())
    try:
        some = scheduler.plan(Budget(memory_bytes=max(1, free.memory_bytes * 2 // 3)))
    except InfeasibleError:
        some = free
    budgets: list[Json] = []
    for plan in (free, some):
        if plan.memory_bytes > 1:
            budgets += [{"memory_bytes": plan.memory_bytes}, {"memory_bytes": plan.memory_bytes - 1}]
        latency = {m.name: m.latency_ms for m in plan.models if m.latency_ms > 0}
        if latency:
            budgets.append({"latency_ms": latency})
            budgets.append({"latency_ms": {n: math.nextafter(ms, 0) for n, ms in latency.items()}})
            budgets.append({"latency_ms": {n: ms - 1e-6 for n, ms in latency.items() if ms > 1e-5}})
        if plan.cores > 0:
            budgets += [{"cores": plan.cores}, {"cores": plan.cores - 1e-9}]
    return workload, {"name": name, "workload": name, "steps": [{"budget": b} for b in budgets]}


def asked() -> Json:
    """All workloads and cases, without answers."""
    workloads, cases = {}, []
    for name, workload, steps in chosen_cases():
        workloads[name] = workload
        cases.append({"name": name, "workload": name, "steps": steps})
    for i in range(220):
        rng = random.Random(f"plan {i}")
        kind = rng.choice(["smooth", "smooth", "tied", "tied", "tied", "huge"])
        name = f"{kind} {i}"
        workloads[name], case = random_case(rng, name, random_workload(rng, kind, rng.randint(1, 3), 3, 4))
        cases.append(case)
    for i in range(90):
        rng = random.Random(f"interacting {i}")
        kind = rng.choice(["smooth", "smooth", "tied"])
        name = f"interacting {kind} {i}"
        models, blocks = rng.choice([(3, 3), (2, 4), (1, 5)])
        workload = interacting(rng, random_workload(rng, kind, models, blocks, 4))
        workloads[name], case = random_case(rng, name, workload)
        cases.append(case)
    for i in range(90):
        rng = random.Random(f"tail {i}")
        kind = rng.choice(["smooth", "smooth", "tied"])
        name = f"tail {kind} {i}"
        workload = tailed(rng, random_workload(rng, kind, rng.randint(1, 3), 3, 4))
        workloads[name], case = random_case(rng, name, workload)
        cases.append(case)
    for i in range(30):
        rng = random.Random(f"exact {i}")
        kind = rng.choice(["smooth", "tied", "huge"])
        name = f"exact {kind} {i}"
        workloads[name], case = exact_case(rng, name, kind)
        cases.append(case)
    large = [
        (4, 8, 10, 0.0, False),
        (2, 6, 8, 0.02, False),
        (6, 4, 6, 0.0, False),
        (2, 8, 8, 0.0, True),
        (2, 5, 6, 0.02, True),
    ]
    for i, (models, blocks, options, charge, interact) in enumerate(large):
        rng = random.Random(f"large {i}")
        name = f"{models} x {blocks} x {options}" + " interacting" * interact
        tables = []
        for m in range(models):
            table = smooth(rng, f"m{m}", blocks, options)
            for label, rows in table["blocks"]:
                while len(rows) < options:
                    memory, ms, loss = rows[-1][1], rows[-1][2]["1"], rows[-1][3]
                    more = option(
                        f"o{len(rows)}",
                        memory * 4 // 5,
                        round(ms * rng.uniform(0.7, 0.95), 6),
                        round(loss + rng.uniform(0, 0.02), 5),
                        rows[-1][4] // 2 + 1,
                        0.2,
                    )
                    rows.append(more)
                assert label
            tables.append(table)
        workload = {"models": tables, "charge": {"per_mb": charge}}
        workloads[name] = interacting(rng, workload) if interact else workload
        scheduler = vectors.scheduler_of(workloads[name])
        budgets = [{k: v for k, v in random_budget(rng, scheduler).items() if k != "cores"} for _ in range(12)]
        steps = [{"budget": b, **({"running": "last"} if k % 2 else {})} for k, b in enumerate(budgets)]
        cases.append({"name": name, "workload": name, "steps": steps})
    return {"workloads": workloads, "cases": cases}
