"""What the rewrites of exported models save: operators and time, network by network, before and after.

    python benchmarks/rewrites.py --json > benchmarks/results/rewrites.json
    python benchmarks/rewrites.py --quick
    python benchmarks/rewrites.py --work DIR       (interrupted, it goes on)
    python benchmarks/rewrites.py DenseNet121 detector

Each network has random weights, 96x96 pixels and 10 classes, and is converted whole, in float32 and in int8, without
and with the rewrites of legodnn.blocks.export.rewrite. Where the two files differ, they take turns on one thread, and
the processor time of an inference is measured, which other work on the machine disturbs less than the clock's; for
the rest there is nothing to time. `patterns` counts the pairs of operators that a rewrite could be made for, and
`off` is the largest difference from the float32 file without rewrites, over the largest value.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from legodnn.blocks.export.convert import Runner, concrete_function, convert, convert_function
from legodnn.blocks.export.rewrite import REWRITES, stand_ins, wiring_of
from legodnn.blocks.importing.opening import functional
from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.runtime.executors.interpreter import open_interpreter
from support.differences import difference
from support.kept import begun, kept
from support.report import Bars, Figures, bar, run, spread
from support.timing import in_turns
from zoo import images, make, operators

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

NETWORKS = (
    "detector", "DenseNet121", "ResNet50V2", "ConvNeXtTiny", "MobileNetV3Small", "MobileNetV2", "ResNet50",
    "EfficientNetB0", "unet", "Xception", "deeplabv3", "InceptionV3",
)  # fmt: skip
QUICK = ("MobileNetV2", "detector")
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
# Kinds of operators that could be one where the second alone reads the first.
PATTERNS = (
    ("MUL", "ADD"), ("ADD", "MUL"), ("SUB", "MUL"), ("PAD", "CONV_2D"), ("PAD", "DEPTHWISE_CONV_2D"),
    ("RESHAPE", "TILE"), ("TRANSPOSE", "TRANSPOSE"), ("CONV_2D", "MUL"), ("CONV_2D", "RELU"), ("ADD", "RELU"),
)  # fmt: skip
CALIBRATION = 4
NO_SLOWER = 1.02  # differences of a hundredth are the machine's


def patterns(content: bytes) -> dict[str, int]:
    """Return how often each of `PATTERNS` occurs in a file, by its kinds: 'MUL>ADD'."""
    details = open_interpreter(model_content=content, threads=1)._get_ops_details()
    details = [d for d in details if d["op_name"] != "DELEGATE"]
    kinds = {int(made): d["op_name"] for d in details for made in d["outputs"]}
    reads = Counter(int(i) for d in details for i in d["inputs"] if i >= 0)
    pairs = ((kinds.get(int(i)), d["op_name"]) for d in details for i in d["inputs"] if reads[int(i)] == 1)
    return {">".join(pair): count for pair, count in Counter(p for p in pairs if p in PATTERNS).items()}


def examine(name: str, seconds: float) -> dict[str, Any]:
    """Convert a network without and with the rewrites, and compare the files; return its row of the table."""
    keras.backend.clear_session()
    model = functional(make(name))
    wiring = wiring_of(model)
    row: dict[str, Any] = {"model": name, "calls": {}}
    for rewrite in REWRITES:
        if found := rewrite(wiring):
            row["calls"][rewrite.__name__] = len(found)
    inputs = list(images(model, 1, seed=0).values())
    calibration = list(images(model, CALIBRATION, seed=1).values())
    if not stand_ins(model):  # then the converter is given the same
        content = convert(model)
        row["float32"] = compared({"before": content, "after": content})
        print(f"{name}: the same file", file=sys.stderr, flush=True)
        return row
    exact: list[Any] = []
    for precision in PRECISIONS:
        try:
            files = {
                when: convert_function(concrete_function(model, 1, rewrites), name, 1, precision, calibration)
                for when, rewrites in (("before", ()), ("after", REWRITES))
            }
        except ModelError as e:
            row[precision] = {"failed": str(e)}
            continue
        runners = {when: Runner(content, threads=1) for when, content in files.items()}
        exact = exact or runners["before"](*inputs)
        off = {when: difference(runner(*inputs), exact) for when, runner in runners.items()}
        times = in_turns(
            {when: partial(runner, *inputs) for when, runner in runners.items()}, seconds, time.process_time
        )
        ms = {when: spread(found) for when, found in times.items()}
        row[precision] = {**compared(files), "off": off, "ms": ms}
        row[precision]["ratio"] = ms["after"]["median"] / ms["before"]["median"]
    print(f"{name}: {row['float32'].get('ratio')}", file=sys.stderr, flush=True)
    return row


def compared(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the operators of two files, and the patterns that are left in each."""
    kinds = {when: operators(content) for when, content in files.items()}
    return {
        "operators": {when: found.total() for when, found in kinds.items()},
        "gone": dict(kinds["before"] - kinds["after"]),
        "new": dict(kinds["after"] - kinds["before"]),
        "left": dict(kinds["after"].most_common()),
        "patterns": {when: patterns(content) for when, content in files.items()},
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("models", nargs="*", help=f"names as in zoo.py (default: {', '.join(NETWORKS)})")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Examine the networks that are asked for; with --quick, and without names, those of `QUICK`."""
    names = args.models or (QUICK if args.quick else NETWORKS)
    begun(args.work, {"quick": args.quick})
    make_row = partial(examine, seconds=2 if args.quick else 10)
    return summary([kept(args.work and args.work / f"{name}.json", partial(make_row, name)) for name in names])


def summary(rows: Sequence[dict[str, Any]]) -> tuple[Figures, Bars]:
    """Return all figures, and those that have a goal."""
    ratios = [row["float32"].get("ratio", 1.0) for row in rows]
    figures: Figures = {"networks": list(rows), "mean_faster": 1 - statistics.mean(ratios)}
    off = max((row["float32"]["off"]["after"] for row in rows if "off" in row["float32"]), default=0.0)
    bars = [
        bar("largest difference in float32", off, 1e-4),
        bar("networks that are slower", sum(ratio > NO_SLOWER for ratio in ratios), 0),
        bar(
            "networks with an operator more",
            sum(_operators(row, "after") > _operators(row, "before") for row in rows),
            0,
        ),
    ]
    return figures, bars


def _operators(row: dict[str, Any], when: str) -> int:
    return int(row["float32"]["operators"][when])


def markdown(figures: Figures) -> str:
    """Return a table with a row for each network."""
    header = ("network", "operators", "after", "float32 ms", "after", "int8 ms", "after")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for row in figures["networks"]:
        cells = [row["model"], *(str(_operators(row, when)) for when in ("before", "after"))]
        for precision in PRECISIONS:
            ms = row.get(precision, {}).get("ms")
            cells += [f"{ms[when]['median']:.3g}" if ms else "-" for when in ("before", "after")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("rewrites", __doc__, measure, folders=["work"], packages=packages, add_arguments=add_arguments, table=markdown)
