"""What rounding the widths of descendants brings: accuracy at equal measured latency, with and without it.

    python benchmarks/rounding.py --data DATA --work DIR --json > benchmarks/results/rounding.json
    python benchmarks/rounding.py --data DATA --quick

DATA holds cifar-10-batches-py, and in weights/ resnet20_cifar10.npz. Every block of ResNet-20 (32x32) and of
MobileNetV2 (96x96) is pruned at five sparsities three times: with widths as they come, in multiples of 8, and on the
steps of this device, which are measured first (`legodnn profile --widths`). Weights are refitted, and not trained
unless `--distill-images` says on how many images, so that accuracies are those of a beginning, not of a finished store.
MobileNetV2 has no trained weights here: in place of its accuracy stands the share of its output that is kept, which is
1 less the relative squared error, for random weights with batch norm statistics of real images.

Latency is that of each option's file, the least of many runs on one thread that take turns; a composition takes their
sum. The compositions of one rounding and precision, from the original to the highest sparsity, make a curve of accuracy
over latency. Two curves are compared at equal latencies over the range that both have, with straight lines between
points. DIR keeps every option and figure, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.array_files import write_arrays
from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.criteria import l1
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.reconstruct import features, refit
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.training.distill import distill
from legodnn.console import ProgressLine, text_table
from legodnn.manifest import Precision
from legodnn.profiler.effort import QUICK
from legodnn.profiler.width_latency import measure_widths
from legodnn.recipe import RoundTo
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.widths_table import WidthsTable
from support.kept import begun, kept
from support.report import Bars, Figures, bar, run
from support.trained import trained

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)  # of the default recipe
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
Curve = list[tuple[float, float]]  # milliseconds and accuracy


@dataclass(frozen=True)
class Network:
    """A network, and the images that it is pruned and measured with.

    Attributes:
        model: the original.
        seen: images to refit and calibrate with.
        test: images to measure with.
    """

    model: keras.Model
    data: Dataset
    seen: Array
    test: Split


def resnet20(args: argparse.Namespace) -> Network:
    """Return the published ResNet-20 for CIFAR-10."""
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    model = trained("resnet20", args.data / "weights")
    seen, test = (50, 100) if args.quick else (250, 1000)
    return Network(model, data, np.asarray(data.train.x[:seen]), data.test.first(test))


def mobilenet(args: argparse.Namespace) -> Network:
    """Return MobileNetV2 for 96x96 pixels, with random weights and the statistics of CIFAR-10 images made larger."""
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None, alpha=0.35 if args.quick else 1.0
    )
    seen, test = (16, 16) if args.quick else (64, 64)

    def large(split: Split, count: int) -> Array:
        return np.repeat(np.repeat(np.asarray(split.x[:count]), 3, axis=1), 3, axis=2)

    x = large(data.train, seen)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)  # with no momentum the statistics are those of this batch
    return Network(model, data, x, Split(large(data.test, test), None))


NETWORKS: dict[str, Callable[[argparse.Namespace], Network]] = {"resnet20": resnet20, "mobilenet_v2_96": mobilenet}


@dataclass(eq=False)
class Options:
    """The different options of one segment: the original, then descendants.

    Attributes:
        models: Keras models.
        chosen: for each rounding the option number of every sparsity.
    """

    models: list[keras.Model]
    chosen: dict[str, list[int]]


def options_of(
    piece: Piece, x: Sequence[Array], roundings: Mapping[str, RoundTo], sparsities: Sequence[float], file: Path | None
) -> Options:
    """Return a segment's options, refitted; those in the file are taken from there."""
    if piece.kind == "fixed":
        return Options([piece.model], {name: [0] * len(sparsities) for name in roundings})
    channels, targets = analyse(piece.model), [Target("sparsity", s) for s in sparsities]
    if file and file.exists():
        with np.load(file) as saved:
            chosen = {name: saved[f"chosen {name}"].tolist() for name in roundings}
            models = [piece.model]
            for number in range(1, int(saved["count"])):
                model = remove(piece.model, channels, saved[f"removed {number}"])
                model.set_weights([saved[f"weight {number} {i}"] for i in range(len(model.weights))])
                models.append(model)
        return Options(models, chosen)
    numbers: dict[frozenset[int], int] = {frozenset(): 0}
    models, removed, chosen = [piece.model], [np.empty(0, np.int64)], {}
    for name, round_to in roundings.items():
        chosen[name] = []
        for target in targets:
            ids = choose(piece.model, channels, target, l1, round_to=round_to)
            key = frozenset(ids.tolist())
            if key not in numbers:
                numbers[key] = len(models)
                models.append(remove(piece.model, channels, ids))
                removed.append(ids)
                refit(piece.model, models[-1], channels, ids, x)
            chosen[name].append(numbers[key])
    if file:
        arrays: dict[str, Any] = {"count": np.array(len(models))}
        arrays |= {f"chosen {name}": np.array(found) for name, found in chosen.items()}
        for number, (ids, model) in enumerate(zip(removed, models, strict=True)):
            arrays[f"removed {number}"] = ids
            arrays |= {f"weight {number} {i}": w for i, w in enumerate(model.get_weights())}
        write_arrays(file, arrays)
    return Options(models, chosen)


def latencies_ms(files: Sequence[bytes], seconds: float) -> list[float]:
    """Return the least latency of each file on one thread; they take turns, so that all are disturbed alike."""
    interpreters = [open_interpreter(threads=1, model_content=content) for content in files]
    least, end, rounds = [float("inf")] * len(files), time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds < 10:
        for i, interpreter in enumerate(interpreters):
            interpreter.invoke()
            for _ in range(3):
                start = time.perf_counter()
                interpreter.invoke()
                least[i] = min(least[i], (time.perf_counter() - start) * 1e3)
        rounds += 1
    return least


def goodness(found: Array, wanted: Array, labels: Any) -> float:
    """Return the accuracy of outputs; without labels, how much of the original's outputs they keep."""
    if labels is not None:
        return float((found.argmax(axis=1) == labels).mean())
    return 1.0 - float(np.asarray(relative_error([found], [wanted])))


def curves(name: str, args: argparse.Namespace, roundings: Mapping[str, RoundTo]) -> dict[str, dict[str, Curve]]:
    """Return the curves of one network: by precision and rounding, the original and every sparsity."""
    sparsities = SPARSITIES[1::2] if args.quick else SPARSITIES
    network = NETWORKS[name](args)
    pieces = extract(network.model, max_blocks=16)
    folder = args.work / name if args.work else None
    if folder:
        folder.mkdir(exist_ok=True)
    options: dict[str, Options] = {}
    with ProgressLine(f"pruning {name}", len(pieces)) as task:
        for piece, x in features(pieces, network.seen):
            file = folder and folder / f"{piece.name}.npz"
            options[piece.name] = options_of(piece, x, roundings, sparsities, file)
            task.step(piece.name)
    if args.distill_images:
        students = {name: found.models[1:] for name, found in options.items() if len(found.models) > 1}
        data = replace(network.data, train=network.data.train.first(args.distill_images))
        distill(pieces, students, data, 1, 64, progress=ProgressLine)
    found: dict[str, dict[str, Curve]] = {}
    for precision in PRECISIONS:
        make = partial(measured, network, pieces, options, precision, args.seconds)
        ms, scores = kept(folder and folder / f"{precision}.json", make)
        found[precision] = {
            rounding: [
                (sum(ms[p.name][o] for p, o in zip(pieces, row, strict=True)), scores[str(row)])
                for row in compositions(pieces, options, rounding)
            ]
            for rounding in roundings
        }
    return found


def compositions(pieces: Sequence[Piece], options: Mapping[str, Options], rounding: str) -> Iterator[list[int]]:
    """Yield the original, and the uniform composition of every sparsity."""
    yield [0] * len(pieces)
    for column in zip(*(options[p.name].chosen[rounding] for p in pieces), strict=True):
        yield list(column)


def measured(
    network: Network, pieces: Sequence[Piece], options: Mapping[str, Options], precision: Precision, seconds: float
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the latency of every option of every segment, and how good every composition is that a rounding has."""
    roundings = options[pieces[0].name].chosen
    rows = sorted({tuple(row) for r in roundings for row in compositions(pieces, options, r)})
    x, ms = {pieces[0].inputs[0]: np.asarray(network.test.x)}, {}
    wanted, tensors = dict(x), [dict(x) for _ in rows]
    with ProgressLine(f"measuring {precision}", len(pieces)) as task:
        for number, (piece, seen) in enumerate(features(pieces, network.seen)):
            calibration = seen if precision == "int8" else ()
            files = [convert(model, 1, precision, calibration) for model in options[piece.name].models]
            ms[piece.name] = latencies_ms(files, seconds / len(pieces))
            runners = [Runner(content) for content in files]
            original = Runner(convert(piece.model)) if precision == "int8" else runners[0]
            ends = {name for p in pieces[number + 1 :] for name in p.inputs} | set(pieces[-1].outputs)
            for own, runner in ((wanted, original), *zip(tensors, (runners[row[number]] for row in rows), strict=True)):
                outputs = runner(*(own[name] for name in piece.inputs))
                own.update(zip(piece.outputs, outputs, strict=True))
                for name in set(own) - ends:
                    del own[name]
            task.step(piece.name)
    (last,) = pieces[-1].outputs
    found = [goodness(own[last], wanted[last], network.test.y) for own in tensors]
    return ms, {str(list(row)): score for row, score in zip(rows, found, strict=True)}


def compared(plain: Curve, other: Curve) -> dict[str, float]:
    """Return what a curve is above another one at equal latencies: mean, least and greatest difference.

    Of the points of a curve only those count that no faster one is as good as.
    """

    def frontier(curve: Curve) -> Curve:
        best: Curve = []
        for ms, score in sorted(curve):
            if not best or score > best[-1][1]:
                best.append((ms, score))
        return best

    a, b = frontier(plain), frontier(other)
    low, high = max(a[0][0], b[0][0]), min(a[-1][0], b[-1][0])
    grid = np.linspace(low, high, 200)
    of_a, of_b = (np.interp(grid, [ms for ms, _ in curve], [score for _, score in curve]) for curve in (a, b))
    gain = of_b - of_a
    return {"mean": float(gain.mean()), "least": float(gain.min()), "greatest": float(gain.max())}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure the steps of this device, and compare the roundings for every network."""
    begun(args.work, {"quick": args.quick, "seconds": args.seconds, "distill_images": args.distill_images})
    file = args.work and args.work / "widths.json"
    if file and file.exists():
        table = WidthsTable.load(file)
    else:
        effort = replace(QUICK, seconds=4.0) if args.quick else replace(QUICK, seconds=30.0)
        table = measure_widths(effort, file and file.with_suffix(".work"), ProgressLine)
        if file:
            table.save(file)
    steps = table.steps(PRECISIONS)
    roundings: dict[str, RoundTo] = {"none": 1, "multiples of 8": 8, "steps of the device": steps}
    figures: Figures = {"steps": steps.model_dump(mode="json"), "networks": {}}
    bars: Bars = []
    for name in args.networks or list(NETWORKS):
        found = curves(name, args, roundings)
        gains = {
            precision: {r: compared(of["none"], of[r]) for r in roundings if r != "none"}
            for precision, of in found.items()
        }
        figures["networks"][name] = {"curves": found, "gain at equal latency": gains}
        for precision, of in gains.items():
            for rounding, gain in of.items():
                where = f"{name}, {precision}, {rounding}"
                bars.append(bar(f"{where}: mean gain", gain["mean"], 0.0, "higher"))
                bars.append(bar(f"{where}: least gain", gain["least"], 0.0, "higher"))
    return figures, bars


def table_of(figures: Figures) -> str:
    """Return a line for every network, precision and rounding."""
    rows = [
        [name, precision, rounding, *(f"{100 * gain[key]:+.2f}" for key in ("mean", "least", "greatest"))]
        for name, of in figures["networks"].items()
        for precision, by in of["gain at equal latency"].items()
        for rounding, gain in by.items()
    ]
    return text_table(rows, ("network", "precision", "rounding", "points more", "at least", "at most"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the benchmark's own arguments."""
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), help="only these")
    parser.add_argument("--distill-images", type=int, default=0, metavar="N", help="train for an epoch of N images")
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing a network in one precision")


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    folders = ["data", "work"]
    run("rounding", __doc__, measure, folders=folders, packages=packages, add_arguments=add_arguments, table=table_of)
