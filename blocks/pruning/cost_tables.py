"""The cost of widths as a sum of terms that know one group or two: tables over a few levels of width for each group.

Multiply-accumulates and parameters are such sums, because a layer's are the product of the channels that it reads and
makes. The tables are filled by calling the cost itself, so that it may also be read from a table of latencies. A cost
that three groups determine together is only approximated; whoever decides by tables checks the result by the cost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from legodnn.arrays import Floats, Ints

# What a pair of groups costs together beyond what each costs alone counts if it is more than this share of the whole.
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class CostTables:
    """The cost of levels of width: `whole` less what the levels of groups and of pairs of groups save.

    Attributes:
        levels: the widths that each group may have, increasing; the last is the full width.
        whole: the cost at full width.
        alone: for each group, what its levels add to it (0 or less), shape (levels,).
        together: for pairs (g, h) with g < h, what their levels add beyond that, shape (levels of g, levels of h).
    """

    levels: tuple[Ints, ...]
    whole: float
    alone: tuple[Floats, ...]
    together: Mapping[tuple[int, int], Floats]

    @cached_property
    def live(self) -> list[list[int]]:
        """For each group, the groups up to it that later ones share a cost with."""
        later = [max((b for a, b in self.together if a == g), default=g) for g in range(len(self.levels))]
        return [[g for g in range(t + 1) if later[g] > t] for t in range(len(self.levels))]

    def widths(self, numbers: Sequence[int]) -> Ints:
        """Return the widths of levels that are given by their numbers."""
        return np.array([level[i] for level, i in zip(self.levels, numbers, strict=True)])

    def ordered(self, order: Sequence[int]) -> CostTables:
        """Return the tables of the groups in another order, which is given by their numbers."""
        place = {group: i for i, group in enumerate(order)}
        together = {}
        for (g, h), table in self.together.items():
            turned = place[g] > place[h]
            together[tuple(sorted((place[g], place[h])))] = table.T if turned else table
        alone = tuple(self.alone[g] for g in order)
        return CostTables(tuple(self.levels[g] for g in order), self.whole, alone, together)  # type: ignore[arg-type]


def cost_tables(cost: Callable[[Ints], float], levels: Sequence[Ints]) -> CostTables:
    """Fill the tables by calling the cost.

    Args:
        cost: the cost of widths.
        levels: for each group increasing widths, of which the last is the full width.

    Example: a chain of two convolutions with 4 and 8 channels, between 3 and 10 channels that stay.
        >>> levels = [np.array([2, 4]), np.array([4, 8])]
        >>> tables = cost_tables(lambda w: float(3 * w[0] + w[0] * w[1] + 10 * w[1]), levels)
        >>> tables.whole, [each.tolist() for each in tables.alone]
        (124.0, [[-22.0, 0.0], [-56.0, 0.0]])
        >>> {pair: table.tolist() for pair, table in tables.together.items()}
        {(0, 1): [[8.0, 0.0], [0.0, 0.0]]}
    """
    full = np.array([level[-1] for level in levels])
    whole = cost(full)

    def of(*changed: tuple[int, int]) -> float:
        widths = full.copy()
        for group, width in changed:
            widths[group] = width
        return cost(widths) - whole

    alone = tuple(np.array([of((g, w)) for w in level]) for g, level in enumerate(levels))
    together = {}
    for g, h in itertools.combinations(range(len(levels)), 2):
        beyond = of((g, levels[g][0]), (h, levels[h][0])) - alone[g][0] - alone[h][0]
        if abs(beyond) > _NEGLIGIBLE * abs(whole):
            table = np.array([[of((g, a), (h, b)) for b in levels[h]] for a in levels[g]])
            together[g, h] = table - alone[g][:, None] - alone[h]
    return CostTables(tuple(levels), whole, alone, together)
