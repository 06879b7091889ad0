"""Digests of what a build started from: a folder of unfinished work is of one model and one data set."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import keras
import numpy as np

from legodnn.blocks.importing.data import SPLITS, Dataset, input_arrays
from legodnn.blocks.importing.graph import calls

_ROWS = 16  # of each split, which tell data sets apart that have the same shapes


def source_digests(model: keras.Model, data: Dataset) -> dict[str, str]:
    """Return a digest of an opened model and one of its data, by what messages call them."""
    return {"model": _of_model(model), "data": _of_data(data)}


def _of_model(model: keras.Model) -> str:
    """Digest what a model computes: its layers' settings and weights, but no names, which Keras counts up."""
    found = hashlib.sha256()
    for call in calls(model):
        found.update(json.dumps([call.kind, _without_names(_settings(call.operation))], default=_kind).encode())
    for weight in model.get_weights():
        _add(found, weight)
    return found.hexdigest()


def _of_data(data: Dataset) -> str:
    """Digest the shapes of a data set, and some of its rows."""
    found = hashlib.sha256()
    for key in SPLITS:
        split = getattr(data, key)
        some = split.first(_ROWS)
        found.update(str([len(split), *(x.shape for x in input_arrays(split.x))]).encode())
        labels = some.y if isinstance(some.y, tuple) else () if some.y is None else (some.y,)
        for array in (*(x[:] for x in input_arrays(some.x)), *labels):
            _add(found, array)
    return found.hexdigest()


def _add(found: Any, array: Any) -> None:
    array = np.ascontiguousarray(array)
    found.update(f"{array.dtype} {array.shape}".encode())
    found.update(str(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())


def _settings(operation: Any) -> Any:
    """Return the settings of a layer; none of an operation, or of a layer of the user's own that tells none."""
    try:
        return operation.get_config() if isinstance(operation, keras.layers.Layer) else {}
    except NotImplementedError:
        return {}


def _without_names(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key != "name"}
    return [_without_names(entry) for entry in config] if isinstance(config, list | tuple) else config


def _kind(setting: object) -> str:
    """Return what stands for a setting that is no plain data; its text might hold an address."""
    return str(setting.tolist()) if isinstance(setting, np.ndarray) else type(setting).__name__
