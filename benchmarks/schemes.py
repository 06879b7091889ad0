"""Whether weights that are zero in blocks pay beside removed channels, with what runs a `.tflite` file today.

    python benchmarks/schemes.py --data DATA --json > benchmarks/results/schemes.json
    python benchmarks/schemes.py --data DATA --quick
    python benchmarks/schemes.py --data DATA --work DIR      (interrupted, it goes on)

DATA holds cifar-10-batches-py, and in weights/ vgg16_half_cifar10.npz. All files are float32 but where int8 is said.

`dense`: a dense layer of each shape, whole, with blocks of 1x4 weights left out, with outputs left out, and in int8,
which take turns. `convolutions`: what it does to a convolution's file to store it without its zero blocks. `networks`:
VGG16 at half width whose trunk is pruned to shares of its multiply-accumulates, with dense heads of 1,024 that are
trained on top, and pruned by channels or in blocks and distilled, as often as there are seeds. All trunks and heads are
combined, and `fronts` has the least bytes and the least time of the network for what may be lost in accuracy, without
and with the heads that are sparse in blocks. Times are processor time of one inference on one thread.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import submodel
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.console import text_table
from legodnn.runtime.executors.interpreter import open_interpreter
from support.kept import kept
from support.report import Bars, Figures, bar, run
from support.sparse_layers import block_mask, convert_sparse, set_to_zero
from support.timing import in_turns
from support.trained import trained

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

DENSE = ((256, 10), (256, 1024), (512, 1024), (1024, 10), (1024, 1024), (1280, 1000), (4096, 1000))
CONVOLUTIONS = ((14, 384, 64, 1), (8, 128, 128, 3))  # pixels a side, channels in and out, kernel
SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
TRUNKS = (1.0, 0.3)  # shares of multiply-accumulates
HEADS = {"1024": (1024,), "1024-1024": (1024, 1024)}
CHANNELS, BLOCKS = (0.5, 0.75, 0.9, 0.98), (0.5, 0.8, 0.9, 0.95)
ALLOWED = (0.25, 1.0, 10.0)  # points of accuracy that a network may lose
SMALLER = 0.97  # a front that is better by less than this is not said to be better: seeds differ by as much


def median_ms(files: Mapping[str, bytes], seconds: float) -> dict[str, float]:
    """Return the median processor time of an inference of each file; files take turns."""
    interpreters = {name: open_interpreter(1, model_content=content) for name, content in files.items()}
    rng = np.random.default_rng(0)
    for each in interpreters.values():
        for source in each.get_input_details():
            each.set_tensor(source["index"], rng.normal(size=source["shape"]).astype(source["dtype"]))
    times = in_turns({name: each.invoke for name, each in interpreters.items()}, seconds, time.process_time)
    return {name: statistics.median(found) for name, found in times.items()}


def checked_sparse(model: keras.Model) -> bytes:
    """Return a model's sparse file, whose outputs have been compared with those of its dense one."""
    content, dense = convert_sparse(model), convert(model)
    x = np.random.default_rng(0).normal(size=(8, *model.inputs[0].shape[1:])).astype("float32")
    if not (off := float(relative_error(Runner(content)(x), Runner(dense)(x)))) < 1e-6:
        sys.exit(f"{model.name}: the sparse file is off by {off}")
    return content


def dense_layer(inputs: int, outputs: int, seconds: float) -> Figures:
    """Return bytes and milliseconds of a dense layer, by scheme and sparsity."""

    def layer(outputs: int, sparsity: float = 0.0) -> keras.Model:
        keras.utils.set_random_seed(0)
        x = keras.Input((inputs,))
        dense = keras.layers.Dense(outputs, activation="relu")
        model = keras.Model(x, dense(x))
        dense.kernel.assign(dense.kernel * block_mask(dense.kernel.numpy(), sparsity))
        return model

    some = np.random.default_rng(0).normal(size=(64, inputs)).astype("float32")
    files = {"dense": convert(layer(outputs)), "int8": convert(layer(outputs), 1, "int8", [some])}
    for sparsity in SPARSITIES:
        files[f"block1x4 {sparsity:g}"] = checked_sparse(layer(outputs, sparsity))
        files[f"channels {sparsity:g}"] = convert(layer(max(1, round(outputs * (1 - sparsity)))))
    ms = median_ms(files, seconds)
    return {"inputs": inputs, "outputs": outputs, "ms": ms, "bytes": {name: len(c) for name, c in files.items()}}


def convolution(pixels: int, inputs: int, outputs: int, kernel: int, seconds: float) -> Figures:
    """Return bytes, bytes after deflating, and milliseconds of a convolution with zero blocks, dense and sparse."""
    keras.utils.set_random_seed(0)
    x = keras.Input((pixels, pixels, inputs))
    layer = keras.layers.Conv2D(outputs, kernel, padding="same", activation="relu")
    model = keras.Model(x, layer(x))
    files = {}
    for sparsity in (0.5, 0.8, 0.9):
        layer.kernel.assign(layer.kernel * block_mask(layer.kernel.numpy(), sparsity))
        files[f"zeros {sparsity:g}"], files[f"stored {sparsity:g}"] = convert(model), checked_sparse(model)
    shown = {"pixels": pixels, "inputs": inputs, "outputs": outputs, "kernel": kernel, "ms": median_ms(files, seconds)}
    deflated = {name: len(zlib.compress(content)) for name, content in files.items()}
    return {**shown, "bytes": {name: len(c) for name, c in files.items()}, "deflated": deflated}


def trunks(data: Dataset, args: argparse.Namespace) -> list[tuple[float, bytes, dict[str, Array]]]:
    """Return VGG16's trunk pruned to each share: the share, the file, and features of training and test images."""
    model = trained("vgg16_half", args.data / "weights")
    trunk, found = submodel(model.inputs, [model.layers[-1].input], "trunk"), []
    for share in TRUNKS:
        student = trunk
        if share < 1:
            x = [data.train.x[:128]]
            ((_, student),) = descendants(trunk, [Target("macs", share)], STRATEGIES["taylor"], x)
            few = replace(data, train=replace(data.train.first(args.images), y=None), val=replace(data.val, y=None))
            fine_tune(trunk, student, few, 1, heads=[Head("numbers", "r2", "linear")])
        splits = {"train": data.train.x[: args.images], "test": data.test.x}
        features = {name: student.predict(x, batch_size=200, verbose=0) for name, x in splits.items()}
        found.append((share, convert(student), features))
    return found


def original_head(widths: Sequence[int], x: Array, y: NDArray[np.int64], epochs: int) -> keras.Model:
    """Return a head of dense layers that is trained on features and labels."""
    source = keras.Input((x.shape[1],))
    hidden = source
    for width in widths:
        hidden = keras.layers.Dense(width, activation="relu")(hidden)
    head = keras.Model(source, keras.layers.Dense(10)(hidden))
    head.compile(keras.optimizers.Adam(3e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    head.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    return head


def pruned_heads(head: keras.Model, x: Array, epochs: int) -> dict[str, tuple[bytes, keras.Model]]:
    """Return by name the file and the model of a head and of its descendants, which are distilled from its logits."""
    found, wanted = {"original": (convert(head), head)}, head.predict(x, batch_size=500, verbose=0)

    def distilled(student: keras.Model) -> keras.Model:
        student.compile(keras.optimizers.Adam(3e-4), "mse")
        student.fit(x, wanted, batch_size=128, epochs=epochs, verbose=0)
        return student

    targets = [Target("sparsity", sparsity) for sparsity in CHANNELS]
    for sparsity, (_, student) in zip(
        CHANNELS, descendants(head, targets, STRATEGIES["taylor"], [x[:500]]), strict=True
    ):
        found[f"channels {sparsity:g}"] = convert(distilled(student)), student
    for sparsity in BLOCKS:
        student = keras.models.clone_model(head)
        student.set_weights(head.get_weights())
        for layer in student.layers[1:-1]:  # what gives the logits is small, and stays whole
            set_to_zero(layer, sparsity)
        found[f"block1x4 {sparsity:g}"] = checked_sparse(distilled(student)), student
    return found


def networks(args: argparse.Namespace) -> list[Figures]:
    """Return a row for every trunk, head and option of the head: accuracy by seed, bytes and milliseconds."""
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    data = replace(data, test=data.test.first(500 if args.quick else 5000))
    found, y, rows = trunks(data, args), np.asarray(data.train.y)[: args.images], []
    trunk_ms = median_ms({f"{share:g}": content for share, content, _ in found}, args.seconds)
    for name, widths in HEADS.items():
        files: dict[str, bytes] = {}
        accuracy: dict[tuple[float, str], list[float]] = {}
        for seed in range(args.seeds):
            keras.utils.set_random_seed(seed)
            head = original_head(widths, found[0][2]["train"], y, args.epochs)
            for option, (content, student) in pruned_heads(head, found[0][2]["train"], args.epochs).items():
                files[option] = content
                for share, _, features in found:
                    guessed = student.predict(features["test"], batch_size=500, verbose=0).argmax(axis=1)
                    accuracy.setdefault((share, option), []).append(float((guessed == data.test.y).mean()))
        ms = median_ms(files, args.seconds)
        for (share, trunk, _), (option, head_file) in itertools.product(found, files.items()):
            size = {"trunk_bytes": len(trunk), "head_bytes": len(head_file)}
            row = {"head": name, "share": share, "option": option, "accuracy": accuracy[share, option], **size}
            rows.append({**row, "trunk_ms": trunk_ms[f"{share:g}"], "head_ms": ms[option]})
    return rows


def fronts(rows: Sequence[Figures]) -> list[Figures]:
    """Return what is least without and with heads that are sparse in blocks: a row for each head and accuracy.

    The first row of a head is of those that lose no more than the first of `ALLOWED`, and so on.
    """
    shown = []
    for head, points in itertools.product(dict.fromkeys(row["head"] for row in rows), ALLOWED):
        own = [row for row in rows if row["head"] == head]
        whole = next(r for r in own if r["share"] == 1 and r["option"] == "original")
        least = statistics.mean(whole["accuracy"]) - points / 100
        kept = [row for row in own if statistics.mean(row["accuracy"]) >= least]
        found: Figures = {"head": head, "points": points}
        for measure in ("bytes", "ms"):

            def cost(row: Figures, measure: str = measure) -> float:
                return float(row[f"trunk_{measure}"] + row[f"head_{measure}"])

            channels = min((row for row in kept if "block" not in row["option"]), key=cost)
            best = min(kept, key=cost)
            found[measure] = {
                **{"channels": cost(channels), "with_blocks": cost(best), "ratio": cost(best) / cost(channels)},
                **{"channels_option": _named(channels), "with_blocks_option": _named(best)},
            }
        shown.append(found)
    return shown


def _named(row: Figures) -> str:
    return f"trunk {row['share']:g}, {row['option']}"


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure layers, convolutions and networks."""
    args.seconds, args.seeds, args.epochs = (1, 1, 1) if args.quick else (8, 2, 4)
    args.images = 512 if args.quick else 6_400
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        shapes, ending = (DENSE[:2], "-quick.json") if args.quick else (DENSE, ".json")
        dense = kept(work / f"dense{ending}", lambda: [dense_layer(*shape, args.seconds) for shape in shapes])
        stored = kept(
            work / f"convolutions{ending}", lambda: [convolution(*shape, args.seconds) for shape in CONVOLUTIONS]
        )
        rows = kept(work / f"networks{ending}", lambda: networks(args))
    figures: Figures = {"dense": dense, "convolutions": stored, "networks": rows, "fronts": fronts(rows)}
    return figures, bars_of(figures)


def bars_of(figures: Figures) -> Bars:
    """Return the goal that sparse options would have to reach: at some accuracy they make the network smaller."""
    least = {what: min(front[what]["ratio"] for front in figures["fronts"]) for what in ("bytes", "ms")}
    return [bar(f"{what} with sparse heads / without, where best", ratio, SMALLER) for what, ratio in least.items()]


def table(figures: Figures) -> str:
    """Return the layers and the fronts."""
    names = ("dense", "int8", *(f"{scheme} {s:g}" for scheme in ("block1x4", "channels") for s in SPARSITIES))
    layers = [
        (f"{r['inputs']} x {r['outputs']}", *(f"{1e3 * r['ms'][name]:.1f}" for name in names)) for r in figures["dense"]
    ]
    shown = [
        (f["head"], f["points"], *(f"{f[m][k]:.4g}" for m in ("bytes", "ms") for k in ("channels", "with_blocks")))
        for f in figures["fronts"]
    ]
    header = ("head", "points", "bytes", "with blocks", "ms", "with blocks")
    return f"{text_table(layers, ('microseconds', *names))}\n\n{text_table(shown, header)}"


if __name__ == "__main__":
    run("schemes", __doc__, measure, folders=("data", "work"), packages=("numpy", "keras", "tensorflow"), table=table)
