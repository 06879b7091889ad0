"""Searches cut short, for tests of the scheduler and of its solver."""

from __future__ import annotations

import pytest

from legodnn.runtime.planning.solver import deadline, knapsack


@pytest.fixture(params=[(), (1,), (4,), (1, 2, 4, 8, 64)], ids=str)
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that keep next to nothing, so that small problems are cut as great ones are."""
    monkeypatch.setattr(deadline, "_WIDTHS", request.param)
    monkeypatch.setattr(knapsack, "_FEW", 1)
