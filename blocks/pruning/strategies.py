"""Strategies: names for a criterion (which channels go), an allocator (how many of which layer) and a regime (how).

To add a strategy, write its line in `STRATEGIES` here, and enter its name in `StrategyName` in legodnn/recipe.py, which
is read without Keras; a test compares the two. docs/pruning.md says what each is good for, and shows one being made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import keras

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.importing.difference import fitted_error
from legodnn.blocks.importing.graph import alone
from legodnn.blocks.pruning.allocation import (
    Allocator,
    PruningProblem,
    Target,
    global_threshold,
    measured_between,
    pose,
    uniform,
)
from legodnn.blocks.pruning.criteria import (
    Criterion,
    Importance,
    batch_norm_scale,
    cluster,
    drawn,
    geometric_median,
    l1,
    l2,
    relative,
)
from legodnn.blocks.pruning.exact_widths import check_ties
from legodnn.blocks.pruning.reconstruct import batched_outputs
from legodnn.blocks.pruning.regimes import (
    Descendant,
    Means,
    Regime,
    Tune,
    gradual,
    layer_by_layer,
    one_shot,
    soft_clusters,
    sparse_scales,
)
from legodnn.blocks.pruning.response_criteria import reconstruction, taylor
from legodnn.blocks.pruning.searches import SEARCHING_ALLOCATORS
from legodnn.blocks.pruning.widths import Widths
from legodnn.recipe import RoundTo


@dataclass(frozen=True)
class Strategy:
    """How descendants are made; see `Criterion`, `Allocator` and `Regime`."""

    criterion: Criterion = l1
    allocator: Allocator = uniform
    regime: Regime = one_shot


# The strategies that a recipe can name.
STRATEGIES: dict[str, Strategy] = {
    "random": Strategy(drawn(0)),
    "l1": Strategy(l1),
    "l2": Strategy(l2),
    "batch_norm_scale": Strategy(batch_norm_scale),
    "geometric_median": Strategy(geometric_median),
    "reconstruction": Strategy(reconstruction),
    "global_l1": Strategy(relative(l1), global_threshold),
    "gradual_l1": Strategy(l1, uniform, gradual()),
    "taylor": Strategy(taylor, measured_between),
    "gradual_taylor": Strategy(taylor, measured_between, gradual()),
    "slimming": Strategy(batch_norm_scale, global_threshold, sparse_scales()),
    "thinet": Strategy(reconstruction, uniform, layer_by_layer),
    "soft_clusters": Strategy(cluster, uniform, soft_clusters),
    **{  # all but our own judge channels as their papers do
        name: Strategy(taylor if name == "exact" else l1, allocator) for name, allocator in SEARCHING_ALLOCATORS.items()
    },
}


def strategy_of(name: str, seed: int) -> Strategy:
    """Return the strategy that a recipe names, with the recipe's seed where its criterion draws at random."""
    return replace(STRATEGIES[name], criterion=drawn(seed)) if name == "random" else STRATEGIES[name]


def check_strategy(name: str, block: keras.Model, target: Target) -> None:
    """Check what can be known of a strategy without data and before it measures anything.

    Raises:
        ModelError: it cannot decide on this block.
    """
    if name == "exact":
        problem = pose(block, target)
        check_ties(problem.full, problem.cost)


def descendants(
    block: keras.Model,
    targets: Sequence[Target],
    strategy: Strategy,
    x: Sequence[Array],
    fitted: bool = True,
    tune: Tune | None = None,
    *,
    round_to: RoundTo = 1,
    seed: int = 0,
) -> list[Descendant]:
    """Return, for each target, the IDs of the removed channels and the descendant without them.

    Targets that come to the same channels share one descendant.

    Args:
        block: a Functional model.
        targets: the most that each descendant may cost.
        strategy: how they are made.
        x: sample inputs of the block, each of shape (n, ...).
        fitted: whether the remaining weights are refitted to the original's responses.
        tune: trains a block for a while, for regimes that train.
        round_to: what the numbers of kept channels are rounded to, see `rounding`; 1 leaves them as they are.
        seed: of allocators that search; a criterion that draws has its own.

    Raises:
        ModelError: the regime trains, and there is no `tune`.
        TargetError: a target cannot be reached.
    """

    @cache
    def outputs() -> list[Array]:
        return batched_outputs(block, x)

    def loss(model: keras.Model) -> float:
        return float(fitted_error(batched_outputs(model, x), outputs()))

    original = block

    @cache
    def importance() -> Importance:
        return strategy.criterion(original, analyse(original), alone(x))  # the same for all targets

    def criterion(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
        return importance() if block is original else strategy.criterion(block, channels, x)

    def decide(model: keras.Model, target: Target, known: Channels | None) -> tuple[PruningProblem, Widths]:
        problem = pose(model, target, criterion, alone(x), channels=known, loss=loss, seed=seed)
        return problem, strategy.allocator(problem)

    found: dict[frozenset[int], Descendant] = {}
    chosen = []
    for target in targets:
        removed, student = strategy.regime(block, target, Means(decide, x, fitted, tune, round_to))
        chosen.append(found.setdefault(frozenset(removed.tolist()), (removed, student)))
    return chosen
