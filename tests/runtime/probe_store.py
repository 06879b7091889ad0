"""Stores of a chain of blocks that all have the same options, made without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from legodnn.files import sha256_bytes
from legodnn.manifest import Precision
from legodnn.profiler.probe_blocks import probe_file
from legodnn.store import Store


def probe_store(
    path: Path, size: int, channels: int, widths: Sequence[int], blocks: int, precision: Precision = "float32"
) -> Store:
    """Make a store of blocks of two convolutions, whose inner widths vary.

    Args:
        path: its folder, which must not exist.
        size: height and width of all tensors.
        channels: of the tensors between blocks.
        widths: channels inside of each block's options, which are called w8 and so on, the largest first.
        blocks: the number of blocks.
        precision: float32, or int8, in which all blocks meet in the same whole numbers.
    """
    files = {f"w{width}": probe_file("conv", precision, size, channels, width) for width in widths}
    return chain_store(path, files, (size, size, channels), "float32", blocks)


def chain_store(path: Path, files: Mapping[str, bytes], shape: Sequence[int], dtype: str, blocks: int) -> Store:
    """Make a store.

    Args:
        path: its folder, which must not exist.
        files: what the `.tflite` file of each option holds, by its name; the first is the original.
        shape, dtype: of all tensors: the input t0, those between blocks, and the output t`blocks`.
        blocks: the number of blocks, which are called b0, b1 and so on.
    """
    path.mkdir()
    options = []
    for number, (name, content) in enumerate(files.items()):
        (path / f"{name}.tflite").write_bytes(content)
        figures = {"bytes": len(content), "params": 1, "macs": 1, "sha256": sha256_bytes(content)}
        share = number / len(files)
        options.append({"name": name, "sparsity": share, "loss": share, "file": f"{name}.tflite", **figures})
    tensors = [{"name": f"t{i}", "shape": shape, "dtype": dtype} for i in range(blocks + 1)]
    manifest = {
        "schema": "legodnn.store/1",
        "model": {"name": path.name, "task": "none"},
        "inputs": tensors[:1],
        "outputs": [f"t{blocks}"],
        "tensors": tensors[1:],
        "segments": [
            {"name": f"b{i}", "kind": "block", "inputs": [f"t{i}"], "outputs": [f"t{i + 1}"], "options": options}
            for i in range(blocks)
        ],
        "accuracy": {
            **{"metric": "top1", "data": "none", "original": 1.0, "error": 0.0, "samples": 0},
            "link": {"x": [0, 3], "y": [1, 0]},
        },
        "built": {"created": "", "versions": {}, "seed": 0, "recipe": {}},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Store(path)
