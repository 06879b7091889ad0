"""Outputs become the numbers that they stand for, in the model's order, unless there is NaN or infinity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.checked_outputs import output_numbers
from legodnn.errors import InputError
from tests.legodnn.tasks.described import described_store


def test_outputs_are_numbers_in_the_models_order(tmp_path: Path) -> None:
    manifest = described_store(tmp_path, None, [(2,), (3,)]).manifest
    outputs = {"y1": np.ones(3, np.float32), "y0": np.zeros(2, np.float32)}
    assert [each.tolist() for each in output_numbers(manifest, outputs)] == [[0, 0], [1, 1, 1]]
    for value in (np.nan, np.inf, -np.inf):
        outputs["y1"][1] = value
        with pytest.raises(InputError, match="m gave NaN or infinity in 'y1'"):
            output_numbers(manifest, outputs)
