"""Models that others made, all the way: each is built, profiled, planned for less memory than it takes, and run.

    python benchmarks/foreign_builds.py MODEL.tflite ... --work DIR --json > foreign_builds.json

The commands are those of a user. Training is one epoch on random images, without labels, so this shows that a model
goes through, and not how good its descendants become. The smaller option of each block has half of its channels. The
limit of memory lies between what the original and what the smallest composition take. With --work an interrupted run
goes on, model by model.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.tflite.file import read_tflite
from legodnn.blocks.post_processing_segment import post_processing_at
from legodnn.errors import LegoError
from legodnn.model_names import TFLITE
from support.foreign_files import add_cut_at, places_to_cut
from support.kept import begun, kept
from support.report import Bars, Figures, bar, run

IMAGES = 100
BUILD = "--sparsities .5 --precisions float32 --distill-epochs 1 --joint-epochs 1 --batch-size 4 --strategy l1"


class StepFailed(Exception):
    """A command ended with an error, whose last line this is."""


def command(*words: str) -> Any:
    """Run a `legodnn` command and return the JSON that it prints; `plan` prints some also where it finds no plan."""
    done = subprocess.run([sys.executable, "-m", "legodnn", *words, "--json"], capture_output=True, text=True)
    if done.returncode and not (words[0] == "plan" and done.stdout):
        raise StepFailed(f"{words[0]}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
    return json.loads(done.stdout)


def random_data(path: Path, cut_at: Sequence[str], file: Path) -> None:
    """Save random examples for a model: pixels for pictures, numbers from 0 to 1 for other inputs."""
    post = None if cut_at else post_processing_at(str(path))
    model, rng = open_model(str(path), cut_at=post.cut_at if post else cut_at), np.random.default_rng(0)
    graph = read_tflite(path.read_bytes()) if path.suffix == TFLITE else None
    types = {graph.tensors[i].dtype for i in graph.inputs} if graph else set()  # uint8 takes pixels, whatever it is
    found: dict[str, Any] = {}
    for tensor in model.inputs:
        shape = tuple(tensor.shape[1:])
        picture = (len(shape) == 3 and shape[-1] in (1, 3)) or "uint8" in types
        name = "x" if len(model.inputs) == 1 else tensor.name
        numbers = (
            rng.integers(0, 256, (IMAGES, *shape), np.uint8) if picture else rng.random((IMAGES, *shape), np.float32)
        )
        found[name] = numbers
    np.savez(file, **found)


def take_through(path: Path, cut_at: Sequence[str]) -> dict[str, Any]:
    """Build, profile, plan and run one model; return its row, with what failed if something did."""
    row: dict[str, Any] = {"file": path.name, "done": []}
    with tempfile.TemporaryDirectory() as folder:
        data, store = f"{folder}/data.npz", f"{folder}/store"
        try:
            random_data(path, cut_at, Path(data))
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            words = ["build", str(path), "--data", f"npz:{data}", *BUILD.split(), "--allow-chance", "--out", store]
            manifest = command(*words, *(["--cut-at", ",".join(cut_at)] if cut_at else []))["manifest"]
            row["build_cpu_s"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            row["segments"] = {s["name"]: len(s["options"]) for s in manifest["segments"]}
            row["blocks"] = sum(s["kind"] == "block" for s in manifest["segments"])
            row["done"].append("build")
            command("profile", store, "--quick", "--seconds", "2")
            row["done"].append("profile")
            (largest,) = command("plan", store)["plan"]["models"]
            (smallest,) = command("plan", store, "--memory", "1B")["nearest"]["models"]
            budget = (largest["memory_bytes"] + smallest["memory_bytes"]) // 2
            (planned,) = command("plan", store, "--memory", f"{budget}B")["plan"]["models"]
            row["memory_bytes"] = [largest["memory_bytes"], planned["memory_bytes"], smallest["memory_bytes"]]
            row["smaller_options"] = sum(name != "s0" for name in planned["options"].values())
            row["done"].append("plan")
            (ran,) = command("run", store, "--input", data, "--memory", f"{budget}B")
            row["inferences"] = ran["models"]["store"]["inferences"]
            row["median_ms"] = ran["models"]["store"]["median_ms"]
            row["done"].append("run")
        except (StepFailed, LegoError) as e:
            row["failed"] = str(e)
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("models", nargs="+", type=Path, help=".tflite, .h5, .hdf5 or .keras files")
    add_cut_at(parser)


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Take every model through, but those whose rows the work folder holds; with --quick the first alone."""
    rows, cuts = [], places_to_cut(args)
    begun(args.work, {"cut_at": cuts})
    for path in args.models[: 1 if args.quick else None]:
        take = partial(take_through, path, cuts.get(path.name, []))
        row = kept(args.work and args.work / f"{path.name}.json", take)
        print(f"{path.name}: {row.get('failed', 'done')}", file=sys.stderr, flush=True)
        rows.append(row)
    return {"files": rows}, [bar("models that did not go through", sum("failed" in row for row in rows), 0)]


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("foreign_builds", __doc__, measure, folders=["work"], packages=packages, add_arguments=add_arguments)
