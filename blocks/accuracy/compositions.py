"""What compositions are worth: evaluating them, and predicting those that were not evaluated.

A composition's metric is predicted as link(sum of its options' losses and of its neighbours' interactions). These are
fitted (`lossfit`) to a small sample of compositions that are really evaluated, random ones and those that plans are
likely to choose (`likely`), and tested by cross-validation. The paper adds up the drops that single swaps cause; that
estimate is here as `summed_drops`, for comparison.

In a store everything is evaluated on the exported files, so that what a plan promises is what a device runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array, Floats
from legodnn.blocks.accuracy.likely_plans import likely
from legodnn.blocks.accuracy.loss_fit import NOISES, Fit, OptionNumbers, fit
from legodnn.blocks.accuracy.metrics import Metric, top1
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.difference import relative_error
from legodnn.console import ProgressLine, text_table
from legodnn.errors import DataError
from legodnn.manifest import AccuracyModel
from legodnn.schema import MOST_METRIC

# Images that are taken through all compositions at a time: their features at every segment are kept, so fewer where
# those of one image are large.
_BATCH, _FEATURE_BYTES = 250, 500_000_000
_GROUP = 32  # compositions whose outputs for all images are kept
_FOLDS = 3  # parts of the sample, each of which tests a fit to the others
# Compositions that plans are likely to choose are measured and fitted so often, for a better fit likes others; and the
# share of them that the error of a plan's accuracy covers.
_ROUNDS, _COVERED = 5, 0.9


class MeasuredComposition(NamedTuple):
    """What was measured of a composition: the metric, and its outputs' squared error relative to the original's."""

    metric: float
    error: float


@dataclass(frozen=True, eq=False)
class Stage:
    """One segment: the names of the tensors it reads and writes, and its options, the original first.

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
class OptionChain:
    """The segments of one model in topological order, and the names of its outputs (None: what the last one writes)."""

    stages: Sequence[Stage]
    outputs: tuple[str, ...] | None = None

    @property
    def sizes(self) -> list[int]:
        """How many options each segment has."""
        return [len(stage.options) for stage in self.stages]

    def inputs(self, x: Any) -> dict[str, Array]:
        """The model's inputs by name, of an array (for the one input) or of arrays by name."""
        return dict(x) if isinstance(x, Mapping) else {self.stages[0].inputs[0]: x}

    def output(self, choice: Sequence[int], x: Any) -> Array:
        """The first output for inputs x when segment i runs option choice[i]."""
        return next(self.walk([tuple(choice)], x))[0]

    def feature_bytes(self, x: Any) -> int:
        """What all tensors between segments take for inputs x."""
        tensors: Mapping[str, Array] = self.inputs(x)
        for stage in self.stages:
            tensors = stage.run(0, tensors)
        return sum(t.nbytes for t in tensors.values())

    def walk(self, compositions: Iterable[OptionNumbers], x: Any) -> Iterator[list[Array]]:
        """The outputs of compositions, one after another; what a composition shares with the one before is not run."""
        known: list[Mapping[str, Array]] = [self.inputs(x)]
        before: OptionNumbers = ()
        for choice in compositions:
            shared = next((i for i, (a, b) in enumerate(zip(before, choice, strict=False)) if a != b), len(before))
            del known[shared + 1 :]
            for stage, option in zip(self.stages[shared:], choice[shared:], strict=True):
                known.append(stage.run(option, known[-1]))
            before = choice
            yield [known[-1][name] for name in self.outputs or self.stages[-1].outputs]


def evaluate(
    chain: OptionChain,
    compositions: Iterable[OptionNumbers],
    split: Split,
    metric: Metric = top1,
    label: str = "evaluating compositions",
) -> Iterator[tuple[OptionNumbers, MeasuredComposition]]:
    """Measure compositions, in sorted order, so that those with equal first segments come together and share work.

    Args:
        chain: the segments.
        compositions: option numbers, one for each segment.
        split: inputs, and labels; without labels (None) the metric compares with the original's outputs.
        metric: see `legodnn.blocks.accuracy.metrics`.
        label: of the progress line.

    Yields:
        Each composition with what was measured, in groups, as they are done: whoever keeps them can stop and go on
        with the rest.
    """
    todo = sorted(set(compositions))
    inputs = chain.inputs(split.x)
    count = len(next(iter(inputs.values())))
    if not todo:
        return
    size = min(_BATCH, max(1, _FEATURE_BYTES // chain.feature_bytes({k: v[:1] for k, v in inputs.items()})))
    batches = range(0, count, size)
    with ProgressLine(label, (len(todo) + 1) * len(batches)) as progress:

        def outputs_of(group: Sequence[OptionNumbers]) -> Iterator[list[Array]]:
            parts: list[list[list[Array]]] = [[] for _ in group]
            for i in batches:
                batch = {k: v[i : i + size] for k, v in inputs.items()}
                for part, outputs in zip(parts, chain.walk(group, batch), strict=True):
                    part.append(outputs)
                    progress.step()
            return ([np.concatenate(column) for column in zip(*part, strict=True)] for part in parts)

        original = next(outputs_of([(0,) * len(chain.stages)]))
        labels = original if split.y is None else split.y
        for start in range(0, len(todo), _GROUP):
            group = todo[start : start + _GROUP]
            for composition, outputs in zip(group, outputs_of(group), strict=True):
                found = metric(outputs, labels)
                if not math.isfinite(found):
                    raise DataError(
                        f"metric {getattr(metric, '__name__', '')} gave {found} for composition {composition}, not a "
                        "number; it must give one for any outputs"
                    )
                # Stores hold no more; what is worth so little (R squared knows no end) is useless all the same.
                yield (
                    composition,
                    MeasuredComposition(max(found, -MOST_METRIC), float(relative_error(outputs, original))),
                )


def swaps(sizes: Sequence[int]) -> list[OptionNumbers]:
    """The original, and every composition in which one segment alone runs another option."""
    original = (0,) * len(sizes)
    singles = [(*original[:i], o, *original[i + 1 :]) for i, n in enumerate(sizes) for o in range(1, n)]
    return [original, *singles]


def draw_compositions(sizes: Sequence[int], count: int, seed: int) -> list[OptionNumbers]:
    """Random compositions: options equally likely; `count` different ones, if there are as many."""
    rng, found = np.random.default_rng(seed), dict[OptionNumbers, None]()
    for _ in range(20 * count):
        if len(found) == count:
            break
        found[tuple(int(rng.integers(n)) for n in sizes)] = None
    return list(found)


def measure(
    chain: OptionChain,
    split: Split,
    data: str,
    samples: int,
    seed: int,
    metric: Metric = top1,
    known: dict[OptionNumbers, MeasuredComposition] | None = None,
    further: Iterable[OptionNumbers] = (),
    costs: Sequence[Floats] = (),
) -> tuple[AccuracyModel, Fit]:
    """Evaluate single swaps, a random sample, and what plans are likely to choose; fit all.

    Args:
        chain: options of every segment, the original first.
        split: inputs and labels that nothing was trained on; see `evaluate`.
        data: what `split` is, for the record.
        samples: random compositions to evaluate and fit besides single swaps; each in turn, with a third of the others,
            also tests a fit to the rest. Likely compositions come on top: at most half as many.
        seed: of the sample.
        metric: see `legodnn.blocks.accuracy.metrics`.
        known: what has been measured already; what is measured now is added.
        further: compositions to measure besides, for the record.
        costs: by segment (options, 2): bytes and work of each option, for `likely`; without them no composition counts
            as likely.

    Returns:
        The accuracy model, and the fit that it comes from.
    """
    known = {} if known is None else known
    singles = swaps(chain.sizes)

    def measured(compositions: Iterable[OptionNumbers], label: str) -> None:
        for composition, found in evaluate(chain, set(compositions) - set(known), split, metric, label):
            known[composition] = found

    sample = [c for c in draw_compositions(chain.sizes, samples, seed) if c not in singles]
    measured([*singles, *further, *sample], "measuring accuracy")
    chosen: list[OptionNumbers] = []
    result, errors = fit_measured(chain.sizes, known, sample)
    for round_ in range(_ROUNDS if costs else 0):
        room = max(samples // 2, 1) - len(chosen)
        others = [c for c in likely(result, costs, samples // 4) if c not in {*singles, *sample, *chosen}][:room]
        if not others:
            break
        measured(others, f"measuring likely plans, {round_ + 1}")
        chosen += others
        result, errors = fit_measured(chain.sizes, known, [*sample, *chosen])
    model = AccuracyModel(
        metric=getattr(metric, "__name__", type(metric).__name__),
        data=data,
        original=known[singles[0]].metric,
        link=result.link,
        error=min(float(np.mean(errors[: len(sample)])), MOST_METRIC) if sample else 0.0,
        samples=len(sample),
        plan_error=_covering(errors[len(sample) :]) if chosen else 0.0,
        plan_samples=len(chosen),
    )
    return model, result


def _covering(errors: Floats) -> float:
    """What nine in ten errors like these are within: their quantile, for so few one or two places up (conformal)."""
    share = min(1.0, _COVERED * (len(errors) + 1) / len(errors))
    return min(float(np.quantile(errors, share, method="higher")), MOST_METRIC)


def fit_measured(
    sizes: Sequence[int], known: Mapping[OptionNumbers, MeasuredComposition], sample: Sequence[OptionNumbers]
) -> tuple[Fit, Floats]:
    """Fit losses, interactions and link to a sample and to single swaps, all of which have been measured.

    Returns:
        The fit, and the absolute errors of predictions in cross-validation: of each composition of the sample by a fit
        to others. The noise that the fit expects is the one with the least such error in the mean.
    """
    original, *singles = swaps(sizes)
    causes = [[0.0] for _ in sizes]
    for composition in singles:
        segment = next(i for i, option in enumerate(composition) if option)
        causes[segment].append(known[composition].error)

    def fitted(part: Sequence[OptionNumbers], noise: float) -> Fit:
        compositions = [*singles, *part]
        return fit(causes, compositions, [known[c].metric for c in compositions], known[original].metric, noise)

    def errors(noise: float) -> Floats:
        found = np.zeros(len(sample))
        for i in range(_FOLDS):
            held_out = sample[i::_FOLDS]
            others = [c for j, c in enumerate(sample) if j % _FOLDS != i]
            predicted = fitted(others, noise).predict(held_out)
            found[i::_FOLDS] = np.abs(predicted - [known[c].metric for c in held_out])
        return found

    found = {noise: errors(noise) for noise in NOISES}
    best = min(found, key=lambda noise: float(found[noise].sum()))
    return fitted(sample, best), found[best]


def measurement_report(
    levels: Mapping[str, OptionNumbers],
    known: Mapping[OptionNumbers, MeasuredComposition],
    sample: Sequence[OptionNumbers],
    model: AccuracyModel,
) -> str:
    """A table for people: the original, uniform compositions, random ones, and how true predictions are.

    Args:
        levels: uniform compositions by the name of the option.
        known: what was measured, uniform compositions and the sample included.
        sample: random compositions.
        model: the fitted accuracy model.
    """
    values = np.array([known[c].metric for c in sample])
    rows = [
        ("original", f"{model.original:.3f}"),
        *((f"all {level}", f"{known[c].metric:.3f}") for level, c in levels.items() if any(c)),
        (f"{len(values)} random: mean", f"{values.mean():.3f}"),
        ("random: 5th percentile", f"{np.percentile(values, 5):.3f}"),
        ("random: 95th percentile", f"{np.percentile(values, 95):.3f}"),
        (f"prediction error, {model.samples} held out", f"{model.error:.3f}"),
        (f"of likely plans, 9 in 10 of {model.plan_samples}", f"{model.plan_error:.3f}"),
    ]
    return text_table(rows, ("composition", model.metric))


def summed_drops(
    sizes: Sequence[int], known: Mapping[OptionNumbers, MeasuredComposition], compositions: Sequence[OptionNumbers]
) -> NDArray[np.float64]:
    """The paper's estimate: the original's metric minus what each option costs as a single swap."""
    original, *singles = swaps(sizes)
    best = known[original].metric
    drop = {next((i, o) for i, o in enumerate(c) if o): best - known[c].metric for c in singles}
    return np.array([best - sum(drop.get(place, 0.0) for place in enumerate(c)) for c in compositions])
