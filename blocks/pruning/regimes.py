"""Regimes: what happens to a block's weights before, between and after the removal of channels.

A regime is a function that makes a descendant. It is given what decides which channels go (a criterion and an
allocator), and what trains a block for a while towards the original's outputs, so that any regime goes with any
criterion and allocator. The long training of descendants comes after that, see `legodnn.blocks.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np

from legodnn.arrays import Array, Mask
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.pruning.allocation import PruningProblem, Target
from legodnn.blocks.pruning.merging import merge_channels, nearest_kept, pull_together
from legodnn.blocks.pruning.reconstruct import refit
from legodnn.blocks.pruning.rounding import rounded, rounded_up
from legodnn.blocks.pruning.surgery import channels_left, remove
from legodnn.blocks.pruning.widths import Widths
from legodnn.errors import ModelError
from legodnn.recipe import RoundTo

# IDs of the channels of the original that a descendant has not, and the descendant.
Descendant = tuple[IdArray, keras.Model]

# Poses the problem of pruning a block to a target, and solves it. Widths are not rounded yet. The third argument is the
# channels of a block that was pruned before (`channels_left`), or None: then the block is analysed.
Decide = Callable[[keras.Model, Target, Channels | None], tuple[PruningProblem, Widths]]

_FIRST_PULL = 0.02  # the part of the way to their mean that `soft_clusters` moves channels by at first

# Trains a block for a while, in place, towards the original's outputs for sample inputs. After every step it calls a
# function, with which the regime changes weights, with the share of the steps that is done, in (0, 1].
Tune = Callable[[keras.Model, Callable[[float], None]], None]


@dataclass(frozen=True, eq=False)
class Means:
    """What a regime works with.

    Attributes:
        decide: which channels go.
        x: sample inputs of the block, each of shape (n, ...).
        fitted: whether the remaining weights are refitted to the original's responses.
        tune: trains a block for a while; None where nothing can.
        round_to: what the numbers of kept channels are rounded to.
    """

    decide: Decide
    x: Sequence[Array]
    fitted: bool = True
    tune: Tune | None = None
    round_to: RoundTo = 1

    def choose(self, block: keras.Model, target: Target) -> tuple[PruningProblem, Widths]:
        """Pose the problem of pruning a block to a target, and solve it with rounded widths."""
        problem, widths = self.decide(block, target, None)
        return problem, rounded(problem, widths, self.round_to)


class Regime(Protocol):
    """A function that makes a descendant of a block."""

    def __call__(self, block: keras.Model, target: Target, means: Means) -> Descendant:
        """Return the removed channels and the descendant, whose layers have the shapes that `remove` gives them.

        Raises:
            ModelError: the regime trains, and there is nothing to train with.
            TargetError: the target cannot be reached.
        """


def one_shot(block: keras.Model, target: Target, means: Means) -> Descendant:
    """Remove all channels at once, then refit what remains."""
    problem, widths = means.choose(block, target)
    removed = problem.removed(widths)
    return removed, _refitted(block, problem.pruned(widths), problem.channels, removed, means)


def gradual(steps: int = 4) -> Regime:
    """Return the regime that goes to the target in equal steps, and refits and judges anew after each.

    Channels are judged by what they are worth in the smaller block (Molchanov et al., ICLR 2017, section 2). Widths are
    rounded as in one shot, by the sizes that groups have in the whole block and for the target; every step before the
    last is rounded up, so that the last one can take whatever is nearest.
    """

    def gradually(block: keras.Model, target: Target, means: Means) -> Descendant:
        problem, _ = means.decide(block, target, None)
        whole, measure = problem.cost(problem.full), problem.counted or target.measure
        removed, student = np.empty(0, np.int64), block
        for step in range(1, steps + 1):
            limit = Target(measure, limit=whole + (problem.limit - whole) * step / steps)
            part, widths = means.decide(student, limit, channels_left(block, problem.channels, student, removed))
            widths = (rounded if step == steps else rounded_up)(problem, widths, means.round_to)
            removed, student = _further(block, problem.channels, removed, part, part.removed(widths), means)
        return removed, student

    return gradually


def layer_by_layer(block: keras.Model, target: Target, means: Means) -> Descendant:
    """Prune one group after another, in the order of the layers, and refit what reads it (ThiNet, ICCV 2017).

    The channels of a group are judged by what the block computes when the groups before are pruned already.
    """
    problem, wanted = means.choose(block, target)
    removed, student = np.empty(0, np.int64), remove(block, problem.channels, np.empty(0, np.int64))
    for number, width in enumerate(wanted.tolist()):
        left = channels_left(block, problem.channels, student, removed)
        part, _ = means.decide(student, Target("sparsity", 0.0), left)  # judges the channels; none go by it
        widths = part.full.copy()
        widths[number] = width
        removed, student = _further(block, problem.channels, removed, part, part.removed(widths), means)
    return removed, student


def sparse_scales(pull: float = 0.5) -> Regime:
    """Return Network Slimming's regime: training drives batch norm scales to zero before channels are removed.

    The subgradient of an L1 penalty is stepped along after every training step: each scale of a channel that can be
    removed moves towards 0 by the same amount (Liu et al., ICCV 2017, equation 1). What the features need is pulled
    back by the training.

    Args:
        pull: the way that the penalty alone takes a scale in the whole training. The paper's 160 epochs with penalty
            1e-4 and learning rate .1 make about .6 on CIFAR-10.
    """

    def slimming(block: keras.Model, target: Target, means: Means) -> Descendant:
        sparse = remove(block, analyse(block), np.empty(0, np.int64))
        gammas = _removable_scales(sparse)
        done = 0.0

        def step(share: float) -> None:
            nonlocal done
            for gamma, mask in gammas:
                value = keras.ops.convert_to_numpy(gamma)
                moved = np.sign(value) * np.maximum(np.abs(value) - pull * (share - done), 0)
                gamma.assign(np.where(mask, moved, value))
            done = share

        if gammas:
            _tune(means, "sparse_scales")(sparse, step)
        problem, widths = means.choose(sparse, target)
        removed = problem.removed(widths)
        return removed, _refitted(sparse, problem.pruned(widths), problem.channels, removed, means)

    return slimming


def soft_clusters(block: keras.Model, target: Target, means: Means) -> Descendant:
    """Draw channels that go to their nearest neighbour that stays, while the block is trained, then merge them (ASCP).

    After every training step the members of each cluster move a part of the way to their mean; between the steps they
    are trained on. The part grows geometrically to 1, so that the members are equal at the end of the training. Then
    they are merged, their readers' slices are added (`merging.merge_channels`), and what remains is refitted.
    """
    problem, widths = means.choose(block, target)
    clusters = nearest_kept(block, problem.channels, problem.removed(widths))
    soft = remove(block, problem.channels, np.empty(0, np.int64))
    channels = analyse(soft)

    def step(share: float) -> None:
        pull_together(soft, channels, clusters, _FIRST_PULL ** (1 - share))

    _tune(means, "soft_clusters")(soft, step)
    pull_together(soft, channels, clusters, 1.0)
    removed, merged = merge_channels(soft, channels, clusters)
    return removed, _refitted(block, merged, problem.channels, removed, means)


def _tune(means: Means, regime: str) -> Tune:
    if means.tune is None:
        raise ModelError(f"regime `{regime}` trains the block, and there is nothing to train it with: pass `tune`")
    return means.tune


def _removable_scales(block: keras.Model) -> list[tuple[keras.Variable, Mask]]:
    """Return the batch norm scales of a block, and which of them are of channels that can be removed."""
    channels = analyse(block)
    removable = np.concatenate([np.empty(0, np.int64), *(ids for group in channels.groups for ids in group.coupled)])
    found = []
    for call in calls(block):
        if call.kind == "BatchNormalization" and call.operation.scale and call.name not in channels.kept_whole:
            mask = np.isin(channels.of[id(call.inputs[0])], removable)
            if mask.any():
                found.append((call.operation.gamma, mask))
    return found


def _further(
    block: keras.Model, channels: Channels, removed: IdArray, part: PruningProblem, gone: IdArray, means: Means
) -> Descendant:
    """Remove more channels from a descendant, by their IDs, and refit it towards the original."""
    removed = np.concatenate([removed, gone])
    student = remove(part.block, part.channels, gone)
    return removed, _refitted(block, student, channels, removed, means)


def _refitted(
    block: keras.Model, student: keras.Model, channels: Channels, removed: IdArray, means: Means
) -> keras.Model:
    if means.fitted:
        refit(block, student, channels, removed, means.x)
    return student
