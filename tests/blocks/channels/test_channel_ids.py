"""Channels are united by any chain of unions, and by no less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from legodnn.blocks.channels.channel_ids import ChannelIds

COUNT = 12
pairs = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=20)


@given(unions=pairs)
def test_united_channels_have_one_root(unions: list[tuple[int, int]]) -> None:
    ids = ChannelIds()
    new = ids.fresh(COUNT)
    for a, b in unions:
        ids.unite(new[a : a + 1], new[b : b + 1])
    edges = ([1] * len(unions), ([a for a, _ in unions], [b for _, b in unions]))
    _, component = connected_components(coo_array(edges, shape=(COUNT, COUNT)), directed=False)
    roots = [ids.root(i) for i in range(COUNT)]
    for a in range(COUNT):
        for b in range(COUNT):
            assert (roots[a] == roots[b]) == (component[a] == component[b])


def test_the_columns_of_a_table_are_united() -> None:
    ids = ChannelIds()
    ids.unite_rows(ids.make("a", 6).reshape(3, 2))
    assert [ids.root(i) for i in range(6)] == [ids.root(i % 2) for i in range(6)]
    assert ids.root(0) != ids.root(1)
    assert ids.made["a"].tolist() == list(range(6))
    assert len(ids) == 6
