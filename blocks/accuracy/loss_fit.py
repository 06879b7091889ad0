"""The prediction of a composition's metric: losses, interactions and a falling curve, fitted to measured compositions.

The metric of a composition is curve(sum of its options' losses and of its neighbours' interactions), where

    curve(u) = floor + (best - floor) / (1 + u ** power)
    loss of an option = scale x error ** exponent x exp(deviation of its block + deviation of the option)
    interaction of two options of neighbouring blocks
                      = (exp(share of the two blocks + deviation of the two options) - 1)
                        x sqrt(loss of one x loss of the other)

`error` is the error of the model's output when the option alone replaces its original; it is the prior that makes a
small sample sufficient. A share is positive where the errors of two blocks amplify each other, and negative where both
blocks make the same errors. Losses are never negative, and 0 for an option that changes nothing. An interaction lowers
the sum by less than the geometric mean of the two losses, so sums are never negative either.

The deviations, and the few numbers that all options have in common, are found by regularised least squares: they are
the most probable values under normal priors. Losses are fitted without interactions first, because a fit of everything
at once can end in a poor local minimum when it starts far from the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import least_squares

from legodnn.arrays import Floats
from legodnn.manifest import Link
from legodnn.schema import MOST_LOSS

# Standard deviations of measured metrics from the model, relative to the range of the metric: for thousands of images,
# for hundreds, and for fewer. They cover the noise of the metric and what the model cannot express.
NOISES = (0.012, 0.04, 0.12)
# Standard deviations of the priors: of the deviations from what single swaps suggest, and of interactions.
_BLOCK, _OPTION = 0.7, 0.3
_SHARE, _PAIR = 0.15, 0.12
# Mean and standard deviation of the priors of the common numbers: log scale, log exponent, log power, and the log of
# how far the floor lies below all measured metrics, relative to their range.
_SHARED = np.array([[-1.5, 3.0], [np.log(0.6), 0.5], [np.log(1.5), 0.5], [np.log(0.2), 1.0]])
# Numbers of knots of the link: at equal steps of the metric, and at equal ratios of the loss.
_LEVELS, _RATIOS = 33, 16
_LEAST_LARGEST = 1e-3  # least value of the largest sum of losses in a store
_LEAST_SUM = 1e-12  # sums are raised to this: the original's is 0, which has no logarithm


def neighbours(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of segments that interact: each with several options, and the next one with several options.

    >>> neighbours([3, 1, 2, 4])
    [(0, 2), (2, 3)]
    """
    return list(pairwise(i for i, size in enumerate(sizes) if size > 1))


@dataclass(frozen=True)
class Fit:
    """The fitted prediction.

    Attributes:
        losses: by segment, the loss of each option.
        interactions: by segment, a matrix of what its option (column) adds to the sum together with the option of the
            neighbour before it (row); empty for a segment without such a neighbour.
        link: maps the sum of losses and interactions to the metric.
    """

    losses: list[list[float]]
    interactions: list[list[list[float]]]
    link: Link

    @property
    def mean_losses(self) -> list[list[float]]:
        """By segment, the loss of each option plus the mean of its interactions over the neighbours' options."""
        means = [np.array(row) for row in self.losses]
        for first, second in self._neighbours:
            means[first] += np.mean(self.interactions[second], axis=1)
            means[second] += np.mean(self.interactions[second], axis=0)
        return [row.tolist() for row in means]

    def predict(self, compositions: Sequence[Sequence[int]]) -> Floats:
        """Return the predicted metric of each composition, which has one option number for every segment."""
        return np.interp([self.loss(c) for c in compositions], self.link.x, self.link.y)

    def loss(self, composition: Sequence[int]) -> float:
        """Return the sum of a composition's losses and interactions."""
        own = sum(loss[option] for loss, option in zip(self.losses, composition, strict=True))
        return own + sum(self.interactions[b][composition[a]][composition[b]] for a, b in self._neighbours)

    @property
    def _neighbours(self) -> list[tuple[int, int]]:
        return neighbours([len(row) for row in self.losses])


def fit(
    errors: Sequence[Sequence[float]],
    compositions: Sequence[Sequence[int]],
    metrics: Sequence[float],
    best: float,
    noise: float = NOISES[0],
    interacting: bool = True,
) -> Fit:
    """Fit losses, interactions and link to measured compositions.

    Args:
        errors: by segment, the error that each option causes alone (in any unit, not negative; 0 for the original).
        compositions: option numbers, one for each segment.
        metrics: the measured metric of each composition.
        best: the measured metric of the original.
        noise: standard deviation of measurements from the model, relative to the range of the metric; see `NOISES`.
        interacting: False for a fit of losses alone, whose interactions are all 0.
    """
    sizes = [len(row) for row in errors]
    if not any(e > 0 for row in errors for e in row):
        return Fit([[0.0] * n for n in sizes], _matrices(sizes), Link(x=(0.0, 1.0), y=(best, best)))
    known = np.asarray(metrics, np.float64)
    problem = FitProblem(errors, compositions, known, best, noise, [])
    p = problem.solve(problem.mean)
    if interacting:
        problem = FitProblem(errors, compositions, known, best, noise, neighbours(sizes))
        p = problem.solve(np.concatenate([p, problem.mean[len(p) :]]))
    found = problem.losses(p)
    losses = [[float(found[problem.places[b, o]]) if (b, o) in problem.places else 0.0 for o in range(len(row))]
              for b, row in enumerate(errors)]  # fmt: skip
    interactions = _matrices(sizes)
    place_of = list(problem.places)
    for (_, one, other), value in zip(problem.pairs, problem.interactions(p, found), strict=True):
        (_, i), (second, j) = place_of[one], place_of[other]
        interactions[second][i][j] = float(value)
    largest = max(sum(max(row) for row in losses) + sum(max(map(max, m), default=0.0) for m in interactions), 1e-9)
    x = problem.knots(p, largest)
    y = np.minimum.accumulate(np.concatenate([[best], problem.curve(p, x[1:])]))
    # Losses have no unit, only their ratios matter: they are scaled into the range that a store can hold.
    unit = largest / min(max(largest, _LEAST_LARGEST), MOST_LOSS / 2)
    losses = [[loss / unit for loss in row] for row in losses]
    interactions = [[[value / unit for value in row] for row in matrix] for matrix in interactions]
    return Fit(losses, interactions, Link(x=tuple((x / unit).tolist()), y=tuple(y.tolist())))


class FitProblem:
    """The least-squares problem that a fit solves.

    Its parameters are one vector: the common numbers (`_SHARED`), the deviations of blocks, the deviations of options,
    the shares of interacting blocks, and the deviations of interacting options.

    Attributes:
        places: column of each option that changes something, by (segment, option).
        pairs: interacting options, each as (number of the pair of blocks, column of one option, column of the other).
        mean, spread: mean and standard deviation of each parameter's prior.
    """

    def __init__(
        self,
        errors: Sequence[Sequence[float]],
        compositions: Sequence[Sequence[int]],
        metrics: Floats,
        best: float,
        noise: float,
        interacting: Sequence[tuple[int, int]],
    ) -> None:
        """Set up the problem.

        Args:
            errors, compositions, metrics, best, noise: see `fit`.
            interacting: the pairs of segments that interact.
        """
        self.metrics, self.best = metrics, best
        self.span = max(best - float(metrics.min(initial=best)), 1e-6)
        self._noise = noise * max(self.span, 0.1)
        self.places = {place: i for i, place in enumerate(
            (b, o) for b, row in enumerate(errors) for o, e in enumerate(row) if e > 0
        )}  # fmt: skip
        self.pairs = [
            (share, self.places[first, i], self.places[second, j])
            for share, (first, second) in enumerate(interacting)
            for i in range(len(errors[first]))
            for j in range(len(errors[second]))
            if (first, i) in self.places and (second, j) in self.places
        ]
        self._share, self._one, self._other = np.array(self.pairs, np.intp).reshape(-1, 3).T
        self._block = np.array([b for b, _ in self.places], np.intp)
        chosen = np.zeros((len(compositions), len(self.places)), bool)
        for n, composition in enumerate(compositions):
            for place in enumerate(composition):
                if place in self.places:
                    chosen[n, self.places[place]] = True
        # Of each option that a composition has, the composition and the option; and of each pair of them likewise.
        self._having, self._had = np.nonzero(chosen)
        self._having_pair, self._had_pair = np.nonzero(chosen[:, self._one] & chosen[:, self._other])
        logs = np.log([errors[b][o] for b, o in self.places])
        self._logs = logs - np.median(logs)
        sizes = (len(errors), len(self.places), len(interacting), len(self.pairs))
        self._ends = np.cumsum([len(_SHARED), *sizes])
        self._changing = np.concatenate([self._having, self._having_pair, self._having_pair])
        self._changed = np.concatenate([self._had, self._one[self._had_pair], self._other[self._had_pair]])
        self.mean = np.concatenate([_SHARED[:, 0], np.zeros(sum(sizes))])
        self.spread = np.concatenate([_SHARED[:, 1], np.repeat([_BLOCK, _OPTION, _SHARE, _PAIR], sizes)])

    def solve(self, start: Floats) -> Floats:
        """Return the most probable parameters, searched for from `start`."""
        found = least_squares(self.residuals, start, self.jacobian, x_scale=self.spread, tr_solver="lsmr", max_nfev=200)
        return np.asarray(found.x)

    def losses(self, p: Floats) -> Floats:
        """Return the loss of every option in `places` under the parameters `p`."""
        shared, blocks, options, _ = self._ends[:4]
        deviation = p[shared:blocks][self._block] + p[blocks:options]
        return np.asarray(np.exp(np.clip(p[0] + np.exp(p[1]) * self._logs + deviation, -60, 60)))

    def interactions(self, p: Floats, losses: Floats) -> Floats:
        """Return the interaction of every pair in `pairs` under the parameters `p` and these losses."""
        return np.asarray((self._factors(p) - 1) * np.sqrt(losses[self._one] * losses[self._other]))

    def _factors(self, p: Floats) -> Floats:
        """Return by how much each pair multiplies the geometric mean of its losses, 1 for no interaction."""
        options, shares = self._ends[2:4]
        return np.asarray(np.exp(np.clip(p[options:shares][self._share] + p[shares:], -60, 60)))

    def curve(self, p: Floats, u: Floats) -> Floats:
        """Return the metric at each sum in `u`, all greater than 0."""
        height = self.span * (1 + np.exp(p[3]))
        with np.errstate(over="ignore"):
            return np.asarray(self.best - height + height / (1 + u ** np.exp(p[2])))

    def knots(self, p: Floats, largest: float) -> Floats:
        """Return sums, ascending from 0 to the largest, between which the curve is nearly a straight line.

        They are at equal steps of the metric, since the curve may fall within a small part of the range where some
        options lose far more than others; and at equal ratios, for the part in which the curve is flat.
        """
        power = np.exp(p[2])
        with np.errstate(over="ignore"):
            fallen = 1 - 1 / (1 + largest**power)  # at the largest sum, as a share of the height
        shares = fallen * np.arange(1, _LEVELS) / _LEVELS
        with np.errstate(under="ignore"):
            at_levels = (shares / (1 - shares)) ** (1 / power)
        at_ratios = np.geomspace(largest / 1000, largest, _RATIOS)
        least = largest * 1e-9  # knots that are closer count as one
        inside = np.unique([u for u in (*at_levels, *at_ratios) if least < u < largest - least])
        apart = np.diff(inside, prepend=0.0) > least
        return np.concatenate([[0.0], inside[apart], [largest]])

    def _sums(self, p: Floats, losses: Floats) -> Floats:
        """Return the sum of losses and interactions of each measured composition."""
        count, between = len(self.metrics), self.interactions(p, losses)[self._had_pair]
        own = np.bincount(self._having, losses[self._had], count)
        return np.asarray(own + np.bincount(self._having_pair, between, count))

    def residuals(self, p: Floats) -> Floats:
        """Return the errors of predictions and the parameters' distances from their means, in standard deviations."""
        found = self.curve(p, np.maximum(self._sums(p, self.losses(p)), _LEAST_SUM))
        return np.concatenate([(found - self.metrics) / self._noise, (p - self.mean) / self.spread])

    def jacobian(self, p: Floats) -> Any:
        """Return the derivatives of `residuals`, shape (residuals, parameters).

        The matrix is sparse, because a composition has only few of all pairs of options.
        """
        shared, blocks, options, shares, end = self._ends
        losses, count = self.losses(p), len(self.metrics)
        sums = self._sums(p, losses)
        u, power = np.maximum(sums, _LEAST_SUM), float(np.exp(p[2]))
        height = self.span * (1 + np.exp(p[3]))
        with np.errstate(over="ignore"):
            t = 1 / (1 + u**power)  # the curve is floor + height * t
        steepness = -height * t * (1 - t) * power  # by log u
        by_sum = np.where(sums > _LEAST_SUM, steepness / u, 0.0)
        # Derivatives by the logarithms of losses: of an option's own, and by either of a pair, since an interaction is
        # proportional to the square root of both losses.
        half = self.interactions(p, losses)[self._had_pair] / 2
        by_log = np.concatenate([losses[self._had], half, half]) * by_sum[self._changing]
        means = np.sqrt(losses[self._one] * losses[self._other])
        by_pair = (self._factors(p) * means)[self._had_pair] * by_sum[self._having_pair]
        common = np.stack(
            [
                np.bincount(self._changing, by_log, count),
                np.bincount(self._changing, by_log * (np.exp(p[1]) * self._logs)[self._changed], count),
                steepness * np.log(u),
                self.span * np.exp(p[3]) * (t - 1),
            ]
        )
        # What has several values in one place is summed, such as the derivatives by a block's deviation.
        of_common, priors = np.indices(common.shape).reshape(2, -1), np.arange(end)
        values = [common.ravel(), by_log, by_log, by_pair, by_pair]
        rows = [of_common[1], *[self._changing] * 2, *[self._having_pair] * 2, count + priors]
        columns = [
            of_common[0],
            shared + self._block[self._changed],
            blocks + self._changed,
            options + self._share[self._had_pair],
            shares + self._had_pair,
            priors,
        ]
        found = np.concatenate([*(value / self._noise for value in values), 1 / self.spread])
        return sparse.csr_array((found, (np.concatenate(rows), np.concatenate(columns))), (count + end, end))


def _matrices(sizes: Sequence[int]) -> list[list[list[float]]]:
    """Return matrices of zeros in the shape of `Fit.interactions`."""
    matrices: list[list[list[float]]] = [[] for _ in sizes]
    for first, second in neighbours(sizes):
        matrices[second] = [[0.0] * sizes[second] for _ in range(sizes[first])]
    return matrices
