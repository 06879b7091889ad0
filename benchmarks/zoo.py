"""Every family of Keras vision models through the offline stage: cut, prune, export, compose, compare.

    python benchmarks/zoo.py --json > benchmarks/results/zoo.json
    python benchmarks/zoo.py --quick
    python benchmarks/zoo.py MobileNetV2 unet

For each model (random weights, 96x96 pixels, 10 classes): the composed original segments, as Keras models and as
.tflite files, against the undivided model; and the composition in which every block has half its channels removed,
as .tflite files against its Keras twin. Differences are relative to the largest value. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from legodnn.blocks import zoo
from legodnn.blocks.export import Runner, convert
from legodnn.blocks.extract import Piece, compose, extract
from legodnn.blocks.graph import alone, as_list, macs
from legodnn.blocks.prune import descendant
from legodnn.console import size, table
from legodnn.errors import LegoError

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

SHAPE = (96, 96, 3)
TOLERANCE = 1e-4
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
    _give_statistics(model)
    return model


def _give_statistics(model: keras.Model) -> None:
    """Batch norms take the statistics of a random batch: with untrained ones, the signal dies out in deep models."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    rng = np.random.default_rng(1)
    model(alone([rng.random((32, *t.shape[1:]), np.float32) for t in model.inputs]), training=True)


# --- what is measured ----------------------------------------------------------------------------------------------


def difference(found: Any, expected: Any) -> float:
    """Largest difference over the largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30))


def run_files(pieces: Sequence[Piece], files: dict[str, bytes], inputs: dict[str, Any]) -> dict[str, Any]:
    """Every interface tensor, computed by the pieces' files."""
    tensors = dict(inputs)
    for piece in pieces:
        outputs = Runner(files[piece.name])(*(tensors[name] for name in piece.inputs))
        tensors.update(zip(piece.outputs, outputs, strict=True))
    return tensors


def examine(name: str) -> dict[str, Any]:
    """One row of the table."""
    start = time.monotonic()
    model = make(name)
    pieces = extract(model)
    blocks = [p for p in pieces if p.kind == "block"]
    pruned = {p.name: descendant(p.model, 0.5) for p in blocks}
    rng = np.random.default_rng(0)
    inputs = {t.name: rng.random((1, *t.shape[1:]), np.float32) for t in model.inputs}
    whole = as_list(model(alone(list(inputs.values())), training=False))

    originals = {p.name: convert(p.model) for p in pieces}
    halves = {**originals, **{name: convert(variant) for name, variant in pruned.items()}}
    # Outputs of the whole model are found among the interface tensors by shape and value.
    composed, as_files = compose(pieces, inputs), run_files(pieces, originals, inputs)
    written = [name for p in pieces for name in p.outputs]
    twin, twin_files = compose(pieces, inputs, pruned), run_files(pieces, halves, inputs)

    def closest(tensors: dict[str, Any], expected: Any) -> float:
        same = [tensors[n] for n in written if tuple(tensors[n].shape) == tuple(expected.shape)]
        return min(difference(t, expected) for t in same)

    total_macs, total_params = macs(model), model.count_params()
    return {
        "model": name,
        "blocks": len(blocks),
        "segments": len(pieces),
        "params": total_params,
        "params_in_blocks": sum(p.model.count_params() for p in blocks) / total_params,
        "macs": total_macs,
        "macs_in_blocks": sum(macs(p.model) for p in blocks) / total_macs,
        "bytes": sum(map(len, originals.values())),
        "pruned_bytes": sum(map(len, halves.values())),
        "pruned_macs": total_macs - sum(macs(p.model) - macs(pruned[p.name]) for p in blocks),
        "every_block_smaller": all(
            macs(v) < macs(p.model) and len(halves[p.name]) < len(originals[p.name])
            for p, v in ((p, pruned[p.name]) for p in blocks)
        ),
        "composed_difference": max(closest(composed, y) for y in whole),
        "files_difference": max(closest(as_files, y) for y in whole),
        "pruned_difference": max(difference(twin_files[n], twin[n]) for n in pieces[-1].outputs),
        "seconds": time.monotonic() - start,
    }


def main() -> int:
    """Examine the models that are asked for, print table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"of: {', '.join((*APPLICATIONS, *OTHERS))} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    args = parser.parse_args()
    rows, failures = [], {}
    for name in args.models or (QUICK if args.quick else (*APPLICATIONS, *OTHERS)):
        keras.backend.clear_session()
        try:
            rows.append(examine(name))
            print(f"{name}: {rows[-1]['seconds']:.0f} s", file=sys.stderr)
        except LegoError as e:
            failures[name] = str(e)
            print(f"{name}: {e}", file=sys.stderr)
    if not args.json:
        print(markdown(rows, failures))
    worst = [max(r["composed_difference"], r["files_difference"], r["pruned_difference"]) for r in rows]
    bars = [
        bar("models that failed", len(failures), 0),
        bar("largest difference", max(worst, default=0.0), TOLERANCE),
        bar(
            "models with a block that pruning does not make smaller", sum(not r["every_block_smaller"] for r in rows), 0
        ),
    ]
    result = {"name": "zoo", "machine": machine(), "figures": {"models": rows, "failures": failures}, "bars": bars}
    print(json.dumps(result))
    return 0


def bar(name: str, value: float, limit: float) -> dict[str, Any]:
    """A figure with a goal."""
    return {"name": name, "value": value, "limit": limit, "better": "lower", "holds": value <= limit}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    versions = {name: version(name) for name in ("keras", "tensorflow", "ai-edge-litert", "numpy")}
    return {"cpu": platform.machine(), "python": platform.python_version(), "versions": versions}


def markdown(rows: Sequence[dict[str, Any]], failures: dict[str, str]) -> str:
    """The table for people."""
    cells = [
        (
            r["model"],
            r["blocks"],
            f"{r['params_in_blocks']:.0%}",
            f"{r['macs_in_blocks']:.0%}",
            f"{size(r['bytes'])} -> {size(r['pruned_bytes'])}",
            f"{r['macs'] / 1e6:.0f} M -> {r['pruned_macs'] / 1e6:.0f} M",
            f"{max(r['composed_difference'], r['files_difference']):.0e}",
            f"{r['pruned_difference']:.0e}",
        )
        for r in rows
    ]
    header = ("model", "blocks", "params", "MACs", "files at .5", "MACs at .5", "whole", "pruned")
    return "\n".join([table(cells, header), *(f"{name}: {why}" for name, why in failures.items()), ""])


if __name__ == "__main__":
    sys.exit(main())
