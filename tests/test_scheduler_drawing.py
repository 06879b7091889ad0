"""The picture of the scheduler's steps shows what the solver finds, and that is the best plan there is."""

from __future__ import annotations

import numpy as np

from docs.draw_scheduler import PICTURE, models, solved, svg


def test_the_plan_that_is_drawn_is_the_best_of_all_compositions() -> None:
    found = models()
    plan = solved(found)
    first, second = found
    fits = np.add.outer(first.memory, second.memory) <= plan.limit
    losses = np.where(fits, np.add.outer(first.loss, second.loss), np.iinfo(np.int64).max)
    chosen = [int(m.loss[m.frontier[c]]) for m, c in zip(found, plan.chosen, strict=True)]
    assert sum(chosen) == losses.min()
    assert all(gaps[c] <= plan.margin for gaps, c in zip(plan.gaps, plan.chosen, strict=True))


def test_the_picture_is_drawn_again_when_the_solver_has_changed() -> None:
    assert PICTURE.read_text() == svg(), "run: python docs/draw_scheduler.py"
