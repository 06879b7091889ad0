"""Fixed point for the values of the objective: how accuracies and charges become whole numbers that add up exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats, Ints
from legodnn.runtime.planning.model_table import ModelTable

# The greatest sum of values: it leaves room for products with prices to stay exact enough in float64.
_VALUE_RANGE = 2.0**51
# Bounds are rounded up. A bound that exceeds a value by no more than this is taken to be equal to it.
_ROUNDING_OF_BOUNDS = 2.0**14
# The unit is no finer than this, however small the objective's range is.
_FINEST_UNIT = 1e300


@dataclass(frozen=True)
class ValueScale:
    """The fixed-point scale of objective values.

    The value of a composition is `round(weight x accuracy x unit) x step`, and one more for a model that stays as it
    runs. `step` is greater than the number of models, so these ones decide between plans of equal objective and nothing
    else. A suspended model has the value `-suspension`, which outweighs all accuracy and charges in play, so that as
    few models as possible are suspended.

    Attributes:
        unit: fixed-point units in one unit of the objective.
        step: the multiple to which values are rounded.
        suspension: what suspending one model costs.
    """

    unit: float
    step: int
    suspension: int

    @classmethod
    def of(cls, tables: Sequence[ModelTable], charges: float) -> ValueScale:
        """Return the finest scale at which no sum over some models leaves the range.

        Args:
            tables: the models' tables.
            charges: the most that switching can be charged, in units of the objective.
        """
        span = sum(t.weight * max(abs(y) for y in t.link.y) for t in tables) * 2 + charges
        step = 1 << (len(tables) + 1).bit_length()
        room = _VALUE_RANGE / (step * (len(tables) + 2))
        unit = 2.0 ** math.floor(math.log2(min(room / span, _FINEST_UNIT))) if span else 1.0
        return cls(unit=unit, step=step, suspension=(math.ceil(span * unit) + len(tables)) * step)

    def gap(self, value: int, bound: float) -> float:
        """Return by how much an upper bound exceeds a value, in units of the objective; 0 within rounding."""
        return 0.0 if bound - value <= _ROUNDING_OF_BOUNDS else (bound - value) / (self.unit * self.step)

    def values(self, objective: Floats) -> Ints:
        """Return objective values as whole numbers, rounded to a step, in the same shape."""
        return np.rint(objective * self.unit).astype(np.int64) * self.step
