"""What a profiling has measured so far, kept so that an interrupted one can go on.

It is one .npz file beside the profile, replaced as a whole whenever a stage saves. A stage names its arrays by keys of
its own, which are texts, whole numbers, or tuples of these; the file names each array by stage and key, as JSON.
"""

from __future__ import annotations

import glob
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import read_arrays, write_arrays
from legodnn.errors import ProfileError

log = logging.getLogger("legodnn.profiler")

# Arrays by key. What the keys are depends on the stage: see the function that measures it.
KeptArrays = Mapping[Any, NDArray[Any]]


def _save_nothing(arrays: KeptArrays) -> None:
    pass


@dataclass(frozen=True)
class StageState:
    """What one stage of an interrupted profiling had measured, and how it saves what it measures now.

    Attributes:
        done: the arrays that were measured before; empty if the stage had not begun.
        save: replaces all arrays of the stage. By default they are not kept.
    """

    done: KeptArrays = field(default_factory=dict)
    save: Callable[[KeptArrays], None] = _save_nothing


class ProfilingState:
    """Arrays by stage and key, kept in a file until the profile is written.

    Args:
        path: the file; None to keep the arrays in memory only.
        terms: what is measured and how, as JSON data; arrays that were measured under other terms are not used.
    """

    def __init__(self, path: Path | None, terms: Mapping[str, Any]) -> None:
        self._path, self._terms = path, json.dumps(terms, sort_keys=True)
        self._arrays: dict[tuple[str, Any], NDArray[Any]] = {}
        if path is not None:
            _remove_unfinished(path)
            if path.exists():
                self._arrays = _read(path, self._terms)

    def stage(self, name: str) -> StageState:
        """The state of a stage, with its arrays as they are now."""
        return StageState(self._stage(name), partial(self._save, name))

    def _stage(self, name: str) -> dict[Any, NDArray[Any]]:
        return {key: array for (stage, key), array in self._arrays.items() if stage == name}

    def _save(self, name: str, arrays: KeptArrays) -> None:
        others = {key: array for key, array in self._arrays.items() if key[0] != name}
        self._arrays = {**others, **{(name, key): array for key, array in arrays.items()}}
        if self._path is not None:
            named = {json.dumps(key): array for key, array in self._arrays.items()}
            write_arrays(self._path, {**named, "terms": np.array(self._terms)})


def _remove_unfinished(path: Path) -> None:
    """Remove the temporary files that processes left behind which were killed while they wrote the state."""
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        unfinished.unlink(missing_ok=True)


def _read(path: Path, terms: str) -> dict[tuple[str, Any], NDArray[Any]]:
    """The arrays of a file by stage and key; none, and a note in the log, if it is damaged or of other terms."""
    try:
        arrays = read_arrays(path, ProfileError, "measuring starts anew")
        if str(arrays.pop("terms", "")) == terms:
            found = {_parsed(name, path): array for name, array in arrays.items()}
            log.info("going on with what %s has", path)
            return found
    except ProfileError as e:
        log.warning("%s", e)
        return {}
    log.info("%s was measured elsewhere or otherwise: measuring starts anew", path)
    return {}


def _parsed(name: str, path: Path) -> tuple[str, Any]:
    """Stage and key of an array's name; a tuple is a list in JSON."""
    try:
        stage, key = json.loads(name)
        key = tuple(key) if isinstance(key, list) else key
        hash((stage, key))
    except (ValueError, TypeError):
        raise ProfileError(f"{path} holds an array {name!r}, which no stage keeps; measuring starts anew") from None
    return stage, key
