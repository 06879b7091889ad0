"""Processes of our own."""

from __future__ import annotations

import os
import sys


def child_environment() -> dict[str, str]:
    """The environment for a Python process that imports what this one imports, wherever it was found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
