"""Models that others made: what becomes of a folder of .tflite, .h5 and .keras files.

    python benchmarks/foreign.py FOLDER --json > foreign.json
    python benchmarks/foreign.py FOLDER --cut-at detector.tflite=raw_boxes

Each file is opened and cut; of .tflite files the graph is compared with the interpreter on two random images, relative
to the largest value; and every block is pruned at sparsity .9, to count the multiply-accumulates that can be removed.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.tflite.file import read_tflite
from legodnn.blocks.importing.tflite.post_processing import PostProcessing
from legodnn.blocks.post_processing_segment import post_processing_at
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import LegoError, ModelError
from legodnn.model_names import FILES, TFLITE
from legodnn.runtime.executors.interpreter import open_interpreter
from support.differences import difference
from support.foreign_files import add_cut_at, places_to_cut
from support.report import Bars, Figures, bar, run

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

TOLERANCE = 1e-5
SPARSITY = 0.9


def images(details: Sequence[Any], seed: int) -> list[Any]:
    """Return random inputs for a file, one image each: floats in [0, 1], or whole numbers of the file's type.

    Args:
        details: what the interpreter says about the file's inputs.
        seed: of the numbers.
    """
    rng, found = np.random.default_rng(seed), []
    for detail in details:
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
        if dtype.kind == "f":
            found.append(rng.random(shape, np.float32))
        else:
            found.append(rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype))
    return found


def as_graph_takes(model: keras.Model, details: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Return a file's inputs as its graph takes them: int8 as the numbers that it stands for, channels last."""
    found = []
    for t, x, detail in zip(model.inputs, inputs, details, strict=True):
        scale, zero = detail["quantization"]
        x = (x.astype(np.float32) - zero) * np.float32(scale) if scale and x.dtype != np.uint8 else x.astype(np.float32)
        found.append(x.transpose(0, 2, 3, 1) if x.ndim == 4 and x.shape[1:] != tuple(t.shape[1:]) else x)
    return found


def difference_from_interpreter(
    model: keras.Model, content: bytes, post: PostProcessing | None, reference: bool
) -> float:
    """Return the largest difference from the interpreter in an output, over that output's largest value.

    Args:
        model: the opened file.
        content: the file.
        post: what it computes behind the graph.
        reference: whether the model itself is left out, and the interpreter compared with its own reference kernels:
            how far two right answers can be apart.
    """
    interpreter, worst = open_interpreter(model_content=content, threads=1), 0.0
    details = interpreter.get_input_details()
    for seed in range(2):
        inputs = images(details, seed)
        wanted = _by_interpreter(interpreter, inputs)
        if reference:
            found = _by_interpreter(open_interpreter(plain=True, model_content=content), inputs)
        else:
            found = as_list(model(alone(as_graph_takes(model, details, inputs)), training=False))
            if post:
                gives = _by_interpreter(
                    open_interpreter(model_content=post.content, threads=1), found[: len(post.reads)]
                )
                found = [gives[n] if n >= 0 else found[-1 - n] for n in post.finals]
        worst = max(worst, difference(found, wanted))
    return worst


def _by_interpreter(interpreter: Any, inputs: Sequence[Any]) -> list[Any]:
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    found = []
    for detail in interpreter.get_output_details():
        y, (scale, zero) = np.array(interpreter.get_tensor(detail["index"])), detail["quantization"]
        found.append((y.astype(np.float32) - zero) * scale if scale else y)
    return found


def examine(path: Path, cut_at: Sequence[str]) -> dict[str, Any]:
    """Open, compare, cut and prune a file; return its row of the table."""
    row: dict[str, Any] = {"file": path.name, "bytes": path.stat().st_size}
    if path.suffix == TFLITE:
        content = path.read_bytes()
        graph = read_tflite(content)
        row["operators"] = dict(Counter(o.kind for o in graph.operators).most_common())
        row["quantised"] = any(len(t.scales) > 0 and t.data is not None for t in graph.tensors)
        custom = any(kind.startswith("CUSTOM") for kind in row["operators"])
    post = None if cut_at else post_processing_at(str(path))
    model = open_model(str(path), cut_at=post.cut_at if post else cut_at)
    if path.suffix == TFLITE and not cut_at and not custom:
        row["post_processing"] = list(post.kinds) if post else []
        row["difference"] = difference_from_interpreter(model, content, post, reference=False)
        row["reference_difference"] = difference_from_interpreter(model, content, post, reference=True)
    row |= {"cut_at": list(cut_at), "params": model.count_params(), "macs": macs(model)}
    try:
        blocks = [p for p in extract(model, max_blocks=16) if p.kind == "block"]
    except ModelError as e:
        return {**row, "no_block": str(e)}
    removable = sum(macs(p.model) - macs(descendant(p.model, SPARSITY)) for p in blocks)
    channels = sum(len(group.coupled) for p in blocks for group in analyse(p.model).groups)
    return {
        **row,
        "blocks": len(blocks),
        "channels": channels,
        "macs_in_blocks": sum(macs(p.model) for p in blocks) / row["macs"],
        "macs_removable": removable / row["macs"],
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("folder", type=Path, help="folder of models; folders in it are searched too")
    add_cut_at(parser)


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Examine every file once, whatever folders it lies in; with --quick the smallest three."""
    cuts = places_to_cut(args)
    found = {path.name: path for path in sorted(args.folder.rglob("*")) if path.suffix in (TFLITE, *FILES)}
    paths = sorted(found.values(), key=lambda path: path.stat().st_size)[: 3 if args.quick else None]
    rows = []
    for path in sorted(paths):
        keras.backend.clear_session()
        try:
            rows.append(examine(path, cuts.get(path.name, [])))
        except LegoError as e:
            rows.append({"file": path.name, "refused": str(e)})
        print(f"{path.name}: {rows[-1].get('refused', 'done')}", file=sys.stderr, flush=True)
    floats = [r for r in rows if "difference" in r and not r["quantised"]]
    astray = [r for r in floats if r["difference"] > max(TOLERANCE, 2 * r["reference_difference"])]
    return {"files": rows}, [bar("float files that are off by more than rounding", len(astray), 0)]


def markdown(figures: Figures) -> str:
    """Return a table with a row for each file."""
    header = ("file", "operators", "difference", "blocks", "channels that can go", "MACs", "in blocks", "removable")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for r in figures["files"]:
        if "refused" in r:
            lines.append(f"| {r['file']} | {r['refused']} |" + " |" * (len(header) - 2))
            continue
        kinds = ", ".join(f"{n} {kind}" for kind, n in r.get("operators", {}).items())
        off = f"{r['difference']:.0e} ({r['reference_difference']:.0e})" if "difference" in r else ""
        work = f"{r['macs'] / 1e6:.3g} M"
        shares = f"{r.get('macs_in_blocks', 0):.0%} | {r.get('macs_removable', 0):.0%}"
        cut = f", cut at `{', '.join(r['cut_at'])}`" if r["cut_at"] else ""
        cells = (r["file"] + cut, kinds, off, str(r.get("blocks", 0)), str(r.get("channels", 0)), work, shares)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    packages = ["keras", "tensorflow", "numpy"]
    run("foreign", __doc__, measure, packages=packages, add_arguments=add_arguments, table=markdown)
