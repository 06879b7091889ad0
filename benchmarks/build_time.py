"""Training all descendants of all blocks together, against fine-tuning as many whole pruned models.

    python benchmarks/build_time.py --data DATA --json > benchmarks/results/build_time.json
    python benchmarks/build_time.py --data DATA --quick

DATA holds cifar-10-batches-py, and in weights/ resnet20_cifar10.npz and vgg16_half_cifar10.npz. Compared are, for each
model, one training of a store's descendants (every block at every sparsity) and ordinary training of as many whole
models as there are sparsities, with every block pruned. Every descendant and every model sees the same number of
images, in batches of the same size, with the same optimizer. Steps of both are timed in turn. The time to compile is
reported separately, and included in the totals for two epochs of the 45,000 training images.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.graph import macs
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.distill import Distiller
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.student import Student
from support.report import Bars, Figures, bar, run
from support.timing import timed

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

MODELS = {"resnet20": ("resnet20_cifar10.npz", 1.0), "vgg16": ("vgg16_half_cifar10.npz", 0.5)}
SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)  # with the original: six
BATCH = 64
EPOCHS = 2


def whole(pieces: list[Piece], variants: dict[str, keras.Model]) -> keras.Model:
    """Compose a variant of each segment into one model."""
    inputs = keras.Input(pieces[0].model.inputs[0].shape[1:], name="image")
    tensors = compose_pieces(pieces, {pieces[0].inputs[0]: inputs}, variants)
    return functional(keras.Model(inputs, tensors[pieces[-1].outputs[0]]))


def compare(name: str, weights: Path, data: Dataset, rounds: int) -> Figures:
    """Time steps of both ways to train in turn; return one model's figures."""
    file, width = MODELS[name]
    keras.backend.clear_session()
    model = open_model(name, data.image_shape, 10, width, str(weights / file))
    pieces = extract(model)
    blocks = [p for p in pieces if p.kind == "block"]
    models = [
        whole(pieces, {p.name: descendant(p.model, s if p.kind == "block" else 0.0) for p in pieces})
        for s in SPARSITIES
    ]
    for pruned in models:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        compile_for(pruned, 1e-3, 1000, loss)
    students = [Student(p.name, i, descendant(p.model, s)) for p in blocks for i, s in enumerate(SPARSITIES)]
    distiller = Distiller(pieces, students)
    distiller(data.train.x[:1])
    compile_for(distiller, 1e-3, 1000)
    rng = np.random.default_rng(0)

    def batch() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(len(data.train), size=BATCH)
        assert data.train.y is not None
        return data.train.x[chosen], data.train.y[chosen]

    def tune(pruned: keras.Model) -> Callable[[], Any]:
        x, y = batch()
        return lambda: pruned.train_on_batch(x, y)

    def distil() -> Callable[[], Any]:
        x, _ = batch()
        return lambda: distiller.train_on_batch(x)

    compile_tuning = sum(timed(tune(pruned))[0] for pruned in models)
    compile_distilling = timed(distil())[0]
    pairs = []
    for i in range(rounds):
        a, b = timed(distil())[0], sum(timed(tune(pruned))[0] for pruned in models)
        pairs.append((a, b))
        print(f"{name} {i + 1}/{rounds}: {a:.3f} s against {b:.3f} s", file=sys.stderr)
    steps = EPOCHS * -(-len(data.train) // BATCH)
    distil_s, tune_s = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratios = sorted(a / b for a, b in pairs)
    return {
        "blocks": len(blocks),
        "step_distilling_all_s": distil_s,
        "step_tuning_all_s": tune_s,
        "step_ratio": statistics.median(ratios),
        "step_ratio_quartiles": [ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]],
        "compiling_distilling_s": compile_distilling,
        "compiling_tuning_s": compile_tuning,
        "total_distilling_s": compile_distilling + steps * distil_s,
        "total_tuning_s": compile_tuning + steps * tune_s,
        "macs_of_students": sum(macs(s.model) for s in students),
        "macs_of_whole_models": sum(macs(m) for m in models),
    }


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Compare both ways for all models, or with --quick for one."""
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    names, rounds = (["vgg16"], 3) if args.quick else (list(MODELS), 30)
    figures = {name: compare(name, args.data / "weights", data, rounds) for name in names}
    for found in figures.values():
        found["total_ratio"] = found["total_distilling_s"] / found["total_tuning_s"]
    title = "training a store over fine-tuning whole models"
    return figures, [bar(f"{name}: {title}", found["total_ratio"], 1.0) for name, found in figures.items()]


def table(figures: Figures) -> str:
    """Return a line for each model."""
    lines = []
    for name, found in figures.items():
        quartiles = " to ".join(f"{q:.2f}" for q in found["step_ratio_quartiles"])
        totals, steps = f"{found['total_ratio']:.2f}", f"{found['step_ratio']:.2f}"
        lines.append(f"{name}: ratio of totals {totals}, of steps {steps} (quartiles {quartiles})")
    return "\n".join(lines)


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("build_time", __doc__, measure, folders=["data"], packages=packages, table=table)
