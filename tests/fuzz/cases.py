"""Cases of every kind of file: each is written to disk, read as the product reads it, and planned with if accepted.

The store is made by hand and holds no real .tflite files; these are damaged by `tflite_cases`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from legodnn.commands.budget import budget_from
from legodnn.commands.inspect import store_summary, store_table
from legodnn.commands.profile import profile_summary, profile_table
from legodnn.manifest import InputSpec
from legodnn.plan import Plan
from legodnn.profile import Profile, default_path
from legodnn.profile_merge import merge
from legodnn.recipe import resolve
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.runtime.planning.scheduler import ModelTable, Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.store import Store
from legodnn.workload import WORKLOAD_VERSION, Budget, Workload, WorkloadModel, load_workload, read_trace
from tests.fuzz import hostile

Json = Any
SPEC = InputSpec(name="image", shape=(8, 8, 3), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def option(segment: str, name: str, sparsity: float, precision: str, loss: float) -> Json:
    content = f"{segment}/{name}".encode()
    return {
        "name": name,
        "sparsity": sparsity,
        "precision": precision,
        "file": f"{segment}/{name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "params": 1000,
        "macs": 20_000,
        "loss": loss,
        "dominated": False,
    }


def manifest() -> Json:
    """Return a manifest of three blocks of three options, which interact, and a head."""
    kinds = [("s0", 0.0, "float32", 0.0), ("s0.5", 0.5, "float32", 0.1), ("s0.5-int8", 0.5, "int8", 0.12)]
    segments = []
    for i, name in enumerate(("b1", "b2", "b3", "head")):
        block = name != "head"
        segment = {
            "name": name,
            "kind": "block" if block else "fixed",
            "inputs": [f"t{i}"],
            "outputs": [f"t{i + 1}"],
            "options": [option(name, *kind) for kind in kinds[: 3 if block else 1]],
        }
        if block and i:
            segment["interaction"] = [[0.0, 0.0, 0.0], [0.0, -0.01, 0.02], [0.0, 0.005, 0.001]]
        segments.append(segment)
    return {
        "schema": "legodnn.store/1",
        "model": {"name": "tiny", "task": "classification", "labels": ["zero", "one"]},
        "inputs": [{**SPEC.model_dump(mode="json"), "name": "t0"}],
        "outputs": ["t4"],
        "tensors": [{"name": f"t{i}", "shape": [4, 4, 2], "dtype": "float32"} for i in range(1, 5)],
        "segments": segments,
        "accuracy": {
            "metric": "top1",
            "data": "digits",
            "original": 0.97,
            "link": {"x": [0.0, 0.2, 0.5, 1.0], "y": [0.97, 0.9, 0.5, 0.1]},
            "error": 0.01,
            "samples": 24,
        },
        "built": {"created": "2026", "versions": {"keras": "3"}, "seed": 0, "recipe": {"model": "tiny", "deep": [[1]]}},
    }


def profile_of(store: Store, threads: tuple[int, ...] = (1, 2)) -> Json:
    """Return a profile of every option of a store."""
    options = [
        {
            "segment": s.name,
            "option": o.name,
            "memory_bytes": int(1_000_000 * (1 - o.sparsity)) + len(o.name),
            "load_ms": 0.5,
            "latency": [
                {"threads": n, "runs": 9, "min_ms": 0.4 / n, "median_ms": (1 - o.sparsity / 2) / n, "p95_ms": 2.0}
                for n in threads
            ],
        }
        for s in store.manifest.segments
        for o in s.options
    ]
    return {
        "schema": "legodnn.profile/1",
        "store_id": store.id,
        "model": store.name,
        "device": {"machine": "x86_64", "cpu": "some", "cores": 4, "executor": "litert"},
        "created": "2026",
        "options": options,
        "skipped": [],
        "chain": [{"threads": 1, "overhead_ms": 0.01}],
        "validation": [{"threads": 1, "plans": 9, "median_error": 0.02, "p95_error": 0.05}],
        "tail": [
            {"threads": n, "condition": c, "inferences": 99, "quantiles": [0.5, 0.95], "stretch": [1.0, 1.25]}
            for n in threads
            for c in ("alone", "after")
        ],
        "contention": [{"store_id": "0" * 64, "model": "other", "slowdown": 1.5}],
        "energy": {"meter": "watts:3", "estimate": True, "idle_w": 1.0, "switch_mj": 0.5},
        "conditions": {"kernel": "6", "cpu_features": ["avx"], "mhz": [1000.0, None], "warnings": ["busy"]},
    }


WORKLOAD = {
    "budget": {"memory": "20MB", "cores": 2.0, "latency_ms": {"a": 9.0, "b": 12.5}},
    "models": [
        {"name": "a", "store": "store", "weight": 2.0, "rate_hz": 15, "latency_ms": 8.0, "min_accuracy": 0.2},
        {"name": "b", "store": "store", "profile": "good.json", "rate_hz": 1.5, "critical": False, "threads": 1},
    ],
    "switch_charge": {"per_mb": 0.0001, "per_ms": 0.001},
}
BUNDLED = {"schema": WORKLOAD_VERSION, **WORKLOAD, "budget": {"memory_bytes": 20_000_000, "cores": 2.0}}
RECIPE = {
    "model": "vgg16",
    "name": "v",
    "data": "images:photos",
    "image_size": 96,
    "input_range": [-1.0, 1.0],
    "input_mean": [0.4, 0.4, 0.4],
    "input_std": [0.2, 0.2, 0.2],
    "train_epochs": 3,
    "sparsities": [0.25, 0.5],
    "precisions": ["float32", "int8"],
    "strategy": "l2",
    "learning_rate": 0.001,
    "metric": "top1",
    "seed": 1,
    "mixed_precision": True,
    "max_blocks": 9,
    "min_share": 0.02,
}
TRACE = [{}, {"memory_bytes": 3_000_000, "latency_ms": 2.5}, {"memory": "3MB", "latency_ms": {"a": 3}, "cores": 0.5}]


class Ground:
    """A folder with a sound store, its profile and plan, in which the cases' files are put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = manifest()
        self.store = Store(self._store(folder / "store", json.dumps(self.manifest)))
        self.damaged = self._store(folder / "damaged", json.dumps(self.manifest))
        self.profile_json = profile_of(self.store)
        (folder / "good.json").write_text(json.dumps(self.profile_json))
        default_path(self.store.path).write_text(json.dumps(self.profile_json))
        self.profile = Profile.load(folder / "good.json")
        self.models = (WorkloadModel(name="a", store=str(self.store.path), rate_hz=2.0),)
        self.scheduler = scheduler(Workload(models=self.models))
        self.plan_json = self.scheduler.plan(Budget(memory_bytes=3_000_000)).model_dump(mode="json", by_alias=True)
        self.images = [_image(how) for how in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")]
        (folder / "images").mkdir()

    def _store(self, folder: Path, text: str) -> Path:
        for segment in self.manifest["segments"]:
            for o in segment["options"]:
                (folder / o["file"]).parent.mkdir(parents=True, exist_ok=True)
                (folder / o["file"]).write_bytes(o["file"].removesuffix(".tflite").encode())
        (folder / "manifest.json").write_text(text)
        return folder


def scheduler(workload: Workload) -> Scheduler:
    """Return a scheduler for a workload, made as `legodnn plan` makes it."""
    opened = [(Store(m.store), Profile.load(m.profile_path)) for m in workload.models[:4]]
    if len(opened) < len(workload.models):  # thousands of models are accepted, but too slow to plan with
        workload = workload.model_copy(update={"models": workload.models[:4]})
    return Scheduler(workload_tables(workload, opened), workload.switch_charge)


def _image(how: str) -> tuple[str, bytes]:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content, how)
    return how.lower(), content.getvalue()


def _text(document: Json, rng: random.Random, write: Callable[[Json, random.Random], str]) -> bytes:
    content = write(hostile.mutated(document, rng), rng).encode("utf-8", "surrogatepass")
    return hostile.damaged(content, rng) if rng.random() < 0.25 else content


def _budget(rng: random.Random) -> Budget:
    return Budget(memory_bytes=rng.choice((None, 1, 2_500_000, 2**48)), latency_ms=rng.choice((None, 2.0, 1e9)))


def case_manifest(ground: Ground, rng: random.Random) -> None:
    (ground.damaged / "manifest.json").write_bytes(_text(ground.manifest, rng, hostile.to_json))
    store = Store(ground.damaged)
    store_table(store)
    json.dumps(store_summary(store))
    path = ground.folder / "of-damaged.json"
    path.write_text(json.dumps(profile_of(store, (1,))))
    Scheduler([ModelTable.from_store(store, Profile.load(path))]).plan(_budget(rng))


def case_profile(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "profile.json"
    path.write_bytes(_text(ground.profile_json, rng, hostile.to_json))
    profile = Profile.load(path)
    profile_table(profile)
    profile_summary(profile)
    merge([ground.profile, profile]).save(ground.folder / "merged.json")
    profile.check_device(ground.profile.device)
    Scheduler([ModelTable.from_store(ground.store, profile)]).plan(_budget(rng))


def case_workload(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "workload.toml"
    path.write_bytes(_text(WORKLOAD, rng, hostile.to_toml))
    workload = load_workload(path)
    scheduler(workload).plan(workload.budget)


def case_bundle(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "workload.json"
    path.write_bytes(_text(BUNDLED, rng, hostile.to_json))
    workload = load_workload(path)
    scheduler(workload).plan(workload.budget)


def case_plan(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "plan.json"
    path.write_bytes(_text(ground.plan_json, rng, hostile.to_json))
    plan = Plan.load(path)
    str(plan)
    assert plan.memory_bytes >= 0
    ground.scheduler.plan(_budget(rng), plan)
    ground.scheduler.plan(plan.budget)


def case_recipe(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "recipe.toml"
    path.write_bytes(_text(RECIPE, rng, hostile.to_toml))
    resolve(path, "store").model_dump_json()


def case_trace(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / "trace.json"
    path.write_bytes(_text(TRACE, rng, hostile.to_json))
    for budget in read_trace(path)[:3]:
        Workload(models=ground.models, budget=budget)
        ground.scheduler.plan(budget)


def case_arrays(ground: Ground, rng: random.Random) -> None:
    path = ground.folder / rng.choice(("x.npz", "x.npy"))
    path.write_bytes(_arrays(rng))
    read_inputs(path, [SPEC], ("zero", "one"))


def _arrays(rng: random.Random) -> bytes:
    x = np.zeros((rng.choice((0, 1, 3)), 8, 8, 3), rng.choice(("u1", "<f4", "<f8", "<f2", "<c8", "U3", "?", ">i8")))
    content = io.BytesIO()
    if rng.random() < 0.4:
        np.save(content, x)
        data = content.getvalue()
    else:
        y = np.array(rng.choice(([0] * len(x), [0.5] * len(x), ["a"], [2**62], [[1]], [float("nan")] * len(x))))
        rng.choice((np.savez, np.savez_compressed))(content, x=x, y=y)
        data = content.getvalue()
    how = rng.randrange(5)
    if how == 0:
        return data
    if how == 1:
        return hostile.damaged(data, rng)
    shapes: tuple[Any, ...] = ((2, 8, 8, 3), (10**12,), (2**62, 2**62), (-1,), (), (0, 2**63), (True,), 5, "x")
    types: tuple[Any, ...] = ("<f4", "|u1", "|O", "<U9", "V0", "<M8", "x", [("a", "<f4")])
    order, shape = rng.choice((False, True, None)), rng.choice(shapes)
    header = repr({"descr": rng.choice(types), "fortran_order": order, "shape": shape})
    header = rng.choice(
        (header, header[:-1], header + "(" * 300, "-" * 9000 + "1", header.ljust(rng.choice((9, 500, 20_000))))
    )
    version = rng.choice((0, 1, 1, 1, 2, 3, 9))
    length = rng.choice((len(header), len(header), 0, 65_535))
    made = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", length) + header.encode()
    made += b"\0" * rng.choice((0, 1, 1536, 4096))
    if how == 2:
        return made
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))) as z:
        z.writestr(rng.choice(("x.npy", "x.npy", "../x.npy", "y.npy", "x")), made)
        if how == 4:
            z.writestr("y.npy", made + bytes(rng.choice((10, 1000, 100_000, 100_000, 30_000_000))))
    data = packed.getvalue()
    return hostile.damaged(data, rng) if rng.random() < 0.3 else data


def case_image(ground: Ground, rng: random.Random) -> None:
    ending, content = rng.choice(ground.images)
    content = hostile.damaged(content, rng)
    if ending == "png" and rng.random() < 0.3:  # other sizes than the pixels are for
        content = content[:16] + struct.pack(">II", rng.choice((1, 20, 30_000, 2**31)), 24) + content[24:]
    folder = ground.folder / "images"
    for old in folder.iterdir():
        old.unlink()
    (folder / f"a.{rng.choice((ending, ending, 'png', 'jpg'))}").write_bytes(content)
    read_inputs(folder, [SPEC], ("zero", "one"))


def case_budget(ground: Ground, rng: random.Random) -> None:
    """A budget, which is no file, but what an application or the command line gives."""
    given = {"memory_bytes": 3_000_000, "latency_ms": {"a": 2.0}, "cores": 1.0}
    budget = Budget(**hostile.mutated(given, rng))
    if rng.random() < 0.3:
        flags = argparse.Namespace(memory=str(rng.choice(hostile.TEXTS)), latency=None, quantile=None, cores=None)
        budget = budget_from(flags, Workload(models=ground.models))
    Workload(models=ground.models, budget=budget)
    ground.scheduler.plan(budget)


def imported_file(ground: Ground, rng: random.Random) -> None:
    """A damaged .tflite file as a model to cut."""
    from tests.fuzz.imported import case

    case(rng)


KINDS: dict[str, Callable[[Ground, random.Random], None]] = {
    name.removeprefix("case_"): function for name, function in list(globals().items()) if name.startswith("case_")
}
# Kinds that need TensorFlow; run them by name.
TENSORFLOW_KINDS = {"imported": imported_file}
