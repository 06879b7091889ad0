"""What float16 and int8 options cost and save against their float32 twins.

    python benchmarks/precision.py --data DATA --json > benchmarks/results/precision.json
    python benchmarks/precision.py --data DATA --quick

DATA holds cifar-10-batches-py, and in weights/ resnet20_cifar10.npz. Every block of ResNet-20 gets descendants, which
are distilled on part of the training images. Each option in each precision replaces its block's original, no other is
replaced, and the model classifies the CIFAR-10 test images. Latency is that of the block's file on one thread; the
precisions of an option take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.distill import distill
from legodnn.console import ProgressLine, text_table
from legodnn.manifest import Precision
from legodnn.runtime.executors.interpreter import open_interpreter
from support.report import Bars, Figures, bar, run

SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
BATCH = 50
CALIBRATION = 128


def latencies_ms(files: Sequence[bytes], rounds: int) -> list[float]:
    """Return the median latency of each file, in milliseconds; they are timed in turn."""
    interpreters = [open_interpreter(threads=1, model_content=content) for content in files]
    samples: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for interpreter, found in zip(interpreters, samples, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            found.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(found) for found in samples]


def measured(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each block and sparsity."""
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    train = data.train.first(1280 if args.quick else 12800)
    data, test = replace(data, train=train), data.test.first(500 if args.quick else 10000)
    model = open_model("resnet20", weights=str(args.data / "weights" / "resnet20_cifar10.npz"))
    pieces = extract(model, max_blocks=16)
    sparsities = SPARSITIES[2:4] if args.quick else SPARSITIES
    blocks = [p for p in pieces if p.kind == "block"][: 2 if args.quick else None]
    students = {p.name: [descendant(p.model, s) for s in sparsities] for p in blocks}
    distill(pieces, students, data, 1, 128, progress=ProgressLine)
    originals = [Runner(convert(p.model, BATCH)) for p in pieces]
    before: dict[str, Any] = {pieces[0].inputs[0]: test.x}
    features: dict[str, Any] = {pieces[0].inputs[0]: data.train.x[:CALIBRATION]}
    rows = []
    with ProgressLine("evaluating", len(students) * (len(sparsities) + 1)) as progress:
        for i, piece in enumerate(pieces):
            calibration = [features[name] for name in piece.inputs]
            if piece.name in students:
                for sparsity, student in zip((0.0, *sparsities), [piece.model, *students[piece.name]], strict=True):
                    row: dict[str, Any] = {"block": piece.name, "sparsity": sparsity}
                    files = [convert(student, 1, p, calibration) for p in PRECISIONS]
                    times = latencies_ms(files, 20 if args.quick else 200)
                    for precision, content, ms in zip(PRECISIONS, files, times, strict=True):
                        swapped = Runner(convert(student, BATCH, precision, calibration))
                        tensors = dict(before)
                        for later, runner in zip(pieces[i:], [swapped, *originals[i + 1 :]], strict=True):
                            outputs = runner(*(tensors[name] for name in later.inputs))
                            tensors.update(zip(later.outputs, outputs, strict=True))
                        accuracy = float((tensors[pieces[-1].outputs[0]].argmax(axis=1) == test.y).mean())
                        row[precision] = {"accuracy": accuracy, "bytes": len(content), "median_ms": ms}
                    rows.append(row)
                    progress.step(piece.name)
            for tensors in (before, features):
                outputs = originals[i](*(tensors[name] for name in piece.inputs))
                tensors.update(zip(piece.outputs, outputs, strict=True))
    return rows


def summary(rows: Sequence[dict[str, Any]], precision: str) -> dict[str, Any]:
    """Return what a precision costs and saves against float32: medians over all options."""
    lost = [100 * (r["float32"]["accuracy"] - r[precision]["accuracy"]) for r in rows]
    smaller = [r["float32"]["bytes"] / r[precision]["bytes"] for r in rows]
    faster = [r["float32"]["median_ms"] / r[precision]["median_ms"] for r in rows]
    return {
        "points_lost_median": statistics.median(lost),
        "points_lost_worst": max(lost),
        "times_smaller_median": statistics.median(smaller),
        "times_smaller_least": min(smaller),
        "times_faster_median": statistics.median(faster),
        "times_faster_range": [min(faster), max(faster)],
    }


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure all options, and summarise."""
    rows = measured(args)
    figures: Figures = {"options": rows}
    for precision in PRECISIONS[1:]:
        figures[precision] = summary(rows, precision)
    found = figures["int8"]
    bars = [
        bar("int8: points lost, median", found["points_lost_median"], 1.0, "lower"),
        bar("int8: times smaller, median", found["times_smaller_median"], 2.0, "higher"),
    ]
    return figures, bars


def table(figures: Figures) -> str:
    """Return a line for each option, with its accuracy and bytes in each precision."""
    rows: list[dict[str, Any]] = figures["options"]
    cells = []
    for row in rows:
        accuracies, sizes = ([row[p][key] for p in PRECISIONS] for key in ("accuracy", "bytes"))
        cells.append((row["block"], row["sparsity"], *(f"{accuracy:.4f}" for accuracy in accuracies), *sizes))
    return text_table(cells, ("block", "sparsity", *PRECISIONS, *(f"bytes {p}" for p in PRECISIONS)))


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("precision", __doc__, measure, folders=["data"], packages=packages, table=table)
