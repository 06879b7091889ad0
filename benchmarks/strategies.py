"""Strategies of pruning on whole CIFAR-10 networks: what is left before and after fine-tuning, at equal processor time.

    python benchmarks/strategies.py --data DATA --work DIR --json > benchmarks/results/strategies.json
    python benchmarks/strategies.py --data DATA --networks vgg16_half --targets 0.3 --strategies l1,exact,amc --epochs 0
    python benchmarks/strategies.py --data DATA --quick

DATA holds cifar-10-batches-py, and weights of ResNet-56 and of VGG16 at half width in weights/. Each strategy prunes
the network to a share of its multiply-accumulates, by images of the training set without labels; then it is refitted,
and fine-tuned by distillation and on labels. A strategy may take `--cpu-minutes` in all, search and fine-tuning
together: one that searches longer is fine-tuned for fewer epochs. The error of the outputs and the accuracy are those
on test images, which nothing was trained on or chosen by. Interrupted, it goes on with what DIR does not hold yet.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.export.convert import convert
from legodnn.blocks.export.latency import latencies_ms
from legodnn.blocks.importing import zoo
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import macs
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.blocks.training.tuning import tune_on
from legodnn.console import ProgressLine, text_table
from legodnn.files import write_atomic
from support.report import Bars, Figures, run

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

TARGETS = {"resnet56": (0.5,), "vgg16_half": (0.4, 0.2)}
HEAD = Head("classes", "top1", "linear")


def network(name: str, weights: Path) -> keras.Model:
    """Return a trained network by its name."""
    model = zoo.resnet56() if name == "resnet56" else zoo.vgg16(0.5)
    read = zoo.load_cifar_resnet_weights if name == "resnet56" else zoo.load_vgg16_weights
    read(model, weights / f"{name}_cifar10.npz")
    return model


def accuracy(model: keras.Model, data: Dataset) -> tuple[float, Any]:
    """Return the share of test images that a model classifies right, and its outputs."""
    (outputs,) = outputs_of(model, data.test.x)
    return float((outputs.argmax(axis=1) == data.test.y).mean()), outputs


def measured(name: str, share: float, strategy: str, seed: int, data: Dataset, args: argparse.Namespace) -> Figures:
    """Prune a network by a strategy, and return all figures of it."""
    keras.utils.set_random_seed(seed)
    model = network(name, args.data / "weights")
    before, wanted = accuracy(model, data)
    x = data.train.x[np.random.default_rng(seed).permutation(len(data.train))[: args.images]]
    start = time.process_time()
    (found,) = descendants(
        model, [Target("macs", share)], STRATEGIES[strategy], [x], True, tune_on(model, [x], seed=seed), seed=seed
    )
    searched, student = time.process_time() - start, found[1]
    pruned, outputs = accuracy(student, data)
    epochs = args.epochs
    if args.cpu_minutes and epochs:
        epochs = max(0, min(epochs, round((60 * args.cpu_minutes - searched) / epoch_seconds(model, student, data))))
    if epochs:
        fine_tune(model, student, data, epochs, 128, heads=[HEAD], patience=epochs, seed=seed, progress=ProgressLine)
    tuned, _ = accuracy(student, data)
    latency = latencies_ms([convert(model), convert(student)], data.test.x[:1])
    return {
        "network": name,
        "target": share,
        "strategy": strategy,
        "seed": seed,
        "macs_share": macs(student) / macs(model),
        "original": before,
        "error_pruned": float(relative_error([outputs], [wanted])),
        "accuracy_pruned": pruned,
        "accuracy_tuned": tuned,
        "epochs": epochs,
        "search_cpu_s": searched,
        "cpu_s": time.process_time() - start,
        "latency_ms": latency[1],
        "original_latency_ms": latency[0],
    }


def epoch_seconds(model: keras.Model, student: keras.Model, data: Dataset) -> float:
    """Return the processor seconds that an epoch of fine-tuning takes, by one on the first images; weights stay."""
    weights, few = student.get_weights(), replace(data, train=data.train.first(1280), val=data.val.first(128))
    fine_tune(model, student, replace(few, train=few.train.first(128)), 1, 128, heads=[HEAD])  # compiles
    start = time.process_time()
    fine_tune(model, student, few, 1, 128, heads=[HEAD])
    student.set_weights(weights)
    return (time.process_time() - start) * len(data.train) / 1280


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure every strategy on every network, target and seed."""
    data = load(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    if args.quick:
        args.networks, args.targets, args.strategies = "vgg16_half", "0.4", "l1,global_l1"
        args.images, args.epochs, args.seeds = 24, 0, 1
        data = replace(data, test=data.test.first(200))
    elif args.test:
        data = replace(data, test=data.test.first(args.test))
    rows = []
    for name in args.networks.split(","):
        for share in map(float, args.targets.split(",")) if args.targets else TARGETS[name]:
            for seed in range(args.seeds):
                for strategy in args.strategies.split(","):
                    file = args.work and args.work / f"{name}-{share:g}-{strategy}-{seed}.json"
                    if file and file.exists():
                        rows.append(json.loads(file.read_text()))
                        continue
                    rows.append(measured(name, share, strategy, seed, data, args))
                    if file:
                        write_atomic(file, json.dumps(rows[-1]))
    return {"images": args.images, "test_images": len(data.test), "rows": rows}, []


def table(figures: Figures) -> str:
    """Return a row for every strategy."""
    header = ("network", "MACs", "strategy", "seed", "error", "pruned", "tuned", "epochs", "search s", "all s", "ms")
    rows = [
        (
            *(r["network"], f"{r['macs_share']:.3f}", r["strategy"], r["seed"], f"{r['error_pruned']:.4f}"),
            *(f"{r['accuracy_pruned']:.2%}", f"{r['accuracy_tuned']:.2%}", r["epochs"], f"{r['search_cpu_s']:.0f}"),
            *(f"{r['cpu_s']:.0f}", f"{r['latency_ms']:.2f}"),
        )
        for r in figures["rows"]
    ]
    return text_table(rows, header)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured."""
    parser.add_argument("--networks", default="resnet56,vgg16_half", help="names with commas")
    parser.add_argument("--targets", help="shares of MACs with commas (default: .5 of ResNet-56, .4 and .2 of VGG16)")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="names with commas (default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="how often each is measured (default: 1)")
    parser.add_argument("--images", type=int, default=250, help="that strategies look at (default: 250)")
    parser.add_argument("--epochs", type=int, default=40, help="most epochs of fine-tuning (default: 40)")
    parser.add_argument("--cpu-minutes", type=float, default=60, help="of search and tuning together (default: 60)")
    parser.add_argument("--test", type=int, default=0, help="test images (default: all)")


if __name__ == "__main__":
    run(
        "strategies",
        __doc__,
        measure,
        folders=("data", "work"),
        packages=("numpy", "keras", "tensorflow"),
        add_arguments=add_arguments,
        table=table,
    )
