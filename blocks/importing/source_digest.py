"""Digests of what a build started from: a folder of unfinished work is of one model and one data set.

A digest is the same in every process that begins with the same: it holds no addresses, no order of sets, and no names,
which Keras counts up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple
from types import CellType, CodeType, FunctionType, MappingProxyType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.data import SPLITS, Dataset, input_arrays
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.layer_copies import own_functions
from legodnn.pixels import Pixels

_MOST_BYTES = 256_000_000  # of an array of floats whose rows are all looked at
_CHUNK_BYTES = 16_000_000  # at a time
_OF_OTHERS = ("keras.", "legodnn.", "tensorflow.")  # modules whose code depends on versions, not on the user


def source_digests(model: keras.Model, data: Dataset) -> dict[str, str]:
    """Return a digest of an opened model and one of its data, by what messages call them.

    Of a model it is of all calls: settings, weights and constants, the code of functions and layers of the user's own,
    and which tensors each one reads. (What such code calls in turn is not seen.) Of data it is of all labels and
    pixels. Of inputs that are no pixels it is of all rows up to 256 MB, and of evenly spread rows where they are more.
    """
    return {"model": _of_model(model), "data": _of_data(data)}


def function_digest(function: Any) -> str:
    """Return a short digest of the code of a function, and of what it holds, functions included.

    What its code calls in turn is not seen.
    """
    return hashlib.sha256(json.dumps(_plain(function)).encode()).hexdigest()[:8]


def _of_model(model: keras.Model) -> str:
    found = hashlib.sha256()
    numbers: dict[int, int] = {}  # of tensors, and of operations, by their `id()`, as they occur
    for t in model.inputs:
        _add(found, [numbers.setdefault(id(t), len(numbers)), t.shape, t.dtype])
    for call in calls(model):
        operation, arguments = call.operation, call.node.arguments
        known = id(operation) in numbers
        number = numbers.setdefault(id(operation), len(numbers))
        _add(found, [number, call.kind, _plain([arguments.args, arguments.kwargs], numbers)])
        if not known:
            _add(found, [_numbered_names(_plain(_settings(operation))), _own_code(operation)])
            for weight in getattr(operation, "weights", []):
                _add(found, weight)
        for t in call.outputs:
            numbers[id(t)] = len(numbers)
    _add(found, [numbers[id(t)] for t in model.outputs])
    return found.hexdigest()


def _of_data(data: Dataset) -> str:
    found = hashlib.sha256()
    _add(found, [data.labels, astuple(data.scaling), data.fit, data.fill])
    for key in SPLITS:
        split = getattr(data, key)
        for x in input_arrays(split.x):
            _add(found, [x.shape, str(x.dtype)])
            if isinstance(x, Pixels):
                _add(found, astuple(x.scaling))
                _add_rows(found, x.raw, np.arange(len(x.raw)) if x.rows is None else x.rows)
            else:
                _add_rows(found, x, np.arange(0, len(x), max(1, -(-x.nbytes // _MOST_BYTES))))
        labels = split.y if isinstance(split.y, tuple) else () if split.y is None else (split.y,)
        for y in labels:
            _add(found, y.shape)
            _add_rows(found, y, np.arange(len(y)))
    return found.hexdigest()


def _add_rows(found: Any, array: Any, rows: NDArray[np.int64]) -> None:
    size = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(rows), size):
        _add(found, array[rows[start : start + size]])


def _add(found: Any, value: Any) -> None:
    found.update(json.dumps(_plain(value)).encode())


def _settings(operation: Any) -> Mapping[str, Any]:
    """Return the settings of a layer or operation; none of a layer of the user's own that tells none."""
    if not isinstance(operation, keras.layers.Layer):
        return {key: value for key, value in sorted(vars(operation).items()) if key != "name" and key[0] != "_"}
    try:
        config = operation.get_config()
    except NotImplementedError:
        return {}
    return {**config, **own_functions(operation, config)}


def _own_code(operation: Any) -> list[Any]:
    """Return the code of the methods that somebody's own layer or operation has, base classes included."""
    own = [kind for kind in type(operation).__mro__ if not f"{kind.__module__}.".startswith(_OF_OTHERS)]
    return [[name, _plain(f.__code__)] for kind in own for name, f in vars(kind).items() if isinstance(f, FunctionType)]


def _numbered_names(config: Any) -> Any:
    """Return a configuration with numbers for names, also where its entries refer to layers inside by their names."""
    numbers: dict[str, str] = {}

    def find(entry: Any) -> None:
        if isinstance(entry, dict):
            if isinstance(entry.get("name"), str):
                numbers.setdefault(entry["name"], f"name {len(numbers)}")
            entry = [*entry.values()]
        for below in entry if isinstance(entry, list) else []:
            find(below)

    def replaced(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {key: replaced(value) for key, value in entry.items()}
        if isinstance(entry, list):
            return [*map(replaced, entry)]
        return numbers.get(entry, entry) if isinstance(entry, str) else entry

    find(config)
    return replaced(config)


def _plain(value: Any, numbers: Mapping[int, int] = MappingProxyType({})) -> Any:
    """Return a value as data that JSON can hold, the same in every process.

    Args:
        value: anything; of what is neither plain data nor an array nor a function, only the type is told.
        numbers: of the tensors of a graph, by their `id()`.
    """
    if isinstance(value, keras.KerasTensor):
        return ["tensor", numbers.get(id(value))]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, numbers) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, numbers) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_plain(entry)) for entry in value)
    if isinstance(value, slice):
        return ["slice", *(_plain(end, numbers) for end in (value.start, value.stop, value.step))]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, CodeType):
        return [value.co_code.hex(), _plain(value.co_consts), value.co_names]
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        # Of functions the code alone: they may hold each other.
        held = [v.__code__ if isinstance(v, FunctionType) else v for v in held if not isinstance(v, list | dict)]
        return [_plain(value.__code__), _plain(value.__defaults__), _plain(held)]
    if hasattr(value, "__array__") and not isinstance(value, type):
        array = np.ascontiguousarray(value)
        content = _plain(array.tolist()) if array.dtype.hasobject else hashlib.sha256(array.tobytes()).hexdigest()
        return [str(array.dtype), list(array.shape), content]
    return type(value).__name__
