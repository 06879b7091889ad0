"""What requests and answers of `POST /v1/models/NAME/infer` hold: JSON, .npy, raw tensors and pictures."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import DAMAGED
from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.images import load
from legodnn.printable import shown
from legodnn.runtime.feeds.inputs import InputArray
from legodnn.schema import RepeatedKeyError, keys_once
from legodnn.store import Store
from legodnn.tensor_spec import ElementType, InputSpec

NPY, RAW, JSON_TYPE = "application/x-npy", "application/octet-stream", "application/json"
_RAW_TYPES = get_args(ElementType)
_RAW_PARAMETERS = ("dtype", "shape")
_NPY_MAGIC = b"\x93NUMPY"
_NUMBERS = {int, float}  # no bool, which is an int to isinstance
_MOST_AXES = 32
_EXACT = 2.0**53  # up to here a float holds every whole number


def inputs_of(store: Store, content_type: str, query: Mapping[str, str], body: bytes) -> AnyArray | dict[str, AnyArray]:
    """Return the inputs of an inference, as `Runtime.run` takes them.

    Outside JSON, values of uint8 for an input that is a picture are pixels, 0 to 255, and are scaled as the store says.
    Others are taken as they are.

    Args:
        store: the model's store.
        content_type: the media type of the body: `application/json` (`{"inputs": {NAME: nested lists}}`), .npy
            (`application/x-npy`), `application/octet-stream` with `dtype` and `shape` in the query, or `image/...`.
        query: parameters of the address.
        body: the request's body.

    Raises:
        InputError: the body is none of these, or not for this model.
        DependencyError: a picture was sent and Pillow is not installed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if unknown := sorted(set(query).difference(_RAW_PARAMETERS if kind == RAW else ())):
        raise InputError(f"the address says {shown(unknown[0])}; dtype and shape of {RAW} are all that it may say")
    specs = {spec.name: spec for spec in store.manifest.inputs}
    if kind == JSON_TYPE:
        return {
            name: _listed(name, value, specs.get(name))
            for name, value in _named_values(body, specs, most_parts(store)).items()
        }
    spec = store.manifest.inputs[0]
    if len(specs) > 1:
        raise InputError(f"this model has the inputs {', '.join(specs)}: send them as {JSON_TYPE}")
    if kind == NPY:
        return _scaled(_npy(body), spec)
    if kind == RAW:
        return _scaled(_raw(body, query, spec), spec)
    if kind.startswith("image/"):
        return load(body, spec)
    raise InputError(
        f"the content type is {shown(kind or 'none')}; send {JSON_TYPE}, {NPY}, {RAW} (with ?dtype=float32&shape="
        f"{','.join(map(str, spec.shape))}), or a picture as image/jpeg, image/png, ..."
    )


def query_of(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters of an address by name; InputError where one is there twice."""
    try:
        return keys_once([*items])
    except RepeatedKeyError as e:
        raise InputError(f"the address makes no sense: {e}") from None


def outputs_body(outputs: Mapping[str, AnyArray], accepted: str) -> tuple[bytes, str]:
    """Return outputs as the body of an answer, and its content type.

    Args:
        outputs: arrays by name.
        accepted: the request's Accept header. Where it names .npy, one output is sent so; JSON is the default.

    Raises:
        InputError: .npy is asked for, and there are several outputs; or JSON, and an output has NaN or infinity.
    """
    if NPY not in accepted.lower():
        answer = {"outputs": {name: array.tolist() for name, array in outputs.items()}}
        return json_body(answer, f"accept {NPY}"), JSON_TYPE
    if len(outputs) != 1:
        raise InputError(f"this model has the outputs {', '.join(outputs)}, and .npy holds one: accept {JSON_TYPE}")
    content = io.BytesIO()
    np.save(content, next(iter(outputs.values())), allow_pickle=False)
    return content.getvalue(), NPY


def json_body(answer: Mapping[str, Any], otherwise: str) -> bytes:
    """Return an answer as JSON.

    Args:
        answer: the answer.
        otherwise: how numbers that JSON does not have can be asked for.

    Raises:
        InputError: it has NaN or infinity, which no parser of JSON but Python's own would take.
    """
    try:
        return json.dumps(answer, allow_nan=False).encode()
    except ValueError:
        raise InputError(
            f"the model gave NaN or infinity, which JSON does not have: send smaller numbers, or {otherwise}"
        ) from None


def numbers_as(dtype: str, value: Any) -> NDArray[Any] | None:
    """Return numbers of JSON, in nested lists, as an array; None if they are none, or none of this type.

    Whole numbers are not made of others, nor of ones that are too large. Of float32 those become infinity, which
    `check_inputs` refuses.
    """
    if not _holds_numbers(value):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # rows of different lengths
        return None
    if array.dtype.kind not in "iuf":
        return None
    if dtype != "float32" and array.dtype.kind == "f" and np.any(np.abs(array) >= _EXACT):
        return None  # a whole number beside one with a point may have lost its last digits
    with np.errstate(over="ignore", invalid="ignore"):
        typed = array.astype(dtype)
    return typed if dtype == "float32" or np.array_equal(typed, array) else None


def _holds_numbers(value: Any, depth: int = _MOST_AXES) -> bool:
    """Whether a value of JSON is a number, or lists of nothing else: of a text NumPy would give all others the room."""
    if not isinstance(value, list):
        return type(value) in _NUMBERS
    kinds = set(map(type, value))
    return kinds <= _NUMBERS or (kinds == {list} and depth > 0 and all(_holds_numbers(row, depth - 1) for row in value))


def most_parts(store: Store) -> int:
    """Return how many values, lists and objects a request for a model may be made of: all of its inputs, and more."""
    return 1000 + sum((len(spec.shape) + 2) * math.prod(spec.shape) for spec in store.manifest.inputs)


def json_object(body: bytes, most: int = 1000) -> dict[str, Any]:
    """Return the JSON object that a body holds, each key once.

    Args:
        body: the text.
        most: of how many values, lists and objects it may be made: each takes some 60 bytes of memory, and of a body
            one byte.

    Raises:
        InputError: it is something else, or of more.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > most:
        raise InputError(f"the body is JSON of more than {most} values and lists, more than can be meant here")
    try:
        content = json.loads(body, object_pairs_hook=keys_once)
    except RepeatedKeyError as e:
        raise InputError(f"the body: {e}") from None
    except (ValueError, RecursionError) as e:
        raise InputError(f"the body is not JSON ({e})") from None
    if not isinstance(content, dict):
        raise InputError("the body is JSON, but not an object: send {...}")
    return content


def _shape(text: str) -> tuple[int, ...]:
    """Read a shape such as '32,32,3'; InputError otherwise."""
    if not re.fullmatch("[1-9][0-9]{0,11}(,[1-9][0-9]{0,11}){0,7}", text):
        raise InputError(f"the shape is {shown(text)}; give whole numbers such as 32,32,3")
    return tuple(map(int, text.split(",")))


def _named_values(body: bytes, specs: Mapping[str, InputSpec], most: int) -> dict[str, Any]:
    asked = json_object(body, most)
    content = asked.pop("inputs", None)
    if asked:
        raise InputError(f"the body says {shown(min(asked))} beside its inputs, which means nothing here")
    if isinstance(content, list) and len(specs) == 1:
        return {next(iter(specs)): content}
    if not isinstance(content, dict):
        raise InputError('the body lacks its inputs: send {"inputs": {"NAME": [[...]]}}')
    return content


def _listed(name: str, value: Any, spec: InputSpec | None) -> AnyArray:
    dtype = "float32" if spec is None else spec.dtype  # whoever names an input that is none is told later
    array = numbers_as(dtype, value)
    if array is None:
        raise InputError(f"input {shown(name)} is no array of {dtype} numbers with rows of the same length")
    return _without_batch(array, spec)


def _npy(body: bytes) -> NDArray[Any]:
    if not body.startswith(_NPY_MAGIC):
        raise InputError("the body is no .npy file")
    stream = io.BytesIO(body)
    try:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except DAMAGED as e:
        raise InputError(f"the body is a damaged .npy file ({e})") from None
    if rest := len(body) - stream.tell():
        raise InputError(f"{rest} bytes follow on the array; a body holds one")
    return array


def _raw(body: bytes, query: Mapping[str, str], spec: InputSpec) -> NDArray[Any]:
    dtype = query.get("dtype", "float32")
    if dtype not in _RAW_TYPES:
        raise InputError(f"dtype is {shown(dtype)}; raw tensors are {' or '.join(_RAW_TYPES)}, little-endian")
    shape = _shape(query["shape"]) if "shape" in query else spec.shape
    if len(body) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise InputError(f"the body has {len(body)} bytes, which is no {dtype} tensor of shape {shape}")
    return np.frombuffer(body, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def _scaled(array: NDArray[Any], spec: InputSpec) -> AnyArray:
    if array.dtype.kind not in "iuf":
        raise InputError(f"the array is of type {array.dtype}; send numbers")
    array = _without_batch(array, spec)
    if array.shape != spec.shape:
        raise InputError(f"the model takes arrays of shape {spec.shape}, got {array.shape}")
    return InputArray(array[np.newaxis], spec)[0]


def _without_batch(array: NDArray[Any], spec: InputSpec | None) -> NDArray[Any]:
    """Return an array without a batch dimension of 1 in front, which many clients send."""
    batched = spec is not None and array.shape == (1, *spec.shape)
    return np.asarray(array[0] if batched else array, order="C")
