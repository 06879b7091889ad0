"""Compositions that were not measured are predicted as accurately as the accuracy model states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.blocks.accuracy import accuracy_model
from legodnn.blocks.accuracy.accuracy_model import measure
from legodnn.blocks.accuracy.evaluation import MeasuredComposition, evaluate
from legodnn.blocks.accuracy.likely_plans import likely_compositions
from legodnn.blocks.accuracy.loss_fit import NOISES, Fit, fit
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import draw_compositions, single_swaps
from legodnn.blocks.importing.data import Split
from tests.blocks.accuracy.chains import Segment, chain, chain_of, noisy
from tests.blocks.accuracy.named_metrics import top1

LEVELS = (0.0, 0.1, 0.2, 0.4, 0.7)


def test_predictions_for_compositions_outside_the_fit_are_as_close_as_promised(validation: Split) -> None:
    swapped = chain(LEVELS)
    model, fitted = measure(swapped, validation, "made up", samples=48, seed=0, metric=top1)
    held_out = set(draw_compositions(swapped.sizes, 48, seed=0)) - set(
        single_swaps(swapped.sizes)
    )  # single swaps are always fitted
    assert (model.metric, model.data, model.samples) == ("top1", "made up", len(held_out))
    assert model.original == top1([np.asarray(validation.x)], validation.y)
    assert model.error < 0.02
    unseen = draw_compositions(swapped.sizes, 30, seed=7)
    known = dict(evaluate(swapped, unseen, validation, top1))
    assert np.abs(fitted.predict(unseen) - [known[c].metric for c in unseen]).mean() < 0.025


def test_what_plans_are_likely_to_choose_is_measured_and_predicted_as_closely_as_promised(validation: Split) -> None:
    swapped, known = chain(LEVELS), dict[OptionNumbers, MeasuredComposition]()
    rng = np.random.default_rng(0)
    costs = [np.sort(rng.uniform(1, 100, (5, 2)), axis=0)[::-1] / (1 + 4 * np.arange(5))[:, None] for _ in range(4)]
    model, fitted = measure(swapped, validation, "made up", samples=48, seed=0, metric=top1, known=known, costs=costs)
    assert 3 < model.plan_samples <= 24
    plans = likely_compositions(fitted, costs, 12)
    assert sum(c in known for c in plans) >= 0.7 * len(plans)
    found = dict(evaluate(swapped, plans, validation, top1))
    wrong = np.abs(fitted.predict(plans) - [found[c].metric for c in plans])
    assert np.mean(wrong <= model.plan_error) >= 0.8
    assert model.plan_error < 0.04


def test_without_costs_no_plan_counts_as_likely(validation: Split) -> None:
    model, _ = measure(chain((0.0, 0.4)), validation, "made up", samples=6, seed=0, metric=top1)
    assert (model.plan_samples, model.plan_error) == (0, 0.0)


def test_what_is_known_is_not_measured_again(validation: Split) -> None:
    few = validation.first(200)
    known: dict[OptionNumbers, MeasuredComposition] = {}
    first = measure(chain((0.0, 0.2, 0.5)), few, "made up", 12, seed=3, metric=top1, known=known)
    broken: list[list[Segment]] = [[lambda x: [np.full_like(x, np.nan)]] * 3] * 4
    assert measure(chain_of(broken), few, "made up", 12, seed=3, metric=top1, known=known) == first


def test_every_composition_is_held_out_of_one_fit_and_the_last_fit_is_to_all(
    validation: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped, fits = chain((0.0, 0.2, 0.6)), list[tuple[float, set[OptionNumbers], Fit]]()

    def recorded(
        errors: Any, compositions: list[OptionNumbers], metrics: Any, best: float, noise: float, interacting: bool
    ) -> Fit:
        assert interacting
        found = fit(errors, compositions, metrics, best, noise)
        fits.append((noise, set(compositions), found))
        return found

    monkeypatch.setattr(accuracy_model, "fit", recorded)
    known: dict[OptionNumbers, MeasuredComposition] = {}
    model, result = measure(swapped, validation, "made up", samples=12, seed=0, metric=top1, known=known)
    *folds, (chosen, everything, last) = fits
    assert last == result
    sample = everything - set(single_swaps(swapped.sizes))
    assert len(sample) == model.samples
    mean_errors = {}
    for noise in NOISES:
        held_out = [(c, found) for n, fitted, found in folds if n == noise for c in sample - fitted]
        assert sorted(c for c, _ in held_out) == sorted(sample)
        mean_errors[noise] = np.mean([abs(found.predict([c])[0] - known[c].metric) for c, found in held_out])
    assert model.error == pytest.approx(min(mean_errors.values()))
    assert mean_errors[chosen] == pytest.approx(model.error)


def test_what_cannot_be_predicted_has_a_large_error(validation: Split) -> None:
    # Accuracy falls at random.
    rng = np.random.default_rng(0)
    chaotic = chain_of([[lambda x: [x], lambda x: [x if rng.random() < 0.5 else -x]] for _ in range(6)])
    model, _ = measure(chaotic, validation, "made up", samples=48, seed=0, metric=top1)
    assert model.error > 0.1


def test_segments_with_one_option_lose_nothing(validation: Split) -> None:
    model, fitted = measure(
        chain_of([[noisy(0.0, 0)], [noisy(0.0, 1)]]), validation, "made up", samples=6, seed=0, metric=top1
    )
    assert fitted.losses == [[0.0], [0.0]]
    assert fitted.interactions == [[], []]
    assert set(model.link.y) == {model.original}
    assert model.error == 0
