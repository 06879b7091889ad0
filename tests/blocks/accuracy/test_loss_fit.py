"""Losses, interactions and links that are fitted to compositions: what they find, and what always holds of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.accuracy.loss_fit import NOISES, FitProblem, fit, neighbours
from legodnn.blocks.accuracy.sampling import draw_compositions, single_swaps

Array = np.ndarray


@settings(max_examples=25, deadline=None)
@given(data=st.data(), best=st.floats(-2, 1), blocks=st.integers(1, 4), options=st.integers(1, 4))
def test_losses_are_not_negative_and_the_link_falls_from_the_original_whatever_it_is_fitted_to(
    data: st.DataObject, best: float, blocks: int, options: int
) -> None:
    errors = [[0.0, *data.draw(st.lists(st.floats(0, 10), min_size=options, max_size=options))] for _ in range(blocks)]
    sample = draw_compositions([options + 1] * blocks, 12, seed=0)
    metrics = data.draw(st.lists(st.floats(-3, 1), min_size=len(sample), max_size=len(sample)))
    found = fit(errors, sample, metrics, best)
    assert all(loss[0] == 0 and min(loss) >= 0 for loss in found.losses)
    assert found.link.x[0] == 0
    assert found.link.y[0] == best
    assert all(b <= a for a, b in zip(found.link.y, found.link.y[1:], strict=False))
    assert found.predict([[0] * blocks])[0] == best
    assert all(found.loss(c) >= -1e-9 for c in sample)
    for interaction in found.interactions:  # what changes nothing interacts with nothing
        assert not any(interaction[0] if interaction else [])
        assert not any(row[0] for row in interaction)


@pytest.mark.parametrize(
    "curve",
    [lambda u: 0.1 + 0.8 / (1 + u**2), lambda u: 0.1 + 0.8 * np.exp(-u), lambda u: np.maximum(0.1, 0.9 - u / 3)],
)
def test_a_fit_finds_falling_curves_of_sums_that_single_swaps_tell_little_of(curve: Callable[[Array], Array]) -> None:
    rng = np.random.default_rng(0)
    losses = np.concatenate([np.zeros((6, 1)), np.cumsum(rng.uniform(0, 0.15, (6, 4)), axis=1)], axis=1)
    errors = losses**1.3 * rng.lognormal(0, 0.3, losses.shape)
    drawn = draw_compositions([5] * 6, 160, seed=2)
    values = [float(curve(np.array(sum(losses[b, o] for b, o in enumerate(c))))) for c in drawn]
    found = fit(errors.tolist(), drawn[:80], values[:80], 0.9)
    assert np.abs(found.predict(drawn[80:]) - values[80:]).mean() < 0.015


@pytest.mark.parametrize("seed", range(5))
def test_flat_and_noisy_measurements_do_not_lead_astray(seed: int) -> None:
    # Most compositions are worth nearly the same, as good ones are, and few images tell them apart badly.
    rng, sizes = np.random.default_rng(seed), [12] * 8
    losses = np.concatenate([np.zeros((8, 1)), np.sort(rng.lognormal(-3.5, 1, (8, 5)), axis=1)], axis=1)
    losses = np.concatenate([losses, losses * 1.02 + 0.0005], axis=1)
    drawn = [*single_swaps(sizes)[1:], *draw_compositions(sizes, 220, seed=0)]
    worth = np.array([0.4 + 0.57 / (1 + sum(losses[b, o] for b, o in enumerate(c)) ** 2) for c in drawn])
    values = worth + rng.normal(0, 0.012, len(drawn))
    errors = losses**1.3 * rng.lognormal(0, 0.5, losses.shape)
    for noise, limit in ((NOISES[0], 0.04), (NOISES[-1], 0.01)):
        found = fit(errors.tolist(), drawn[:-100], values[:-100].tolist(), 0.97, noise)
        assert np.abs(found.predict(drawn[-100:]) - worth[-100:]).mean() < limit


def interacting(seed: int) -> tuple[list[list[float]], list[Array], Callable[[tuple[int, ...]], float]]:
    """Errors and interactions of five blocks with a fixed segment among them, and what compositions are worth."""
    rng = np.random.default_rng(seed)
    sizes = [4, 4, 1, 4, 4, 4]
    losses = [np.concatenate([[0.0], np.cumsum(rng.uniform(0.02, 0.15, n - 1))]) for n in sizes]
    pairs = [(0, 1), (1, 3), (3, 4), (4, 5)]
    shares = rng.uniform(-0.5, 0.8, len(pairs))
    matrices = [c * np.sqrt(np.outer(losses[a], losses[b])) for c, (a, b) in zip(shares, pairs, strict=True)]

    def worth(c: tuple[int, ...]) -> float:
        total = sum(loss[o] for loss, o in zip(losses, c, strict=True))
        total += sum(m[c[a], c[b]] for m, (a, b) in zip(matrices, pairs, strict=True))
        return float(0.1 + 0.8 / (1 + total**1.5))

    return [loss.tolist() for loss in losses], matrices, worth


@pytest.mark.parametrize("seed", range(3))
def test_interactions_of_neighbours_are_found_across_fixed_segments_too(seed: int) -> None:
    errors, matrices, worth = interacting(seed)
    sizes = [len(row) for row in errors]
    drawn = [*single_swaps(sizes), *draw_compositions(sizes, 200, seed=3)]
    found = fit(errors, drawn[:-80], [worth(c) for c in drawn[:-80]], 0.9)
    assert [len(m) for m in found.interactions] == [0, 4, 0, 4, 4, 4]
    values = np.array([worth(c) for c in drawn[-80:]])
    error = np.abs(found.predict(drawn[-80:]) - values).mean()
    assert error < 0.006
    alone = fit(errors, drawn[:-80], [worth(c) for c in drawn[:-80]], 0.9, interacting=False)
    assert not any(np.any(m) for m in alone.interactions)
    assert np.abs(alone.predict(drawn[-80:]) - values).mean() > error
    fitted = np.concatenate([np.ravel(m) for m in found.interactions if m])
    assert np.corrcoef(fitted, np.concatenate([m.ravel() for m in matrices]))[0, 1] > 0.9


def test_a_mean_loss_is_a_loss_with_its_interactions_averaged_over_neighbours() -> None:
    errors, _, worth = interacting(0)
    sizes = [len(row) for row in errors]
    drawn = draw_compositions(sizes, 100, seed=3)
    found = fit(errors, drawn, [worth(c) for c in drawn], 0.9)
    third = [found.losses[3][o] + np.mean([row[o] for row in found.interactions[3]]) for o in range(4)]
    third = [x + np.mean(found.interactions[4][o]) for o, x in enumerate(third)]
    assert found.mean_losses[3] == pytest.approx(third)
    assert found.mean_losses[2] == [0.0]


def test_the_link_reaches_as_far_as_the_heaviest_composition() -> None:
    errors, _, worth = interacting(2)
    drawn = draw_compositions([len(row) for row in errors], 200, seed=3)
    found = fit(errors, drawn, [worth(c) for c in drawn], 0.9)
    everything = itertools.product(*(range(len(row)) for row in errors))
    assert max(found.loss(c) for c in everything) <= found.link.x[-1]


@pytest.mark.parametrize("worst", [1.0, 300.0])
@pytest.mark.parametrize("power", [0.5, 1.5, 3.0])
def test_a_link_follows_its_curve_also_where_some_options_lose_far_more_than_others(worst: float, power: float) -> None:
    errors = [[0.0, 0.02, 0.1, worst], [0.0, 0.05, 0.2, worst]]
    drawn = list(itertools.product(range(4), repeat=2))
    values = [0.1 + 0.8 / (1 + (errors[0][a] + errors[1][b]) ** power) for a, b in drawn]
    problem = FitProblem(errors, drawn, np.array(values), 0.9, 0.012, [])
    p = problem.solve(problem.mean)
    largest = float(problem.losses(p).max()) * 2
    x = problem.knots(p, largest)
    y = np.concatenate([[0.9], problem.curve(p, x[1:])])
    between = np.concatenate([largest * np.linspace(1e-6, 1, 500), np.geomspace(largest * 1e-6, largest, 500)])
    assert np.abs(np.interp(between, x, y) - problem.curve(p, between)).max() < 0.02 * problem.span


def test_a_small_noisy_sample_of_what_does_not_interact_shows_hardly_any_interaction() -> None:
    rng = np.random.default_rng(0)
    losses = np.concatenate([np.zeros((8, 1)), np.cumsum(rng.uniform(0, 0.1, (8, 5)), axis=1)], axis=1)
    drawn = draw_compositions([6] * 8, 40, seed=2)
    values = [0.1 + 0.8 / (1 + sum(losses[b, o] for b, o in enumerate(c)) ** 1.5) + rng.normal(0, 0.01) for c in drawn]
    found = fit(losses.tolist(), drawn, values, 0.9)
    interactions = np.concatenate([np.ravel(m) for m in found.interactions if m])
    assert np.abs(interactions).mean() < 0.06 * np.mean(found.losses)


def test_the_jacobian_is_that_of_the_residuals() -> None:
    errors, _, worth = interacting(1)
    drawn = draw_compositions([len(row) for row in errors], 40, seed=3)
    interacting_ones = neighbours([len(row) for row in errors])
    problem = FitProblem(errors, drawn, np.array([worth(c) for c in drawn]), 0.9, 0.012, interacting_ones)
    rng, step = np.random.default_rng(0), 1e-6
    for _ in range(5):
        p = problem.mean + 0.5 * rng.normal(size=len(problem.mean)) * problem.spread
        ways = step * np.eye(len(p))
        expected = [(problem.residuals(p + w) - problem.residuals(p - w)) / (2 * step) for w in ways]
        np.testing.assert_allclose(problem.jacobian(p).toarray(), np.stack(expected, axis=1), rtol=1e-5, atol=1e-5)
