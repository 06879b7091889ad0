"""The accuracy model of a store: a sample of compositions is measured, and the metric of the others is predicted.

The metric of a composition is predicted as link(sum of its options' losses and of its neighbours' interactions), which
`loss_fit` fits to the sample. The sample holds every single swap, random compositions, and those that plans are likely
to choose (`likely_plans`). Cross-validation tells how far off predictions are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.accuracy.evaluation import MeasuredComposition, evaluate
from legodnn.blocks.accuracy.likely_plans import likely_compositions
from legodnn.blocks.accuracy.loss_fit import NOISES, Fit, fit
from legodnn.blocks.accuracy.metrics import Metric
from legodnn.blocks.accuracy.option_chain import OptionChain, OptionNumbers
from legodnn.blocks.accuracy.sampling import draw_compositions, single_swaps
from legodnn.blocks.importing.data import Split
from legodnn.manifest import AccuracyModel
from legodnn.progress import Progress, no_progress
from legodnn.schema import MOST_METRIC

# Measures compositions under a label for progress, and yields each as soon as it is known.
Evaluated = Callable[[Collection[OptionNumbers], str], Iterator[tuple[OptionNumbers, MeasuredComposition]]]

_FOLDS = 3  # parts of the sample in cross-validation
# Likely compositions are measured and the model is fitted anew in at most so many rounds, since a better fit leads to
# other likely compositions.
_ROUNDS = 5
_COVERED = 0.9  # share of likely compositions that `AccuracyModel.plan_error` covers


def measure(
    chain: OptionChain,
    split: Split,
    data: str,
    samples: int,
    seed: int,
    metric: Metric,
    known: dict[OptionNumbers, MeasuredComposition] | None = None,
    further: Iterable[OptionNumbers] = (),
    costs: Sequence[Floats] = (),
    evaluated: Evaluated | None = None,
    progress: Progress = no_progress,
) -> tuple[AccuracyModel, Fit]:
    """Evaluate single swaps, a random sample, and compositions that plans are likely to choose, and fit them all.

    Args:
        chain: options of every segment, the original first.
        split: inputs and labels that nothing was trained on; see `evaluate`.
        data: what `split` is, for the record.
        samples: number of random compositions to evaluate besides single swaps. Likely compositions come on top, at
            most half as many.
        seed: of the sample.
        metric: see `legodnn.blocks.accuracy.metrics`.
        known: what has been measured already; new measurements are added to it.
        further: compositions to measure besides; they are not fitted.
        costs: by segment, bytes and work of each option, shape (options, 2), see `likely_compositions`. Without them no
            likely compositions are measured.
        evaluated: measures compositions elsewhere; without it they are measured here, by `evaluate`.
        progress: shows what is being measured.

    Returns:
        The accuracy model, and the fit that it comes from.
    """
    known = {} if known is None else known
    singles = single_swaps(chain.sizes)

    def measure_missing(compositions: Iterable[OptionNumbers], label: str) -> None:
        missing = set(compositions) - set(known)
        if evaluated is None:
            found = evaluate(chain, missing, split, metric, label, progress=progress)
        else:
            found = evaluated(missing, label)
        for composition, measured in found:
            known[composition] = measured

    sample = [c for c in draw_compositions(chain.sizes, samples, seed) if c not in singles]
    measure_missing([*singles, *further, *sample], "measuring accuracy")
    chosen: list[OptionNumbers] = []
    noise, errors = errors_held_out(chain.sizes, known, sample)
    result = fit_measured(chain.sizes, known, sample, noise)
    for round_ in range(_ROUNDS if costs else 0):
        room = max(samples // 2, 1) - len(chosen)
        likely = likely_compositions(result, costs, samples // 4)
        fitted = {*singles, *sample, *chosen}
        others = [c for c in likely if c not in fitted][:room]
        if not others:
            break
        measure_missing(others, f"measuring likely plans, {round_ + 1}")
        chosen += others
        result = fit_measured(chain.sizes, known, [*sample, *chosen], noise)
    if chosen:
        noise, errors = errors_held_out(chain.sizes, known, [*sample, *chosen])
        result = fit_measured(chain.sizes, known, [*sample, *chosen], noise)
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
    """Return a bound that nine in ten further errors like these stay within.

    It is the quantile of split conformal prediction, which lies one or two places higher than that of the sample when
    the sample is small.
    """
    share = min(1.0, _COVERED * (len(errors) + 1) / len(errors))
    return min(float(np.quantile(errors, share, method="higher")), MOST_METRIC)


def fit_measured(
    sizes: Sequence[int],
    known: Mapping[OptionNumbers, MeasuredComposition],
    sample: Sequence[OptionNumbers],
    noise: float,
    interacting: bool = True,
) -> Fit:
    """Fit losses, interactions and link to single swaps and a sample, all of which have been measured.

    Args:
        sizes: number of options of each segment.
        known: the measurements of all single swaps and of the sample.
        sample: compositions that are fitted.
        noise, interacting: see `loss_fit.fit`.
    """
    original, *singles = single_swaps(sizes)
    causes = [[0.0] for _ in sizes]
    for composition in singles:
        segment = next(i for i, option in enumerate(composition) if option)
        causes[segment].append(known[composition].error)
    compositions = [*singles, *sample]
    metrics = [known[c].metric for c in compositions]
    return fit(causes, compositions, metrics, known[original].metric, noise, interacting)


def errors_held_out(
    sizes: Sequence[int], known: Mapping[OptionNumbers, MeasuredComposition], sample: Sequence[OptionNumbers]
) -> tuple[float, Floats]:
    """Predict each composition of a sample by a fit that it was held out of.

    Args:
        sizes, known, sample: see `fit_measured`.

    Returns:
        Of the noise levels in `NOISES`, the one with the least mean error; and by it, the absolute error of each
        prediction.
    """

    def errors(noise: float) -> Floats:
        found = np.zeros(len(sample))
        for i in range(_FOLDS):
            held_out = sample[i::_FOLDS]
            others = [c for j, c in enumerate(sample) if j % _FOLDS != i]
            predicted = fit_measured(sizes, known, others, noise).predict(held_out)
            found[i::_FOLDS] = np.abs(predicted - [known[c].metric for c in held_out])
        return found

    found = {noise: errors(noise) for noise in NOISES}
    best = min(found, key=lambda noise: float(found[noise].sum()))
    return best, found[best]
