"""Compositions are measured with shared work, and those that were not measured are predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legodnn.blocks.accuracy import compositions
from legodnn.blocks.accuracy.compositions import (
    MeasuredComposition,
    OptionChain,
    Stage,
    draw_compositions,
    evaluate,
    measure,
    measurement_report,
    summed_drops,
    swaps,
)
from legodnn.blocks.accuracy.likely_plans import likely
from legodnn.blocks.accuracy.loss_fit import NOISES, Fit, OptionNumbers, fit
from legodnn.blocks.accuracy.metrics import r2, top1
from legodnn.blocks.importing.data import Split

Array = np.ndarray


Segment = Callable[[Array], list[Array]]


def noisy(amount: float, seed: int) -> Segment:
    """A segment that passes its input on, disturbed: the more, the worse."""

    def segment(x: Array) -> list[Array]:
        noise = np.random.default_rng(seed).normal(size=x.shape) * amount
        return [(x + noise).astype(np.float32)]

    return segment


def chain_of(segments: list[list[Segment]]) -> OptionChain:
    return OptionChain([Stage((f"t{i}",), (f"t{i + 1}",), options) for i, options in enumerate(segments)])


def chain(levels: tuple[float, ...]) -> OptionChain:
    return chain_of([[noisy(amount, 10 * i + j) for j, amount in enumerate(levels)] for i in range(4)])


@pytest.fixture(scope="module")
def validation() -> Split:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1500)
    return Split((np.eye(10)[y] + rng.normal(0, 0.25, (1500, 10))).astype(np.float32), y)


def test_evaluated_compositions_measure_what_running_them_alone_gives(validation: Split) -> None:
    swaps_ = chain((0.0, 0.3, 0.6))
    compositions = draw_compositions(swaps_.sizes, 12, seed=1)
    found = dict(evaluate(swaps_, compositions, validation))
    assert set(found) == set(compositions)
    for composition, measured in found.items():
        outputs = [
            swaps_.output(composition, part) for part in np.split(validation.x, range(250, len(validation.x), 250))
        ]
        assert measured.metric == top1([np.concatenate(outputs)], validation.y)


def test_segments_that_compositions_share_run_once_for_a_batch() -> None:
    ran: list[tuple[int, int]] = []

    def option(segment: int, number: int) -> Segment:
        def run(x: Array) -> list[Array]:
            ran.append((segment, number))
            return [x]

        return run

    counted = chain_of([[option(segment, number) for number in range(2)] for segment in range(3)])
    x = np.ones((10, 4), np.float32)
    assert len(list(counted.walk([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], x))) == 4
    assert ran == [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 0), (0, 1), (1, 0), (2, 0)]


def test_models_with_several_inputs_and_outputs_and_no_labels() -> None:
    join: Any = lambda a, b: [a + b]  # noqa: E731
    split: list[Segment] = [lambda x: [x, 2 * x], lambda x: [x, 3 * x]]
    stages = [Stage(("a", "b"), ("sum",), [join]), Stage(("sum",), ("one", "two"), split)]
    x: Any = {name: np.random.default_rng(i).normal(size=(20, 3)).astype(np.float32) for i, name in enumerate("ab")}
    swapped = OptionChain(stages, ("two", "sum"))
    found = dict(evaluate(swapped, swaps(swapped.sizes), Split(x, None), r2))
    assert found[0, 0] == MeasuredComposition(1.0, 0.0)
    total = x["a"] + x["b"]
    expected = float(np.square(total).mean() / (2 * total).var(axis=0).mean()) / 2
    assert found[0, 1].metric == pytest.approx(1 - expected, rel=1e-5)


def test_without_labels_top1_is_agreement_with_the_original(validation: Split) -> None:
    swapped = chain((0.0, 0.3))
    found = dict(evaluate(swapped, [(0, 0, 0, 0), (1, 1, 1, 1)], Split(validation.x, None)))
    assert found[0, 0, 0, 0].metric == 1
    assert 0.5 < found[1, 1, 1, 1].metric < 1


def test_drawn_compositions_differ_and_reach_every_option() -> None:
    drawn = draw_compositions([3, 1, 4], 10, seed=0)
    assert len(set(drawn)) == 10
    assert {c[0] for c in drawn} == {0, 1, 2}
    assert {c[2] for c in drawn} == {0, 1, 2, 3}
    assert sorted(draw_compositions([2, 2], 100, seed=0)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_papers_estimate_adds_up_the_drops_of_single_swaps() -> None:
    known = dict(
        zip(
            swaps([2, 2]),
            [MeasuredComposition(0.9, 0), MeasuredComposition(0.8, 1), MeasuredComposition(0.6, 1)],
            strict=True,
        )
    )
    assert summed_drops([2, 2], known, [(0, 0), (0, 1), (1, 1)]) == pytest.approx([0.9, 0.6, 0.5])


levels = (0.0, 0.1, 0.2, 0.4, 0.7)


def test_predictions_for_compositions_outside_the_fit_are_as_close_as_promised(validation: Split) -> None:
    swapped = chain(levels)
    model, fitted = measure(swapped, validation, "made up", samples=48, seed=0)
    held_out = set(draw_compositions(swapped.sizes, 48, seed=0)) - set(
        swaps(swapped.sizes)
    )  # single swaps are always fitted
    assert (model.metric, model.data, model.samples) == ("top1", "made up", len(held_out))
    assert model.original == top1([np.asarray(validation.x)], validation.y)
    assert model.error < 0.02
    unseen = draw_compositions(swapped.sizes, 30, seed=7)
    known = dict(evaluate(swapped, unseen, validation))
    assert np.abs(fitted.predict(unseen) - [known[c].metric for c in unseen]).mean() < 0.025


def test_what_plans_are_likely_to_choose_is_measured_and_predicted_as_closely_as_promised(validation: Split) -> None:
    swapped, known = chain(levels), dict[OptionNumbers, MeasuredComposition]()
    rng = np.random.default_rng(0)
    costs = [np.sort(rng.uniform(1, 100, (5, 2)), axis=0)[::-1] / (1 + 4 * np.arange(5))[:, None] for _ in range(4)]
    model, fitted = measure(swapped, validation, "made up", samples=48, seed=0, known=known, costs=costs)
    assert 3 < model.plan_samples <= 24
    plans = likely(fitted, costs, 12)
    assert sum(c in known for c in plans) >= 0.7 * len(plans)
    found = dict(evaluate(swapped, plans, validation))
    wrong = np.abs(fitted.predict(plans) - [found[c].metric for c in plans])
    assert np.mean(wrong <= model.plan_error) >= 0.8
    assert model.plan_error < 0.04


def test_without_costs_no_plan_counts_as_likely(validation: Split) -> None:
    model, _ = measure(chain((0.0, 0.4)), validation, "made up", samples=6, seed=0)
    assert (model.plan_samples, model.plan_error) == (0, 0.0)


def test_the_report_names_every_level_and_the_held_out_error(validation: Split) -> None:
    swapped, known = chain((0.0, 0.2, 0.6)), dict[OptionNumbers, MeasuredComposition]()
    uniform = {name: (i,) * 4 for i, name in enumerate(("s0", "s0.5", "s0.9"))}
    model, _ = measure(swapped, validation, "made up", 12, 0, known=known, further=uniform.values())
    text = measurement_report(uniform, known, draw_compositions(swapped.sizes, 12, seed=0), model)
    for expected in (
        f"original {model.original:.3f}",
        f"all s0.5 {known[1, 1, 1, 1].metric:.3f}",
        f"all s0.9 {known[2, 2, 2, 2].metric:.3f}",
        f"prediction error, {model.samples} held out {model.error:.3f}",
    ):
        assert expected in " ".join(text.split())


def test_what_is_known_is_not_measured_again(validation: Split) -> None:
    few = validation.first(200)
    known: dict[OptionNumbers, MeasuredComposition] = {}
    first = measure(chain((0.0, 0.2, 0.5)), few, "made up", 12, seed=3, known=known)
    broken: list[list[Segment]] = [[lambda x: [np.full_like(x, np.nan)]] * 3] * 4
    assert measure(chain_of(broken), few, "made up", 12, seed=3, known=known) == first


def test_every_composition_is_held_out_of_one_fit_and_the_last_fit_is_to_all(
    validation: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped, fits = chain((0.0, 0.2, 0.6)), list[tuple[float, set[OptionNumbers], Fit]]()

    def recorded(errors: Any, compositions: list[OptionNumbers], metrics: Any, best: float, noise: float) -> Fit:
        found = fit(errors, compositions, metrics, best, noise)
        fits.append((noise, set(compositions), found))
        return found

    monkeypatch.setattr(compositions, "fit", recorded)
    known: dict[OptionNumbers, MeasuredComposition] = {}
    model, result = measure(swapped, validation, "made up", samples=12, seed=0, known=known)
    *folds, (chosen, everything, last) = fits
    assert last == result
    sample = everything - set(swaps(swapped.sizes))
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
    model, _ = measure(chaotic, validation, "made up", samples=48, seed=0)
    assert model.error > 0.1


def test_segments_with_one_option_lose_nothing(validation: Split) -> None:
    model, fitted = measure(chain_of([[noisy(0.0, 0)], [noisy(0.0, 1)]]), validation, "made up", samples=6, seed=0)
    assert fitted.losses == [[0.0], [0.0]]
    assert fitted.interactions == [[], []]
    assert set(model.link.y) == {model.original}
    assert model.error == 0
