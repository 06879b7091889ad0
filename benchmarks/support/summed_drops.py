"""The LegoDNN paper's own estimate of a composition's accuracy, kept to compare the fitted model with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import single_swaps


def summed_drops(
    sizes: Sequence[int], known: Mapping[OptionNumbers, MeasuredComposition], compositions: Sequence[OptionNumbers]
) -> Floats:
    """Return for each composition the original's metric minus what each of its options costs as a single swap.

    Args:
        sizes: number of options of each segment.
        known: the measurements of all single swaps.
        compositions: those to estimate.
    """
    original, *singles = single_swaps(sizes)
    best = known[original].metric
    drop = {next((i, o) for i, o in enumerate(c) if o): best - known[c].metric for c in singles}
    return np.array([best - sum(drop.get(place, 0.0) for place in enumerate(c)) for c in compositions])
