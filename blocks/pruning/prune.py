"""Making descendants by pruning alone: choose channels for a target, and remove them.

Which channels matter is told by `criteria`, how many of which group stay by `allocation` and `rounding`, and `surgery`
removes them. Training is left to `training.distill`.
"""

from __future__ import annotations

from typing import Any

import keras

from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.pruning.allocation import Allocator, Target, pose, uniform
from legodnn.blocks.pruning.criteria import Criterion, l1
from legodnn.blocks.pruning.rounding import rounded
from legodnn.blocks.pruning.surgery import remove
from legodnn.errors import ModelError
from legodnn.recipe import RoundTo


def choose(
    block: keras.Model,
    channels: Channels,
    target: Target,
    criterion: Criterion = l1,
    allocator: Allocator = uniform,
    x: Any = None,
    round_to: RoundTo = 1,
) -> IdArray:
    """Return the IDs of the channels to remove: the least important ones of each group, but never all of it.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        target: the most that the block may cost.
        criterion: the importance of each channel; a set of coupled channels has the sum of theirs.
        allocator: how many channels of each group stay.
        x: sample inputs of the block, for criteria that look at activations.
        round_to: what the numbers of kept channels are rounded to, see `rounding`; 1 leaves them as they are.

    Raises:
        TargetError: the target cannot be reached.
    """
    problem = pose(block, target, criterion, x, channels=channels)
    return problem.removed(rounded(problem, allocator(problem), round_to))


def descendant(
    block: keras.Model, sparsity: float, criterion: Criterion = l1, allocator: Allocator = uniform, x: Any = None
) -> keras.Model:
    """Return a copy of a block that has lost a share of its inner channels; inputs and outputs keep their shapes.

    Args:
        block: a Functional model.
        sparsity: the share of the channels to remove, in [0, 1), see `Target`; 0 gives a plain copy.
        criterion: which channels go.
        allocator: how many channels of each group stay.
        x: sample inputs of the block, for criteria that look at activations.

    Raises:
        ModelError: the block has no channels that can be removed.

    Example:
        >>> from keras import Input, Model
        >>> from keras.layers import Conv2D
        >>> x = Input((8, 8, 3))
        >>> block = Model(x, Conv2D(6, 3)(Conv2D(4, 3)(x)))
        >>> smaller = descendant(block, 0.5)
        >>> [w.shape for w in block.get_weights()]
        [(3, 3, 3, 4), (4,), (3, 3, 4, 6), (6,)]
        >>> [w.shape for w in smaller.get_weights()]
        [(3, 3, 3, 2), (2,), (3, 3, 2, 6), (6,)]
    """
    channels = analyse(block)
    if sparsity and not channels.groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in channels.reasons.items())
        raise ModelError(f"block {block.name!r} has no inner channels to remove" + (f" ({reasons})" if reasons else ""))
    return remove(block, channels, choose(block, channels, Target("sparsity", sparsity), criterion, allocator, x))
