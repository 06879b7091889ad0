"""Searches cut short, for tests of the scheduler and of its solver."""

from __future__ import annotations

import pytest

from legodnn.runtime.planning.scheduler import DEADLINE_MS, Scheduler
from legodnn.runtime.planning.solver import deadline, knapsack


@pytest.fixture(autouse=True)
def _without_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No deadline where a test names none: a machine that stands still for a moment would give another plan."""
    defaults = Scheduler.plan.__defaults__
    assert defaults is not None
    assert DEADLINE_MS in defaults
    unhurried = tuple(None if default == DEADLINE_MS else default for default in defaults)
    monkeypatch.setattr(Scheduler.plan, "__defaults__", unhurried)


@pytest.fixture(params=[(), (1,), (4,), (1, 2, 4, 8, 64)], ids=str)
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that keep next to nothing, so that small problems are cut as great ones are."""
    monkeypatch.setattr(deadline, "_WIDTHS", request.param)
    monkeypatch.setattr(knapsack, "_FEW", 1)
