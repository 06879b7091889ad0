"""Folders of small annotated pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
HEIGHT, WIDTH = 40, 60


def save(file: Path, pixels: np.ndarray | None = None) -> Path:
    """Save a picture of these pixels, or a gray one of 40 x 60."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 128, np.uint8) if pixels is None else pixels).save(file)
    return file
