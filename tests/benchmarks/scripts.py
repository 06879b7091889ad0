"""Benchmarks as modules. They are scripts: Python puts their folder first, where they find what stands beside them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """Import a benchmark, or what benchmarks share (`support.report`), as Python finds it from a benchmark."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
