"""Tensors that are needed at the same time never share memory; others do."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.executors.tensor_pool import ALIGNMENT, allocate_pool, lifetimes, pool_layout
from legodnn.store import Store

moment = st.integers(0, 6)
tensors = st.lists(st.tuples(moment, moment, st.integers(1, 5000)), max_size=8)


@given(tensors)
def test_tensors_that_live_at_the_same_time_do_not_overlap(drawn: list[tuple[int, int, int]]) -> None:
    lives = {str(i): (min(a, b), max(a, b)) for i, (a, b, _) in enumerate(drawn)}
    sizes = {str(i): size for i, (_, _, size) in enumerate(drawn)}
    places, total = pool_layout(lives, sizes)
    assert all(place % ALIGNMENT == 0 and place + sizes[n] <= total for n, place in places.items())
    for a, b in combinations(places, 2):
        if lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]:
            assert places[a] + sizes[a] <= places[b] or places[b] + sizes[b] <= places[a]


def test_a_chain_takes_no_more_than_its_two_largest_neighbours() -> None:
    sizes = {str(i): size for i, size in enumerate([3072, 65536, 65536, 32768, 16384])}
    _, total = pool_layout({str(i): (i - 1, i) for i in range(5)}, sizes)
    assert total <= 2 * 65536 + 1024


def test_a_stores_tensors_are_aligned_arrays_of_its_shapes(tiny_store: Store) -> None:
    arrays = allocate_pool(tiny_store.manifest)
    assert {n: a.shape for n, a in arrays.items()} == {n: (1, *s.shape) for n, s in tiny_store.manifest.specs.items()}
    for array in arrays.values():
        assert array.ctypes.data % ALIGNMENT == 0
        assert array.flags["C_CONTIGUOUS"]
        array[:] = 1


def test_a_tensor_lives_from_its_writer_to_its_last_reader_and_an_output_to_the_end(tiny_store: Store) -> None:
    assert lifetimes(tiny_store.manifest) == {"image": (-1, 0), "block1": (0, 1), "block2": (1, 2), "head": (2, 3)}
