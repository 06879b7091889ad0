"""What each option costs, and the accuracy that a composition of options will have.

The loss of an option is the relative error it causes at the model's output when it alone replaces its original. A
composition's accuracy is predicted as link(sum of its losses); the link, a falling curve, is fitted to a sample of
compositions that are really evaluated, and tested on others. The paper instead adds up the accuracy drops of single
swaps, which are coarse (many are 0) and do not add up once they are large.

Everything is evaluated on the exported files, so that what a plan promises is what a device runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.data import Split
from legodnn.console import Progress
from legodnn.store import AccuracyModel, Link

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stage:
    """One exported segment: the names of the tensors it reads and writes, and its options, the original first.

    An option takes the arrays it reads, each of shape (n, ...), and gives the list of those it writes.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Sequence[Callable[..., list[Array]]]

    def run(self, option: int, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """All tensors once this segment has run."""
        written = self.options[option](*(tensors[name] for name in self.inputs))
        return {**tensors, **dict(zip(self.outputs, written, strict=True))}


@dataclass(frozen=True, eq=False)
class Chain:
    """The exported segments of one model with one input and one output, in topological order."""

    stages: Sequence[Stage]

    def output(self, choice: Sequence[int], x: Array) -> Array:
        """The model's output for images x when segment i runs option choice[i]."""
        return self.resume(choice, {self.stages[0].inputs[0]: x}, 0)

    def resume(self, choice: Sequence[int], tensors: Mapping[str, Array], start: int) -> Array:
        """The same from segment `start` on, given the tensors that are known before it."""
        for stage, option in zip(self.stages[start:], choice[start:], strict=True):
            tensors = stage.run(option, tensors)
        return tensors[self.stages[-1].outputs[0]]


def top1(outputs: Array, labels: NDArray[np.int64] | None) -> float:
    """Share of images whose largest output is the label."""
    return float((outputs.argmax(axis=1) == labels).mean())


def measure(chain: Chain, data: Split, name: str, samples: int, seed: int) -> tuple[AccuracyModel, list[list[float]]]:
    """Measure every option's loss and fit the accuracy model.

    Args:
        chain: exported options of every segment, the original first.
        data: images and labels that nothing was trained on.
        name: of the data, for the record.
        samples: compositions to evaluate; two thirds fit the link, the rest tests it.
        seed: of the sample.

    Returns:
        The accuracy model, and for each segment the loss of each option.
    """
    sizes = [len(stage.options) for stage in chain.stages]
    sample = _sample(sizes, samples, np.random.default_rng(seed))
    with Progress("measuring accuracy", sum(sizes) + len(sample)) as progress:
        losses, reference = _losses(chain, data.x, progress)
        metrics = []
        for choice in sample:
            metrics.append(top1(chain.output(choice, data.x), data.y))
            progress.step()
    sums = np.array([sum(loss[i] for loss, i in zip(losses, choice, strict=True)) for choice in sample])
    best, known = top1(reference, data.y), np.array(metrics)
    fit = np.arange(len(sample)) % 3 != 2
    link = fit_link(sums[fit], known[fit], best, sum(max(loss) for loss in losses))
    predicted = np.interp(sums[~fit], link.x, link.y)
    error = float(np.abs(predicted - known[~fit]).mean()) if (~fit).any() else 0.0
    model = AccuracyModel(metric="top1", data=name, original=best, link=link, error=error, samples=int((~fit).sum()))
    return model, losses


def _losses(chain: Chain, x: Array, progress: Progress) -> tuple[list[list[float]], Array]:
    """Relative output error of each single swap, and the original's output."""
    original = [0] * len(chain.stages)
    reference = chain.output(original, x)
    scale = max(float(reference.var()), 1e-12)
    before: Mapping[str, Array] = {chain.stages[0].inputs[0]: x}
    losses: list[list[float]] = []
    for i, stage in enumerate(chain.stages):
        losses.append([0.0])
        progress.step()
        for option in range(1, len(stage.options)):
            swapped = chain.resume(original, stage.run(option, before), i + 1)
            losses[-1].append(float(np.square(swapped - reference).mean()) / scale)
            progress.step()
        before = stage.run(0, before)
    return losses, reference


def _sample(sizes: Sequence[int], count: int, rng: np.random.Generator) -> list[list[int]]:
    """Compositions from lightly to heavily pruned: a level each, and options scattered about it."""
    levels = rng.permutation(np.linspace(0, 1, count))
    return [[int(np.clip(round(rng.normal(t, 0.2) * (n - 1)), 0, n - 1)) for n in sizes] for t in levels]


def fit_link(sums: NDArray[np.float64], metrics: NDArray[np.float64], best: float, largest: float) -> Link:
    """A falling curve through (0, best): y = floor + (best - floor) / (1 + (x / scale)^power), as 33 knots.

    Args:
        sums: summed losses of evaluated compositions.
        metrics: their measured metric.
        best: the original's metric.
        largest: the largest sum that can occur.
    """
    floor = float(min(metrics.min(initial=best), best))
    top = max(largest, float(sums.max(initial=0.0)), 1e-6)

    def curve(x: NDArray[np.float64], scale: float, power: float) -> NDArray[np.float64]:
        return floor + (best - floor) / (1 + (x / scale) ** power)

    grid = product(np.geomspace(top / 1000, top * 10, 80), np.linspace(0.5, 6, 45))
    scale, power = min(grid, key=lambda p: float(np.abs(curve(sums, *p) - metrics).sum()))
    x = np.concatenate([[0.0], np.geomspace(top / 1000, top, 32)])
    return Link(x=tuple(x.tolist()), y=tuple(np.minimum.accumulate(curve(x, scale, power)).tolist()))
