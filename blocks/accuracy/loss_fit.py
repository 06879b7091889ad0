"""Losses per option, interactions of neighbours and a falling curve, fitted to compositions that were evaluated.

The model: a composition is worth curve(sum of its options' losses and of its neighbours' interactions), where

    curve(u) = floor + (best - floor) / (1 + u ** power)
    loss of an option = scale x error ** exponent x exp(deviation of its block + deviation of the option)
    interaction of two options of neighbouring blocks
                      = (exp(share of the two blocks + deviation of the two options) - 1)
                        x sqrt(loss of one x loss of the other)

`error` is what the option does to the model's output when it alone replaces its original; it is the prior that lets a
small sample do. Shares are positive where two blocks spoil each other's input, negative where they spoil the same
things. Losses are never negative, and 0 for what changes nothing; an interaction takes away less than the geometric
mean of the two losses, so that sums are not negative either. All deviations, and the few numbers that all options
share, are found by regularised least squares (the most probable values under normal priors): without interactions
first, for from far off they can lead astray.
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

OptionNumbers = tuple[int, ...]  # one option number for each segment

# What predictions may be off by, relative to the range of the metric: with some thousand images, some hundred, and few.
# It is the noise of the metric together with what the model cannot express.
NOISES = (0.012, 0.04, 0.12)
# Standard deviations of the priors: how far single swaps may mislead, and how much neighbours interact.
_BLOCK, _OPTION = 0.7, 0.3
_SHARE, _PAIR = 0.15, 0.12
# Prior of the shared numbers: log scale, log exponent, log power, log of how far the floor is below all seen.
_SHARED = np.array([[-1.5, 3.0], [np.log(0.6), 0.5], [np.log(1.5), 0.5], [np.log(0.2), 1.0]])
# Knots of the link, at equal steps of the metric and at equal ratios of the loss.
_LEVELS, _RATIOS = 33, 16
_LEAST_LARGEST = 1e-3  # sum of losses of the heaviest composition
_LEAST_SUM = 1e-12  # of losses: of the original it is 0, and has no logarithm


def neighbours(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs of segments that interact: each that has several options, and the next one that has."""
    return list(pairwise(i for i, size in enumerate(sizes) if size > 1))


@dataclass(frozen=True)
class Fit:
    """What was fitted.

    Attributes:
        losses: by segment the loss of each option.
        interactions: by segment, what its option adds to that by the option of the neighbour before it (rows: options
            there, columns: options here); empty where there is none.
        link: summed losses and interactions -> metric.
    """

    losses: list[list[float]]
    interactions: list[list[list[float]]]
    link: Link

    @property
    def mean_losses(self) -> list[list[float]]:
        """By segment the loss of each option, with its interactions in the mean over the neighbours' options."""
        means = [np.array(row) for row in self.losses]
        for first, second in self._neighbours:
            means[first] += np.mean(self.interactions[second], axis=1)
            means[second] += np.mean(self.interactions[second], axis=0)
        return [row.tolist() for row in means]

    def predict(self, compositions: Sequence[Sequence[int]]) -> Floats:
        """The predicted metric of compositions, each with one option number for every segment."""
        return np.interp([self.loss(c) for c in compositions], self.link.x, self.link.y)

    def loss(self, composition: Sequence[int]) -> float:
        """The summed loss of a composition, interactions included."""
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
) -> Fit:
    """Fit losses, interactions and link.

    Args:
        errors: by segment, the error that each option causes alone (any scale, not negative; 0 for the original).
        compositions: option numbers, one for each segment.
        metrics: what each composition measured.
        best: what the original measured.
        noise: standard deviation of measurements from the model, relative to the range of the metric; see `NOISES`.
    """
    sizes = [len(row) for row in errors]
    if not any(e > 0 for row in errors for e in row):
        return Fit([[0.0] * n for n in sizes], _matrices(sizes), Link(x=(0.0, 1.0), y=(best, best)))
    known = np.asarray(metrics, np.float64)
    additive = FitProblem(errors, compositions, known, best, noise, [])
    problem = FitProblem(errors, compositions, known, best, noise, neighbours(sizes))
    start = additive.solved(additive.mean)
    p = problem.solved(np.concatenate([start, problem.mean[len(start) :]]))
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
    # Only ratios of losses mean something: what a store could not hold is told in another unit.
    unit = largest / min(max(largest, _LEAST_LARGEST), MOST_LOSS / 2)
    losses = [[loss / unit for loss in row] for row in losses]
    interactions = [[[value / unit for value in row] for row in matrix] for matrix in interactions]
    return Fit(losses, interactions, Link(x=tuple((x / unit).tolist()), y=tuple(y.tolist())))


class FitProblem:
    """The least-squares problem. Parameters: shared numbers, deviations of blocks and options, shares, and of pairs.

    `interacting` are the pairs of segments that interact; the rest is as for `fit`.
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
        self.metrics, self.best = metrics, best
        self.span = max(best - float(metrics.min(initial=best)), 1e-6)
        self._noise = noise * max(self.span, 0.1)
        # Columns of options that change something, by (segment, option), and of pairs of such options of neighbours.
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
        self._chosen = np.zeros((len(compositions), len(self.places)))
        for n, composition in enumerate(compositions):
            for place in enumerate(composition):
                if place in self.places:
                    self._chosen[n, self.places[place]] = 1
        self._paired = self._chosen[:, self._one] * self._chosen[:, self._other]
        logs = np.log([errors[b][o] for b, o in self.places])
        self._logs = logs - np.median(logs)
        sizes = (len(errors), len(self.places), len(interacting), len(self.pairs))
        self._ends = np.cumsum([len(_SHARED), *sizes])
        self.mean = np.concatenate([_SHARED[:, 0], np.zeros(sum(sizes))])
        self.spread = np.concatenate([_SHARED[:, 1], np.repeat([_BLOCK, _OPTION, _SHARE, _PAIR], sizes)])

    def solved(self, start: Floats) -> Floats:
        """The most probable parameters, from a start."""
        found = least_squares(self.residuals, start, self.jacobian, x_scale=self.spread, tr_solver="lsmr", max_nfev=200)
        return np.asarray(found.x)

    def losses(self, p: Floats) -> Floats:
        """Of the options in `places`."""
        shared, blocks, options, _ = self._ends[:4]
        deviation = p[shared:blocks][self._block] + p[blocks:options]
        return np.asarray(np.exp(np.clip(p[0] + np.exp(p[1]) * self._logs + deviation, -60, 60)))

    def interactions(self, p: Floats, losses: Floats) -> Floats:
        """Of the options in `pairs`."""
        return np.asarray((self._factors(p) - 1) * np.sqrt(losses[self._one] * losses[self._other]))

    def _factors(self, p: Floats) -> Floats:
        options, shares = self._ends[2:4]
        return np.asarray(np.exp(np.clip(p[options:shares][self._share] + p[shares:], -60, 60)))

    def curve(self, p: Floats, u: Floats) -> Floats:
        """The metric at sums u > 0."""
        height = self.span * (1 + np.exp(p[3]))
        with np.errstate(over="ignore"):
            return np.asarray(self.best - height + height / (1 + u ** np.exp(p[2])))

    def knots(self, p: Floats, largest: float) -> Floats:
        """Sums between which the curve may be taken for straight, ascending from 0 to the largest.

        At equal steps of the metric, because all that matters may lie near 0 where some options lose far more than
        others; and at equal ratios, for where the curve is flat.
        """
        power = np.exp(p[2])
        with np.errstate(over="ignore"):
            fallen = 1 - 1 / (1 + largest**power)  # share of the height
        shares = fallen * np.arange(1, _LEVELS) / _LEVELS
        with np.errstate(under="ignore"):
            at_levels = (shares / (1 - shares)) ** (1 / power)
        at_ratios = np.geomspace(largest / 1000, largest, _RATIOS)
        least = largest * 1e-9  # closer ones are the same
        inside = np.unique([u for u in (*at_levels, *at_ratios) if least < u < largest - least])
        apart = np.diff(inside, prepend=0.0) > least
        return np.concatenate([[0.0], inside[apart], [largest]])

    def _sums(self, p: Floats, losses: Floats) -> Floats:
        return np.asarray(self._chosen @ losses + self._paired @ self.interactions(p, losses))

    def residuals(self, p: Floats) -> Floats:
        """What predictions are off by, and the parameters, in standard deviations."""
        found = self.curve(p, np.maximum(self._sums(p, self.losses(p)), _LEAST_SUM))
        return np.concatenate([(found - self.metrics) / self._noise, (p - self.mean) / self.spread])

    def jacobian(self, p: Floats) -> Any:
        """Of `residuals`, (residuals, parameters), sparse: a composition has few pairs of the many."""
        shared, blocks, options, shares, _ = self._ends
        losses = self.losses(p)
        sums = self._sums(p, losses)
        u, power = np.maximum(sums, _LEAST_SUM), float(np.exp(p[2]))
        height = self.span * (1 + np.exp(p[3]))
        with np.errstate(over="ignore"):
            t = 1 / (1 + u**power)  # the curve is floor + height * t
        steepness = -height * t * (1 - t) * power  # by log u
        by_sum = np.where(sums > _LEAST_SUM, steepness / u, 0.0)
        # By the logarithm of each loss: an interaction goes with the square root of both.
        paired = self._paired * self.interactions(p, losses) / 2
        by_log = self._chosen * losses
        np.add.at(by_log.T, self._one, paired.T)
        np.add.at(by_log.T, self._other, paired.T)
        by_log *= by_sum[:, None]
        means = np.sqrt(losses[self._one] * losses[self._other])
        by_pair = self._paired * (self._factors(p) * means) * by_sum[:, None]
        data = np.zeros((len(u), len(p)))
        data[:, 0] = by_log.sum(axis=1)
        data[:, 1] = by_log @ (np.exp(p[1]) * self._logs)
        data[:, 2] = steepness * np.log(u)
        data[:, 3] = self.span * np.exp(p[3]) * (t - 1)
        np.add.at(data[:, shared:blocks].T, self._block, by_log.T)
        data[:, blocks:options] = by_log
        np.add.at(data[:, options:shares].T, self._share, by_pair.T)
        data[:, shares:] = by_pair
        return sparse.vstack([sparse.csr_array(data / self._noise), sparse.diags(1 / self.spread)]).tocsr()


def _matrices(sizes: Sequence[int]) -> list[list[list[float]]]:
    """Interactions of nothing, by segment."""
    matrices: list[list[list[float]]] = [[] for _ in sizes]
    for first, second in neighbours(sizes):
        matrices[second] = [[0.0] * sizes[second] for _ in range(sizes[first])]
    return matrices
