"""A network of each of six tasks, all the way: trained on its data, built into a store, profiled, planned, measured.

    python benchmarks/six_tasks.py --data DATA --work DIR --json > benchmarks/results/six_tasks.json
    python benchmarks/six_tasks.py --data DATA --work DIR detection pose       (these alone)
    python benchmarks/six_tasks.py --data DATA --quick

DATA holds cifar-10-batches-py, camvid and bccd. Poses and actions are drawn by `support/task_data.py`, anomalies are
scikit-learn's digits with one digit as normal. Networks and images are small, and epochs few. Accuracy models are
fitted to compositions on validation images. What is reported is of the test images: the metric of the original, of
uniform compositions, of random ones (by another seed than those of the fit), and of a plan for half of the memory
that can be saved. Predictions of the random compositions are compared with what is measured on the images of the fit,
and on the test images. Interrupted, it goes on: models, stores, profiles and measurements are kept in DIR, for the
arguments that it was begun with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.accuracy.evaluation import evaluate
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import draw_compositions
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pipeline import build
from legodnn.blocks.source import open_source
from legodnn.console import ProgressLine, text_table
from legodnn.manifest import Manifest, Option
from legodnn.profile import Profile, default_path
from legodnn.readings import READING
from legodnn.recipe import Recipe
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.store import Store
from legodnn.workload import Budget, load_workload
from support import task_data, task_training
from support.evaluated import store_chain
from support.kept import begun, kept
from support.limits import least
from support.report import Bars, Figures, run
from support.task_training import FRAMES, Size, Training

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)


@dataclass(frozen=True)
class Task:
    """A task, and how much is done for it.

    Attributes:
        network: of `legodnn.blocks.zoo`, with its width, or what it consists of.
        described: the data.
        training: makes the model and its targets.
        write: writes the data set for the counts of its parts, and returns its source.
        counts: pictures, figures, clips of each part; without meaning where all there are are taken.
        size: of the model's input.
        epochs: of training, of distillation block by block, and of training in compositions.
    """

    network: str
    described: str
    training: Callable[[Dataset, Size], Training]
    write: Callable[[Path, Path, task_data.Counts], str]
    counts: task_data.Counts
    size: Size
    epochs: tuple[int, int, int]


def _counts(train: int, val: int, test: int) -> task_data.Counts:
    return {"train": train, "val": val, "test": test}


TASKS = {
    "classification": Task(
        "vgg16, width 1/8", "CIFAR-10, 2,500 of its training images", task_training.classifier, task_data.cifar10,
        _counts(2500, 300, 1000), (32, 32, 3), (10, 2, 3),
    ),
    "segmentation": Task(
        "fcn, width 1/8", "CamVid at 64x96", task_training.segmenter, task_data.streets,
        _counts(367, 101, 233), (64, 96, 3), (15, 4, 8),
    ),
    "detection": Task(
        "eight convolutions, one grid", "BCCD blood cells at 96x128", task_training.detector, task_data.cells,
        _counts(205, 87, 72), (96, 128, 3), (30, 8, 16),
    ),
    "pose": Task(
        "eleven convolutions, heat maps", "drawn figures at 96x96", task_training.pose, task_data.figures,
        _counts(1000, 150, 300), (96, 96, 3), (15, 3, 6),
    ),
    "anomaly": Task(
        "gpnd, width 1/2", "digits at 32x32, the 8 is normal", task_training.autoencoder, task_data.one_digit,
        _counts(110, 0, 36), (32, 32, 1), (150, 20, 40),
    ),
    "action": Task(
        "vgg16, width 1/8, of frames", "clips of moving digits at 48x48", task_training.actions,
        task_data.moving_digits, _counts(500, 80, 200), (48, 48, 3), (12, 2, 4),
    ),
}  # fmt: skip
EFFORT: dict[str, Any] = {
    "sparsities": (0.5, 0.75, 0.875),
    "precisions": ("float32", "int8"),
    "max_blocks": 8,
    "samples": 60,
    "batch_size": 32,
}
QUICK: dict[str, Any] = {**EFFORT, "sparsities": (0.5,), "samples": 6, "evaluated_images": 20, "max_blocks": 3}


def trained(task: Task, epochs: int, source: str, folder: Path) -> Figures:
    """Train a task's model, save it, and return what it cost and what its outputs mean."""
    keras.utils.set_random_seed(0)
    data = load_data(source, image_size=task.size[:2], channels=task.size[2], frames=FRAMES)
    start = time.process_time()
    training = task.training(data, task.size)
    task_training.fit(training, epochs)
    training.model.save(folder / "model.keras")
    return {
        "processor_seconds": time.process_time() - start,
        "reading": training.reading and training.reading.model_dump(mode="json"),
        "parameters": training.model.count_params(),
        "macs": macs(training.model),
        "images": len(training.x),
    }


def built(recipe: Recipe, path: Path, allow_chance: bool) -> Figures:
    """Build a store, and return what it cost and offers."""
    start = time.process_time()
    manifest = build(recipe, path, allow_chance=allow_chance, progress=ProgressLine).manifest
    return {
        "processor_seconds": time.process_time() - start,
        "blocks": len(manifest.blocks),
        "compositions": manifest.compositions,
        "store_bytes": sum(o.bytes for s in manifest.segments for o in s.options),
        "original_bytes": sum(s.original.bytes for s in manifest.segments),
        "least_bytes": sum(min(o.bytes for o in s.options) for s in manifest.segments),
        "original_macs": sum(s.original.macs for s in manifest.segments),
        "least_macs": sum(min(o.macs for o in s.options) for s in manifest.segments),
        "validation": manifest.accuracy.original,
        "fit_error": manifest.accuracy.error,
        "left_out": manifest.built.left_out,
    }


def planned(store: Path, quick: bool) -> Figures:
    """Profile a store, plan it for half of the memory that can be saved, and return the plan."""
    if not default_path(store).exists():
        effort = ["--quick"] if quick else ["--seconds", "20"]
        subprocess.run([sys.executable, "-m", "legodnn", "profile", str(store), *effort], check=True, stdout=sys.stderr)
    profile = Profile.load(default_path(store))
    scheduler = Scheduler(workload_tables(load_workload([store]), [(Store(store), profile)]))
    widest, smallest = scheduler.plan(Budget()), least(scheduler, Budget(memory_bytes=1))
    limit = int(smallest + widest.memory_bytes) // 2
    (plan,) = scheduler.plan(Budget(memory_bytes=limit)).models
    return {
        "least_memory_bytes": smallest,
        "widest_memory_bytes": widest.memory_bytes,
        "widest_latency_ms": widest.models[0].latency_ms,
        "limit_bytes": limit,
        "memory_bytes": plan.memory_bytes,
        "latency_ms": plan.latency_ms,
        "predicted": plan.accuracy,
        "options": dict(plan.options),
    }


def predicted(manifest: Manifest, composition: OptionNumbers) -> float:
    """Return the metric that a store's accuracy model predicts of a composition."""
    loss, before = 0.0, 0
    for segment, option in zip(manifest.segments, composition, strict=True):
        loss += segment.options[option].loss + (segment.interaction[before][option] if segment.interaction else 0.0)
        before = option if segment.kind == "block" else before
    link = manifest.accuracy.link
    return float(np.interp(loss, link.x, link.y))


def uniform(manifest: Manifest, wanted: Option) -> OptionNumbers:
    """Return the composition of the options most like this one: of its precision, with no larger sparsity."""
    found = []
    for segment in manifest.segments:
        order = [(o.precision == wanted.precision, o.sparsity, -i) for i, o in enumerate(segment.options)]
        found.append(-max(place for place in order if place[1] <= wanted.sparsity)[2])
    return tuple(found)


def measured(recipe: Recipe, path: Path, plan: Figures, random: int) -> Figures:
    """Measure compositions on the test images, which are kept, and how far off predictions of random ones are."""
    store, source = Store(path), open_source(recipe)
    np.savez(path.with_name("test.npz"), x=np.asarray(source.data.test.x), y=np.asarray(source.data.test.y))
    manifest = store.manifest
    chain = store_chain(store)
    sizes = [len(s.options) for s in manifest.segments]
    options = {o.name: o for s in manifest.blocks for o in s.options}
    rows = {name: uniform(manifest, option) for name, option in options.items()}
    chosen = [s.option(plan["options"].get(s.name, s.original.name)) for s in manifest.segments]
    rows["planned"] = tuple(s.options.index(o) for s, o in zip(manifest.segments, chosen, strict=True))
    drawn = draw_compositions(sizes, random, seed=recipe.seed + 1)
    found: dict[str, dict[OptionNumbers, float]] = {}
    for name, split, asked in (("test", source.data.test, [*rows.values(), *drawn]), ("fit", source.val, drawn)):
        measuring = evaluate(chain, asked, split, source.metric, f"measuring {name}", progress=ProgressLine)
        found[name] = {composition: row.metric for composition, row in measuring}
    errors = {n: [abs(predicted(manifest, c) - found[n][c]) for c in drawn] for n in found}
    metrics = [found["test"][c] for c in drawn]
    return {
        "metric": manifest.accuracy.metric,
        "images": {"train": len(source.data.train), "fit": len(source.val), "test": len(source.data.test)},
        "original": found["test"][rows["s0"]],
        "uniform": {name: found["test"][rows[name]] for name in options},
        "planned": found["test"][rows["planned"]],
        "random": {"count": len(drawn), "mean": statistics.mean(metrics), "least": min(metrics), "most": max(metrics)},
        "prediction_error": {n: {"mean": statistics.mean(each), "largest": max(each)} for n, each in errors.items()},
    }


def examine(name: str, args: argparse.Namespace, work: Path) -> Figures:
    """Take a task all the way, and return its figures; what is done already is kept in its folder."""
    task, folder = TASKS[name], work / name
    folder.mkdir(exist_ok=True)
    counts = {part: min(number, 40) for part, number in task.counts.items()} if args.quick else task.counts
    source = kept(folder / "source.json", lambda: task.write(args.data, folder / "data", counts))
    epochs, alone, together = (1, 1, 1) if args.quick else task.epochs
    training = kept(folder / "training.json", lambda: trained(task, epochs, source, folder))
    reading = training["reading"] and READING.validate_json(json.dumps(training["reading"]))
    own = {"distill_epochs": alone, "joint_epochs": together, **(QUICK if args.quick else EFFORT)}
    recipe = Recipe(model=str(folder / "model.keras"), name=name, data=source, reading=reading, **own)
    store = folder / "store"
    building = kept(folder / "build.json", lambda: built(recipe, store, allow_chance=args.quick))
    plan = kept(folder / "plan.json", lambda: planned(store, args.quick))
    metrics = kept(folder / "metrics.json", lambda: measured(recipe, store, plan, 3 if args.quick else args.random))
    print(f"{name}: done", file=sys.stderr, flush=True)
    named = {"task": name, "network": task.network, "data": task.described, "epochs": [epochs, alone, together]}
    return {**named, "training": training, "build": building, "plan": plan, **metrics}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Examine the tasks that are asked for."""
    names = args.tasks or list(TASKS)
    if unknown := [name for name in names if name not in TASKS]:
        sys.exit(f"no task {unknown[0]!r}; there are {', '.join(TASKS)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        begun(work, {"quick": args.quick, "random": args.random})
        rows = [examine(name, args, work) for name in names]
    return {"sparsities": (QUICK if args.quick else EFFORT)["sparsities"], "tasks": rows}, []


def markdown(figures: Figures) -> str:
    """Return a table with a row for each task."""
    rows = []
    for row in figures["tasks"]:
        random, error = row["random"], row["prediction_error"]
        rows.append(
            (
                row["task"],
                row["network"],
                row["metric"],
                f"{row['original']:.3f}",
                " ".join(f"{value:.3f}" for value in row["uniform"].values()),
                f"{random['mean']:.3f} ({random['least']:.3f} to {random['most']:.3f})",
                f"{error['fit']['mean']:.3f} / {error['test']['mean']:.3f}",
                f"{row['training']['processor_seconds']:.0f} + {row['build']['processor_seconds']:.0f}",
            )
        )
    header = ("task", "network", "metric", "original", "uniform", "random", "error, fit / test", "processor s")
    return text_table(rows, header)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of: {', '.join(TASKS)} (default: all)")
    parser.add_argument("--random", type=int, default=50, help="random compositions that are measured (default: 50)")


if __name__ == "__main__":
    run(
        "six_tasks",
        __doc__,
        measure,
        folders=("data", "work"),
        packages=("numpy", "keras", "tensorflow"),
        add_arguments=add_arguments,
        table=markdown,
    )
