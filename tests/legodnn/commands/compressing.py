"""How a model is asked to be compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from legodnn.compression import CompressionRecipe, compression_recipe


def halved(model: Path, **more: Any) -> CompressionRecipe:
    """Half of a model's multiply-accumulates, after an epoch."""
    given = {"name": "small", "data": "digits", "image_size": 8, "shares": (0.5,), "strategy": "l1"}
    return compression_recipe(model=str(model), distill_epochs=1, **given, **more)


def flags(model: Path, out: Path, *more: object) -> list[object]:
    return ["compress", model, "--data", "digits", "--image-size", 8, "--epochs", 2, "--out", out, *more]
