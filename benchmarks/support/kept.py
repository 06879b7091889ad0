"""What a benchmark has made already, so that one that was interrupted goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from legodnn.files import write_atomic


def kept(file: Path | None, make: Callable[[], Any]) -> Any:
    """Return what a JSON file holds, and make it first if there is none; for None make it, and keep nothing."""
    if file is None:
        return make()
    if not file.exists():
        write_atomic(file, json.dumps(make()))
    return json.loads(file.read_text())


def begun(work: Path | None, settings: Mapping[str, Any]) -> None:
    """Exit if a folder, where there is one, was begun with other settings: what it holds was made with those."""
    if work and kept(work / "settings.json", lambda: settings) != settings:
        sys.exit(f"{work} was begun with other arguments (see its settings.json); give another --work")
