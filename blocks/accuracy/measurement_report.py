"""What was measured of compositions, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.console import text_table
from legodnn.manifest import AccuracyModel


def measurement_report(
    uniform: Mapping[str, OptionNumbers],
    known: Mapping[OptionNumbers, MeasuredComposition],
    sample: Sequence[OptionNumbers],
    model: AccuracyModel,
) -> str:
    """Return a table of the original, uniform compositions, random ones, and the errors of predictions.

    Args:
        uniform: by the name of an option, the composition in which every block runs it.
        known: the measurements of the compositions in `uniform` and `sample`.
        sample: random compositions.
        model: the fitted accuracy model.
    """
    values = np.array([known[c].metric for c in sample])
    rows = [
        ("original", f"{model.original:.3f}"),
        *((f"all {option}", f"{known[c].metric:.3f}") for option, c in uniform.items() if any(c)),
        (f"{len(values)} random: mean", f"{values.mean():.3f}"),
        ("random: 5th percentile", f"{np.percentile(values, 5):.3f}"),
        ("random: 95th percentile", f"{np.percentile(values, 95):.3f}"),
        (f"prediction error, {model.samples} held out", f"{model.error:.3f}"),
    ]
    if model.plan_samples:  # of models with few compositions all were measured before
        rows.append((f"of likely plans, 9 in 10 of {model.plan_samples}", f"{model.plan_error:.3f}"))
    return text_table(rows, ("composition", model.metric))
