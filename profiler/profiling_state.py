"""What an interrupted profiling had measured: one file beside the profile, replaced as a whole every few seconds."""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.array_files import read_arrays, write_arrays
from legodnn.console import say
from legodnn.errors import ProfileError


class ProfilingState:
    """Arrays by stage and name, kept in a file until the profile is written.

    Args:
        path: the file; None keeps nothing.
        terms: what was measured and how, as JSON data; a file of other terms is not gone on with.
    """

    def __init__(self, path: Path | None, terms: Mapping[str, Any]) -> None:
        self._path, self._terms = path, json.dumps(terms, sort_keys=True)
        self._arrays: dict[str, np.ndarray] = {}
        if path is not None:  # what a process that was killed while writing left behind
            for half in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                half.unlink(missing_ok=True)
        if path is not None and path.exists():
            try:
                arrays = read_arrays(path, ProfileError, "measuring starts anew")
            except ProfileError as e:
                say(e, file=sys.stderr)
                return
            if str(arrays.pop("terms", "")) == self._terms:
                self._arrays = arrays
                say(f"going on with what {path} has", file=sys.stderr)
            else:
                say(f"{path} was measured elsewhere or otherwise: measuring starts anew", file=sys.stderr)

    def get(self, stage: str) -> dict[str, np.ndarray]:
        """The arrays of a stage; empty if it has none."""
        return {k.partition("|")[2]: v for k, v in self._arrays.items() if k.partition("|")[0] == stage}

    def put(self, stage: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the arrays of a stage, and write the file."""
        others = {k: v for k, v in self._arrays.items() if k.partition("|")[0] != stage}
        self._arrays = {**others, **{f"{stage}|{name}": array for name, array in arrays.items()}}
        if self._path is not None:
            write_arrays(self._path, {**self._arrays, "terms": np.array(self._terms)})
