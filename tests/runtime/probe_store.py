"""A store of blocks of two convolutions, whose inner widths vary, made without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from legodnn.files import sha256_bytes
from legodnn.profiler.probe_blocks import probe_file
from legodnn.store import Store


def probe_store(path: Path, size: int, channels: int, widths: Sequence[int], blocks: int) -> Store:
    """Make one.

    Args:
        path: its folder, which must not exist.
        size: height and width of all tensors.
        channels: of the tensors between blocks; inputs are t0, outputs t`blocks`.
        widths: channels inside of each block's options, which are called w8 and so on, the largest first.
        blocks: the number of blocks, which are called b0, b1 and so on.
    """
    path.mkdir()
    options = []
    for width in widths:
        content = probe_file("conv", "float32", size, channels, width)
        (path / f"{width}.tflite").write_bytes(content)
        figures = {"bytes": len(content), "params": 1, "macs": 1, "loss": 1 / width, "sha256": sha256_bytes(content)}
        named = {"name": f"w{width}", "sparsity": 1 - width / widths[0], "file": f"{width}.tflite"}
        options.append({**named, **figures})
    shape = (size, size, channels)
    manifest = {
        "schema": "legodnn.store/1",
        "model": {"name": path.name, "task": "none"},
        "inputs": [{"name": "t0", "shape": shape}],
        "outputs": [f"t{blocks}"],
        "tensors": [{"name": f"t{i + 1}", "shape": shape} for i in range(blocks)],
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
