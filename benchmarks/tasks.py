"""How many model sizes the networks of six tasks offer, block by block, against whole models at as many sparsities.

    python benchmarks/tasks.py --json > benchmarks/results/tasks.json
    python benchmarks/tasks.py --quick
    python benchmarks/tasks.py --work DIR            (interrupted, it goes on)
    python benchmarks/tasks.py yolov3 tsn

Every network has an eighth of its channels, random weights and small images. It is cut as a build cuts it, and every
block is pruned at the sparsities that a recipe has by default, without rounding of channels. Options of a block differ
in multiply-accumulates; sizes of the model are the different sums of compositions. Nothing is trained; all is float32.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.prune import descendant
from legodnn.recipe import Recipe
from support.kept import kept
from support.networks import of_six_tasks
from support.report import Bars, Figures, run

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

WIDTH, SHAPE = 1 / 8, (64, 64, 3)
SPARSITIES: tuple[float, ...] = Recipe.model_fields["sparsities"].default
NETWORKS = of_six_tasks(WIDTH, SHAPE)
QUICK = ("gpnd", "trn_relations")


def distinct_sums(options: Sequence[Sequence[int]]) -> int:
    """Return how many different sums there are of one number of each sequence.

    Args:
        options: whole numbers, at least one in each sequence.
    """
    steps = [[number - min(numbers) for number in numbers] for numbers in options]
    unit = math.gcd(*(step for numbers in steps for step in numbers)) or 1
    reached = 1  # bit n is set where a sum of n units is
    for numbers in steps:
        before, reached = reached, 0
        for step in set(numbers):
            reached |= before << (step // unit)
    return reached.bit_count()


def count(model: keras.Model, sparsities: Sequence[float] = SPARSITIES) -> Figures:
    """Cut a model and prune its blocks; return how many compositions and sizes there are."""
    blocks = [piece.model for piece in extract(model, max_blocks=16) if piece.kind == "block"]
    options = [sorted({macs(block), *(macs(descendant(block, s)) for s in sparsities)}) for block in blocks]
    total = macs(model)
    fixed = total - sum(macs(block) for block in blocks)
    return {
        "blocks": len(blocks),
        "options": [len(numbers) for numbers in options],
        "compositions": math.prod(len(numbers) for numbers in options),
        "sizes": distinct_sums(options),
        "whole_model_sizes": 1 + len(sparsities),
        "macs": total,
        "least_macs": fixed + sum(numbers[0] for numbers in options),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"of: {', '.join(NETWORKS)} (default: all)")


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Count what the networks that are asked for offer; with --quick, and without names, those of `QUICK`."""
    names = args.networks or (QUICK if args.quick else tuple(NETWORKS))
    if unknown := [name for name in names if name not in NETWORKS]:
        sys.exit(f"no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    rows = [kept(args.work and args.work / f"{name}.json", partial(counted, name)) for name in names]
    return {"width": WIDTH, "sparsities": SPARSITIES, "networks": rows}, []


def counted(name: str) -> dict[str, Any]:
    """Return a network's row."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    start, (task, make) = time.monotonic(), NETWORKS[name]
    row = {"network": name, "task": task, **count(make()), "seconds": time.monotonic() - start}
    print(f"{name}: {row['seconds']:.0f} s", file=sys.stderr, flush=True)
    return row


def markdown(figures: Figures) -> str:
    """Return a table with a row for each network."""
    lines = ["| task | network | blocks | compositions | sizes | of whole models |", "|---" * 6 + "|"]
    for row in figures["networks"]:
        cells = (row["blocks"], f"{row['compositions']:,}", f"{row['sizes']:,}", row["whole_model_sizes"])
        lines.append(f"| {row['task']} | `{row['network']}` | " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("tasks", __doc__, measure, folders=["work"], packages=packages, add_arguments=add_arguments, table=markdown)
