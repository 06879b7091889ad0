"""What options take is fitted so that no composition takes more than is said, by a sum, or a shared workspace too."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.profiler.memory_model import MemoryModel, sums_that_hold
from legodnn.store import Store

compositions = st.tuples(*[st.integers(0, 2)] * 3)
ORIGINALS = (0, 0, 0)


@given(st.dictionaries(compositions, st.integers(0, 10**8), max_size=30), st.integers(0, 10**8))
def test_no_composition_that_was_weighed_takes_more_than_the_sum(held: dict[tuple[int, ...], int], whole: int) -> None:
    """Even where memory is anything but additive."""
    weighed = [(ORIGINALS, whole), *held.items()]
    base, extra = sums_that_hold(ORIGINALS, weighed)
    for numbers, reading in weighed:
        assert reading <= base + sum(extra.get(key, 0.0) for key in enumerate(numbers)) + 1


def test_additive_memory_is_found_exactly() -> None:
    saved = {(0, 1): 30_000.0, (0, 2): 50_000.0, (1, 1): 7_000_000.0, (2, 2): -4000.0}
    drawn = list(itertools.product((0, 1, 2), (0, 1), (0, 2)))
    whole, extra = sums_that_hold(ORIGINALS, [(n, 9e6 - sum(saved.get(k, 0.0) for k in enumerate(n))) for n in drawn])
    assert whole == pytest.approx(9e6)
    assert extra == pytest.approx({key: -less for key, less in saved.items()})


def test_a_workspace_that_options_share_is_told_apart_from_what_they_add(tiny_store2: Store) -> None:
    """Each segment takes a megabyte, of which options save a tenth and two; the largest workspace counts once."""
    segments = tiny_store2.manifest.segments
    workspaces = [[90_000, 20_000], [60_000, 40_000], [30_000]]
    drawn = list(itertools.product(*(range(len(s.options)) for s in segments)))

    def takes(numbers: tuple[int, ...]) -> float:
        shared = max(row[n] for row, n in zip(workspaces, numbers, strict=True))
        return len(segments) * 1e6 - 1e5 * sum(numbers) + shared

    readings = [(numbers, takes(numbers)) for numbers in drawn]
    found = MemoryModel.fitted(tiny_store2, readings, workspaces)
    assert [found.of(numbers) for numbers in drawn] == pytest.approx([takes(numbers) for numbers in drawn], abs=1)
    assert found.excess(readings) == pytest.approx(0, abs=1)
    for numbers in drawn:
        own = sum(found.of_option(i, n) for i, n in enumerate(numbers))
        shared = max(row[n] for row, n in zip(workspaces, numbers, strict=True))
        assert own + shared == pytest.approx(takes(numbers), abs=len(segments))
    sums = MemoryModel.fitted(tiny_store2, readings, [[0] * len(row) for row in workspaces])
    assert sums.excess(readings) > 1000
    assert all(sums.of(numbers) >= held - 1 for numbers, held in readings)


def test_options_that_need_the_same_by_their_files_are_corrected_together(tiny_store: Store) -> None:
    """Each is the one that needs most in four readings only, which would not do."""
    by_file = [[90_000, 20_000, 20_000], [60_000, 60_000, 10_000], [30_000]]
    needed = [by_file[0], [75_000, 75_000, 10_000], [30_000]]
    drawn = [numbers for numbers in itertools.product((0, 1, 2), (0, 1, 2), (0,)) for _ in range(2)]
    readings = [
        (numbers, 2e6 - 1e5 * sum(numbers) + max(row[n] for row, n in zip(needed, numbers, strict=True)))
        for numbers in drawn
    ]
    found = MemoryModel.fitted(tiny_store, readings, by_file)
    assert found.workspaces[1] == pytest.approx(needed[1], abs=1)
    assert [found.of(numbers) for numbers in drawn] == pytest.approx([held for _, held in readings], abs=1)
