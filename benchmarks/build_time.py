"""Training all descendants of all blocks together, against fine-tuning as many whole pruned models.

    python benchmarks/build_time.py --data DATA --json > benchmarks/results/build_time.json
    python benchmarks/build_time.py --data DATA --quick

DATA holds cifar-10-batches-py, and in weights/ resnet20_cifar10.npz and vgg16_half_cifar10.npz. Compared are, for each
model, one training of a store's descendants (every block at every sparsity) and ordinary training of as many whole
models as there are sparsities, with every block pruned. Every descendant and every model sees the same number of
images, in batches of the same size, with the same optimizer. Steps of both are timed in turn, in processes of their
own, since each runs with the threads that suit it (`legodnn.blocks.training.side_by_side`). The time to compile is
reported separately, and included in the totals for two epochs of the 45,000 training images.

    python benchmarks/build_time.py --data DATA --against COMMIT --json > benchmarks/results/training_step.json

compares instead a training step of the whole store, block by block and in compositions, with that of an older commit,
which is checked out into a temporary git worktree. Both take steps in turn, in processes of their own, on the same
images from the same weights: the losses that they find are compared, too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.prune import descendant
from support.report import Bars, Figures, bar, run, spread
from support.training_steps import BATCH, MODELS, SPARSITIES, pieces_of, whole_models
from support.workers import Worker

ROOT = Path(__file__).resolve().parents[1]
EPOCHS, IMAGES = 2, 45_000  # of training, for the totals
GOALS = {"resnet20": 0.55, "vgg16": 0.65}  # of a store's training time over that of whole models


def compare(name: str, data: Path, rounds: int) -> Figures:
    """Time steps of both ways to train in turn, each in a process of its own; return one model's figures."""
    pieces = pieces_of(name, data)
    blocks = [p for p in pieces if p.kind == "block"]
    workers = {stage: training_worker(ROOT, name, stage, data) for stage in ("alone", "whole")}
    try:
        compiling = {stage: worker.ask(1)["clock_s"][0] for stage, worker in workers.items()}
        pairs = []
        for i in range(rounds):
            a, b = (worker.ask(1)["clock_s"][0] for worker in workers.values())
            pairs.append((a, b))
            print(f"{name} {i + 1}/{rounds}: {a:.3f} s against {b:.3f} s", file=sys.stderr)
    finally:
        for worker in workers.values():
            worker.close()
    steps = EPOCHS * -(-IMAGES // BATCH)
    distil_s, tune_s = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratios = sorted(a / b for a, b in pairs)
    figures = {
        "blocks": len(blocks),
        "step_distilling_all_s": distil_s,
        "step_tuning_all_s": tune_s,
        "step_ratio": statistics.median(ratios),
        "step_ratio_quartiles": [ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]],
        "compiling_distilling_s": compiling["alone"],
        "compiling_tuning_s": compiling["whole"],
        "total_distilling_s": compiling["alone"] + steps * distil_s,
        "total_tuning_s": compiling["whole"] + steps * tune_s,
        "macs_of_students": sum(macs(descendant(p.model, s)) for p in blocks for s in SPARSITIES),
        "macs_of_whole_models": sum(macs(m) for m in whole_models(pieces)),
    }
    return {**figures, "total_ratio": figures["total_distilling_s"] / figures["total_tuning_s"]}


def training_worker(tree: Path, name: str, stage: str, data: Path, *max_blocks: int) -> Worker:
    """Start a process that takes training steps by the `legodnn` of a folder (`support.training_steps`)."""
    script, path = str(ROOT / "benchmarks/support/training_steps.py"), f"PYTHONPATH={tree}:{ROOT / 'benchmarks'}"
    command = ["env", path, sys.executable, script, name, stage, str(data.absolute()), *map(str, max_blocks)]
    return Worker(command, mark="#")


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Have a commit in a folder of its own while the `with` statement runs."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compare_commits(old: Path, name: str, stage: str, data: Path, turns: int, steps: int) -> Figures:
    """Let this commit and an older one take training steps in turn; return what both took for a step."""
    found: dict[str, dict[str, list[float]]] = {}
    peaks, workers = {}, {}
    try:
        for key, tree in (("old", old), ("new", ROOT)):
            workers[key] = training_worker(tree, name, stage, data, 16)  # commits differ in how many they make
            found[key] = {"losses": workers[key].ask(2)["losses"], "clock_s": [], "processor_s": []}  # compiles
        for i in range(turns):
            for key, worker in workers.items():
                answer = worker.ask(steps)
                peaks[key] = answer.pop("peak_bytes")
                for what, values in answer.items():
                    found[key][what] += values
            print(f"{name} {stage} {i + 1}/{turns}", file=sys.stderr)
    finally:
        for worker in workers.values():
            worker.close()
    figures: Figures = {
        key: {**{what: spread(found[key][what]) for what in ("clock_s", "processor_s")}, "peak_bytes": peaks[key]}
        for key in found
    }
    times = [np.reshape(found[key]["processor_s"], (turns, steps)).mean(axis=1) for key in ("old", "new")]
    losses = [np.array(found[key]["losses"]) for key in ("old", "new")]
    return {
        **figures,
        "times_faster": spread(times[0] / times[1]),
        "memory_ratio": peaks["new"] / peaks["old"],
        "largest_loss_difference": float((np.abs(losses[1] - losses[0]) / np.abs(losses[0])).max()),
    }


def measure_commits(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Compare a training step of this commit with that of an older one."""
    figures: Figures = {"against": args.against, "batch": BATCH}
    turns, steps = (2, 2) if args.quick else (6, 5)
    with checked_out(args.against) as old:
        for name in ["resnet20"] if args.quick else list(MODELS):
            figures[name] = {
                stage: compare_commits(old, name, stage, args.data, turns, steps) for stage in ("alone", "together")
            }
    bars = []
    for name in (n for n in MODELS if n in figures):
        for stage, found in figures[name].items():
            times = found["times_faster"]["median"]
            bars.append(bar(f"{name}, {stage}: a step, times faster by processor time", times, 2.0, "higher"))
            bars.append(bar(f"{name}, {stage}: peak memory, ratio", found["memory_ratio"], 1.2))
    return figures, bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that compares commits."""
    parser.add_argument("--against", metavar="COMMIT", help="compare a training step with that of this commit instead")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Compare both ways for all models, or with --quick for one; or this commit with another."""
    if args.against:
        return measure_commits(args)
    names, rounds = (["vgg16"], 3) if args.quick else (list(MODELS), 30)
    figures = {name: compare(name, args.data, rounds) for name in names}
    title = "training a store over fine-tuning whole models"
    return figures, [bar(f"{name}: {title}", found["total_ratio"], GOALS[name]) for name, found in figures.items()]


def table(figures: Figures) -> str:
    """Return a line for each model."""
    if "against" in figures:
        return json.dumps(figures, indent=1)
    lines = []
    for name, found in figures.items():
        quartiles = " to ".join(f"{q:.2f}" for q in found["step_ratio_quartiles"])
        totals, steps = f"{found['total_ratio']:.2f}", f"{found['step_ratio']:.2f}"
        lines.append(f"{name}: ratio of totals {totals}, of steps {steps} (quartiles {quartiles})")
    return "\n".join(lines)


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("build_time", __doc__, measure, folders=["data"], packages=packages, add_arguments=add_arguments, table=table)
