"""What a benchmark has made already, so that one that was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legodnn.files import write_atomic


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """Return what a JSON file holds, and make it first if there is none."""
    if not file.exists():
        write_atomic(file, json.dumps(make()))
    return json.loads(file.read_text())
