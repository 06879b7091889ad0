"""Every family of Keras vision models through the offline stage: cut, prune, export, compose, compare.

    python benchmarks/zoo.py --json > benchmarks/results/zoo.json
    python benchmarks/zoo.py --quick
    python benchmarks/zoo.py --work DIR            (interrupted, it goes on)
    python benchmarks/zoo.py MobileNetV2 unet

Each model has random weights, 96x96 pixels and 10 classes; those of `legodnn.blocks.zoo` for six tasks have a quarter
of their channels, and the classes of their papers. Its composed original segments, as Keras models and as .tflite
files, are compared with the undivided model, and both with that in float64; the compositions in which every block lost
half or nine tenths of its channels, as .tflite files, with the same as Keras models; and the files of pruned blocks
with those of the originals: bytes, multiply-accumulates, operators. Differences are relative to the largest value.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract, output_names
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, rebuild
from legodnn.blocks.importing.layer_copies import blank_copy, give_state
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import LegoError
from legodnn.runtime.executors.interpreter import open_interpreter
from support.differences import difference
from support.kept import kept
from support.networks import OTHERS, SHAPE, of_six_tasks
from support.report import Bars, Figures, bar, run

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

TOLERANCE = 1e-4
SPARSITIES = (0.5, 0.9)
APPLICATIONS = (
    "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet",
    "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "DenseNet121", "InceptionV3", "InceptionResNetV2",
    "Xception", "EfficientNetB0", "EfficientNetV2B0", "NASNetMobile", "ConvNeXtTiny",
)  # fmt: skip
QUICK = ("MobileNetV2", "unet", "detector")
OWN = {**{name: make for name, (_, make) in of_six_tasks(1 / 4, SHAPE).items()}, **OTHERS}


def make(name: str) -> keras.Model:
    """Return a model of the list by name, with random weights."""
    keras.utils.set_random_seed(0)
    if name in OWN:
        model = OWN[name]()
    else:
        family = getattr(keras.applications, name)
        model = family(weights=None, input_shape=SHAPE, classes=10, classifier_activation=None)
    give_statistics(model)
    return model


def give_statistics(model: keras.Model) -> None:
    """Set batch norms to the statistics of a random batch: without any, the signal dies out in deep models."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(alone(list(images(model, 32, seed=1).values())), training=True)


def images(model: keras.Model, count: int, seed: int) -> dict[str, Any]:
    """Return random inputs by name: in [0, 255] for models that scale their inputs themselves, in [0, 1] for others.

    A model that scales pixels and is given [0, 1] sees nearly no contrast: its first batch norm subtracts nearly equal
    numbers, and magnifies their rounding errors a hundred times.
    """
    rng = np.random.default_rng(seed)
    scales = any(isinstance(layer, layers.Rescaling | layers.Normalization) for layer in model.layers)
    return {t.name: rng.random((count, *t.shape[1:]), np.float32) * (255 if scales else 1) for t in model.inputs}


def in_float64(model: keras.Model) -> keras.Model:
    """Return the same model in double precision, which tells how much of a difference is rounding."""
    copies: dict[int, tuple[Any, Any]] = {}

    def double(call: LayerCall) -> Any:
        layer = call.operation
        if not isinstance(layer, layers.Layer):
            return layer
        if id(layer) not in copies:
            copies[id(layer)] = (layer, blank_copy(layer, {"dtype": "float64"}))
        return copies[id(layer)][1]

    twin = rebuild(functional(model), double)
    for layer, copy in copies.values():
        give_state(layer, copy)
    return twin


# --- what is measured ----------------------------------------------------------------------------------------------


def run_files(pieces: Sequence[Piece], files: Mapping[str, Runner], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return every interface tensor, computed by the pieces' files."""
    tensors = dict(inputs)
    for piece in pieces:
        outputs = files[piece.name](*(np.asarray(tensors[name]) for name in piece.inputs))
        tensors.update(zip(piece.outputs, outputs, strict=True))
    return tensors


def worst_segment(pieces: Sequence[Piece], files: Mapping[str, Runner], tensors: Mapping[str, Any]) -> float:
    """Return the largest difference of a piece's file from `tensors`, where it reads the same inputs as in Keras."""
    alone_run = [(p, run_files([p], files, tensors)) for p in pieces]
    return max(difference([found[n] for n in p.outputs], [tensors[n] for n in p.outputs]) for p, found in alone_run)


def operators(content: bytes) -> Counter[str]:
    """Return how many operators of each kind are in a .tflite file."""
    details = open_interpreter(model_content=content, threads=1)._get_ops_details()
    return Counter(d["op_name"] for d in details if d["op_name"] != "DELEGATE")


def examine(model: keras.Model, sparsities: Sequence[float] = SPARSITIES) -> dict[str, Any]:
    """Cut, prune, export and compose a model; return its row of the table."""
    start = time.monotonic()
    pieces = extract(model, max_blocks=16)
    blocks = [p for p in pieces if p.kind == "block"]
    outputs, inputs = output_names(pieces), images(model, 2, seed=0)
    whole = as_list(model(alone(list(inputs.values())), training=False))
    exact = as_list(in_float64(model)(alone(list(inputs.values())), training=False))
    originals = {p.name: convert(p.model) for p in pieces}
    kinds = {p.name: operators(originals[p.name]) for p in blocks}
    runners = {name: Runner(content) for name, content in originals.items()}
    composed, by_files = compose_pieces(pieces, inputs), run_files(pieces, runners, inputs)
    total_macs, total_params = macs(model), model.count_params()
    row: dict[str, Any] = {
        "blocks": len(blocks),
        "segments": len(pieces),
        "params": total_params,
        "params_in_blocks": sum(p.model.count_params() for p in blocks) / total_params,
        "macs": total_macs,
        "macs_in_blocks": sum(macs(p.model) for p in blocks) / total_macs,
        "bytes": sum(map(len, originals.values())),
        "composed_difference": difference([composed[n] for n in outputs], whole),
        "segments_difference": worst_segment(pieces, runners, composed),
        "files_difference": difference([by_files[n] for n in outputs], whole),
        "files_rounding": difference([by_files[n] for n in outputs], exact),
        "keras_rounding": difference(whole, exact),
        "pruned": {},
    }
    for sparsity in sparsities:
        variants = {p.name: descendant(p.model, sparsity) for p in blocks}
        files = {name: convert(variant) for name, variant in variants.items()}
        pruned_runners = {**runners, **{name: Runner(content) for name, content in files.items()}}
        twin, found = compose_pieces(pieces, inputs, variants), run_files(pieces, pruned_runners, inputs)
        row["pruned"][f"{sparsity:g}"] = {
            "bytes": sum(map(len, {**originals, **files}.values())),
            "macs": total_macs - sum(macs(p.model) - macs(variants[p.name]) for p in blocks),
            "difference": difference([found[n] for n in outputs], [twin[n] for n in outputs]),
            "blocks_not_smaller": [
                p.name
                for p in blocks
                if macs(variants[p.name]) >= macs(p.model) or len(files[p.name]) >= len(originals[p.name])
            ],
            "operators_added": {name: dict(added) for name in files if (added := operators(files[name]) - kinds[name])},
        }
    return {**row, "seconds": time.monotonic() - start}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("models", nargs="*", help=f"of: {', '.join((*APPLICATIONS, *OWN))} (default: all)")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Examine the models that are asked for; with --quick, and without names, those of `QUICK`."""
    names = args.models or (QUICK if args.quick else (*APPLICATIONS, *OWN))
    rows = [kept(args.work and args.work / f"{name}.json", partial(attempt, name)) for name in names]
    return {"models": rows}, bars_of(rows)


def attempt(name: str, maker: Callable[[], keras.Model] | None = None) -> dict[str, Any]:
    """Return a model's row, or one with the reason why there is none."""
    keras.backend.clear_session()
    try:
        row = {"model": name, **examine(maker() if maker else make(name))}
    except LegoError as e:
        row = {"model": name, "failed": str(e)}
    print(f"{name}: {row.get('failed') or format(row['seconds'], '.0f') + ' s'}", file=sys.stderr, flush=True)
    return row


def bars_of(rows: Sequence[dict[str, Any]]) -> Bars:
    """Return the figures that have a goal."""
    good = [r for r in rows if "failed" not in r]
    pruned = [p for r in good for p in r["pruned"].values()]
    # Deep networks with random weights magnify rounding from block to block: then Keras is as far from float64.
    astray = [r for r in good if r["files_rounding"] > max(TOLERANCE, 4 * r["keras_rounding"])]
    worst = {key: max((r[key] for r in good), default=0.0) for key in ("composed_difference", "segments_difference")}
    values = {
        "models that failed": (len(rows) - len(good), 0),
        "largest difference of composed originals": (worst["composed_difference"], TOLERANCE),
        "largest difference of a segment's .tflite": (worst["segments_difference"], TOLERANCE),
        "models whose .tflite files are off by more than rounding": (len(astray), 0),
        "largest difference of pruned compositions": (max((p["difference"] for p in pruned), default=0.0), TOLERANCE),
        "pruned blocks that are not smaller": (sum(len(p["blocks_not_smaller"]) for p in pruned), 0),
        "pruned blocks with an operator added": (sum(len(p["operators_added"]) for p in pruned), 0),
    }
    return [bar(name, value, limit) for name, (value, limit) in values.items()]


def markdown(figures: Figures) -> str:
    """Return a table with a row for each model."""
    header: tuple[str, ...] = (
        "model",
        "blocks",
        "params in blocks",
        "MACs in blocks",
        "MB, largest to smallest",
        "at .5",
    )
    header += ("million MACs, largest to smallest", "at .5", "segments", "whole (float64)", "pruned")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for r in figures["models"]:
        cells: tuple[str, ...]
        if "failed" in r:
            cells = (r["model"], r["failed"])
        else:
            half, most = (r["pruned"][f"{s:g}"] for s in SPARSITIES)
            cells = (
                r["model"],
                str(r["blocks"]),
                f"{r['params_in_blocks']:.1%}",
                f"{r['macs_in_blocks']:.1%}",
                f"{_millions(r['bytes'])} to {_millions(most['bytes'])}",
                _millions(half["bytes"]),
                f"{_millions(r['macs'])} to {_millions(most['macs'])}",
                _millions(half["macs"]),
                f"{r['segments_difference']:.0e}",
                f"{r['files_difference']:.0e} ({r['keras_rounding']:.0e})",
                f"{max(half['difference'], most['difference']):.0e}",
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _millions(count: int) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e8 else f"{count / 1e6:.3g}"


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("zoo", __doc__, measure, folders=["work"], packages=packages, add_arguments=add_arguments, table=markdown)
