"""How accurate compositions are, and how far their accuracy is predicted right: the paper's training against ours.

    python benchmarks/accuracy.py --data DATA --json > benchmarks/results/accuracy.json
    python benchmarks/accuracy.py --data DATA --quick
    python benchmarks/accuracy.py --data DATA --work DIR     (interrupted, it goes on)

DATA holds cifar-10-batches-py, and in weights/ resnet20_cifar10.npz and vgg16_half_cifar10.npz: ResNet-20 (9 blocks)
and VGG16 at half width (5 blocks) are pruned at sparsities .25, .5, .75 and .875. The paper's training chooses channels
by L1, and distils every descendant alone. Ours refits weights after pruning, trains as long block by block, and then
all blocks together on random compositions of images that are flipped and shifted. Training and fits see training images
only. All compositions are evaluated on the exported files.

The weights were trained on all training images, so that the originals are nearly always right on these. Therefore no
part of the training images tells the absolute accuracy on test images, and predictions are compared with three
measurements: other compositions on the images of the fit (what a store promises), test images (with that bias), and
test images with a fit on other test images (what a validation set that the original has not seen would give).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from legodnn.blocks.accuracy.accuracy_model import errors_held_out, fit_measured
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import draw_compositions, single_swaps
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.pruning.reconstruct import features
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.distill import distill
from legodnn.blocks.training.joint import train_jointly
from legodnn.blocks.training.side_by_side import run_side_by_side
from legodnn.console import ProgressLine
from support.evaluated import SLICE, CompositionRecord, Known
from support.kept import begun
from support.report import Bars, Figures, bar, run
from support.students import Seconds, Students, load_students, save_students
from support.summed_drops import summed_drops
from support.timed_checkpoint import TimedCheckpoint
from support.timing import timed
from support.trained import trained as trained_network
from support.tuning import AUGMENT, BATCH, HEAD

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

SPARSITIES = (0.25, 0.5, 0.75, 0.875)
MODELS = ("resnet20", "vgg16_half")
# Images and epochs of a store's training; the paper's takes the first of them alone.
TRAINING = {"images": 25_600, "joint_images": 35_200, "joint_epochs": 5}
QUICK_TRAINING = {"images": 640, "joint_images": 640, "joint_epochs": 1}
# The least percent right of compositions, by what is drawn. Where none is said, the paper's training is the least.
GOALS: dict[str, dict[str, float]] = {
    "resnet20": {"random": 83, "0.25": 90.8, "0.5": 88.5, "0.75": 81, "0.875": 62},
    "vgg16_half": {"random": 88},
}


def sizes_of(args: argparse.Namespace) -> dict[str, int]:
    """Return how many images, epochs and compositions are taken."""
    if args.quick:
        return {**QUICK_TRAINING, "val": 200, "fit": 20, "unseen": 12, "test": 400, "random_test": 200, "clean": 0}
    return {
        **TRAINING,
        "val": args.val,
        "fit": args.fit,
        "unseen": args.unseen,
        "test": args.test,
        "random_test": args.random_test,
        "clean": int(args.clean and args.random_test > SLICE),
    }


# --- training --------------------------------------------------------------------------------------------------------


def pruned(pieces: Sequence[Piece]) -> Students:
    """Return the descendants, with channels chosen by L1, as pruning leaves them."""
    return {p.name: [descendant(p.model, s) for s in SPARSITIES] for p in pieces if p.kind == "block"}


def trained(
    name: str, how: str, pieces: Sequence[Piece], data: Dataset, n: dict[str, int], work: Path | None
) -> tuple[Students, dict[str, Seconds]]:
    """Return the students, trained, and the seconds of each stage; what the work folder holds is not trained again."""
    students = pruned(pieces)
    seconds: dict[str, Seconds] = {}

    few = replace(data, train=data.train.first(n["images"]))
    stages: dict[str, Callable[[], Any]] = {"refit": partial(refit, pieces, students, data)} if how == "ours" else {}
    stages["blockwise"] = partial(distill, pieces, students, few, 1, 64, progress=ProgressLine)
    for stage, train in stages.items():
        keras.utils.set_random_seed(0)
        file = work and work / f"{name}-{how}-{stage}.npz"
        if file and file.exists():
            seconds[stage] = load_students(file, students)
        else:
            seconds[stage] = timed(train)
            if file:
                save_students(file, students, seconds[stage])
    if how == "ours":
        seconds["joint"] = together(pieces, students, data, n, work and work / f"{name}-joint-{n['joint_epochs']}.npz")
    return students, seconds


def refit(pieces: Sequence[Piece], students: Students, data: Dataset) -> None:
    """Give students the weights that reproduce their blocks best after pruning."""
    for piece, x in features(pieces, data.train.x[:500]):
        if piece.kind == "block":
            found = descendants(piece.model, [Target("sparsity", s) for s in SPARSITIES], STRATEGIES["l1"], x)
            for student, (_, model) in zip(students[piece.name], found, strict=True):
                student.set_weights(model.get_weights())


def together(
    pieces: Sequence[Piece], students: Students, data: Dataset, n: dict[str, int], file: Path | None
) -> Seconds:
    """Train all blocks together; a file keeps the state now and then. Return the seconds that it took."""
    checkpoint = TimedCheckpoint(file)
    train_jointly(
        pieces,
        students,
        replace(data, train=data.train.first(n["joint_images"])),
        n["joint_epochs"],
        BATCH,
        heads=[HEAD],
        augment=AUGMENT,
        checkpoint=checkpoint,
        progress=ProgressLine,
    )
    return checkpoint.spent


# --- measuring -------------------------------------------------------------------------------------------------------


def summary(known: Known, uniform: Sequence[OptionNumbers], random: Sequence[OptionNumbers]) -> Figures:
    """Return in percent how accurate the original, uniform compositions, and random ones are."""
    values = 100 * np.array([known[c].metric for c in random])
    return {
        "original": round(100 * known[uniform[0]].metric, 2),
        "uniform": {str(s): round(100 * known[c].metric, 2) for s, c in zip(SPARSITIES, uniform[1:], strict=True)},
        "random": round(float(values.mean()), 2),
        "random_5th": round(float(np.percentile(values, 5)), 2),
        "random_95th": round(float(np.percentile(values, 95)), 2),
        "random_count": len(values),
    }


def quality(predicted: Any, measured: Any) -> dict[str, float]:
    """Return Kendall's tau and, in points, the mean absolute error and the bias (predicted minus measured)."""
    difference = 100 * (np.asarray(predicted) - np.asarray(measured))
    return {
        "tau": round(float(kendalltau(predicted, measured).statistic), 4),
        "error": round(float(np.abs(difference).mean()), 2),
        "bias": round(float(difference.mean()), 2),
    }


def predictions(
    record: CompositionRecord, val: Split, test: Split, unseen: Sequence[OptionNumbers], n: dict[str, int]
) -> Figures:
    """Compare the fitted accuracy model and the paper's estimate with what unseen compositions measure."""
    singles = single_swaps(record.sizes)
    sample = [c for c in draw_compositions(record.sizes, n["fit"] + len(unseen), seed=1) if c not in set(unseen)][
        : n["fit"]
    ]
    results: Figures = {"single_swaps": len(singles) - 1, "fit_sample": len(sample), "unseen": len(unseen)}
    on_val = record.measure([*singles, *sample, *unseen], val, "val")
    on_test = record.measure(unseen, test, "test")
    cases = {"same_images": (on_val, on_val), "test_images": (on_val, on_test)}
    if n["clean"]:
        on_first = record.measure([*singles, *sample], test, "test", slice(0, 1))
        cases["test_images_fit_on_others"] = (on_first, record.measure(unseen, test, "test", slice(1, None)))
    for name, (seen, known) in cases.items():
        measured = [known[c].metric for c in unseen]
        noise, _ = errors_held_out(record.sizes, seen, sample)
        fitted = fit_measured(record.sizes, seen, sample, noise)
        results[name] = {
            "fitted": quality(fitted.predict(unseen), measured),
            "summed_drops": quality(summed_drops(record.sizes, seen, unseen), measured),
        }
    return results


def compare(name: str, data: Dataset, args: argparse.Namespace) -> Figures:
    """Train one model both ways, and measure both."""
    keras.utils.set_random_seed(0)
    n, pieces = sizes_of(args), extract(trained_network(name, args.data / "weights"), max_blocks=16)
    results: Figures = {}
    both = {how: trained(name, how, pieces, data, n, args.work) for how in ("paper", "ours")}
    seconds = {how: stages for how, (_, stages) in both.items()}
    for how, (students, stages) in both.items():
        record = CompositionRecord(args.work and args.work / f"{name}-{how}.json", pieces, students)
        uniform = [record.full([i] * len(record.blocks)) for i in range(1 + len(SPARSITIES))]
        unseen = draw_compositions(record.sizes, n["unseen"], seed=0)
        test = data.test.first(n["test"])
        known = {
            **record.measure(unseen, data.test.first(n["random_test"]), "test"),
            **record.measure(uniform, test, "test"),
        }
        results[how] = {
            "seconds": {stage: round(wall, 1) for stage, (wall, _) in stages.items()},
            "processor_seconds": {stage: round(cpu, 1) for stage, (_, cpu) in stages.items()},
            "test_images": {"uniform": len(test), "random": n["random_test"]},
            "accuracy": summary(known, uniform, unseen),
        }
        print(name, how, json.dumps(results[how]), file=sys.stderr)
        if how == "ours":
            few = data.test.first(n["random_test"])
            results["predictions"] = predictions(record, data.val.first(n["val"]), few, unseen, n)
            print(name, json.dumps(results["predictions"]), file=sys.stderr)
    for i, kind in enumerate(("training_ratio", "training_ratio_processor")):
        total = {how: sum(stage[i] for stage in stages.values()) for how, stages in seconds.items()}
        results[kind] = round(total["ours"] / total["paper"], 2)
    return results


def bars_of(results: Figures) -> Bars:
    """Return the figures that have a goal."""
    bars: Bars = []
    for name, of in results.items():
        ours, paper = (of[how]["accuracy"] for how in ("ours", "paper"))
        least = {**{str(s): paper["uniform"][str(s)] for s in SPARSITIES}, **GOALS[name]}
        for what, goal in least.items():
            value = ours["random"] if what == "random" else ours["uniform"][what]
            bars.append(bar(f"{name}: {what}, % right", value, goal, "higher"))
    if "resnet20" in results:
        fitted = results["resnet20"]["predictions"]["same_images"]["fitted"]
        bars += [
            bar("Kendall tau on unseen compositions", fitted["tau"], 0.93, "higher"),
            bar("mean absolute error on unseen compositions, points", fitted["error"], 2.0, "lower"),
            bar("bias on unseen compositions, points", abs(fitted["bias"]), 1.0, "lower"),
            bar(
                "training, times the paper's processor time",
                results["resnet20"]["training_ratio_processor"],
                2.5,
                "lower",
            ),
        ]
    return bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--fit", type=int, default=400, help="random compositions that are fitted (default: 400)")
    parser.add_argument("--unseen", type=int, default=200, help="random compositions reported on (default: 200)")
    parser.add_argument("--test", type=int, default=10_000, help="test images for uniform compositions")
    parser.add_argument("--random-test", type=int, default=10_000, help="test images for random compositions")
    parser.add_argument("--val", type=int, default=5000, help="images of the fit (default: 5000)")
    parser.add_argument("--clean", action="store_true", help="also fit on test images and report on the others")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Train and measure the models that are asked for."""
    begun(args.work, {"quick": args.quick})
    run_side_by_side()  # as a build does
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    models = args.models[:1] if args.quick else args.models
    results = {name: compare(name, data, args) for name in models}
    return results, bars_of(results)


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("accuracy", __doc__, measure, folders=["data", "work"], packages=packages, add_arguments=add_arguments)
