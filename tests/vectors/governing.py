"""What to ask of a governor's policy, of what watches inferences, and of models that run beside one another."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from legodnn.errors import ConfigError, ProfileError
from legodnn.plan import ModelPlan
from legodnn.profile import PROFILE_VERSION, Profile
from legodnn.runtime.device.fair_share import Competitor
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.governing.hysteresis import Hysteresis
from legodnn.runtime.governing.policy import Decision, Demand, Policy, Situation, State, decide
from legodnn.runtime.governing.slowdown_tracker import SlowdownTracker
from legodnn.runtime.governing.tail_tracker import TailTracker
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.schema import parse_document
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from tests.vectors import vectors
from tests.vectors.chosen import one_block, option
from tests.vectors.edits import dumped
from tests.vectors.learned import tail_answer
from tests.vectors.profiles import profile_of
from tests.vectors.stores import CHAIN, GRAPH
from tests.vectors.vectors import Json

MB = 1_000_000

# --- the policy ------------------------------------------------------------------------------------------------------


def policy_answer(case: Mapping[str, Json]) -> Json:
    """The decisions that follow from a case's situations, one after the other."""
    try:
        settings: dict[str, Any] = {
            k: Hysteresis(**v) if isinstance(v, dict) else v for k, v in case.get("policy", {}).items()
        }
        policy = Policy(**settings)
    except ConfigError:  # Java has one exception for what makes no sense, by whose name the vectors call it
        return {"error": "WorkloadError"}
    asked = case["demand"]
    demand = Demand(Budget(**asked["budget"]), asked["most_memory"], asked.get("most_cores"), asked.get("expected", {}))
    state, answers = State(), []
    for row in case["situations"]:
        state, decision = decide(policy, demand, state, _situation(row))
        answers.append(_decided(decision))
    return answers


def _situation(row: Mapping[str, Json]) -> Situation:
    readings = Readings(
        time_s=row["time"],
        memory_total_bytes=row["total"],
        memory_available_bytes=row["available"],
        memory_pressure=row.get("pressure"),
        cores_total=row.get("cores", 4.0),
        cores_allowed=row.get("allowed", 4.0),
        busy_cores=row.get("busy"),
        own_cores=row.get("own"),
        competing=tuple(Competitor(*pair) for pair in row.get("competing", ())),
        throttled=row.get("throttled", ""),
    )
    suspended = frozenset(row.get("suspended", ()))
    return Situation(readings, row["held"], row.get("ratios", {}), row.get("excesses", {}), suspended)


def _decided(decision: Decision) -> Json:
    return {
        "memory_bytes": decision.budget.memory_bytes,
        "cores": decision.budget.cores,
        "slowdown": dict(decision.slowdown),
        "tail": dict(decision.tail),
        "changes": [[change.what, change.before, change.after] for change in decision.changes],
    }


def policies() -> Json:
    """Devices whose memory, processors and speed go up and down, and settings that make no sense."""
    cases: list[Json] = []
    settings: tuple[Json, ...] = (
        {},
        {"reserve": 0.0, "relief": 0.5, "memory": {"hold_s": 3.0}},
        {"observations": 1, "speed": {"slack": 0.0, "hold_s": 2.0}, "tail": {"margin": 0.01, "hold_s": 2.0}},
        {"pressure": 0.3, "cores": {"slack": 0.2, "growth": 0.4, "hold_s": 4.0}},
    )
    for i in range(12):
        rng = random.Random(f"policy {i}")
        demand: Json = {
            "budget": rng.choice([{}, {"memory_bytes": 250 * MB}, {"memory_bytes": 900 * MB, "latency_ms": 20.0}]),
            "most_memory": 500 * MB,
        }
        if i % 2:
            demand["most_cores"] = rng.choice([0.7, 2.5, 6.0])
            demand["budget"] = {**demand["budget"], **rng.choice([{}, {"cores": 1.5}])}
        if i % 3 == 0:
            demand["expected"] = {"a": 1.25}
        walk = _walk(rng, rated=bool(i % 2))
        cases.append({"name": f"walk {i}", "policy": settings[i % 4], "demand": demand, "situations": walk})
    for i in range(4):
        demand = {"budget": {"latency_ms": 20.0}, "most_memory": 500 * MB, "expected": {"b": 1.25}}
        demand |= {"most_cores": 2.5} if i % 2 else {}
        how = {"name": f"suspended {i}", "policy": settings[i], "demand": demand}
        cases.append({**how, "situations": _suspending(i)})
    for wrong in (
        {"reserve": 1.0},
        {"reserve": -0.1},
        {"pressure": 0.0},
        {"pressure": 10.0},
        {"relief": 0.0},
        {"relief": 1.5},
        {"observations": 0},
    ):
        cases.append({"name": f"refused {wrong}", "policy": wrong, "demand": {}, "situations": []})
    return {"cases": [{**case, "answer": policy_answer(case)} for case in cases]}


def _walk(rng: random.Random, rated: bool) -> list[Json]:
    """Thirty situations, some seconds apart."""
    rows: list[Json] = []
    now, available, slow = 0.0, 400.0, 1.0
    for _ in range(30):
        now += rng.choice([0.5, 1.0, 1.0, 3.0])
        available = min(1500.0, max(0.0, available * rng.choice([1.0, 1.0, 1.05, 0.7, 1.6])))
        slow *= rng.choice([1.0, 1.0, 1.0, 1.02, 1.5, 0.6])
        row: Json = {"time": now, "total": 2000 * MB, "available": int(available * MB), "held": rng.randrange(300) * MB}
        if rng.random() < 0.6:
            row["pressure"] = rng.choice([0.0, 0.05, 0.1, 0.4])
        if rng.random() < 0.3:
            row["throttled"] = "hot"
        if rated and rng.random() < 0.9:
            row["busy"], row["own"] = round(rng.uniform(0, 4), 3), round(rng.uniform(0, 1), 3)
            row["competing"] = [
                [round(rng.uniform(0, 2), 3), rng.choice([1.0, 1 / 64, 1e6])] for _ in range(rng.randrange(3))
            ]
            row["allowed"] = rng.choice([2.0, 4.0])
        if rows and rng.random() < 0.8:
            row["ratios"] = {"a": round(slow, 4), **({"b": 2.0} if rng.random() < 0.5 else {})}
        if rows and rng.random() < 0.5:
            row["excesses"] = {"a": round(slow * rng.uniform(0.9, 1.3), 4)}
        rows.append(row)
    return rows


def _suspending(i: int) -> list[Json]:
    """Situations in which two models that are slow, or fast, are suspended for half a minute."""
    rows = _walk(random.Random(f"suspended {i}"), rated=bool(i % 2))
    for second, row in enumerate(rows):
        row["time"] = 2.0 * second
        row["ratios"], row["excesses"] = {"a": 1.12, "b": 0.7 + i}, {"a": 1.3, "b": 1.08}
        if 3 <= second < 18:
            row["suspended"] = ["a", "b"]
            del row["ratios"], row["excesses"]
    return rows


# --- what watches inferences -----------------------------------------------------------------------------------------


def observed_answer(case: Mapping[str, Json]) -> Json:
    """The slow-down and what is seen of the tail after each stretch of inferences of one plan, and what is learned."""
    table = vectors.table_of(case["table"])
    slowdowns, tails = SlowdownTracker([table]), TailTracker([table])
    answers: list[Json] = []
    for step in case["steps"]:
        plan = ModelPlan(**step["plan"])
        if step.get("judged"):
            slowdowns.judged()
            tails.judged()
        if step.get("rests"):
            slowdowns.rest(plan.name)
            tails.rest(plan.name)
        for latency in step["latencies"]:
            ratio = slowdowns.add(plan, latency)
            if ratio is not None:
                tails.add(plan, ratio)
        answers.append({"ratios": slowdowns.ratios(case["least"]), "excess": tails.excess(plan)})
        answers[-1]["learned"] = [tail_answer(tail) for tail in tails.tails(plan.name)]
    return answers


def observed() -> Json:
    """Inferences of models that run as profiled, slower, and not at all steadily."""
    options = (option("s0", 20, {"1": 4.0, "2": 2.5}, 0.0), option("s50", 10, {"1": 2.0, "2": 1.25}, 0.1))
    row = {"0.5": 1.1, "0.9": 1.5, "0.95": 2.0}
    tables = {
        "plain": one_block("a", *options),
        "tail": one_block("a", *options, tails={"1": row, "2": {"0.5": 1.0, "0.95": 1.2}}, slowdown=1.25),
        "no tail": one_block("a", *options, tails=None, overhead_ms={"1": 0.5}),
    }
    cases: list[Json] = []
    for i, (name, table) in enumerate((name, t) for name, t in tables.items() for _ in range(3)):
        rng, steps = random.Random(f"observed {i}"), []
        for _ in range(6):
            chosen, threads, pace = rng.choice(["s0", "s50"]), rng.choice([1, 1, 2]), rng.choice([0.8, 1.0, 1.4, 3.0])
            of = dict(zip(("s0", "s50"), options, strict=True))[chosen][2][str(threads)]
            quantile = rng.choice([0.5, 0.9, 0.95, 0.97])
            plan = {"name": "a", "threads": threads, "options": {"b": chosen}, "quantile": quantile}
            times = [round(of * pace * rng.lognormvariate(0, 0.3), 4) for _ in range(rng.choice([1, 8, 30]))]
            steps.append({"plan": plan, "latencies": times})
        cases.append({"name": f"{name} {i}", "table": table, "least": rng.choice([1, 15]), "steps": steps})
    for name, table in tables.items():
        rests = [dict(step) for step in cases[list(tables).index(name) * 3]["steps"]]
        for step in rests[1::2]:
            step["rests"] = True
        cases.append({"name": f"{name}, suspended now and then", "table": table, "least": 1, "steps": rests})
    plan = {"name": "a", "threads": 1, "options": {"b": "s0"}, "quantile": 0.95}
    many = [{"plan": plan, "latencies": [4.0 + i / 16 for i in range(count)]} for count in (60, 20)]
    cases.append({"name": "more than are remembered", "table": tables["plain"], "least": 70, "steps": many})
    rng, fast = random.Random("many in a second"), []
    for threads, count in ((1, 300), (1, 150), (2, 100), (1, 10)):
        times = [round(4.0 * rng.lognormvariate(0, 0.3), 4) for _ in range(count)]
        fast.append({"plan": {**plan, "threads": threads}, "latencies": times, "judged": True})
    cases.append({"name": "many between two decisions", "table": tables["tail"], "least": 15, "steps": fast})
    return {"cases": [{**case, "answer": observed_answer(case)} for case in cases]}


# --- models beside one another ---------------------------------------------------------------------------------------


def beside_answer(case: Mapping[str, Json], bases: Mapping[str, Json]) -> Json:
    """The slow-down and the tails with which each model of a workload is planned."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {}
        for name, base in bases.items():
            vectors.write_store(Path(folder) / name, base["manifest"].encode(), base["files"], {})
            stores[name] = Store(Path(folder) / name)
        opened, models = [], []
        for model in case["models"]:
            store = stores[model["store"]]
            document = beside_profile(model, bases, {name: s.id for name, s in stores.items()})
            profile = parse_document(dumped(document), "profile", Profile, PROFILE_VERSION, ProfileError, "again")
            opened.append((store, profile))
            models.append(WorkloadModel(name=model["store"], store=str(store.path), rate_hz=model.get("rate_hz")))
        tables = workload_tables(Workload(models=tuple(models)), opened)
    return [{"slowdown": t.slowdown, "tails": _tails(t.tails)} for t in tables]


def beside_profile(model: Mapping[str, Json], bases: Mapping[str, Json], ids: Mapping[str, str]) -> Json:
    """A profile whose tails and contention name stores by the names of their bases."""
    tails = [{**t, **({"other": ids[t["other"]]} if "other" in t else {})} for t in model.get("tail", ())]
    contention = [
        {"store_id": ids[name], "model": name, "slowdown": slow} for name, slow in model.get("contention", {}).items()
    ]
    own = {"store_id": ids[model["store"]], "tail": tails, "contention": contention}
    return {**bases[model["store"]]["profile"], **own}


def _tails(tails: Any) -> Json:
    return None if tails is None else {str(n): {str(q): x for q, x in row.items()} for n, row in tails.items()}


def beside() -> Json:
    """Two models or three, with and without rates, of whose contention much, little or nothing is known."""
    bases = {
        name: {
            "manifest": dumped(document),
            "files": [o["file"] for s in document["segments"] for o in s["options"]],
            "profile": profile_of(document),
        }
        for name, document in (
            ("chain", CHAIN),
            ("graph", GRAPH),
            ("third", {**GRAPH, "model": {**GRAPH["model"], "name": "third"}}),
        )
    }

    def tail(condition: str, stretch: list[float], threads: int = 1, **other: str) -> Json:
        how = {"quantiles": [0.5, 0.9, 0.95], "stretch": stretch, "inferences": 400}
        return {"threads": threads, "condition": condition, **other, **how}

    alone, after = tail("alone", [1.0, 1.2, 1.5]), tail("after", [1.1, 1.2, 1.9])
    with_graph = [tail("after", [1.0, 1.3, 1.4], other="graph"), tail("beside", [1.3, 1.6, 2.2], other="graph")]
    kinds: dict[str, list[Json]] = {
        "no tail": [],
        "alone": [alone],
        "alone and after": [alone, after],
        "beside": [alone, after, *with_graph],
        "beside, and two threads": [alone, *with_graph, tail("alone", [1.0, 1.0, 1.1], 2)],
        "after pauses": [alone, after, tail("periodic", [1.3, 1.5, 1.7])],
        "shorter after pauses, and beside": [alone, *with_graph, tail("periodic", [0.9, 1.1, 1.4])],
        "learned": [alone, after, *with_graph, tail("use", [1.2, 1.4, 1.8])],
    }
    cases: list[Json] = []
    for name, tails in kinds.items():
        for rate in (None, 5.0, 40.0, 5000.0):
            chain: Json = {"store": "chain", "tail": tails, "contention": {"graph": 1.7}, "rate_hz": 10.0}
            graph: Json = {"store": "graph", "rate_hz": rate}
            cases.append({"name": f"{name}, {rate}", "models": [chain, graph]})
        third: Json = {"store": "third", "rate_hz": 5.0}
        cases.append({"name": f"{name}, three", "models": [chain, graph, third]})
        for rate in (None, 10.0):
            one: Json = {"store": "chain", "tail": tails, "rate_hz": rate}
            cases.append({"name": f"{name}, by itself, {rate}", "models": [one]})
    return {"bases": bases, "cases": [{**case, "answer": beside_answer(case, bases)} for case in cases]}
