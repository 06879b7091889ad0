"""The Open Inference Protocol (KServe v2) for one model: metadata, and inference by JSON or binary tensors.

Its specification: https://github.com/kserve/open-inference-protocol. Tensors have a batch dimension of 1 there; one
that is missing is taken as well. The binary form is the protocol's extension of that name: JSON first, whose length is
in the header `Inference-Header-Content-Length`, then the tensors' bytes, in the order in which the JSON names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from legodnn import __version__
from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.printable import shown
from legodnn.runtime.serving.bodies import JSON_TYPE, RAW, json_body, json_object, most_parts, numbers_as
from legodnn.store import Store
from legodnn.tensor_spec import InputSpec

HEADER_LENGTH = "Inference-Header-Content-Length"
_MOST_DIGITS = 18  # of a length; Python reads no number of thousands of digits
_DATATYPES = {"float32": "FP32", "uint8": "UINT8", "int8": "INT8", "int32": "INT32", "int64": "INT64"}


def server_metadata() -> dict[str, Any]:
    """Return what `GET /v2` answers."""
    return {"name": "legodnn", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(name: str, store: Store) -> dict[str, Any]:
    """Return what `GET /v2/models/NAME` answers."""
    manifest = store.manifest
    outputs = (manifest.specs[name] for name in manifest.outputs)
    return {
        "name": name,
        "versions": [],
        "platform": "tensorflow_lite",
        "inputs": [_tensor(spec.name, spec.dtype, spec.shape) for spec in manifest.inputs],
        "outputs": [_tensor(spec.name, spec.dtype, spec.shape) for spec in outputs],
    }


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "datatype": _DATATYPES[dtype], "shape": [1, *shape]}


def inputs_of_request(
    store: Store, body: bytes, header_length: str | None
) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return the inputs of an inference by name, and the request without its tensors.

    Args:
        store: the model's store.
        body: the request's body.
        header_length: the value of `HEADER_LENGTH`; None if that header is missing, as it is without binary tensors.

    Raises:
        InputError: the request is damaged, or not for this model.
    """
    end = len(body)
    if header_length is not None:
        if (
            not header_length.isdecimal()
            or len(header_length) > _MOST_DIGITS
            or not 0 < int(header_length) <= len(body)
        ):
            raise InputError(f"{HEADER_LENGTH} is {shown(header_length)}, of a body of {len(body)} bytes")
        end = int(header_length)
    request, binary = json_object(body[:end], most_parts(store)), body[end:]
    given = request.pop("inputs", None)
    if not isinstance(given, list) or not all(isinstance(tensor, dict) for tensor in given):
        raise InputError(
            'the request lacks its inputs: {"inputs": [{"name": ..., "shape": ..., "datatype": "FP32", ...}]}'
        )
    _check_wanted(request, store.manifest.outputs)
    specs = {spec.name: spec for spec in store.manifest.inputs}
    inputs: dict[str, AnyArray] = {}
    for tensor in given:
        size = _parameters(tensor).get("binary_data_size")
        taken = b""
        if size is not None:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
                raise InputError(f"binary_data_size is {shown(size)}; {len(binary)} bytes are left of the body")
            if tensor.get("data") is not None:
                raise InputError("an input has data and a binary_data_size; leave one out")
            taken, binary = binary[:size], binary[size:]
        name = tensor.get("name")
        if not isinstance(name, str) or name not in specs or name in inputs:
            raise InputError(
                f"the request names the input {shown(name)}; the model takes {', '.join(specs)}, each once"
            )
        inputs[name] = _values(tensor, specs[name], taken if size is not None else None)
    if binary:
        raise InputError(f"{len(binary)} bytes of the body belong to no input")
    return inputs, request


def _check_wanted(request: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Check, before an inference runs, what a request asks of its answer."""
    if not isinstance(request.get("id", ""), str):
        raise InputError(f'"id" is a text, not {shown(request["id"])}')
    wanted = request.get("outputs")
    _check_switch(request, "binary_data_output")
    if wanted is None:
        return
    if not isinstance(wanted, list) or not all(isinstance(entry, dict) for entry in wanted):
        raise InputError('"outputs" is a list of objects: [{"name": ...}]')
    for entry in wanted:
        if entry.get("name") not in outputs:
            raise InputError(
                f"the request asks for the output {shown(entry.get('name'))}; the model has {', '.join(outputs)}"
            )
        _check_switch(entry, "binary_data")


def _check_switch(of: Mapping[str, Any], parameter: str) -> None:
    if not isinstance(said := _parameters(of).get(parameter, False), bool):
        raise InputError(f"{parameter} is true or false, not {shown(said)}")


def _values(tensor: Mapping[str, Any], spec: InputSpec, binary: bytes | None) -> AnyArray:
    shape, datatype, wanted = tensor.get("shape"), tensor.get("datatype"), _DATATYPES[spec.dtype]
    if shape not in ([1, *spec.shape], list(spec.shape)) or datatype != wanted:
        raise InputError(
            f"input {spec.name!r} is {wanted} {[1, *spec.shape]}, got {shown(datatype)} {shown(shape)}; scale "
            "pixels as the store says"
        )
    values = numbers_as(spec.dtype, tensor.get("data")) if binary is None else _from_bytes(spec, binary)
    if values is None:
        raise InputError(f"the data of input {spec.name!r} are no {wanted} numbers")
    if values.size != int(np.prod(spec.shape)):
        raise InputError(f"input {spec.name!r} has {values.size} values, {spec.shape} takes {int(np.prod(spec.shape))}")
    return values.reshape(spec.shape)


def _from_bytes(spec: InputSpec, binary: bytes) -> AnyArray | None:
    """Return an input's values; None if the bytes end within one."""
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    return None if len(binary) % dtype.itemsize else np.frombuffer(binary, dtype).astype(spec.dtype)


def response(
    model: str, request: Mapping[str, Any], outputs: Mapping[str, AnyArray]
) -> tuple[bytes, str, dict[str, str]]:
    """Return an answer's body, its content type, and its headers.

    Args:
        model: the model's name.
        request: what `inputs_of_request` left of the request: which outputs are wanted, and whether as binary data.
        outputs: arrays by name, without a batch dimension.

    Raises:
        InputError: an output is asked for as JSON, which cannot hold its NaN.
    """
    every = _parameters(request).get("binary_data_output") is True
    wanted = request.get("outputs")
    entries, binary = [], b""
    for entry in [{"name": name} for name in outputs] if wanted is None else wanted:
        name = entry["name"]
        told: dict[str, Any] = _tensor(name, str(outputs[name].dtype), outputs[name].shape)
        if _parameters(entry).get("binary_data", every) is True:
            content = outputs[name].astype(outputs[name].dtype.newbyteorder("<")).tobytes()
            told["parameters"] = {"binary_data_size": len(content)}
            binary += content
        else:
            told["data"] = outputs[name].reshape(-1).tolist()
        entries.append(told)
    answer = {"model_name": model, "outputs": entries}
    if "id" in request:
        answer["id"] = request["id"]
    header = json_body(answer, "ask for binary data")
    if not binary:
        return header, JSON_TYPE, {}
    return header + binary, RAW, {HEADER_LENGTH: str(len(header))}


def _parameters(part: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = part.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InputError('"parameters" is an object: {...}')
    return parameters
