"""Hand-written questions to schedulers: ties, limits that are just met, and questions that make no sense."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors.vectors import Json


def option(name: str, memory: int, ms: Json, loss: float, size: int = 0, load: float = 0.0) -> Json:
    return [name, memory, ms if isinstance(ms, dict) else {"1": ms}, loss, size, load]


def one_block(name: str, *options: Json, **rest: Json) -> Json:
    return {"name": name, "blocks": [["b", list(options)]], **rest}


def chosen_cases() -> Iterator[tuple[str, Json, list[Json]]]:
    """The hand-written cases: (name, workload, steps)."""
    big, small = option("big", 20, 2.0, 0.0, 4_000_000, 3.0), option("small", 10, 1.0, 0.25, 1_000_000, 1.0)
    pair = {"models": [one_block("a", big, small), one_block("b", big, small)]}
    yield (
        "twins share what one of them may have",
        pair,
        [
            {"budget": {"memory_bytes": 30}},
            {"budget": {"memory_bytes": 30}, "running": "last"},
            {"budget": {"memory_bytes": 40}, "running": "last"},
            {"budget": {"memory_bytes": 39}, "running": "last"},
            {"budget": {"memory_bytes": 20}},
            {"budget": {"memory_bytes": 19}},
            {"budget": {"memory_bytes": 1}},
        ],
    )
    great = [[0.0, 0.0], [0.0, 1e12]]
    yield (
        "an interaction that dwarfs all losses",
        {"models": [{"name": "a", "blocks": [["b", [big, small]], ["c", [big, small], great]]}]},
        [{"budget": b} for b in ({}, {"memory_bytes": 30}, {"memory_bytes": 29}, {"latency_ms": 2.0})],
    )
    one = {"models": [one_block("a", big, small, rate_hz=100.0)]}
    runs: Json = {
        "schema": "legodnn.plan/1",
        "models": [{"name": "a", "options": {"b": "small"}}],
        "budget": {},
        "objective": 0,
    }
    yield (
        "a running plan is kept where nothing is better",
        {"models": [one_block("a", small, [*small[:0], "twin", *small[1:]])]},
        [
            {"budget": {}},
            {"budget": {}, "running": {**runs, "models": [{"name": "a", "options": {"b": "twin"}}]}},
        ],
    )
    plan: Json
    for what, plan in {
        "unknown option": {"options": {"b": "gone"}},
        "unknown block": {"options": {"other": "small"}},
        "no blocks": {"options": {}},
        "too many blocks": {"options": {"b": "small", "c": "small"}},
        "suspended": {"suspended": True},
        "suspended with unknown options": {"suspended": True, "options": {"x": "y"}},
        "a thread count that is not used": {"threads": 8, "options": {"b": "small"}},
        "a thread count that is not used, unknown option": {"threads": 8, "options": {"b": "gone"}},
        "no threads": {"threads": 0, "options": {"b": "small"}},
        "another model": {"name": "z", "options": {"b": "gone"}},
    }.items():
        yield f"running: {what}", one, [{"budget": {}, "running": {**runs, "models": [{"name": "a", **plan}]}}]
    for what, document in {
        "another version": {**runs, "schema": "legodnn.plan/2"},
        "no models": {**runs, "models": []},
        "one name twice": {**runs, "models": runs["models"] * 2},
        "an unknown field": {**runs, "more": 1},
        "an infeasible budget inside": {**runs, "budget": {"memory_bytes": 1}},
        "a bad budget inside": {**runs, "budget": {"memory_bytes": 0}},
    }.items():
        yield f"running plan: {what}", one, [{"budget": {}, "running": document}]
    yield (
        "one option for each block",
        {"models": [one_block("a", big), one_block("b", small)]},
        [
            {"budget": b}
            for b in ({}, {"memory_bytes": 30}, {"memory_bytes": 29}, {"latency_ms": 2.0}, {"latency_ms": 1.9})
        ],
    )
    yield (
        "no memory, no time",
        {"models": [one_block("a", option("o", 0, 0.0, 0.5), option("p", 0, 0, 0.5))]},
        [
            {"budget": b}
            for b in ({}, {"memory_bytes": 1}, {"latency_ms": 1e-300}, {"latency_ms": 5e-324, "memory_bytes": 1})
        ],
    )
    yield (
        "a flat link: the least memory is as good",
        {"models": [one_block("a", big, small, link=[[0.0, 1.0], [0.5, 0.5]])]},
        [{"budget": {}}, {"budget": {"memory_bytes": 15}}],
    )
    yield (
        "losses below zero",
        {
            "models": [
                one_block(
                    "a", option("o", 5, 1, 0.1), option("p", 9, 1, -0.2), link=[[-0.1, 0.0, 0.1], [0.9, 0.6, 0.5]]
                )
            ]
        },
        [{"budget": {}}],
    )
    yield (
        "accuracy below zero",
        {
            "models": [
                one_block("a", big, small, link=[[0.0, 1.0], [-1.0, -3.0]], weight=2.0),
                one_block("b", big, small, critical=False),
            ]
        },
        [{"budget": {"memory_bytes": m}} for m in (40, 30, 20, 15, 10)],
    )
    threads = one_block(
        "a",
        option("o", 20, {"1": 4.0, "2": 2.5, "4": 2.0}, 0.0),
        option("p", 10, {"1": 2.0, "2": 1.5, "4": 1.2}, 0.3),
        rate_hz=100.0,
    )
    yield (
        "thread counts",
        {"models": [threads, {**threads, "name": "b", "threads": 2}]},
        [
            {"budget": b}
            for b in (
                {},
                {"latency_ms": 2.2},
                {"latency_ms": 1.3},
                {"latency_ms": {"a": 1.9}},
                {"cores": 1.0},
                {"cores": 0.5},
                {"cores": 0.4, "memory_bytes": 25},
                {"latency_ms": 1.1},
            )
        ],
    )
    optional = {
        "models": [
            one_block("a", big, small),
            one_block("b", big, small, critical=False, weight=3.0),
            one_block("c", big, small, critical=False),
        ]
    }
    yield (
        "suspension",
        optional,
        [
            {"budget": {"memory_bytes": m}, **({"running": "last"} if i else {})}
            for i, m in enumerate((60, 50, 40, 30, 29, 20, 19, 10, 9, 60))
        ],
    )
    yield (
        "all may be suspended",
        {
            "models": [
                one_block("a", big, critical=False, latency_ms=1.0),
                one_block("b", big, critical=False, min_accuracy=2.0),
            ]
        },
        [{"budget": {}}, {"budget": {"memory_bytes": 1}}],
    )
    limited = {
        "models": [
            one_block("a", big, small, rate_hz=100.0, latency_ms=1.5, min_accuracy=0.9),
            one_block("b", big, small, rate_hz=50.0),
        ]
    }
    yield "limits clash within a model", limited, [{"budget": b} for b in ({}, {"memory_bytes": 10}, {"cores": 0.1})]
    yield (
        "each limit alone",
        one,
        [
            {"budget": b}
            for b in (
                {"memory_bytes": 9},
                {"memory_bytes": 10},
                {"latency_ms": 0.999999},
                {"latency_ms": 1.0},
                {"cores": 0.0999},
                {"cores": 0.1},
                {"memory_bytes": 9, "latency_ms": 0.5},
                {"memory_bytes": 9, "latency_ms": 0.5, "cores": 0.01},
            )
        ],
    )
    accurate = {"models": [one_block("a", big, small, rate_hz=100.0, min_accuracy=1.5)]}
    yield "no accuracy is high enough", accurate, [{"budget": {}}, {"budget": {"memory_bytes": 5}}]
    negative = {"models": [one_block("a", big, small, link=[[0.0, 1.0], [0.0, -1.0]], min_accuracy=0.0)]}
    yield "a least accuracy of zero", negative, [{"budget": {}}, {"budget": {"memory_bytes": 12}}]
    yield (
        "slow-downs",
        one,
        [
            {"budget": {"latency_ms": 2.0}, "slowdown": s}
            for s in (
                {"a": 1.0},
                {"a": 1.0000001},
                {"a": 2.0},
                {"a": 2.5},
                {"a": 0.1},
                {"a": 1e6},
                {"a": 1e-300},
                {"z": 1.0},
                {"a": 0.0},
                {"a": -1.0},
                {"a": "NaN"},
                {"a": "Infinity"},
                {"a": 1e7},
                {"a": 1 / 3},
            )
        ],
    )
    senseless: list[Json] = [
        {"memory_bytes": 0},
        {"memory_bytes": -5},
        {"memory_bytes": 1.5},
        {"memory_bytes": "20MB"},
        {"memory_bytes": 1 << 62},
        {"memory_bytes": (1 << 62) - 1},
        {"latency_ms": 0},
        {"latency_ms": {"z": 1.0}},
        {"latency_ms": {"a": 0.0}},
        {"cores": 0.0},
        {"cores": 1e300},
        {"latency_ms": 1e300},
        {"ram": 5},
        {"latency_ms": {}},
        {"latency_ms": [1.0]},
        {"memory_bytes": True},
        {"cores": 1e-300},
    ]
    yield "budgets that make no sense", one, [{"budget": b} for b in senseless]
    yield "cores without a rate", {"models": [one_block("a", big, small)]}, [{"budget": {"cores": 1.0}}]
    yield "one name twice", {"models": [one_block("a", big), one_block("a", big)]}, [{"budget": {}}]
    charged = {
        "models": [one_block("a", big, small), one_block("b", big, small, fixed=[["s", [small]]])],
        "charge": {"per_mb": 0.05, "per_ms": 0.01},
    }
    yield (
        "what switching is charged keeps options",
        charged,
        [
            {"budget": {"memory_bytes": m}, **({"running": "last"} if i else {})}
            for i, m in enumerate((30, 49, 50, 51, 40, 30, 31, 50, 29))
        ],
    )
    exact = {
        "models": [one_block("a", option("o", 10, 1, 0.2, 10**6), option("p", 20, 1, 0.1, 10**6))],
        "charge": {"per_mb": 0.1},
    }
    yield (
        "a charge that takes just what is gained",
        exact,
        [{"budget": {"memory_bytes": 10}}, {"budget": {}, "running": "last"}],
    )
    third = {"models": [one_block("a", option("o", 7, 1 / 3, 1 / 3), option("p", 3, 0.1 + 0.2, 0.7), weight=1 / 7)]}
    yield (
        "fractions that doubles do not have",
        third,
        [
            {"budget": b}
            for b in ({"latency_ms": 1 / 3}, {"latency_ms": 0.3}, {"latency_ms": 0.333333}, {"latency_ms": 0.2})
        ],
    )
    equal = one_block("a", option("o", 7, 0.3, 0.064), option("p", 3, 0.1, 0.1), rate_hz=30.0, min_accuracy=0.936)
    yield (
        "limits equal to the figures",
        {"models": [equal]},
        [
            {"budget": {"latency_ms": 0.3}},
            {"budget": {"latency_ms": 0.29999999999999993}},
            {"budget": {"latency_ms": 0.6}, "slowdown": {"a": 2}},
            {"budget": {"latency_ms": 0.42}, "slowdown": {"a": 1.4}},
            {"budget": {"latency_ms": 0.42}, "slowdown": {"a": 1.4}, "tail": {"a": 1.0000000000000002}},
            {"budget": {"cores": 0.009}},
            {"budget": {"cores": 0.008999999}},
            {"budget": {"memory_bytes": 7}},
        ],
    )
    yield (
        "a least accuracy that is missed by more than rounding",
        {"models": [{**equal, "min_accuracy": 0.936000000002}]},
        [{"budget": {}}],
    )
    some = {"tails": {"1": {"0.5": 1.0, "0.95": 1.1, "0.99": 1.2}, "2": {"0.5": 1.0, "0.95": 1.1}}}
    yield (
        "a tail that is known for fewer inferences with one thread count",
        {"models": [{**threads, **some}]},
        [
            {"budget": {"quantile": q, **limit}}
            for q in (0.95, 0.99, 0.999)
            for limit in ({}, {"latency_ms": 10.0}, {"latency_ms": 2.4}, {"latency_ms": 2.2}, {"latency_ms": 2.0})
        ],
    )
    quick_in_two = one_block("a", option("o", 20, {"1": 4.0, "2": 2.0}, 0.0), rate_hz=250.0, latency_ms=4.5)
    yield (
        "limits that only a thread count of unknown tail would hold",
        {"models": [{**quick_in_two, **some, "quantile": 0.99}]},
        [{"budget": b} for b in ({}, {"cores": 1.0}, {"cores": 0.99}, {"memory_bytes": 10})],
    )
    heavy = one_block("a", big, weight=1e6)
    least = one_block("b", *(option(f"o{k}", 30 - 10 * k, 1.0, loss) for k, loss in enumerate((0.0, 0.095, 0.101))))
    yield (
        "a least accuracy of a model that hardly weighs",
        {"models": [heavy, {**least, "weight": 1e-6, "min_accuracy": 0.9}]},
        [{"budget": {"memory_bytes": m}} for m in (50, 49, 40, 39)],
    )
    yield (
        "half a nanosecond",
        {"models": [one_block("a", option("o", 7, 0.0000005, 0), option("p", 8, 0.0000015, 0.1))]},
        [{"budget": {"latency_ms": t}} for t in (1e-7, 1e-6, 0.0000005, 0.000002)],
    )
    yield (
        "nothing is worth anything",
        {"models": [one_block("a", big, small, link=[[0.0, 1.0], [0.0, 0.0]])]},
        [{"budget": {}}, {"budget": {"memory_bytes": 10}}],
    )
