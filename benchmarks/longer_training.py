"""What longer training brings: compositions against whole pruned models, trained for the same processor time.

    python benchmarks/longer_training.py --data DATA --work DIR --json > benchmarks/results/longer_training.json
    python benchmarks/longer_training.py --data DATA --quick

DATA holds cifar-10-batches-py, and resnet20_cifar10.npz in weights/. ResNet-20's descendants at four sparsities are
refitted and trained block by block as in benchmarks/accuracy.py, and then in compositions for `--times` as many epochs
as there. All of it together is one store's processor time. Whole ResNet-20s that are pruned to the same channels and
refitted alike, one for each sparsity, are then fine-tuned towards the original's outputs and on labels, on images that
are flipped and shifted as those are, each for a quarter of that time. Both are measured on the test images, which
nothing was trained on or chosen by. Compositions at 1 x and at N x start from the same blocks.

Interrupted, it goes on: what is trained and measured is kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from accuracy import QUICK_TRAINING, SPARSITIES, TRAINING, pruned, refit, summary
from accuracy import trained as trained_blocks
from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.accuracy.sampling import draw_compositions
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from support.composed import composed
from support.evaluated import CompositionRecord
from support.kept import begun, kept
from support.report import Bars, Figures, bar, run
from support.timed_checkpoint import TimedCheckpoint
from support.trained import trained
from support.tuning import BATCH, tune, tuning_seconds

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

NETWORK = "resnet20"
LEAST_RANDOM = 86.0  # the goal for random compositions after ten times the training


def compositions(times: int, pieces: Sequence[Piece], data: Dataset, args: argparse.Namespace) -> Figures:
    """Train the blocks for so many times the epochs, and measure uniform and random compositions."""
    n = QUICK_TRAINING if args.quick else TRAINING
    n = n | {"joint_epochs": times * n["joint_epochs"]}
    students, stages = trained_blocks(NETWORK, "ours", pieces, data, n, args.work)
    record = CompositionRecord(args.work / f"compositions-{times}.json", pieces, students)
    uniform = [record.full([i] * len(record.blocks)) for i in range(1 + len(SPARSITIES))]
    random = draw_compositions(record.sizes, args.unseen, seed=0)
    known = record.measure([*uniform, *random], data.test, "test")
    return {
        "images_in_compositions": n["joint_images"] * n["joint_epochs"],
        "processor_seconds": {stage: round(cpu, 1) for stage, (_, cpu) in stages.items()},
        "accuracy": summary(known, uniform, random),
    }


def whole_model(number: int, seconds: float, times: int, data: Dataset, args: argparse.Namespace) -> Figures:
    """Fine-tune the whole model at one sparsity for so many processor seconds, and measure it."""
    keras.utils.set_random_seed(0)
    original = trained(NETWORK, args.data / "weights")
    # Of its own: stem and head are trained too.
    pieces = extract(trained(NETWORK, args.data / "weights"), max_blocks=16)
    students = pruned(pieces)
    refit(pieces, students, data)
    variants = {p.name: students[p.name][number] for p in pieces if p.kind == "block"}
    name = f"whole-{SPARSITIES[number]:g}-{times}"
    model = composed(pieces, variants, name)

    def right() -> float:
        (found,) = outputs_of(model, data.test.x)
        return round(100 * float((found.argmax(axis=1) == data.test.y).mean()), 2)

    refitted = right()
    seconds_each = kept(args.work / f"{name}-image-seconds.json", partial(tuning_seconds, original, model, data))
    images, checkpoint = max(BATCH, int(seconds / seconds_each)), TimedCheckpoint(args.work / f"{name}.npz")
    tune(original, model, data, images, checkpoint)
    spent = round(checkpoint.spent[1], 1)
    return {"images": images, "processor_seconds": spent, "refitted": refitted, "accuracy": right()}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Train and measure compositions and whole models, for each number of times."""
    if args.quick:
        args.times, args.unseen, args.test = [1], 12, 400
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    data = replace(data, test=data.test.first(args.test))
    keras.utils.set_random_seed(0)
    pieces = extract(trained(NETWORK, args.data / "weights"), max_blocks=16)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as temporary:
        args.work = args.work or Path(temporary)
        begun(args.work, {"quick": args.quick, "test_images": args.test})
        for times in args.times:
            ours = compositions(times, pieces, data, args)
            print(f"{times} x", json.dumps(ours), file=sys.stderr)
            seconds, wholes = sum(ours["processor_seconds"].values()) / len(SPARSITIES), {}
            for number, sparsity in enumerate(SPARSITIES):
                file = args.work / f"whole-{sparsity:g}-{times}-figures.json"
                if args.report and not file.exists():
                    continue
                wholes[f"{sparsity:g}"] = kept(file, partial(whole_model, number, seconds, times, data, args))
                print(f"{times} x, whole at {sparsity:g}:", json.dumps(wholes[f"{sparsity:g}"]), file=sys.stderr)
            figures[str(times)] = {"compositions": ours, "whole": wholes}
    return figures, bars_of(figures)


def bars_of(figures: Figures) -> Bars:
    """Return the goals: no sparsity more than a point behind a whole model; and of random compositions, at last."""
    bars: Bars = []
    for times, found in figures.items():
        uniform = found["compositions"]["accuracy"]["uniform"]
        for sparsity, model in found["whole"].items():
            behind = model["accuracy"] - uniform[sparsity]
            bars.append(bar(f"{times} x, {sparsity}: points behind a whole model", round(behind, 2), 1.0))
    longest = max(figures, key=int)
    random = figures[longest]["compositions"]["accuracy"]["random"]
    bars.append(bar(f"{longest} x: random compositions, % right", random, LEAST_RANDOM, "higher"))
    return bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how long is trained, and how much is measured."""
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="of the epochs (default: 1 10)")
    parser.add_argument("--unseen", type=int, default=200, help="random compositions (default: 200)")
    parser.add_argument("--report", action="store_true", help="leave out whole models that DIR does not hold yet")
    parser.add_argument("--test", type=int, default=10_000, help="test images (default: 10,000)")


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("longer_training", __doc__, measure, folders=["data", "work"], packages=packages, add_arguments=add_arguments)
