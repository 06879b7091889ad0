"""Reading the test vectors of this folder, and running the Python package on them.

A vector is a question and the answer that every implementation must give: the Python package (tests/runtime/
test_vectors.py) and the Java library (android_demo/lego-runtime, VectorsTest) both read these files. `generate.py`
writes them. Answers are made by the Python package; what makes them right is tested elsewhere, against brute force and
a solver that shares nothing with it.

Figures may differ in their last bits; options, threads, names and types of errors may not.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.errors import ConfigError, InfeasibleError, LegoError, WorkloadError
from legodnn.images import Frame, fit_array
from legodnn.manifest import InputSpec, Link, TensorSpec
from legodnn.plan import PLAN_VERSION as PLAN_VERSION
from legodnn.plan import Infeasible, Plan
from legodnn.profile import Fingerprint, Profile
from legodnn.runtime.governing.hysteresis import Hysteresis, Level, follow
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.schema import parse_document
from legodnn.store import Store
from legodnn.workload import Budget, SwitchCharge

FOLDER = Path(__file__).parent
FILES = (
    "plans",
    "tables",
    "budgets",
    "stores",
    "profiles",
    "measured",
    "in_use",
    "tails",
    "hysteresis",
    "pictures",
    "frames",
    "learned",
    "policies",
    "observed",
    "beside",
    "workloads",
    "bundles",
)
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

# Java reads greater counts as these.
MOST_INT, MOST_LONG = 2**31 - 1, 2**63 - 1

Json = Any


def read(name: str) -> Json:
    """The content of one file."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


# --- tables and plans ------------------------------------------------------------------------------------------------


def number(value: Json) -> Json:
    """Numbers that JSON does not have are written as strings."""
    return _SPECIAL.get(value, value) if isinstance(value, str) else value


def table_of(data: Mapping[str, Json]) -> ModelTable:
    """A model table.

    A segment is [name, options] or [name, options, interaction], an option [name, memory bytes, {threads: ms}, loss,
    file bytes, load ms].
    """
    rest = {
        key: number(value) for key, value in data.items() if key not in ("name", "blocks", "fixed", "link", "tails")
    }
    link: dict[str, Any] = (
        {} if data.get("link") is None else {"link": Link(x=tuple(data["link"][0]), y=tuple(data["link"][1]))}
    )
    if "tails" in data:
        tails = data["tails"]
        rest["tails"] = None if tails is None else {int(n): _numbers(tail) for n, tail in tails.items()}
    if "overhead_ms" in rest:
        rest["overhead_ms"] = {int(n): ms for n, ms in rest["overhead_ms"].items()}
    return ModelTable(
        name=data["name"],
        blocks=tuple(_segment(*s) for s in data["blocks"]),
        fixed=tuple(_segment(*s) for s in data.get("fixed", ())),
        **link,
        **rest,
    )


def _numbers(data: Mapping[str, Json]) -> dict[float, float]:
    return {float(key): number(value) for key, value in data.items()}


def _segment(name: str, options: list[Json], interaction: list[Json] | None = None) -> BlockRows:
    return BlockRows(
        name,
        tuple(
            OptionRow(
                name=o[0],
                memory_bytes=number(o[1]),
                latency_ms={int(n): number(ms) for n, ms in o[2].items()},
                loss=number(o[3]),
                bytes=number(o[4]),
                load_ms=number(o[5]),
            )
            for o in options
        ),
        tuple(tuple(number(x) for x in row) for row in interaction or ()),
    )


def scheduler_of(workload: Mapping[str, Json]) -> Scheduler:
    """A scheduler for tables and a switch charge."""
    return Scheduler([table_of(t) for t in workload["models"]], SwitchCharge(**workload.get("charge", {})))


def planned(scheduler: Scheduler, step: Mapping[str, Json], last: Plan | None) -> tuple[Json, Plan | None]:
    """The answer to one question, and the plan if there is one.

    A step has a `budget`; perhaps a `slowdown` and a `tail` by model; and perhaps what is `running`: a plan, or "last"
    for the last one.
    """
    try:
        running = step.get("running")
        if running == "last":
            running = last
        elif running is not None:
            running = parse_document(json.dumps(running), "plan", Plan, PLAN_VERSION, WorkloadError, "make it again")
        slowdown = {name: number(x) for name, x in step.get("slowdown", {}).items()}
        tail = {name: number(x) for name, x in step.get("tail", {}).items()}
        plan = scheduler.plan(Budget(**step["budget"]), running, slowdown, None, tail)
    except InfeasibleError as e:
        return {"error": "InfeasibleError", **_report(e.report)}, None
    except LegoError as e:
        return {"error": type(e).__name__}, None
    return {"plan": _plan(plan)}, plan


def _plan(plan: Plan) -> Json:
    models = [
        {"name": m.name, "suspended": True}
        if m.suspended
        else {
            "name": m.name,
            "threads": m.threads,
            "options": m.options,
            "accuracy": m.accuracy,
            "latency_ms": m.latency_ms,
            "quantile": m.quantile,
            "quantile_ms": m.quantile_ms,
            "memory_bytes": m.memory_bytes,
            "cores": m.cores,
        }
        for m in plan.models
    ]
    return {"models": models, "objective": plan.objective, "switch_charge": plan.switch_charge}


def _report(report: Infeasible) -> Json:
    return {
        "limits": [limit.model_dump() for limit in report.limits],
        "nearest": None if report.nearest is None else _plan(report.nearest),
        "excess": report.excess,
        "suspended": list(report.suspended),
    }


def answered(case: Mapping[str, Json], workloads: Mapping[str, Json]) -> list[Json]:
    """The answers to a case's steps."""
    last: Plan | None = None
    answers = []
    try:
        scheduler = scheduler_of(workloads[case["workload"]])
    except LegoError as e:
        return [{"error": type(e).__name__}] * len(case["steps"])
    for step in case["steps"]:
        answer, plan = planned(scheduler, step, last)
        last = plan or last
        answers.append(answer)
    return answers


def table_answer(case: Mapping[str, Json]) -> Json:
    """Whether a table is accepted, and its thread counts."""
    try:
        table = table_of(case["table"])
        Scheduler([table])
    except LegoError as e:
        return {"error": type(e).__name__}
    return {"thread_counts": list(table.thread_counts)}


def budget_answer(case: Mapping[str, Json]) -> Json:
    """Whether a budget or a switch charge is accepted, and what is read of it."""
    try:
        if "charge" in case:
            return SwitchCharge(**{key: number(value) for key, value in case["charge"].items()}).model_dump()
        return Budget(**case["budget"]).model_dump()
    except LegoError as e:
        return {"error": type(e).__name__}


# --- stores and profiles ---------------------------------------------------------------------------------------------


def edited(text: str, edits: list[Json]) -> bytes:
    """A text after edits, from the first to the last.

    An edit is [place, number of characters removed, text put there], or [place, "byte"], which replaces one character.
    """
    parts, at = [], 0
    for place, removed, *put in edits:
        parts.append(text[at:place].encode())
        if isinstance(removed, str):
            parts.append(bytes.fromhex(removed))
            at = place + 1
        else:
            parts.append(put[0].encode())
            at = place + removed
    return b"".join([*parts, text[at:].encode()])


def file_content(name: str) -> bytes:
    """The content of an option's file in these stores: the file's own name instead of a TensorFlow Lite model."""
    return f"content of {name}\n".encode()


def write_store(folder: Path, manifest: bytes, files: list[str], changes: Mapping[str, Json]) -> None:
    """Write a store's folder: its manifest and its files, with changes to some of the files.

    A change is None for a file that is missing, a text for other content, or a list of one path for a link to it.
    """
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest)
    for name in sorted({*files, *changes}):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        change = changes.get(name, 0)
        if isinstance(change, list):
            path.symlink_to(change[0])
        elif change is not None:
            path.write_bytes(file_content(name) if change == 0 else change.encode())


def store_answer(case: Mapping[str, Json], bases: Mapping[str, Json]) -> Json:
    """Whether a store is accepted, and what is read of it."""
    base = bases[case["base"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        write_store(path, edited(base["manifest"], case.get("edits", [])), base["files"], case.get("files", {}))
        try:
            return _store(Store(path))
        except LegoError as e:
            return {"error": type(e).__name__}


def _store(store: Store) -> Json:
    m = store.manifest
    return {
        "id": store.id,
        "name": store.name,
        "labels": list(m.model.labels),
        "inputs": [[i.name, _dims(i), list(i.range), list(i.mean), list(i.std)] for i in m.inputs],
        "tensors": [[t.name, _dims(t)] for t in m.tensors],
        "outputs": list(m.outputs),
        "segments": [
            [
                s.name,
                s.kind,
                list(s.inputs),
                list(s.outputs),
                [[o.name, o.precision, o.loss, o.bytes] for o in s.options],
                [list(row) for row in s.interaction],
            ]
            for s in m.segments
        ],
        "accuracy": [m.accuracy.original, m.accuracy.error, list(m.accuracy.link.x), list(m.accuracy.link.y)],
    }


def _dims(spec: TensorSpec) -> list[int]:
    return [min(dim, MOST_INT) for dim in spec.shape]


def picture_answer(case: Mapping[str, Json]) -> Json:
    """The input that a model gets of a picture of a given size, whose pixels a formula gives."""
    shape, (height, width) = tuple(case["shape"]), case["size"]
    channels, fit = case.get("source", shape[-1]), case.get("fit", "stretch")
    i = np.arange(height * width * channels, dtype=np.int64)
    pixels = ((i * i * 7 + i * case["seed"] + i * 31 % 17 * 11) % 256).astype(np.uint8)
    how: dict[str, Any] = {key: tuple(case[key]) for key in ("range", "mean", "std")}
    spec = InputSpec(name="x", shape=shape, **how)
    fitted = fit_array(pixels.reshape(height, width, -1), Frame(shape, fit, 114))
    return [float(v) for v in spec.from_pixels(fitted).ravel()]


def profile_answer(case: Mapping[str, Json], bases: Mapping[str, Json]) -> Json:
    """Whether a profile is accepted, and what is read of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.json"
        path.write_bytes(edited(bases[case["base"]], case.get("edits", [])))
        try:
            profile = Profile.load(path)
            if "device" in case:
                profile.check_device(Fingerprint(**case["device"]))
        except LegoError as e:
            return {"error": type(e).__name__}
    options = [
        [
            o.segment,
            o.option,
            min(o.memory_bytes, MOST_LONG),
            o.load_ms,
            [[min(e.threads, MOST_INT), e.median_ms] for e in o.latency],
        ]
        for o in profile.options
    ]
    return {"store_id": profile.store_id, "model": profile.model, "options": options}


def measured_answer(case: Mapping[str, Json], base: Mapping[str, Json]) -> Json:
    """The plan for one store and one profile of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        write_store(path, base["manifest"].encode(), base["files"], {})
        store = Store(path)
        profile = copy.deepcopy(case["profile"])
        if profile["store_id"] is None:
            profile["store_id"] = store.id
        (Path(folder) / "profile.json").write_text(json.dumps(profile), encoding="utf-8")
        try:
            table = ModelTable.from_store(store, Profile.load(Path(folder) / "profile.json"), **case.get("asked", {}))
            answer, _ = planned(Scheduler([table]), case, None)
            return answer
        except LegoError as e:
            return {"error": type(e).__name__}


# --- hysteresis ------------------------------------------------------------------------------------------------------


def hysteresis_answer(case: Mapping[str, Json]) -> Json:
    """The levels after each of some targets [seconds, target]."""
    try:
        how = Hysteresis(**case.get("how", {}))
    except ConfigError:  # Java has one exception for what makes no sense, by whose name the vectors call it
        return {"error": "WorkloadError"}
    level, values = Level(), []
    for now, target in case["targets"]:
        level = follow(level, target, now, how)
        values.append(level.value)
    return {"levels": values}
