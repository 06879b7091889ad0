"""Losses of single swaps are measured, and a falling link predicts the accuracy of any composition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.accuracy import Chain, Stage, fit_link, measure, top1
from legodnn.blocks.data import Split
from legodnn.store import Link

Array = np.ndarray


def at(link: Link, x: Array) -> Array:
    return np.interp(x, link.x, link.y)


def test_top1_is_the_share_of_right_labels() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    assert top1(outputs, np.array([1, 0, 0, 1])) == 0.5


sums = st.lists(st.floats(0, 1e4), min_size=1, max_size=20)


@settings(max_examples=40)
@given(sums, st.data(), st.floats(0, 1))
def test_a_link_falls_from_the_original_whatever_it_is_fitted_to(
    losses: list[float], data: st.DataObject, best: float
) -> None:
    metrics = data.draw(st.lists(st.floats(0, 1), min_size=len(losses), max_size=len(losses)))
    link = fit_link(np.array(losses), np.array(metrics), best, max(losses))
    assert link.x[0] == 0
    assert link.y[0] == best
    assert link.x[-1] >= max(losses)
    assert all(b <= a for a, b in zip(link.y, link.y[1:], strict=False))
    assert link.y[-1] >= min([best, *metrics]) - 1e-9


@pytest.mark.parametrize(
    ("curve", "closeness"),
    [
        (lambda x: 0.1 + 0.85 / (1 + (x / 0.7) ** 2), 0.015),
        (lambda x: 0.1 + 0.85 * np.exp(-x), 0.03),
        (lambda x: np.maximum(0.1, 0.95 - 0.4 * x), 0.04),
        (lambda x: np.full_like(x, 0.95), 0.015),
    ],
)
def test_the_link_predicts_a_falling_curve_that_it_saw_with_noise(
    curve: Callable[[Array], Array], closeness: float
) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 4, 40)
    link = fit_link(x, np.minimum(curve(x) + rng.normal(0, 0.01, 40), 0.95), 0.95, 5.0)
    unseen = np.linspace(0, 4, 81)
    assert np.abs(at(link, unseen) - curve(unseen)).mean() < closeness


Segment = Callable[[Array], list[Array]]


def noisy(amount: float, seed: int) -> Segment:
    """A segment that passes its input on, disturbed: the more, the worse."""

    def segment(x: Array) -> list[Array]:
        noise = np.random.default_rng(seed).normal(size=x.shape) * amount
        return [(x + noise).astype(np.float32)]

    return segment


def chain_of(segments: list[list[Segment]]) -> Chain:
    return Chain([Stage((f"t{i}",), (f"t{i + 1}",), options) for i, options in enumerate(segments)])


def chain(levels: tuple[float, ...]) -> Chain:
    return chain_of([[noisy(amount, 10 * i + j) for j, amount in enumerate(levels)] for i in range(4)])


@pytest.fixture(scope="module")
def validation() -> Split:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1500)
    return Split((np.eye(10)[y] + rng.normal(0, 0.25, (1500, 10))).astype(np.float32), y)


def test_losses_are_the_relative_errors_of_single_swaps(validation: Split) -> None:
    levels = (0.0, 0.1, 0.3, 0.6)
    model, losses = measure(chain(levels), validation, "made up", samples=9, seed=0)
    variance = validation.x.var()
    for loss in losses:
        assert loss[0] == 0
        np.testing.assert_allclose(loss, np.square(levels) / variance, rtol=0.05)
    assert model.original == top1(validation.x, validation.y)
    assert (model.metric, model.data) == ("top1", "made up")


def test_predictions_for_compositions_outside_the_fit_are_as_close_as_promised(validation: Split) -> None:
    swaps = chain((0.0, 0.1, 0.2, 0.4, 0.7))
    model, losses = measure(swaps, validation, "made up", samples=48, seed=0)
    assert model.samples == 16
    assert model.error < 0.03
    rng = np.random.default_rng(7)
    errors = []
    for _ in range(30):
        choice = rng.integers(0, 5, 4).tolist()
        known = top1(swaps.output(choice, validation.x), validation.y)
        total = sum(loss[i] for loss, i in zip(losses, choice, strict=True))
        errors.append(abs(float(at(model.link, np.array(total))) - known))
    assert np.mean(errors) < 0.04


def test_the_held_out_compositions_are_not_fitted(validation: Split) -> None:
    # Accuracy falls at random, so nothing can be predicted: an honest error is large.
    rng = np.random.default_rng(0)
    chaotic = chain_of([[lambda x: [x], lambda x: [x if rng.random() < 0.5 else -x]] for _ in range(6)])
    model, _ = measure(chaotic, validation, "made up", samples=48, seed=0)
    assert model.error > 0.15


def test_the_seed_decides_what_is_sampled(validation: Split) -> None:
    swaps, few = chain((0.0, 0.2, 0.5)), validation.first(200)
    first, again = (measure(swaps, few, "made up", samples=12, seed=3) for _ in range(2))
    assert first == again
    assert measure(swaps, few, "made up", samples=12, seed=4)[0].link != first[0].link


def test_segments_with_one_option_lose_nothing(validation: Split) -> None:
    model, losses = measure(chain_of([[noisy(0.0, 0)], [noisy(0.0, 1)]]), validation, "made up", samples=6, seed=0)
    assert losses == [[0.0], [0.0]]
    assert set(model.link.y) == {model.original}
    assert model.error == 0
