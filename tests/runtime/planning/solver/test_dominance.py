"""Dominance, each function by its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.planning.solver.dominance import earlier_min, undominated
from legodnn.runtime.planning.solver.frontier import INFINITE


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=80))
def test_earlier_min_is_what_it_says(pairs: list[tuple[int, int]]) -> None:
    key, value = (np.array(column) for column in zip(*pairs, strict=True))
    expected = [min((value[q] for q in range(p) if key[q] <= key[p]), default=INFINITE) for p in range(len(pairs))]
    assert earlier_min(key.astype(np.float64), value).tolist() == expected


@given(st.data())
def test_undominated_are_the_points_that_no_other_equals_or_beats(data: st.DataObject) -> None:
    weights = data.draw(st.integers(1, 2))
    points = data.draw(st.lists(st.tuples(*[st.integers(0, 5)] * (weights + 1)), min_size=1, max_size=60))
    value, *columns = (np.array(column, dtype=np.int64) for column in zip(*points, strict=True))
    kept = undominated(value, columns)
    found = [points[i] for i in kept]

    def beats(p: tuple[int, ...], q: tuple[int, ...]) -> bool:
        return p[0] >= q[0] and all(a <= b for a, b in zip(p[1:], q[1:], strict=True))

    distinct = set(points)
    assert sorted(found) == sorted(q for q in distinct if not any(beats(p, q) for p in distinct - {q}))
    assert (np.diff(columns[0][kept]) >= 0).all()
