"""The originals, run one after another, have to give what the undivided model gives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.accuracy.option_chain import OptionChain, Stage
from legodnn.blocks.accuracy.undivided import check_undivided
from legodnn.errors import ModelError

IMAGES = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)


def doubled_then(factor: float) -> OptionChain:
    """Two segments whose originals multiply by 2 and by a factor; the other options are no part of the comparison."""
    double: Any = lambda x: [2 * x]  # noqa: E731
    multiply: Any = lambda x: [factor * x]  # noqa: E731
    nothing: Any = lambda x: [0 * x]  # noqa: E731
    return OptionChain([Stage(("image",), ("a",), [double, nothing]), Stage(("a",), ("b",), [multiply, nothing])])


@pytest.mark.parametrize(("factor", "right"), [(3.0, True), (3.0 * (1 + 1e-6), True), (3.01, False), (np.nan, False)])
def test_a_difference_beyond_rounding_ends_the_build(factor: float, right: bool) -> None:
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, layers.Rescaling(6.0)(image), name="sixfold")
    if right:
        check_undivided(doubled_then(factor), model, IMAGES)
    else:
        with pytest.raises(ModelError, match="the composed originals differ from sixfold by"):
            check_undivided(doubled_then(factor), model, IMAGES)
