"""The check that every inference begins with: whether a model can take what it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from legodnn.arrays import AnyArray, is_masked
from legodnn.errors import InputError
from legodnn.printable import shown
from legodnn.store import Store
from legodnn.tensor_spec import InputSpec


def check_inputs(store: Store, model: str, x: AnyArray | Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return the inputs of an inference by name, after checking that a model can take them.

    NaN is refused because a network may turn it into an ordinary answer: ReLU turns it into zero. A masked array is
    refused because the elements that its mask hides would be computed with.

    Args:
        store: the model's store.
        model: what the model is called in messages.
        x: one array, or arrays by input name, without a batch dimension.

    Raises:
        InputError: an input is missing or unknown, has another shape or dtype than the manifest says, is masked, or is
            not finite.
    """
    specs = store.manifest.inputs
    given = x if isinstance(x, dict) else dict(x) if isinstance(x, Mapping) else {specs[0].name: x}
    if given.keys() != {s.name for s in specs}:
        got = ", ".join(map(shown, given)) or "none"
        raise InputError(f"{model!r} takes the inputs {', '.join(s.name for s in specs)}; got {got}")
    for spec in specs:
        array = given[spec.name]
        if is_masked(array):
            raise InputError(f"{model!r} got a masked array as {spec.name!r}; fill what is masked: x.filled(value)")
        if not isinstance(array, np.ndarray) or array.shape != spec.shape or array.dtype != spec.dtype:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(
                f"{model!r} takes a {spec.dtype} array of shape {spec.shape} as {spec.name!r}, got {found}; "
                f"{_remedy(spec, array)}"
            )
        if spec.dtype != "float32":
            continue
        # A finite sum of squares has finite summands, so one call settles nearly all cases: each further call costs
        # microseconds while the caches are full of weights. Squares of large finite numbers may overflow, hence
        # isfinite.
        if not (math.isfinite(np.vdot(array, array)) or np.isfinite(array).all()):
            raise InputError(f"{model!r} got NaN or infinity in {spec.name!r}; check what the picture was made from")
    return given


def _remedy(spec: InputSpec, array: AnyArray) -> str:
    if isinstance(array, np.ndarray) and array.ndim > len(spec.shape) and array.shape[1:] == spec.shape:
        return "give one input, without the batch dimension"
    if isinstance(array, np.ndarray) and array.shape == spec.shape and array.dtype.kind == np.dtype(spec.dtype).kind:
        return f"convert it: x.astype({spec.dtype!r})"
    if spec.layout == "plain":
        return "`legodnn inspect STORE` shows what a model takes"
    return "scale pixels as the store's manifest says (`legodnn inspect STORE`); legodnn.images.load does it"
