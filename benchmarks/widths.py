"""How the latency of single layers rises with their channels: the steps that widths are rounded for.

    python benchmarks/widths.py --json > benchmarks/results/widths.json
    python benchmarks/widths.py --quick

A 3x3 convolution and a 1x1 convolution of 16x16 pixels get 1 to 80 output channels for 64 input channels, and 1 to 80
input channels for 64 output channels; a depthwise 3x3 convolution gets 1 to 80 channels. Each is a file of its own, run
by the Interpreter (XNNPACK) on one thread, in float32 and in int8 with float32 inputs and outputs. The widths of a
layer take turns in random order; the least of the runs counts. There is no goal: these figures say what can be one.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import numpy as np

from legodnn.arrays import Shape
from legodnn.console import ProgressLine, text_table
from legodnn.profiler.probe_blocks import CONVOLUTION, DEPTHWISE, layers_file
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.widths_table import step_edges
from support.report import Bars, Figures, run

PIXELS, OTHER = 16, 64
SHOWN = (1, 4, 8, 9, 16, 17, 24, 32, 33, 48, 64, 65, 80)
Layer = tuple[tuple[int, int], Shape]


def layers(width: int) -> dict[str, Layer]:
    """Return every layer with a width: its kind of operator, and the shape of its weights."""
    return {
        "3x3, output channels": (CONVOLUTION, (width, 3, 3, OTHER)),
        "3x3, input channels": (CONVOLUTION, (OTHER, 3, 3, width)),
        "1x1, output channels": (CONVOLUTION, (width, 1, 1, OTHER)),
        "1x1, input channels": (CONVOLUTION, (OTHER, 1, 1, width)),
        "depthwise 3x3": (DEPTHWISE, (1, 3, 3, width)),
    }


def least_us(files: dict[int, bytes], rounds: int) -> list[float]:
    """Return the least microseconds of each file, in order of width."""
    interpreters = {}
    for width, content in files.items():
        interpreters[width] = open_interpreter(model_content=content, threads=1)
        (x,) = interpreters[width].get_input_details()
        interpreters[width].set_tensor(x["index"], np.random.default_rng(0).random(x["shape"], np.float32))
    least = dict.fromkeys(files, float("inf"))
    for _ in range(rounds):
        for width in random.sample(list(files), len(files)):
            interpreters[width].invoke()  # caches hold another width
            for _ in range(3):
                start = time.perf_counter()
                interpreters[width].invoke()
                least[width] = min(least[width], (time.perf_counter() - start) * 1e6)
    return [least[width] for width in files]


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Time every layer with every width."""
    widths, rounds = range(1, 25 if args.quick else 81), 5 if args.quick else 60
    figures: Figures = {}
    with ProgressLine("timing layers", 2 * len(layers(1))) as task:
        for precision in ("float32", "int8"):
            for name in layers(1):
                files: dict[int, bytes] = {}
                for w in widths:
                    files[w] = layers_file("int8" if precision == "int8" else "float32", PIXELS, [layers(w)[name]])
                us = least_us(files, rounds)
                figures[f"{precision}, {name}"] = {"us": us, "steps": list(step_edges([us]))}
                task.step(f"{precision}, {name}")
    return figures, []


def table(figures: dict[str, Any]) -> str:
    """Return a line for each layer and precision."""
    rows = []
    for name, found in figures.items():
        us = [f"{found['us'][w - 1]:.1f}" if w <= len(found["us"]) else "" for w in SHOWN]
        rows.append([name, ", ".join(map(str, found["steps"])) or "none", *us])
    return text_table(rows, ("layer", "steps at", *(f"µs at {w}" for w in SHOWN)))


if __name__ == "__main__":
    run("widths", __doc__, measure, table=table)
