"""The relative error, which all training and every measurement of compositions uses."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.blocks.importing.difference import relative_error


def test_the_relative_error_is_0_for_what_is_perfect_and_1_for_a_constant() -> None:
    target = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    constant = np.full_like(target, target.mean())
    perfect = relative_error([target], [target])
    dull = relative_error([constant], [target])
    half = relative_error([target, 3 * constant], [target, 3 * target])
    assert float(perfect) == 0
    assert float(dull) == pytest.approx(1, rel=1e-5)
    assert float(half) == pytest.approx(0.5, rel=1e-5)  # the mean over a block's outputs


def test_chunks_have_errors_of_their_own_over_the_variance_of_all() -> None:
    target = np.random.default_rng(0).normal(3, 2, (12, 5)).astype(np.float32)
    output = target + np.repeat([[0.0], [1.0], [2.0]], 4, axis=0).astype(np.float32)
    found = np.asarray(relative_error([output, output], [target, target], chunks=3))
    np.testing.assert_allclose(found, np.array([0, 1, 4]) / target.var(), rtol=1e-4, atol=1e-6)
    assert found.mean() == pytest.approx(float(relative_error([output], [target])), rel=1e-5)


def test_a_target_that_is_constant_gives_a_finite_error() -> None:
    target = np.full((4, 3), 0.5, np.float32)
    assert float(relative_error([target], [target])) == 0
    assert np.isfinite(float(relative_error([target + 1], [target])))
