"""Write the test vectors: `python -m tests.vectors.generate` from the repository's root. They are the same every time.

What is asked is in `plans`, `stores`, `profiles`, `in_use`, `tails`, `governing`, `workloads` and here; the answers are
the Python package's.
"""

from __future__ import annotations

import itertools
import json
import random

from tests.vectors import frames, governing, in_use, learned, plans, profiles, stores, tails, vectors, workloads
from tests.vectors.chosen import one_block, option
from tests.vectors.vectors import Json


def noise() -> Json:
    """Eight blocks of twelve options, each of which is the best at something; their losses stay within the link."""
    rng = random.Random("noise")

    def row(name: str) -> Json:
        memory, ms = rng.random(), rng.random()
        return option(name, int(memory * 10**6), round(ms, 6), round((2 - memory - ms) / 16, 6))

    return {"name": "a", "blocks": [[f"b{b}", [row(f"o{k}") for k in range(12)]] for b in range(8)]}


def interactions() -> Json:
    """Two blocks that interact, in ways that are accepted and in ways that are refused."""
    first, second = [option("o", 2, 2, 0), option("p", 1, 1, 0.25)], [option("o", 1, 1, 0)]

    def pair(found: Json) -> Json:
        return {"name": "a", "blocks": [["b", first], ["c", second, found]]}

    cases = {f"interaction {x}": pair([[0.0], [x]]) for x in (-0.5, 1e12, -1.1e12, "NaN", "Infinity")}
    return cases | {
        "interaction of the first block": {"name": "a", "blocks": [["b", first, [[0.0, 0.0]]]]},
        "interaction of a fixed segment": {
            "name": "a",
            "blocks": [["b", first]],
            "fixed": [["f", second, [[0.0], [0]]]],
        },
        "interaction of too few rows": pair([[0.0]]),
        "interaction of too many rows": pair([[0.0]] * 3),
        "interaction of too many columns": pair([[0.0], [0.0, 0.0]]),
        "interaction of empty rows": pair([[], []]),
    }


def tables() -> Json:
    """Tables with a figure that is wrong, or as great or as small as it may be."""
    good = one_block("a", option("o", 20, 2.0, 0.0), option("p", 10, 1.0, 0.25))

    def with_option(**changes: Json) -> Json:
        keys = ("name", "memory", "ms", "loss", "bytes", "load")
        row = [changes.get(k, v) for k, v in zip(keys, option("o", 20, 2.0, 0.0, 5, 1.0), strict=True)]
        return one_block("a", row, option("p", 10, 1.0, 0.25))

    bad = ("NaN", "Infinity", "-Infinity", -1)
    cases = {"good": good, "no blocks": {"name": "a", "blocks": []}}
    for value in (*bad, 1e13, 1 << 48, (1 << 48) + 1):
        cases[f"memory {value}"] = with_option(memory=value if isinstance(value, int | str) else int(value))
        cases[f"bytes {value}"] = with_option(bytes=value if isinstance(value, int | str) else int(value))
        cases[f"loss {value}"] = with_option(loss=value)
    for value in (*bad, 1e9, 1.000001e9):
        cases[f"load {value}"] = with_option(load=value)
        cases[f"latency {value}"] = with_option(ms={"1": value})
    for key in ("weight", "accuracy_error", "rate_hz", "latency_ms", "min_accuracy"):
        for value in (*bad, 0, 1e12, 1.1e12, 5e-324):
            cases[f"{key} {value}"] = {**good, key: value}
    for value in (*bad, 0, 0.4, 0.5, 0.99, 1):
        cases[f"quantile {value}"] = {**good, "quantile": value}
        cases[f"tail at {value}"] = {**good, "tails": {"1": {str(value): 1.5}}}
        cases[f"tail of {value}"] = {**good, "tails": {"1": {"0.95": value}}}
    cases |= {"no tails": {**good, "tails": {}}, "unknown tails": {**good, "tails": None}}
    for value in (1, 2, 0, -1):
        cases[f"threads {value}"] = {**good, "threads": value}
    cases |= {
        "an option twice": one_block("a", option("o", 1, 1, 0), option("o", 2, 2, 0.1)),
        "a segment twice": {**good, "fixed": [["b", [option("o", 1, 1, 0)]]]},
        "two options of a fixed segment": {**good, "fixed": [["f", [option("o", 1, 1, 0), option("p", 1, 1, 0)]]]},
        "no options": {"name": "a", "blocks": [["b", []]]},
        "no fixed options": {**good, "fixed": [["f", []]]},
        "no latency": one_block("a", ["o", 1, {}, 0.0, 0, 0.0]),
        "zero threads": one_block("a", ["o", 1, {"0": 1.0}, 0.0, 0, 0.0]),
        "negative threads": one_block("a", ["o", 1, {"-2": 1.0, "1": 1.0}, 0.0, 0, 0.0]),
        "nothing in common": one_block("a", option("o", 1, {"1": 1}, 0), option("p", 1, {"2": 1}, 0)),
        "one in common": one_block("a", option("o", 1, {"1": 1, "4": 1}, 0), option("p", 1, {"2": 1, "4": 2}, 0)),
        "threads not in common": {
            **one_block("a", option("o", 1, {"1": 1, "4": 1}, 0), option("p", 1, {"4": 2}, 0)),
            "threads": 1,
        },
        "noise": noise(),
        **interactions(),
        "only fixed": {"name": "a", "blocks": [], "fixed": [["f", [option("o", 1, {"2": 1.0}, 0)]]]},
    }
    listed = [{"name": name, "table": table} for name, table in cases.items()]
    return {"cases": [{**case, "answer": vectors.table_answer(case)} for case in listed]}


def budgets() -> Json:
    """Budgets and switch charges."""
    asked: list[Json] = [
        {},
        {"memory_bytes": None, "latency_ms": None, "cores": None},
        {"memory_bytes": 1},
        {"memory_bytes": 0},
        {"memory_bytes": -1},
        {"memory_bytes": 1.0},
        {"memory_bytes": "1"},
        {"memory_bytes": False},
        {"memory_bytes": (1 << 62) - 1},
        {"memory_bytes": 1 << 62},
        {"memory_bytes": 10**30},
        {"latency_ms": 1},
        {"latency_ms": 1.5},
        {"latency_ms": 0},
        {"latency_ms": 0.0},
        {"latency_ms": -2.0},
        {"latency_ms": True},
        {"latency_ms": "2"},
        {"latency_ms": {}},
        {"latency_ms": {"a": 1, "b": 2.5}},
        {"latency_ms": {"a": 0}},
        {"latency_ms": {"a": None}},
        {"latency_ms": {"a": "1"}},
        {"latency_ms": {"a": {"b": 1.0}}},
        {"latency_ms": []},
        {"latency_ms": {"": 1.0}},
        {"quantile": 0.5},
        {"quantile": 0.95, "latency_ms": 2.0},
        {"quantile": 0.49},
        {"quantile": 1},
        {"quantile": 1.0},
        {"quantile": True},
        {"quantile": "0.9"},
        {"quantile": {}},
        {"quantile": {"a": 0.99, "b": 0.5}},
        {"quantile": {"a": 1.0}},
        {"quantile": {"a": None}},
        {"quantile": {"": 0.9}},
        {"quantile": []},
        {"quantile": 0.9999999999999999},
        {"cores": 2},
        {"cores": 0.5},
        {"cores": 0},
        {"cores": -0.5},
        {"cores": "all"},
        {"cores": {"a": 1.0}},
        {"cores": 5e-324},
        {"cores": 1.7e308},
        {"memory": 5},
        {"memory_bytes": [5]},
        {"memory_bytes": 5, "latency_ms": 2.0, "cores": 1.0},
        {"Memory_bytes": 5},
    ]
    charges: list[Json] = [
        {},
        {"per_mb": 0.0},
        {"per_mb": 1, "per_ms": 2.5},
        {"per_mb": -0.1},
        {"per_ms": -1e-300},
        {"per_mb": "NaN"},
        {"per_ms": "Infinity"},
        {"per_mb": 1e300, "per_ms": 1e300},
    ]
    cases = [{"name": f"budget {json.dumps(b)}", "budget": b} for b in asked]
    cases += [{"name": f"charge {json.dumps(c)}", "charge": c} for c in charges]
    return {"cases": [{**case, "answer": vectors.budget_answer(case)} for case in cases]}


def hysteresis() -> Json:
    """Targets that go up and down."""
    cases: list[Json] = []
    for i in range(25):
        rng = random.Random(f"hysteresis {i}")
        how = (
            {}
            if i % 3
            else {"slack": 0.1, "margin": rng.choice([0.0, 0.05]), "growth": 0.25, "hold_s": rng.choice([2.0, 10.0])}
        )
        now, target, targets = 0.0, 1000.0, []
        for _ in range(60):
            now += rng.choice([0.5, 1.0, 1.0, 5.0])
            target *= rng.choice([1.0, 1.0, 1.0, 1.02, 0.98, 1.3, 0.6, 1.6])
            targets.append([now, round(target, 3)])
        cases.append({"name": f"walk {i}", "how": how, "targets": targets})
    for how in (
        {"slack": 1.0},
        {"slack": -0.1},
        {"margin": 1.0},
        {"growth": 0.05},
        {"hold_s": 0.0},
        {"hold_s": 400.0},
        {"growth": -1.0},
    ):
        cases.append({"name": f"refused {how}", "how": how, "targets": []})
    return {"cases": [{**case, "answer": vectors.hysteresis_answer(case)} for case in cases]}


def pictures() -> Json:
    """Pictures that are shrunk, grown and kept, of all channels and scalings."""
    sizes = ((12, 9), (6, 8), (1, 1), (2, 3), (7, 5), (24, 32), (37, 20), (5, 60), (61, 47))
    hows: list[Json] = [
        {"range": [0.0, 1.0], "mean": [], "std": []},
        {"range": [-1.0, 1.0], "mean": [], "std": []},
        {"range": [0.0, 255.0], "mean": [103.939, 116.779, 123.68], "std": []},
        {"range": [0.0, 255.0], "mean": [], "std": [127.5]},
        {"range": [0.0, 1.0], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        {"range": [0.0, 1.0], "mean": [0.5], "std": [0.25]},
    ]
    cases: list[Json] = []
    for number, (size, how) in enumerate(itertools.product(sizes, hows)):
        channels = 3 if 3 in (len(how["mean"]), len(how["std"])) else (1, 3, 4)[number % 3]
        name = f"{size} to {channels} channels, {how}"
        cases.append({"name": name, "shape": [6, 8, channels], "size": size, "seed": number, **how})
    plain: Json = {"shape": [6, 8, 3], "seed": 5, "range": [0.0, 255.0], "mean": [], "std": []}
    for fit, size in itertools.product(("crop", "letterbox"), ((12, 9), (6, 8), (1, 1), (5, 60), (61, 47))):
        cases.append({**plain, "name": f"{fit} of {size}", "fit": fit, "size": size})
    for source, channels in ((3, 1), (4, 1), (4, 3), (4, 4), (3, 3)):  # packed into one number each on Android
        case = {**plain, "shape": [6, 8, channels], "size": (9, 7), "source": source}
        cases.append({**case, "name": f"{channels} of {source} channels"})
    return {"cases": [{**case, "answer": vectors.picture_answer(case)} for case in cases]}


def write(name: str, content: Json) -> None:
    """One file, a case a line."""
    cases = content.pop("cases")
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases)
    rest = "".join(
        f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'), allow_nan=False)},\n" for k, v in content.items()
    )
    text = "{\n" + rest + '"cases":[\n' + lines + "\n]}\n"
    json.loads(text)
    (vectors.FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}.json: {len(cases)} cases, {len(text)} bytes")


def answered_plans() -> Json:
    """The questions to schedulers, with their answers."""
    asked = plans.asked()
    cases = [{**case, "answers": vectors.answered(case, asked["workloads"])} for case in asked["cases"]]
    return {"workloads": asked["workloads"], "cases": cases}


def main() -> None:
    """Write all files."""
    write("plans", answered_plans())
    write("tables", tables())
    write("budgets", budgets())
    write("stores", stores.asked())
    write("profiles", profiles.asked())
    write("measured", profiles.measured())
    write("in_use", in_use.lines())
    write("tails", tails.tails())
    write("hysteresis", hysteresis())
    write("pictures", pictures())
    write("frames", frames.frames())
    write("policies", governing.policies())
    write("observed", governing.observed())
    write("beside", governing.beside())
    write("learned", learned.learned_documents())
    write("workloads", workloads.documents())
    write("bundles", workloads.plans())


if __name__ == "__main__":
    main()
