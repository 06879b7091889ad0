"""Exact widths: the knapsack over groups of channels, by what the loss of each group pruned alone was measured to be.

The losses of groups are taken to add up; each is measured at a few widths. The least sum under the limit of cost is
then found exactly, at levels of width: a dynamic programme goes through the groups and keeps, for every choice of those
that later groups share a cost with (neighbours in a chain, the channels of a residual stage), the Pareto front of cost
and loss. Lagrangian bounds leave out what cannot become better than what is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from legodnn.arrays import Floats, Ints
from legodnn.blocks.pruning.cost_tables import CostTables, cost_tables
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.blocks.pruning.widths import Widths
from legodnn.errors import ModelError
from legodnn.progress import Progress, no_progress

_SHARES = (0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)  # of a group at which its loss is measured
_LEVELS = (33, 17, 9, 5, 3)  # of width for each group: as many as `_STATES` and `_FRONT` allow
_STATES = 300_000
_FRONT = 2_000_000  # partial choices that are kept at a time
_ROUNDING = 1e-13  # of sums of costs, as a share of the whole cost


class _TooManyChoices(Exception):
    """The partial choices of a knapsack take too much memory."""


def exact(search: WidthSearch, seed: int = 0, progress: Progress = no_progress) -> None:
    """Measure every group alone, and then the widths that are best if losses add up. A `SearchMethod`.

    Raises:
        ModelError: costs tie too many groups together.
    """
    check_ties(search.full, search.cost)
    sensitivities = measure_sensitivities(search, progress)
    for count in _LEVELS:
        ordered, order = _ordered_tables(search.full, search.cost, count)
        if states(ordered) > _STATES:
            continue
        losses = [np.interp(level, *sensitivities[g]) for level, g in zip(ordered.levels, order, strict=True)]
        try:
            _measure_best(search, losses, ordered, order)
        except _TooManyChoices:
            continue
        return
    raise _tied(len(search.full))


def check_ties(full: Widths, cost: Callable[[Widths], float]) -> None:
    """Check what can be known of a search for exact widths before anything is measured: that the fewest levels do.

    Args:
        full: widths with all channels, of one group at least.
        cost: the cost of widths.

    Raises:
        ModelError: costs tie too many groups together.
    """
    if states(_ordered_tables(full, cost, _LEVELS[-1])[0]) > _STATES:
        raise _tied(len(full))


def _tied(groups: int) -> ModelError:
    return ModelError(
        f"the costs of {groups} groups of channels depend on one another in too many ways for exact widths; name "
        "another strategy"
    )


def _ordered_tables(full: Widths, cost: Callable[[Widths], float], count: int) -> tuple[CostTables, list[int]]:
    """Return what at most so many levels of width for each group cost, and the order that groups have there."""
    levels = [np.unique(np.maximum(1, np.round(np.linspace(0, n, count)))).astype(np.int64) for n in full]
    tables = cost_tables(cost, levels)
    order = best_order(tables)
    return tables.ordered(order), order


def _measure_best(search: WidthSearch, losses: Sequence[Floats], tables: CostTables, order: Sequence[int]) -> None:
    """Measure the widths that are best if losses add up, which are given for groups in an order, as their tables are.

    Raises:
        _TooManyChoices: there are too many levels.
    """
    limit = search.limit
    for _ in range(4):  # once, unless the cost is more than the sum of its tables
        if (chosen := knapsack(losses, tables, limit)) is None:
            return
        widths = tables.widths(chosen)[np.argsort(order)]
        search.measure(search.fitted(widths / search.full))
        if search.cost(widths) <= search.limit:
            search.measure(widths)
            return
        limit -= search.cost(widths) - search.limit


def measure_sensitivities(search: WidthSearch, progress: Progress = no_progress) -> list[tuple[Ints, Floats]]:
    """Measure every group alone at a few widths, all others being full.

    Returns:
        For each group the widths, the full width last, and the loss that each adds. It does not grow with the width:
        where a measurement says otherwise, the wider one's counts for both.
    """
    found, whole = [], search.measure(search.full)
    widths_of = [sorted({*(max(1, round(s * n)) for s in _SHARES), int(n)}) for n in search.full]
    with progress("measuring groups", sum(map(len, widths_of))) as task:
        for group, widths in enumerate(widths_of):
            losses = []
            for width in widths:
                trial = search.full.copy()
                trial[group] = width
                losses.append(search.measure(trial) - whole)
                task.step()
            found.append((np.array(widths), np.maximum.accumulate(losses[::-1])[::-1]))
    return found


def best_order(tables: CostTables) -> list[int]:
    """Return an order of the groups in which few of them have to be remembered until later groups are through.

    It is found greedily: next comes the group after which the fewest choices are remembered.
    """
    count = len(tables.levels)
    near = {g: {h for h in range(count) if tuple(sorted((g, h))) in tables.together} for g in range(count)}
    order = list[int]()

    def remembered(group: int) -> int:
        done = {*order, group}
        return math.prod(len(tables.levels[g]) for g in done if near[g] - done)

    while len(order) < count:
        order.append(min((g for g in range(count) if g not in order), key=remembered))
    return order


def states(tables: CostTables) -> int:
    """Return the largest table that the dynamic programme needs."""
    sizes = [len(level) for level in tables.levels]
    live = [[], *tables.live]
    return max(math.prod(sizes[h] for h in {*live[g], g}) for g in range(len(sizes)))


def knapsack(losses: Sequence[Floats], tables: CostTables, limit: float) -> list[int] | None:
    """Return the number of each group's level in the choice with the least sum of losses; None if none is in the limit.

    Args:
        losses: for each group the loss of its levels.
        tables: the cost of the levels.
        limit: the cost that the choice may have.

    Raises:
        _TooManyChoices: the choices do not fit into memory.
    """
    room = limit - tables.whole
    zero = [np.zeros_like(each) for each in losses]
    least_costs = _to_go(zero, tables, 1.0)
    if least_costs[0] > room:
        return None
    low, high, best = 0.0, 1.0, np.inf
    fallback: list[int] | None = None
    bounds: list[tuple[float, list[Floats]]] = []
    for _ in range(60):
        price = high if not bounds or best == np.inf else (low + high) / 2
        to_go = _to_go(losses, tables, price)
        chosen = _cheapest(losses, tables, price, to_go)
        spent = _cost(tables, chosen)
        bounds.append((price, to_go))
        if spent <= room:
            high, loss = price, sum(float(each[i]) for each, i in zip(losses, chosen, strict=True))
            if loss < best:
                best, fallback = loss, chosen
        elif best == np.inf:
            low, high = high, 4 * high
        else:
            low = price
    bounds = sorted(bounds, key=lambda bound: bound[0] * room - float(bound[1][0]))[:3]
    return _through(losses, tables, room, best * (1 + 1e-9) + 1e-12, least_costs, bounds) or fallback


def _through(
    losses: Sequence[Floats],
    tables: CostTables,
    room: float,
    known: float,
    least_costs: Sequence[Floats],
    bounds: Sequence[tuple[float, Sequence[Floats]]],
) -> list[int] | None:
    """Go through the groups, keeping every choice that can still become as good as `known`; None where none can."""
    before = list[int]()
    rows, costs, sums = np.zeros((1, 0), np.int64), np.zeros(1), np.zeros(1)
    steps: list[tuple[Ints, Ints]] = []
    for group, loss in enumerate(losses):
        count = len(loss)
        parents, level = np.repeat(np.arange(len(costs)), count), np.tile(np.arange(count), len(costs))
        wide = np.column_stack([rows[parents], level])
        costs = costs[parents] + tables.alone[group][level]
        for place, other in enumerate(before):
            if (other, group) in tables.together:
                costs = costs + tables.together[other, group][wide[:, place], level]
        sums = sums[parents] + loss[level]
        places = [[*before, group].index(g) for g in tables.live[group]]
        rows = wide[:, places]
        key = tuple(rows.T)
        keep = costs + least_costs[group + 1][key] <= room + 1e-9 * abs(tables.whole)
        for price, to_go in bounds:
            # At a high price, as of a limit that the least widths just hold, costs are rounded by more than losses are.
            rounding = price * (abs(tables.whole) + abs(room)) * _ROUNDING
            keep &= sums + to_go[group + 1][key] + price * (costs - room) <= known + rounding
        kept = np.flatnonzero(keep)
        order = kept[np.lexsort((sums[kept], costs[kept], *(rows[kept].T)))]
        order = order[_undominated(rows[order], sums[order])]
        if len(order) > _FRONT:
            raise _TooManyChoices
        if not len(order):
            return None
        rows, costs, sums = rows[order], costs[order], sums[order]
        steps.append((parents[order], level[order]))
        before = tables.live[group]
    place, chosen = int(np.argmin(sums)), []
    for parents, level in reversed(steps):
        chosen.append(int(level[place]))
        place = int(parents[place])
    return chosen[::-1]


def _undominated(rows: Ints, sums: Floats) -> Ints:
    """Return which entries have a smaller sum than all before them in their row.

    They are sorted by row, and then by cost.
    """
    new = np.ones(len(sums), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    keep = new.copy()
    for start, end in zip(starts, [*starts[1:], len(sums)], strict=True):
        part = sums[start:end]
        keep[start + 1 : end] = part[1:] < np.minimum.accumulate(part)[:-1]
    return np.flatnonzero(keep)


def _joint(losses: Sequence[Floats], tables: CostTables, price: float, group: int, before: list[int]) -> Floats:
    """Return what the levels of a group add, with axes (*before, group): the loss, and the cost times the price."""
    sizes = [len(tables.levels[g]) for g in (*before, group)]
    total = np.zeros(sizes) + losses[group] + price * tables.alone[group]
    for place, other in enumerate(before):
        if (other, group) in tables.together:
            shape = [1] * len(sizes)
            shape[place], shape[-1] = sizes[place], sizes[-1]
            total = total + price * tables.together[other, group].reshape(shape)
    return total


def _with_rest(losses: Sequence[Floats], tables: CostTables, price: float, group: int, rest: Floats) -> Floats:
    """Return what the levels of a group and the best of all later ones add, with axes (*groups live before, group)."""
    before = tables.live[group - 1] if group else []
    axes = [*before, group]
    shape = [len(tables.levels[g]) if g in tables.live[group] else 1 for g in axes]
    return _joint(losses, tables, price, group, before) + rest.reshape(shape)


def _to_go(losses: Sequence[Floats], tables: CostTables, price: float) -> list[Floats]:
    """Return the least that groups from each on add, loss and price of the cost together, by the levels still live."""
    found: list[Floats] = [np.zeros(())]
    for group in reversed(range(len(losses))):
        found.append(np.asarray(_with_rest(losses, tables, price, group, found[-1]).min(axis=-1)))
    return found[::-1]


def _cheapest(losses: Sequence[Floats], tables: CostTables, price: float, to_go: Sequence[Floats]) -> list[int]:
    """Return the levels that `_to_go` found to be least at this price."""
    chosen = list[int]()
    for group in range(len(losses)):
        options = _with_rest(losses, tables, price, group, to_go[group + 1])
        before = tables.live[group - 1] if group else []
        chosen.append(int(np.argmin(options[tuple(chosen[g] for g in before)])))
    return chosen


def _cost(tables: CostTables, chosen: Sequence[int]) -> float:
    """Return what levels cost beyond the full width."""
    pairs = sum(float(table[chosen[g], chosen[h]]) for (g, h), table in tables.together.items())
    return pairs + sum(float(each[i]) for each, i in zip(tables.alone, chosen, strict=True))
