"""Losses per option and a falling curve, fitted to compositions that were evaluated.

The model: a composition is worth curve(sum of its options' losses), where

    curve(u) = floor + (best - floor) / (1 + u ** power)
    loss of an option = scale x error ** exponent x exp(deviation of its block + deviation of the option)

`error` is what the option does to the model's output when it alone replaces its original; it is the prior that lets a
small sample do. Both deviations, and the few numbers that all options share, are found by regularised least squares
(the most probable values under normal priors), so losses are never negative, and 0 for what changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from legodnn.store import Link

Floats = NDArray[np.float64]

# Standard deviations of the priors. The noise is that of a metric over some thousand images together with what a sum
# cannot express; the deviations say how far single swaps may mislead.
_NOISE = 0.012
_BLOCK, _OPTION = 0.7, 0.3
_KNOTS = 33


@dataclass(frozen=True, eq=False)
class Fit:
    """What was fitted: by block the loss of each option, and the link."""

    losses: list[list[float]]
    link: Link

    def predict(self, compositions: Sequence[Sequence[int]]) -> Floats:
        """The predicted metric of compositions, each with one option number for every block."""
        sums = [sum(loss[i] for loss, i in zip(self.losses, c, strict=True)) for c in compositions]
        return np.interp(sums, self.link.x, self.link.y)


def fit(
    errors: Sequence[Sequence[float]], compositions: Sequence[Sequence[int]], metrics: Sequence[float], best: float
) -> Fit:
    """Fit losses and link.

    Args:
        errors: by block, the error that each option causes alone (any scale, not negative; 0 for the original).
        compositions: option numbers, one for each block.
        metrics: what each composition measured.
        best: what the original measured.
    """
    known = np.asarray(metrics, np.float64)
    span = max(best - float(known.min(initial=best)), 1e-6)
    places = [(b, o) for b, row in enumerate(errors) for o, e in enumerate(row) if e > 0]
    if not places:
        return Fit([[0.0] * len(row) for row in errors], Link(x=(0.0, 1.0), y=(best, best)))
    logs = np.log([errors[b][o] for b, o in places])
    centre = float(np.median(logs))
    column = {place: i for i, place in enumerate(places)}
    chosen = np.zeros((len(compositions), len(places)))
    for n, composition in enumerate(compositions):
        for place in enumerate(composition):
            if place in column:
                chosen[n, column[place]] = 1
    block = np.array([b for b, _ in places])
    shared = 4

    def losses(p: Floats) -> Floats:
        deviation = p[shared : shared + len(errors)][block] + p[shared + len(errors) :]
        return np.asarray(np.exp(np.clip(p[0] + np.exp(p[1]) * (logs - centre) + deviation, -60, 60)))

    def curve(p: Floats, u: Floats) -> Floats:
        floor = best - span * (1 + np.exp(p[3]))
        with np.errstate(over="ignore"):
            return np.asarray(floor + (best - floor) / (1 + u ** np.exp(p[2])))

    # Prior of the shared numbers: (log scale, log exponent, log power, log of how far the floor is below all seen).
    mean = np.concatenate([[-1.5, np.log(0.6), np.log(1.5), np.log(0.2)], np.zeros(len(errors) + len(places))])
    spread = np.concatenate([[3.0, 0.5, 0.5, 1.0], np.full(len(errors), _BLOCK), np.full(len(places), _OPTION)])

    def residuals(p: Floats) -> Floats:
        return np.concatenate([(curve(p, chosen @ losses(p)) - known) / (_NOISE * max(span, 0.1)), (p - mean) / spread])

    p = least_squares(residuals, mean, x_scale=spread, max_nfev=200).x
    found = losses(p)
    table = [
        [float(found[column[b, o]]) if (b, o) in column else 0.0 for o in range(len(row))]
        for b, row in enumerate(errors)
    ]
    largest = max(sum(max(row) for row in table), 1e-9)
    x = np.concatenate([[0.0], np.geomspace(largest / 1000, largest, _KNOTS - 1)])
    y = np.minimum.accumulate(np.concatenate([[best], curve(p, x[1:])]))
    return Fit(table, Link(x=tuple(x.tolist()), y=tuple(y.tolist())))
