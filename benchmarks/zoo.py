"""Every family of Keras vision models through the offline stage: cut, prune, export, compose, compare.

    python benchmarks/zoo.py --rows rows.jsonl --json > benchmarks/results/zoo.json
    python benchmarks/zoo.py --quick
    python benchmarks/zoo.py MobileNetV2 unet

For each model (random weights, 96x96 pixels, 10 classes): the composed original segments, as Keras models and as
.tflite files, against the undivided model, and both against it in float64; the compositions in which every block lost
half or nine tenths of its channels, as .tflite files against their Keras twins; and the files of pruned blocks
against those of the originals: bytes, multiply-accumulates, operators. Differences are relative to the largest value.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import bar, json_line

from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract, output_names
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing import zoo
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, macs, rebuild
from legodnn.blocks.importing.layer_copies import blank_copy, give_state
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import LegoError
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.units import size

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

SHAPE = (96, 96, 3)
TOLERANCE = 1e-4
HALF, MOST = SPARSITIES = (0.5, 0.9)
APPLICATIONS = (
    "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet",
    "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "DenseNet121", "InceptionV3", "InceptionResNetV2",
    "Xception", "EfficientNetB0", "EfficientNetV2B0", "NASNetMobile", "ConvNeXtTiny",
)  # fmt: skip
QUICK = ("VGG16", "MobileNetV2", "resnet18", "unet", "detector")


# --- models that are not in keras.applications ---------------------------------------------------------------------


def _conv(x: Any, width: int, kernel: int = 3, **options: Any) -> Any:
    x = layers.Conv2D(width, kernel, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def unet() -> keras.Model:
    """U-Net (Ronneberger et al. 2015) with four levels and a quarter of the channels."""
    x = inputs = keras.Input(SHAPE)
    skips = []
    for width in (16, 32, 64, 128):
        x = _conv(_conv(x, width), width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _conv(_conv(x, 256), 256)
    for width in (128, 64, 32, 16):
        x = layers.Concatenate()([layers.Conv2DTranspose(width, 2, 2)(x), skips.pop()])
        x = _conv(_conv(x, width), width)
    return keras.Model(inputs, layers.Conv2D(11, 1)(x), name="unet")


def _encoder(stages: Sequence[int]) -> tuple[Any, list[Any]]:
    """A ResNet-18 and the outputs of some of its stages."""
    model = zoo.resnet18(0.5, SHAPE)
    return model.inputs[0], [model.get_layer(f"layer{stage}_2_relu").output for stage in stages]


def fcn() -> keras.Model:
    """A fully convolutional network (Long et al. 2015) on ResNet-18: scores of three stages, added up."""
    inputs, features = _encoder((2, 3, 4))
    fine, middle, coarse = (layers.Conv2D(11, 1)(x) for x in features)
    x = layers.Add()([layers.UpSampling2D(2, interpolation="bilinear")(coarse), middle])
    x = layers.Add()([layers.UpSampling2D(2, interpolation="bilinear")(x), fine])
    return keras.Model(inputs, layers.UpSampling2D(2, interpolation="bilinear")(x), name="fcn")


def deeplab() -> keras.Model:
    """DeepLabV3 (Chen et al. 2017) on ResNet-18: atrous pyramid with image pooling."""
    inputs, (x,) = _encoder((4,))
    side = x.shape[1]
    pooled = _conv(layers.GlobalAveragePooling2D(keepdims=True)(x), 64, 1)
    pyramid = [layers.UpSampling2D(side, interpolation="bilinear")(pooled), _conv(x, 64, 1)]
    pyramid += [_conv(x, 64, dilation_rate=rate) for rate in (2, 4, 6)]
    x = _conv(layers.Concatenate()(pyramid), 64, 1)
    x = layers.UpSampling2D(4, interpolation="bilinear")(layers.Conv2D(11, 1)(_conv(x, 64)))
    return keras.Model(inputs, x, name="deeplabv3")


def detector() -> keras.Model:
    """A YOLO-style detector: three heads, the coarser features up-sampled into the finer."""
    inputs, features = _encoder((2, 3, 4))
    outputs, x = [], None
    for level, width in zip(reversed(features), (128, 64, 32), strict=True):
        x = level if x is None else layers.Concatenate()([level, layers.UpSampling2D()(_conv(x, width, 1))])
        x = _conv(_conv(_conv(x, width, 1), 2 * width), width, 1)
        outputs.append(layers.Conv2D(3 * (5 + 3), 1)(_conv(x, 2 * width)))
    return keras.Model(inputs, outputs, name="detector")


def autoencoder() -> keras.Model:
    """Convolutional, with a dense code."""
    x = inputs = keras.Input((32, 32, 3))
    for width in (16, 32, 64):
        x = _conv(_conv(x, width, strides=2), width)
    x = layers.Dense(4 * 4 * 64, activation="relu")(layers.Dense(64)(layers.Flatten()(x)))
    x = layers.Reshape((4, 4, 64))(x)
    for width in (64, 32, 16):
        x = _conv(layers.Conv2DTranspose(width, 3, 2, padding="same")(x), width)
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x), name="autoencoder")


def resnet8() -> keras.Model:
    """MLPerf Tiny's ResNet-8 for CIFAR-10."""
    inputs = keras.Input((32, 32, 3))
    x = _conv(inputs, 16)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(x, width, strides=stride)
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        x = layers.Conv2D(width, 1, stride, padding="same")(x) if stride > 1 else x
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="resnet8")


OTHERS: dict[str, Callable[[], keras.Model]] = {
    "resnet18": lambda: zoo.resnet18(1.0, SHAPE),
    "resnet20": zoo.resnet20,
    "resnet56": zoo.resnet56,
    "unet": unet,
    "fcn": fcn,
    "deeplabv3": deeplab,
    "detector": detector,
    "autoencoder": autoencoder,
    "resnet8": resnet8,
}


def make(name: str) -> keras.Model:
    """A model of the list by name, with random weights."""
    keras.utils.set_random_seed(0)
    if name in OTHERS:
        model = OTHERS[name]()
    else:
        family = getattr(keras.applications, name)
        model = family(weights=None, input_shape=SHAPE, classes=10, classifier_activation=None)
    give_statistics(model)
    return model


def give_statistics(model: keras.Model) -> None:
    """Batch norms take the statistics of a random batch: with untrained ones, the signal dies out in deep models."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(alone(list(images(model, 32, seed=1).values())), training=True)


def images(model: keras.Model, count: int, seed: int) -> dict[str, Any]:
    """Random inputs by name: in [0, 255] for models that scale their inputs themselves, in [0, 1] for others.

    A model that scales pixels and gets [0, 1] sees next to no contrast: its first batch norm subtracts nearly equal
    numbers, and magnifies what rounding left of them a hundred times.
    """
    rng = np.random.default_rng(seed)
    scales = any(isinstance(layer, layers.Rescaling | layers.Normalization) for layer in model.layers)
    return {t.name: rng.random((count, *t.shape[1:]), np.float32) * (255 if scales else 1) for t in model.inputs}


def in_float64(model: keras.Model) -> keras.Model:
    """The same model in double precision, which tells how much of a difference is rounding."""
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


def difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Largest difference over the largest value, of the output for which that is largest."""
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max() / max(float(np.abs(np.asarray(b)).max()), 1e-30))
        for a, b in zip(found, expected, strict=True)
    )


def run_files(pieces: Sequence[Piece], files: Mapping[str, Runner], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every interface tensor, computed by the pieces' files."""
    tensors = dict(inputs)
    for piece in pieces:
        outputs = files[piece.name](*(np.asarray(tensors[name]) for name in piece.inputs))
        tensors.update(zip(piece.outputs, outputs, strict=True))
    return tensors


def worst_segment(pieces: Sequence[Piece], files: Mapping[str, Runner], tensors: Mapping[str, Any]) -> float:
    """Largest difference of a piece's file from `tensors`, where it reads what its Keras twin read."""
    alone_run = [(p, run_files([p], files, tensors)) for p in pieces]
    return max(difference([found[n] for n in p.outputs], [tensors[n] for n in p.outputs]) for p, found in alone_run)


def operators(content: bytes) -> Counter[str]:
    """How many operators of each kind are in a .tflite file."""
    details = open_interpreter(model_content=content, threads=1)._get_ops_details()
    return Counter(d["op_name"] for d in details if d["op_name"] != "DELEGATE")


def examine(model: keras.Model, sparsities: Sequence[float] = SPARSITIES) -> dict[str, Any]:
    """One row of the table: a model cut, pruned, exported and composed."""
    start = time.monotonic()
    pieces = extract(model)
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


def main() -> int:
    """Examine the models that are asked for, print table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"of: {', '.join((*APPLICATIONS, *OTHERS))} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--rows", type=Path, help="keep a line for each model that is done, and do only the others")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    args = parser.parse_args()
    done = [json.loads(line) for line in args.rows.read_text().splitlines()] if args.rows and args.rows.exists() else []
    known, rows = {row["model"]: row for row in done}, []
    for name in args.models or (QUICK if args.quick else (*APPLICATIONS, *OTHERS)):
        if name not in known:
            known[name] = attempt(name)
            if args.rows:
                with args.rows.open("a") as file:
                    file.write(json.dumps(known[name]) + "\n")
        rows.append(known[name])
    if not args.json:
        print(markdown(rows))
    print(json_line("zoo", {"models": rows}, bars(rows), ["keras", "tensorflow", "numpy"]))
    return 0


def attempt(name: str, maker: Callable[[], keras.Model] | None = None) -> dict[str, Any]:
    """A model's row, or the reason why there is none."""
    keras.backend.clear_session()
    try:
        row = {"model": name, **examine(maker() if maker else make(name))}
    except LegoError as e:
        row = {"model": name, "failed": str(e)}
    print(f"{name}: {row.get('failed') or format(row['seconds'], '.0f') + ' s'}", file=sys.stderr, flush=True)
    return row


def bars(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures that have a goal."""
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


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for people."""
    header = ("model", "blocks", "params in blocks", "MACs in blocks", "files, largest to smallest", "at .5")
    header += ("MACs, largest to smallest", "at .5", "segments", "whole (float64)", "pruned")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for r in rows:
        if "failed" in r:
            cells = (r["model"], r["failed"])
        else:
            half, most = (r["pruned"][f"{s:g}"] for s in SPARSITIES)
            cells = (
                r["model"],
                str(r["blocks"]),
                f"{r['params_in_blocks']:.1%}",
                f"{r['macs_in_blocks']:.1%}",
                f"{size(r['bytes'])} to {size(most['bytes'])}",
                size(half["bytes"]),
                f"{_millions(r['macs'])} to {_millions(most['macs'])}",
                _millions(half["macs"]),
                f"{r['segments_difference']:.0e}",
                f"{r['files_difference']:.0e} ({r['keras_rounding']:.0e})",
                f"{max(half['difference'], most['difference']):.0e}",
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M" if count < 1e9 else f"{count / 1e9:.3g} G"


if __name__ == "__main__":
    sys.exit(main())
