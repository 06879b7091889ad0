"""Workloads as people write them and as apps carry them: what is read and refused of bundles, and what is planned."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from legodnn.bundle import WORKLOAD_FILE, workload_text, write_bundle
from legodnn.errors import LegoError, ProfileError
from legodnn.profile import PROFILE_VERSION, Profile, default_path
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.schema import parse_document
from legodnn.store import Store
from legodnn.workload import load_workload
from tests.vectors import vectors
from tests.vectors.edits import changed, difference, dumped, mutations
from tests.vectors.profiles import profile_of
from tests.vectors.stores import CHAIN, GRAPH
from tests.vectors.vectors import Json, edited

FULL = """
[budget]
memory = "20MB"
cores = 2.0
latency_ms = { faces = 9.5, scenes = 30 }
quantile = { scenes = 0.9 }

[[models]]
name = "faces"
store = "stores/faces"
weight = 2.5
rate_hz = 15
latency_ms = 8.0
quantile = 0.99
min_accuracy = 0.8
threads = 2

[[models]]
name = "scenes, später"
store = "stores/faces"
profile = "profiles/other.json"
critical = false

[[models]]
name = "scenes"
store = "stores/scenes"

[switch_charge]
per_mb = 0.0001
per_ms = 0.25
"""
LEAST = '[[models]]\nname = "a"\nstore = "a"\n'
STREAMED = LEAST + "streaming = true\n"


# --- documents -------------------------------------------------------------------------------------------------------


def workload_answer(case: Mapping[str, Json], bases: Mapping[str, Json]) -> Json:
    """What is read of the JSON of a bundle, places as they are written there; or the error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WORKLOAD_FILE
        path.write_bytes(edited(bases[case["base"]], case.get("edits", [])))
        try:
            workload = load_workload(path)
        except LegoError as e:
            return {"error": type(e).__name__}
        models = []
        for model in workload.models:
            places = {"store": model.store, "profile": str(model.profile_path)}
            places = {key: os.path.relpath(place, folder) for key, place in places.items()}
            models.append({**model.model_dump(exclude={"streaming"}), **places})
        return {"models": models, "budget": workload.budget.model_dump(), "charge": workload.switch_charge.model_dump()}


def bundled(toml: str) -> str:
    """The JSON of a TOML file whose places are written relative to it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "workload.toml").write_text(toml, encoding="utf-8")
        workload = load_workload(Path(folder) / "workload.toml")
    models = []
    for model in workload.models:
        places = {"store": model.store, "profile": str(model.profile_path)}
        places = {key: Path(place).relative_to(folder).as_posix() for key, place in places.items()}
        models.append(model.model_copy(update=places))
    return workload_text(workload.model_copy(update={"models": tuple(models)}))


_VALUES: Mapping[tuple[str, ...], tuple[Json, ...]] = {
    ("models", "name"): ("b", "", 1, None, "n" * 200, "n" * 201, "é" * 200),
    ("models", "store"): ("", None, 5, "../elsewhere/faces", "s" * 5000, ["s"]),
    ("models", "profile"): ("p.json", "", None, 5),
    ("models", "weight"): (0, 1e-6, 9e-7, 1, 1000000, 1000001, True, "1", None, 10**400),
    ("models", "rate_hz"): (0, 0.0, -1, 1e6, 1.1e6, None, False, "15"),
    ("models", "latency_ms"): (0, 5e-324, -1.0, 1e21, 1.1e21, None, {"a": 1.0}, True),
    ("models", "quantile"): (0.5, 0.49, 1, 0.9999999999999999, None, True, "p95"),
    ("models", "min_accuracy"): (0, -1e9, 1e9, 1.1e9, None, False, "0.8"),
    ("models", "critical"): (True, False, 0, "no", None),
    ("models", "threads"): (1, 0, 1024, 1025, 2.0, None, True),
    ("models", "streaming"): (False, 0, None, "yes"),
    ("models", "energy"): (1.0, None),
    ("models", "memory_bytes"): (1000,),
    ("budget", "memory"): ("20MB", 5),
    ("budget", "memory_bytes"): (0, 1, 1.0, (1 << 62) - 1, 1 << 62, None, "20MB"),
    ("budget", "latency_ms"): (5, 0, {}, {"a": 1.0}, {"b": 1.0}, None, {"a": 0}),
    ("budget", "quantile"): (0.9, 0.4, {}, {"a": 0.9}, {"b": 0.9}, None),
    ("budget", "cores"): (2, 0, -1.0, None),
    ("budget", "energy_mj"): (5,),
    ("switch_charge", "per_mb"): (0, 1, 1e9, 1.1e9, -1, None, "1"),
    ("switch_charge", "per_ms"): (0, 2.5, -1e-300, None, True),
    ("switch_charge", "per_mj"): (1,),
    ("schema",): ("legodnn.workload/2", "legodnn.plan/1", 1, None),
    ("models",): ([], {}, None, "a", [5], [[]]),
    ("budget",): (None, [], 5, {}),
    ("switch_charge",): (None, [], {}),
    ("governor",): ({}, None),
}


def documents() -> Json:
    """What may stand in a bundle's JSON, and what may not."""
    least: Json = {"schema": "legodnn.workload/1", "models": [{"name": "a", "store": "stores/a"}]}
    plain: Json = {**least, "budget": {}, "switch_charge": {}}
    bases = {"full": bundled(FULL), "of defaults": bundled(LEAST), "least": dumped(least), "plain": dumped(plain)}
    cases: list[Json] = [{"name": name, "base": name} for name in bases]
    texts = {"one model twice": dumped({**plain, "models": plain["models"] * 2})}
    for path, values in _VALUES.items():
        inside = (path[0], 0, path[1]) if path[0] == "models" and len(path) > 1 else path
        for value in values:
            shown = f"{value!r:.30}"
            texts[f"{'.'.join(path)} {shown}"] = dumped(
                changed(plain, inside, lambda c, k, value=value: c.__setitem__(k, value))  # type: ignore[misc]
            )
    for key in ("name", "store"):
        texts[f"no {key}"] = dumped(changed(plain, ("models", 0, key), lambda c, k: c.__delitem__(k)))
    for key in plain:
        texts[f"no {key}"] = dumped(changed(plain, (key,), lambda c, k: c.__delitem__(k)))
    many = [{"name": f"m{i}", "store": "s"} for i in range(1025)]
    texts["too many models"] = dumped({**plain, "models": many})
    base = bases["plain"]
    cases += [{"name": name, "base": "plain", "edits": difference(base, after)} for name, after in texts.items()]
    edits = mutations(json.loads(bases["full"]), "workload", 150)
    cases += [{"name": name, "base": "full", "edits": e} for name, e in edits]
    return {
        "bases": bases,
        "streamed": bundled(STREAMED),  # which Python reads, and Java refuses
        "cases": [{**case, "answer": workload_answer(case, bases)} for case in cases],
    }


# --- plans -----------------------------------------------------------------------------------------------------------

_CHAIN = '[[models]]\nname = "chain"\nstore = "chain"\n'
_GRAPH = '[[models]]\nname = "graph"\nstore = "graph"\n'
_MEMORY = [{"memory_bytes": m} for m in (5_600_000, 6_600_000, 5_200_000, 7_000_000, 6_000_000, 4_700_000, 3_000_000)]
PLANNED: Mapping[str, tuple[str, list[Json]]] = {
    "one model": (_CHAIN, [{"memory_bytes": 2_600_000}, {"latency_ms": 2.5}, {"quantile": 0.5, "latency_ms": 2.0}]),
    "defaults": (_CHAIN + _GRAPH, _MEMORY),
    "a budget": ('budget = { memory = "6MB", latency_ms = { chain = 4 } }\n' + _CHAIN + _GRAPH, _MEMORY),
    "weights": (_CHAIN + "weight = 4\n" + _GRAPH + "weight = 0.25\n", _MEMORY),
    "one may be suspended": (_CHAIN + _GRAPH + "critical = false\n", _MEMORY),
    "a charge": (_CHAIN + _GRAPH + "[switch_charge]\nper_mb = 0.01\nper_ms = 0.001\n", _MEMORY),
    "a great charge": (_CHAIN + _GRAPH + "[switch_charge]\nper_ms = 0.5\n", _MEMORY),
    "threads": (_CHAIN + "threads = 2\n" + _GRAPH + "threads = 1\n", [*_MEMORY, {"latency_ms": 3.0}]),
    "threads that were not measured": (_CHAIN + "threads = 8\n", [{}]),
    "least accuracies": (_CHAIN + "min_accuracy = 0.97\n" + _GRAPH + "min_accuracy = 0.9\n", _MEMORY),
    "rates": (
        "budget = { cores = 0.3 }\n" + _CHAIN + "rate_hz = 40\n" + _GRAPH + "rate_hz = 30\n",
        [*_MEMORY, *({"cores": c} for c in (0.2, 0.24, 0.28)), {"latency_ms": 3.0}],
    ),
    "cores without rates": ("budget = { cores = 0.3 }\n" + _CHAIN + _GRAPH, [{"cores": 0.1}]),
    "limits of latency": (_CHAIN + "latency_ms = 2.2\n" + _GRAPH + "latency_ms = 6\n", [{}, {"latency_ms": 4.0}]),
    "quantiles": (
        "budget = { quantile = { chain = 0.9 } }\n"
        + _CHAIN
        + "latency_ms = 3\n"
        + _GRAPH
        + "latency_ms = 5\nquantile = 0.5\n",
        [{}, {"quantile": 0.95}, {"quantile": {"graph": 0.9}}, {"latency_ms": {"chain": 2.0}}, {"quantile": 0.999}],
    ),
    "one store twice": (
        _CHAIN + '[[models]]\nname = "again"\nstore = "chain"\nweight = 2\nrate_hz = 20\n',
        [{"memory_bytes": 4_000_000}, {"latency_ms": 5.0}, {"memory_bytes": 4_600_000}],
    ),
}


def bundle_stores(folder: Path) -> None:
    """Write the two stores with their profiles: with tails, and of how much slower one makes the other."""
    ids = {}
    for name, document in (("chain", CHAIN), ("graph", GRAPH)):
        files = [option["file"] for segment in document["segments"] for option in segment["options"]]
        vectors.write_store(folder / name, dumped(document).encode(), files, {})
        ids[name] = Store(folder / name).id
    for name, document, other in (("chain", CHAIN, "graph"), ("graph", GRAPH, "chain")):
        beside = {"store_id": ids[other], "model": other, "slowdown": 1.6}
        tails = [
            {"threads": n, "condition": c, "inferences": 200, "quantiles": [0.5, 0.9, 0.95], "stretch": stretch}
            for n in (1, 2)
            for c, stretch in (("alone", [1.0, 1.1, 1.3]), ("after", [1.05, 1.2, 1.4]))
        ]
        more = {"chain": 120_000, "graph": 45_000}[name]
        own = {"store_id": ids[name], "tail": tails, "contention": [beside], "company_bytes": more}
        parsed = parse_document(
            dumped({**profile_of(document), **own}), name, Profile, PROFILE_VERSION, ProfileError, "again"
        )
        parsed.save(default_path(folder / name))


def plan_answers(case: Mapping[str, Json], toml: bool = False) -> list[Json]:
    """The plans for a workload's own budget and for others, each made while the one before runs.

    Args:
        case: the workload as TOML, and the other budgets.
        toml: whether to plan by the TOML file, not by the bundle that is written of it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle_stores(folder)
        (folder / "workload.toml").write_text(case["toml"], encoding="utf-8")
        workload = load_workload(folder / "workload.toml")
        workload = workload if toml else write_bundle(workload, folder / "bundle")
        opened = [(Store(m.store), Profile.load(m.profile_path)) for m in workload.models]
        budgets = [workload.budget.model_dump(exclude_none=True), *case["budgets"]]
        try:
            scheduler = Scheduler(workload_tables(workload, opened), workload.switch_charge)
        except LegoError as e:
            return [{"error": type(e).__name__}] * len(budgets)
        answers, last = [], None
        for budget in budgets:
            answer, plan = vectors.planned(scheduler, {"budget": budget, "running": "last"}, last)
            last = plan or last
            answers.append(answer)
        return answers


def plans() -> Json:
    """Workload files of two stores: what their fields make of plans."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle_stores(folder)
        bases, cases = {}, []
        for name in ("chain", "graph"):
            manifest = (folder / name / "manifest.json").read_text(encoding="utf-8")
            files = [option.file for segment in Store(folder / name).manifest.segments for option in segment.options]
            profile = default_path(folder / name).read_text(encoding="utf-8")
            bases[name] = {"manifest": manifest, "files": files, "profile": profile}
        for name, (toml, budgets) in PLANNED.items():
            (folder / "workload.toml").write_text(toml, encoding="utf-8")
            bundle = folder / name
            write_bundle(load_workload(folder / "workload.toml"), bundle)
            document = json.loads((bundle / WORKLOAD_FILE).read_text(encoding="utf-8"))
            case = {"name": name, "toml": toml, "budgets": budgets, "workload": document}
            cases.append({**case, "answers": plan_answers(case)})
    return {"bases": bases, "cases": cases}
