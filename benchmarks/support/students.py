"""Descendants of all blocks that have been trained, kept in a file with the seconds that it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Students = dict[str, list[Any]]  # Keras models by block, one for each sparsity
Seconds = tuple[float, float]  # by the clock, and of processor time


def save_students(file: Path, students: Students, seconds: Seconds) -> None:
    """Keep the students' weights, and the seconds that their training took."""
    weights = [w for models in students.values() for model in models for w in model.get_weights()]
    np.savez(file, *weights, seconds=np.array(seconds))


def load_students(file: Path, students: Students) -> Seconds:
    """Put kept weights into students, and return the seconds that their training took."""
    with np.load(file) as arrays:
        number = iter(range(len(arrays.files)))
        for models in students.values():
            for model in models:
                model.set_weights([arrays[f"arr_{next(number)}"] for _ in model.weights])
        wall, cpu = arrays["seconds"].tolist()
    return wall, cpu
