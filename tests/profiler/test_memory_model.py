"""What options take is fitted so that no composition takes more than is said, by a sum, or a shared workspace too."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

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
    assert found.workspaces[0] == by_file[0]  # what needs most among the originals stays
    assert found.workspaces[1] == pytest.approx(needed[1], abs=1)
    assert [found.of(numbers) for numbers in drawn] == pytest.approx([held for _, held in readings], abs=1)


def store_of(*files: tuple[int, ...]) -> Any:
    """A store with options of these bytes in each segment, the originals first."""
    segments = [[SimpleNamespace(bytes=size) for size in sizes] for sizes in files]
    return SimpleNamespace(
        manifest=SimpleNamespace(segments=[SimpleNamespace(original=o[0], options=o) for o in segments])
    )


@pytest.mark.parametrize(
    ("whole", "shares"),
    [
        (20_000, [1500 + 11_000 / 3, 3000 + 11_000 / 3, 4500 + 11_000 / 3]),
        (5_500, [1250, 2000, 2250]),
        (1_500, [1000, 1000, 0]),
    ],
)
def test_an_original_takes_what_options_save_and_as_much_for_each_byte_of_its_file(
    whole: float, shares: list[float]
) -> None:
    """Options save 20 and 10 bytes for each byte that their files are smaller; what is left over is divided equally."""
    store = store_of((100, 50), (200, 100), (300,))
    readings = [((a, b, 0), whole - 1000.0 * (a + b)) for a, b in itertools.product((0, 1), (0, 1))]
    found = MemoryModel.fitted(store, readings, [[0, 0], [0, 0], [0]])
    assert [found.of_option(i, 0) for i in range(3)] == pytest.approx(shares, abs=1)
    assert [found.of_option(i, 1) for i in range(2)] == pytest.approx([share - 1000 for share in shares[:2]], abs=1)


def test_excess_is_a_mean() -> None:
    found = MemoryModel([[0, 0]], 100.0, {(0, 1): -50.0}, [100.0])
    assert found.excess([((0,), 90.0), ((1,), 30.0)]) == 15.0


def test_no_workspace_is_corrected_below_nothing() -> None:
    """Two options together save more than each by itself, for whatever reason."""
    readings = [((a, b), 1e6 - 1e5 * (a + b) - 2e5 * (a and b)) for a, b in itertools.product((0, 1), (0, 1))] * 6
    found = MemoryModel.fitted(store_of((2, 1), (2, 1)), readings, [[40_000, 50_000], [60_000, 10_000]])
    assert min(itertools.chain(*found.workspaces)) == 0


def test_once_a_workspace_is_corrected_another_may_be_the_largest() -> None:
    """Two options need other workspaces than by their files, which is seen of one of them in a later round only."""
    by_file = [[70_000, 20_000, 90_000], [40_000, 20_000, 50_000], [60_000, 50_000, 90_000]]
    needed = [[70_000, 50_000, 50_000], *by_file[1:]]
    readings = [
        (numbers, 2e6 - 1e5 * sum(numbers) + max(row[n] for row, n in zip(needed, numbers, strict=True)))
        for numbers in itertools.product((0, 1, 2), repeat=3)
    ]
    found = MemoryModel.fitted(store_of(*[(2, 1, 1)] * 3), readings, by_file)
    assert [found.of(numbers) for numbers, _ in readings] == pytest.approx([held for _, held in readings], abs=1)
