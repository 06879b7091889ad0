"""Deadlines, and the widths that are tried before one."""

from __future__ import annotations

import pytest

from legodnn.runtime.planning.solver import deadline
from legodnn.runtime.planning.solver.deadline import BeamWidths, Deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the clock shows."""
    shown = [100.0]
    monkeypatch.setattr(deadline, "now", lambda: shown[0])
    return shown


def test_a_deadline_passes_when_its_time_has_come(clock: list[float]) -> None:
    assert not Deadline.after(None).passed()
    assert Deadline.after(0).passed()
    soon = Deadline.after(1)
    assert not soon.passed()
    clock[0] += 0.0011
    assert soon.passed()


def test_widths_grow_only_while_the_next_is_likely_to_end_in_time(clock: list[float]) -> None:
    assert list(iter(BeamWidths(Deadline.after(None)).next, None)) == [256, 1024, 4096, 16384]
    widths = BeamWidths(Deadline.after(50))
    assert widths.next() == 256
    clock[0] += 0.015  # the next takes twice as long
    assert widths.next() == 1024
    clock[0] += 0.012
    assert widths.next() is None
