"""What a file takes or gives, as a manifest describes it; what cannot be passed on between segments is refused."""

from __future__ import annotations

from typing import get_args

from pydantic import ValidationError

from legodnn.runtime.tflite.model_file import FileTensor, Refused
from legodnn.schema import explain
from legodnn.tensor_spec import ElementType, TensorSpec


def spec_of(tensor: FileTensor, name: str, kind: str) -> TensorSpec:
    """Describe an input or output of a file.

    Args:
        tensor: what is described.
        name: what the manifest calls it.
        kind: 'input' or 'output', for messages.

    Raises:
        Refused: it is not of a batch of 1, or not of a type that runtimes pass on.
    """
    where = f"its {kind} {name!r}"
    if tensor.dtype not in get_args(ElementType):
        raise Refused(f"{where} is of {tensor.dtype}; {', '.join(get_args(ElementType))} are passed on")
    if tensor.shape[:1] != (1,):
        raise Refused(f"{where} has the shape {tensor.shape}, which does not begin with a batch of 1")
    quantised = tensor.dtype in ("uint8", "int8") and len(tensor.scales) > 0
    if quantised and len(tensor.scales) > 1:
        raise Refused(f"{where} has a scale for each channel")
    try:
        return TensorSpec(
            name=name,
            shape=tensor.shape[1:],
            dtype=tensor.dtype,  # type: ignore[arg-type]
            scale=float(tensor.scales[0]) if quantised else 0.0,
            zero_point=int(tensor.zero_points[0]) if quantised and len(tensor.zero_points) else 0,
        )
    except ValidationError as e:
        raise Refused(f"{where}: {explain(e)}") from None
