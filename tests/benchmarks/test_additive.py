"""Accuracy that is predicted without interactions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("keras")

from legodnn import Store
from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from tests.benchmarks.scripts import load


def test_losses_are_fitted_anew_without_interactions(tiny_store: Store) -> None:
    manifest = tiny_store.manifest
    losses = [0.05 * np.arange(len(s.options)) for s in manifest.segments]

    def worth(composition: tuple[int, ...]) -> float:
        return float(0.9 - sum(loss[o] for loss, o in zip(losses, composition, strict=True)))

    every = list(itertools.product(*(range(len(s.options)) for s in manifest.segments)))
    assert len(every) > 8
    known = {c: MeasuredComposition(worth(c), 0.9 - worth(c)) for c in every}
    found = load("support.additive").fitted_additively(manifest, known)
    assert found.accuracy.original == 0.9
    assert all(s.interaction == () for s in found.segments)
    for composition in every:
        loss = sum(s.options[o].loss for s, o in zip(found.segments, composition, strict=True))
        predicted = np.interp(loss, found.accuracy.link.x, found.accuracy.link.y)
        assert predicted == pytest.approx(worth(composition), abs=0.02)
