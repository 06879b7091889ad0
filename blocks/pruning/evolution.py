"""Evolution of widths under a limit of cost, with the settings of MetaPruning (Liu et al., ICCV 2019, section 3.2)."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.progress import Progress, no_progress

_POPULATION, _PARENTS, _MUTATIONS, _CROSSOVERS, _ROUNDS = 50, 10, 25, 25, 20
_CHANGED = 0.1  # probability that a mutation draws a group's share anew
_LEAST = 0.05  # share of a group that is drawn


def evolve(search: WidthSearch, seed: int = 0, progress: Progress = no_progress, rounds: int = _ROUNDS) -> None:
    """Evolve shares of the groups; what makes them hold the limit, and nothing less, is `WidthSearch.fitted`.

    Args:
        search: what is searched for. All widths that were measured take part in the selection.
        seed: determines everything random.
        progress: shows the candidates.
        rounds: generations after the first.
    """
    rng, groups = np.random.default_rng(seed), len(search.full)
    candidates = [rng.uniform(_LEAST, 1, groups) for _ in range(_POPULATION - 1)] + [search.uniform / search.full]
    found: dict[tuple[int, ...], Floats] = {}
    with progress("evolving widths", _POPULATION + rounds * (_MUTATIONS + _CROSSOVERS)) as task:
        for number in range(rounds + 1):
            for shares in candidates:
                widths = search.fitted(shares)
                search.measure(widths)
                found[tuple(widths.tolist())] = widths / search.full
                task.step(f"round {number}, best loss {search.measure(search.best):.4g}")
            parents = [found[key] for key in sorted(found, key=search.measured.__getitem__)[:_PARENTS]]
            candidates = [_mutated(parents[rng.integers(len(parents))], rng) for _ in range(_MUTATIONS)]
            candidates += [_crossed(parents, rng) for _ in range(_CROSSOVERS)]


def _mutated(shares: Floats, rng: np.random.Generator) -> Floats:
    """Return shares of which some, and at least one, were drawn anew."""
    changed = rng.random(len(shares)) < _CHANGED
    changed[rng.integers(len(shares))] = True
    return np.where(changed, rng.uniform(_LEAST, 1, len(shares)), shares)


def _crossed(parents: list[Floats], rng: np.random.Generator) -> Floats:
    """Return shares each of which comes from one of two parents."""
    a, b = (parents[rng.integers(len(parents))] for _ in range(2))
    return np.where(rng.random(len(a)) < 0.5, a, b)
