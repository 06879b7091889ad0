"""The allocators that search: exact allocation by the knapsack, AMC, AGMC, MetaPruning and PR-DARTS.

Each measures what widths lose, by the error of the masked block's outputs, which needs no labels; then the finalists
are pruned and refitted, and what is left of the error decides. Uniform widths are a candidate to the end, so none
returns anything worse. The searches close with a hill climb (`exchange`).

A new one is a function from a `PruningProblem` to a `SearchMethod`, and a line in `SEARCHES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.pruning.agmc import embedded
from legodnn.blocks.pruning.allocation import Allocator, PruningProblem, check_reachable, fill_up, uniform
from legodnn.blocks.pruning.amc import EPISODES, hand_made, walk
from legodnn.blocks.pruning.evolution import evolve
from legodnn.blocks.pruning.exact_widths import exact
from legodnn.blocks.pruning.exchange import exchange
from legodnn.blocks.pruning.group_graph import group_graph
from legodnn.blocks.pruning.masked import loss_by_widths, sample_arrays
from legodnn.blocks.pruning.pr_darts import descend, soft_block, width_levels
from legodnn.blocks.pruning.pruning_net import train_pruning_net
from legodnn.blocks.pruning.reconstruct import batched_outputs, refit, split_images
from legodnn.blocks.pruning.width_search import SearchMethod, WidthSearch, best_widths
from legodnn.blocks.pruning.widths import Widths
from legodnn.progress import Progress

_CLOSING = 100  # exchanges that are tried after a search
_FINALISTS = 4  # that are pruned and refitted
_WINNERS = 10  # of the evolution, which are measured with the block's own weights


def amc_search(problem: PruningProblem, episodes: int = EPISODES) -> SearchMethod:
    """Return AMC, which sees features of each group's layers."""

    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        graph = group_graph(problem.block, problem.channels)
        walk(search, hand_made(search, graph.of_groups), seed, progress, episodes)

    return method


def agmc_search(problem: PruningProblem, episodes: int = EPISODES) -> SearchMethod:
    """Return AGMC, which sees embeddings of the block's graph."""

    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        graph = group_graph(problem.block, problem.channels)
        walk(search, embedded(search, graph), seed, progress, episodes, "AGMC")

    return method


def metapruning_search(problem: PruningProblem) -> SearchMethod:
    """Return MetaPruning: evolution of widths that a PruningNet rates, of which the best are measured."""

    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        rated = WidthSearch(search.full, train_pruning_net(problem, progress=progress), search.cost, search.limit)
        evolve(rated, seed, progress)
        holding = [key for key in rated.measured if rated.cost(np.array(key)) <= rated.limit]
        for key in sorted(holding, key=rated.measured.__getitem__)[:_WINNERS]:
            search.measure(np.array(key, np.int64))

    return method


def pr_darts_search(problem: PruningProblem) -> SearchMethod:
    """Return PR-DARTS: architecture parameters and the weights of a copy of the block descend in turn."""

    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        tables = width_levels(search)
        descend(search, tables, *soft_block(problem, tables, seed), progress)

    return method


SEARCHES: dict[str, Callable[[PruningProblem], SearchMethod]] = {
    "exact": lambda _: exact,
    "amc": amc_search,
    "agmc": agmc_search,
    "metapruning": metapruning_search,
    "pr_darts": pr_darts_search,
}


def searched_widths(
    problem: PruningProblem,
    search_for: Callable[[PruningProblem], SearchMethod],
    loss: Callable[[Widths], float] | None = None,
    kept: Path | None = None,
) -> Widths:
    """Return the best widths that a search finds, at least as good as uniform ones; Ctrl-C ends it early.

    Args:
        problem: what is to be pruned.
        search_for: the search, such as those in `SEARCHES`.
        loss: measures widths; None: the error of the outputs for the problem's sample inputs, or else its loss.
        kept: a file for what was measured; with it a search that was killed goes on.

    Raises:
        TargetError: no widths meet the target.
        ModelError: there is nothing to measure on.
        StoreError: the file is damaged.
    """
    check_reachable(problem)
    if not len(problem.full) or problem.holds(problem.full):
        return problem.full
    search = WidthSearch(problem.full, loss or loss_by_widths(problem), problem.cost, problem.limit, kept)
    search.measure(uniform(problem))
    found = best_widths(search, _closed_by_exchange(search_for(problem)), problem.seed, problem.progress)
    best = fill_up(problem, found)
    return best if loss or problem.x is None else _best_refitted(problem, search)


def _closed_by_exchange(method: SearchMethod) -> SearchMethod:
    """Return a search that improves in the end what another has found, by what neighbours do to one another."""

    def closed(search: WidthSearch, seed: int, progress: Progress) -> None:
        method(search, seed, progress)
        exchange(search, seed, progress, _CLOSING)

    return closed


def _best_refitted(problem: PruningProblem, search: WidthSearch) -> Widths:
    """Return the best of the finalists, uniform widths among them, by the error that is left when they are refitted.

    The error is measured on the images that refitting holds out.
    """
    candidates = [uniform(problem), *(fill_up(problem, w) for w in search.finalists(_FINALISTS))]
    inputs, errors = sample_arrays(problem), []
    _, held_out = split_images(inputs)
    targets = batched_outputs(problem.block, held_out)
    with problem.progress("refitting finalists", len(candidates)) as task:
        for widths in candidates:
            pruned = problem.pruned(widths)
            refit(problem.block, pruned, problem.channels, problem.removed(widths), inputs)
            errors.append(float(relative_error(batched_outputs(pruned, held_out), targets)))
            task.step(f"error {errors[-1]:.4g}")
    return candidates[int(np.argmin(errors))]


# The same as functions of a problem alone.
SEARCHING_ALLOCATORS: dict[str, Allocator] = {
    name: partial(searched_widths, search_for=search_for) for name, search_for in SEARCHES.items()
}
