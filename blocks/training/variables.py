"""Keras variables as arrays, and arrays into variables: what is saved of training, and how it goes on from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """Return copies of the variables' values."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def weights_of(descendants: Mapping[str, Sequence[keras.Model]]) -> list[Any]:
    """Return the weights of all descendants, in the order in which they are saved."""
    return [v for models in descendants.values() for model in models for v in model.weights]


def assign(variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
    """Give every variable the value of its array.

    Raises:
        ValueError: there are more of one than of the other, or shapes differ; then nothing was assigned.
    """
    found, wanted = [np.shape(a) for a in arrays], [tuple(v.shape) for v in variables]
    if found != wanted:
        raise ValueError(f"arrays of shapes {found} do not fit variables of shapes {wanted}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def adam_moments(optimizer: Any) -> list[Any]:
    """Return Adam's variables without its step number: two for every weight, in the order of the weights."""
    return [v for v in optimizer.variables if v is not optimizer.iterations]
