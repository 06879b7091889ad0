"""Whether files can be options of one block: whatever runs, a model takes and gives the same tensors."""

from __future__ import annotations

from collections.abc import Sequence

from legodnn.errors import ModelError
from legodnn.manifest import InputSpec, TensorSpec
from legodnn.pixels import Scaling
from legodnn.runtime.whole_models.whole_file import WholeFile
from legodnn.tensor_spec import ImageFit

_CHANNELS = (1, 3, 4)
_REMEDY = "pack files alike, or each into a store of its own"


def check_agreement(files: Sequence[WholeFile]) -> None:
    """Raise ModelError unless all files take and give the same tensors; it says which differ.

    Shapes, types and scales must be the same, in the files' order. Where there are several inputs or outputs, their
    names must be the same as well; of a single one the first file's name is taken.
    """
    first = files[0]
    for other in files[1:]:
        for kind, mine, theirs in (("input", first.inputs, other.inputs), ("output", first.outputs, other.outputs)):
            if len(mine) != len(theirs):
                raise ModelError(
                    f"{other.path} has {_counted(len(theirs), kind)}, {first.path} has {len(mine)}; {_REMEDY}"
                )
            for here, there in zip(mine, theirs, strict=True):
                if len(mine) == 1:
                    there = there.model_copy(update={"name": here.name})
                if here != there:
                    raise ModelError(
                        f"{other.path} has the {kind} {_described(there)}, {first.path} has {_described(here)}; "
                        f"{_REMEDY}"
                    )


def _counted(count: int, kind: str) -> str:
    return f"{count} {kind}{'s' * (count != 1)}"


def _described(spec: TensorSpec) -> str:
    scale = f", scale {spec.scale:.6g}, zero point {spec.zero_point}" if spec.scale else ""
    return f"{spec.name!r}: {spec.dtype} {spec.shape}{scale}"


def input_specs(
    inputs: Sequence[TensorSpec], scaling: Scaling | None = None, fit: ImageFit = "stretch", fill: int = 0
) -> tuple[InputSpec, ...]:
    """Return how a device makes inputs: pictures of pixels, the others of numbers.

    An input is a picture if it has a height, a width, and 1, 3 or 4 channels.

    Args:
        inputs: what the files take.
        scaling: what becomes of pixels; None: 0 to 1 for float32, and for uint8 and int8 all values that they have, so
            that pixels are taken as they are (less 128 for int8).
        fit, fill: see `InputSpec`.

    Raises:
        ModelError: something is said about pictures, and no input is one; or margins have a value, and there are none.
        ValidationError: a value is out of bounds.
    """
    if fill and fit != "letterbox":
        raise ModelError(f"only a letterbox has margins to fill with {fill}; say --fit letterbox, or leave --fill out")
    found = tuple(_input_spec(spec, scaling, fit, fill) for spec in inputs)
    if (scaling or fit != "stretch") and all(spec.layout == "plain" for spec in found):
        shapes = ", ".join(f"{spec.name} of {spec.shape}" for spec in inputs)
        raise ModelError(f"no input is a picture ({shapes}): leave out what is said about pixels and fit")
    return found


def _input_spec(spec: TensorSpec, scaling: Scaling | None, fit: ImageFit, fill: int) -> InputSpec:
    if len(spec.shape) != 3 or spec.shape[-1] not in _CHANNELS:
        return InputSpec(**spec.model_dump(), layout="plain")
    if scaling is None:
        scaling = Scaling(_whole_range(spec))
    return InputSpec(**spec.model_dump(), fit=fit, fill=fill, range=scaling.range, mean=scaling.mean, std=scaling.std)


def _whole_range(spec: TensorSpec) -> tuple[float, float]:
    if spec.dtype not in ("uint8", "int8"):
        return (0.0, 1.0)
    least = 0 if spec.dtype == "uint8" else -128
    low, high = (((least + end) - spec.zero_point) * (spec.scale or 1.0) for end in (0, 255))
    return low, high
