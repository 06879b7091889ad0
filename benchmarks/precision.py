"""What float16 and int8 options cost and save against their float32 twins.

    python benchmarks/precision.py --data DATA --weights WEIGHTS --json > benchmarks/results/precision.json
    python benchmarks/precision.py --data DATA --weights WEIGHTS --quick

DATA holds cifar-10-batches-py, WEIGHTS resnet20_cifar10.npz. Every block of ResNet-20 gets descendants, distilled on
part of the training images; each option in each precision, alone in place of its original, classifies the CIFAR-10
test images. Latency is of the block's file on one thread, twins in turn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from report import bar, json_line

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.data_sources import load
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.distill import distill
from legodnn.console import ProgressLine, text_table
from legodnn.runtime.executors.interpreter import open_interpreter

SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)
PRECISIONS = ("float32", "float16", "int8")
BATCH = 50
CALIBRATION = 128


def latencies_ms(files: Sequence[bytes], rounds: int) -> list[float]:
    """Median latency of each file, timed in turn."""
    interpreters = [open_interpreter(threads=1, model_content=content) for content in files]
    samples: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for interpreter, found in zip(interpreters, samples, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            found.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(found) for found in samples]


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each block and sparsity."""
    data = load(f"cifar10:{Path(args.data) / 'cifar-10-batches-py'}")
    train = data.train.first(1280 if args.quick else 12800)
    data, test = replace(data, train=train), data.test.first(500 if args.quick else 10000)
    model = open_model("resnet20", weights=str(Path(args.weights) / "resnet20_cifar10.npz"))
    pieces = extract(model)
    sparsities = SPARSITIES[2:4] if args.quick else SPARSITIES
    students = {p.name: [descendant(p.model, s) for s in sparsities] for p in pieces if p.kind == "block"}
    distill(pieces, students, data, 1, 128, progress=ProgressLine)
    originals = [Runner(convert(p.model, BATCH)) for p in pieces]
    before, features = {pieces[0].inputs[0]: test.x}, {pieces[0].inputs[0]: data.train.x[:CALIBRATION]}
    rows = []
    with ProgressLine("evaluating", len(students) * (len(sparsities) + 1)) as progress:
        for i, piece in enumerate(pieces):
            calibration = [features[name] for name in piece.inputs]
            if piece.kind == "block":
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
    """Medians over all twins."""
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


def main() -> int:
    """Measure, print table, figures and bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds cifar-10-batches-py")
    parser.add_argument("--weights", required=True, help="folder of the trained weights")
    parser.add_argument("--quick", action="store_true", help="few images and options: shows that it works")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    args = parser.parse_args()
    rows = measure(args)
    figures = {"options": rows, **{precision: summary(rows, precision) for precision in PRECISIONS[1:]}}
    if not args.json:
        cells = [
            (
                r["block"],
                r["sparsity"],
                *(f"{r[p]['accuracy']:.4f}" for p in PRECISIONS),
                *(r[p]["bytes"] for p in PRECISIONS),
            )
            for r in rows
        ]
        print(text_table(cells, ("block", "sparsity", *PRECISIONS, *(f"bytes {p}" for p in PRECISIONS))))
    found = figures["int8"]
    bars = [
        bar("int8: points lost, median", found["points_lost_median"], 1.0, "lower"),
        bar("int8: times smaller, median", found["times_smaller_median"], 2.0, "higher"),
    ]
    print(json_line("precision", figures, bars, ["keras", "tensorflow", "numpy"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
