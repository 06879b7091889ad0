"""What the scheduler is made of: dominance, frontiers, staircases and the knapsack, each by its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver import frontier, knapsack
from legodnn.runtime.planning.solver.dominance import earlier_min
from legodnn.runtime.planning.solver.frontier import NEVER, Staircases, build_frontier


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=80))
def test_earlier_min_is_what_it_says(pairs: list[tuple[int, int]]) -> None:
    key, value = (np.array(column) for column in zip(*pairs, strict=True))
    expected = [min((value[q] for q in range(p) if key[q] <= key[p]), default=NEVER) for p in range(len(pairs))]
    assert earlier_min(key.astype(np.float64), value).tolist() == expected


def random_blocks(
    rng: np.random.Generator, blocks: int, options: int, most: int, interactions: float = 0.0
) -> list[tuple[Ints, Ints, Ints]]:
    """Memory, latency and loss; interactions up to a share of the greatest loss, between most neighbours."""
    sparsity = np.linspace(0, 0.9, options)

    def falling() -> Ints:
        return np.rint(most * (1 - sparsity) * rng.uniform(0.8, 1.2, options)).astype(np.int64)

    def loss(before: int) -> Ints:
        share = interactions * most * rng.integers(0, 4) / 3
        own = most * sparsity**2 * rng.uniform(0.8, 1.2, options)
        return np.rint(own + rng.uniform(-share, share, (before, options))).astype(np.int64)

    return [(falling(), falling(), loss(options if b else 1)) for b in range(blocks)]


def sums(blocks: list[tuple[Ints, Ints, Ints]], choice: np.ndarray) -> np.ndarray:
    """(compositions, 3): memory, latency, loss."""
    total = np.zeros((len(choice), 3), dtype=np.int64)
    last = np.zeros(len(choice), dtype=np.intp)
    for (memory, latency, loss), option in zip(blocks, choice.T, strict=True):
        total += np.stack([memory[option], latency[option], loss[last, option]], axis=1)
        last = option
    return total


@pytest.mark.parametrize("interactions", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("blocks", "options", "most"), [(3, 4, 50), (4, 6, 10), (5, 6, 1000), (5, 9, 10_000)])
def test_a_frontier_holds_every_composition_that_is_not_dominated(
    blocks: int, options: int, most: int, interactions: float
) -> None:
    rows = random_blocks(np.random.default_rng(blocks), blocks, options, most, interactions)
    found = build_frontier(rows, lambda loss: -loss.astype(np.float64), 1, 0, 0)
    everything = sums(rows, np.indices((options,) * blocks).reshape(blocks, -1).T)
    assert (np.diff(found.memory) >= 0).all()
    points = np.stack([found.memory, found.latency, -found.accuracy.astype(np.int64)], axis=1)
    assert (points == sums(rows, found.choice.astype(np.intp))).all()
    have = {tuple(p) for p in points.tolist()}
    order = np.lexsort((everything[:, 2], everything[:, 1], everything[:, 0]))
    ranked = everything[order]
    optimal = ranked[earlier_min(ranked[:, 1].astype(np.float64), ranked[:, 2]) > ranked[:, 2]]
    assert {tuple(p) for p in optimal.tolist()} <= have
    assert len(everything) < 1000 or len(have) < len(everything)


@pytest.mark.parametrize("interactions", [0.03, 0.3])
def test_interactions_do_not_make_frontiers_grow_much(interactions: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_blocks(np.random.default_rng(1), 6, 9, 1_000_000, interactions)
    monkeypatch.setattr(frontier, "_MOST", 8500)  # some 7000 are looked at; 10,000 or more by coarser comparison
    assert len(build_frontier(rows, lambda loss: -loss.astype(np.float64), 1, 0, 0))


@pytest.mark.parametrize(("blocks", "opposed"), [(1, False), (3, False), (5, False), (5, True)])
def test_staircases_are_what_they_say(blocks: int, opposed: bool) -> None:
    rows = random_blocks(np.random.default_rng(0), blocks, 6, 200)
    if opposed:  # the smallest are the slowest
        rows = [(m, t.max() + t.min() - t, loss) for m, t, loss in rows]
    found = build_frontier(rows, lambda loss: -(loss // 7).astype(np.float64), 1, 0, 0)
    value = found.accuracy.astype(np.int64)
    index = Staircases.of(found, value)
    assert blocks < 5 or len(index.starts) > 2
    limits = np.unique(found.latency)
    for limit in (0, *limits[:: max(1, len(limits) // 50)], int(limits[-1]), NEVER - 1):
        best, expected = -NEVER, []
        for p in range(len(found)):
            if found.latency[p] <= limit and value[p] > best:
                best = int(value[p])
                expected.append(p)
        assert index.under(int(limit)).tolist() == expected


def random_classes(
    rng: np.random.Generator, classes: int, items: int, limits: int, most: int
) -> tuple[list[Ints], list[list[Ints]]]:
    """Values that grow with weights, nearly in proportion: the hard kind."""
    values: list[Ints] = []
    weights: list[list[Ints]] = [[] for _ in range(limits)]
    for _ in range(classes):
        n = int(rng.integers(1, items + 1))
        first = np.sort(rng.integers(0, most, n))
        others = [rng.integers(0, most, n) for _ in range(limits - 1)]
        total = first + sum(others, np.zeros(n, dtype=np.int64))
        values.append(total * 3 + rng.integers(-most // 4, most // 4 + 1, n))
        for i, w in enumerate([first, *others]):
            weights[i].append(w)
    return values, weights


def by_table(values: list[Ints], weights: list[list[Ints]], limits: list[int]) -> tuple[int, int] | None:
    """The greatest value and the least first weight that goes with it, from a table over all total weights."""
    none = -(1 << 60)
    shape = tuple(limit + 1 for limit in limits)
    table = np.full(shape, none)
    table[(0,) * len(limits)] = 0
    for c, v in enumerate(values):
        following = np.full(shape, none)
        for item in range(len(v)):
            w = [int(ws[c][item]) for ws in weights]
            if all(x <= limit for x, limit in zip(w, limits, strict=True)):
                target = tuple(slice(x, None) for x in w)
                source = tuple(slice(0, limit + 1 - x) for x, limit in zip(w, limits, strict=True))
                following[target] = np.maximum(
                    following[target], np.where(table[source] > none, table[source] + v[item], none)
                )
        table = following
    if table.max() == none:
        return None
    return int(table.max()), int(np.argwhere(table == table.max())[:, 0].min())


@pytest.mark.parametrize("seed", range(120))
def test_knapsack_equals_dynamic_programming(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = 1 + seed % 2
    most = 300 if limits == 1 else 30
    values, weights = random_classes(rng, int(rng.integers(1, 10)), 40, limits, most)
    caps = [int(sum(w.mean() for w in ws) * rng.uniform(0.1, 1.2)) for ws in weights]
    check_knapsack(values, weights, caps)


@given(st.data())
def test_knapsack_equals_dynamic_programming_where_ties_abound(data: st.DataObject) -> None:
    limits = data.draw(st.integers(1, 2))
    item = st.tuples(*[st.integers(0, 4)] * (limits + 1))
    classes = data.draw(st.lists(st.lists(item, min_size=1, max_size=5), min_size=1, max_size=5))
    columns = [np.array(sorted(c, key=lambda i: i[0]), dtype=np.int64) for c in classes]
    values = [c[:, limits] for c in columns]
    weights = [[c[:, i] for c in columns] for i in range(limits)]
    check_knapsack(values, weights, data.draw(st.lists(st.integers(0, 16), min_size=limits, max_size=limits)))


def check_knapsack(values: list[Ints], weights: list[list[Ints]], caps: list[int]) -> None:
    values = [v << 30 for v in values]  # as great as they are: bounds are rounded up by some thousands
    expected, found = by_table(values, weights, caps), knapsack.solve(values, weights, caps)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.value == found.bound
    chosen = found.chosen
    totals = [sum(int(w[i]) for w, i in zip(ws, chosen, strict=True)) for ws in weights]
    assert all(t <= cap for t, cap in zip(totals, caps, strict=True))
    assert (sum(int(v[i]) for v, i in zip(values, chosen, strict=True)), totals[0]) == expected


@pytest.mark.parametrize("seed", range(40))
def test_the_least_cost_within_a_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, (weights,) = random_classes(rng, 3, 6, 1, 50)
    limit = int(rng.integers(20, 120))
    every = itertools.product(*(range(len(c)) for c in costs))
    fitting = [
        sum(int(c[i]) for c, i in zip(costs, pick, strict=True))
        for pick in every
        if sum(int(w[i]) for w, i in zip(weights, pick, strict=True)) <= limit
    ]
    assert knapsack.least(costs, weights, limit) == (min(fitting) if fitting else None)
