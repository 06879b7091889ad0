"""Deadlines, and the widths that are tried before one."""

from __future__ import annotations

import time

from legodnn.runtime.planning.solver.deadline import BeamWidths, Deadline


def test_a_deadline_passes_when_its_time_has_come() -> None:
    assert not Deadline.after(None).passed()
    assert Deadline.after(0).passed()
    soon = Deadline.after(1)
    time.sleep(0.002)
    assert soon.passed()


def test_widths_grow_only_while_the_next_is_likely_to_end_in_time() -> None:
    assert list(iter(BeamWidths(Deadline.after(None)).next, None)) == [256, 1024, 4096, 16384]
    widths = BeamWidths(Deadline.after(50))
    assert widths.next() == 256
    time.sleep(0.03)
    assert widths.next() is None
