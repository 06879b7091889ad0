"""Strategies: names for a criterion (which channels go), an allocator (how many of which layer) and a regime (how).

To add a strategy, write its line in `STRATEGIES` here, and enter its name in `StrategyName` in legodnn/recipe.py, which
is read without Keras; a test compares the two. docs/pruning.md says what each is good for, and shows one being made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.graph import alone
from legodnn.blocks.pruning.allocation import Allocator, PruningProblem, Target, global_threshold, pose, uniform
from legodnn.blocks.pruning.criteria import (
    Criterion,
    batch_norm_scale,
    cluster,
    drawn,
    geometric_median,
    l1,
    l2,
    relative,
)
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
    "taylor": Strategy(taylor, global_threshold),
    "gradual_taylor": Strategy(taylor, global_threshold, gradual()),
    "slimming": Strategy(batch_norm_scale, global_threshold, sparse_scales()),
    "thinet": Strategy(reconstruction, uniform, layer_by_layer),
    "soft_clusters": Strategy(cluster, uniform, soft_clusters()),
    **{name: Strategy(l1, allocator) for name, allocator in SEARCHING_ALLOCATORS.items()},
}


def descendants(
    block: keras.Model,
    targets: Sequence[Target],
    strategy: Strategy,
    x: Sequence[Array],
    fitted: bool = True,
    tune: Tune | None = None,
    seed: int = 0,
) -> list[Descendant]:
    """Return, for each target, the IDs of the removed channels and the descendant without them.

    Args:
        block: a Functional model.
        targets: the most that each descendant may cost.
        strategy: how they are made.
        x: sample inputs of the block, each of shape (n, ...).
        fitted: whether the remaining weights are refitted to the original's responses.
        tune: trains a block for a while, for regimes that train.
        seed: of allocators that search.

    Raises:
        ModelError: the regime trains, and there is no `tune`.
        TargetError: a target cannot be reached.
    """

    def decide(model: keras.Model, target: Target) -> tuple[PruningProblem, Widths]:
        problem = pose(model, target, strategy.criterion, alone(x), channels=analyse(model), seed=seed)
        return problem, strategy.allocator(problem)

    return [strategy.regime(block, target, Means(decide, x, fitted, tune)) for target in targets]
