"""Rounding widths to what kernels like, as one step after any allocator.

Kernels compute a tile of channels at a time, so a layer of 17 channels may take as long as one of 32. Widths are
rounded to multiples of a number, or to the edges of the steps that were measured on a device (`legodnn.widths_table`).

What is counted are the sets of coupled channels of a group: that is the number of filters of each layer that makes them
(of each group of a grouped convolution), and of the input channels of each layer that reads them, before a flattening
too. Layers that are concatenated are groups of their own, so that the sum of multiples is a multiple again.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from legodnn.blocks.channels.analysis import ChannelGroup, Channels
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.pruning.allocation import PruningProblem
from legodnn.blocks.pruning.widths import Widths
from legodnn.recipe import RoundTo
from legodnn.widths_table import LayerKind

# Multiples of a number are rounded to where a layer has at least as many times that number of channels. In smaller
# layers there would be too few widths left to choose from.
LEAST_MULTIPLES = 4


def rounded(problem: PruningProblem, widths: Widths, round_to: RoundTo) -> Widths:
    """Return widths that kernels like, near those that an allocator chose.

    A group that keeps all of its channels, or has no such widths below its own, stays as it is. The others never get
    all channels back, so that a descendant stays smaller than the original. A width below half of the least one that
    kernels like stays too: it is within the first tile, and rounding would multiply what the layers behind it read.

    A plain sparsity is a wish: widths go to the nearest, of two equally near ones to the wider. Any other target is a
    limit: widths go down, and then those up again that are nearer to the step above, as far as the limit holds; those
    that lost most come first.

    Args:
        problem: the block, and what it may cost.
        widths: what an allocator chose, shape (groups,).
        round_to: a number whose multiples kernels like, or the steps of a device.

    Example: multiples of 8, for a group of 40.
        >>> from keras import Input, Model
        >>> from keras.layers import Conv2D
        >>> from legodnn.blocks.pruning.allocation import Target, pose, uniform
        >>> x = Input((8, 8, 1))
        >>> block = Model(x, Conv2D(4, 3)(Conv2D(40, 3)(x)))
        >>> problem = pose(block, Target("sparsity", 0.45))
        >>> widths = uniform(problem)
        >>> widths.tolist(), rounded(problem, widths, 8).tolist()
        ([22], [24])
    """
    liked = _liked(problem, round_to)
    if problem.target.measure == "sparsity":
        pairs = zip(widths.tolist(), problem.full.tolist(), liked, strict=True)
        return np.array([_nearest(*each) for each in pairs], np.int64)
    found: Widths = widths.copy()
    above: dict[int, int] = {}
    for group, (width, full, steps) in enumerate(zip(widths.tolist(), problem.full.tolist(), liked, strict=True)):
        below = [step for step in steps if step <= width]
        if below and width < full:
            found[group] = below[-1]
            if len(below) < len(steps):
                above[group] = steps[len(below)]
    lost = {g: float((widths[g] - found[g]) / (step - found[g])) for g, step in above.items()}
    for group in sorted((g for g in lost if lost[g] >= 0.5), key=lost.__getitem__, reverse=True):
        higher = found.copy()
        higher[group] = above[group]
        if problem.holds(higher):
            found = higher
    return found


def rounded_up(problem: PruningProblem, widths: Widths, round_to: RoundTo) -> Widths:
    """Return the next wider widths that kernels like, or all channels of a group where there are none.

    What is removed step by step comes from there to any widths that `rounded` may choose in the end. Widths that it
    leaves alone, below half of the least one that kernels like, stay.
    """
    found = []
    for width, full, steps in zip(widths.tolist(), problem.full.tolist(), _liked(problem, round_to), strict=True):
        stays = not steps or width < steps[0] / 2
        found.append(width if stays else next((step for step in steps if step >= width), full))
    return np.array(found, np.int64)


def _liked(problem: PruningProblem, round_to: RoundTo) -> list[tuple[int, ...]]:
    """Return the widths of each group that kernels like."""
    return [
        liked_widths(layer_kind(problem.block, problem.channels, group), len(group.coupled), round_to)
        for group in problem.channels.groups
    ]


def _nearest(width: int, full: int, steps: tuple[int, ...]) -> int:
    if width == full or not steps or width < steps[0] / 2:
        return width
    return min(steps, key=lambda step: (abs(step - width), -step))


def liked_widths(kind: LayerKind, channels: int, round_to: RoundTo) -> tuple[int, ...]:
    """Return the widths below its own that a group of so many sets of channels is rounded to; none to leave it alone.

    >>> liked_widths("conv", 40, 8), liked_widths("conv", 31, 8)
    ((8, 16, 24, 32), ())
    """
    if not isinstance(round_to, int):
        return round_to.up_to(kind, channels - 1)
    if round_to == 1 or channels < LEAST_MULTIPLES * round_to:
        return ()
    return tuple(range(round_to, channels, round_to))


def layer_kind(block: keras.Model, channels: Channels, group: ChannelGroup) -> LayerKind:
    """Return the kind of layers that decides how latency rises with a group's width.

    It is `depthwise` where a depthwise or separable convolution reads the group, `conv` where a layer with a kernel of
    more than one pixel makes it, and otherwise `pointwise`, dense layers included.
    """
    members = np.concatenate(group.coupled)
    makers = []
    for call in calls(block):
        if "Depthwise" in call.kind or "Separable" in call.kind:
            if np.isin(channels.of[id(call.inputs[0])], members).any():
                return "depthwise"
        elif call.name in group.makers:
            makers.append(call.operation)
    return "conv" if any(math.prod(getattr(maker, "kernel_size", ())) > 1 for maker in makers) else "pointwise"
