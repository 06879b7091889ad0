"""A model's outputs as the numbers that they stand for, for whatever decodes or rates them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.manifest import Manifest


def output_numbers(manifest: Manifest, outputs: Mapping[str, AnyArray]) -> list[AnyArray]:
    """Return the numbers that a model's outputs stand for, in the model's order.

    Args:
        manifest: of the model's store.
        outputs: by name, as the model gave them.

    Raises:
        InputError: there is NaN or infinity, in which nothing can be found.
    """
    for name, output in outputs.items():
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise InputError(
                f"{manifest.model.name} gave NaN or infinity in {name!r}, and nothing can be found in that; check the "
                "input's numbers, and the model that the store was built from"
            )
    return [manifest.specs[name].to_numbers(outputs[name]) for name in manifest.outputs]
