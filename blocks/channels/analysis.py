"""Which channels of a block hang together: every channel that must go when one goes.

Each channel of each tensor has a number. An operation says how its output channels relate to its input channels:
the same ones (batch norm, pooling), the input's one after another (concatenate), one each united (add), or new ones
that its own weights make (convolution, dense): `rules` says which. Numbers that are united form a *class*: its
channels can only be removed together. Classes made by the same layers form a *group*, within which a sparsity
applies. The block's inputs and outputs keep all their channels, and so does everything an unknown operation touches:
that may cost compression, never correctness. The idea of dependency groups is DepGraph's (Fang et al., CVPR 2023).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import keras
import numpy as np

from legodnn.blocks.channels.channel_ids import ChannelIds, IdArray
from legodnn.blocks.channels.rules import rule
from legodnn.blocks.importing.graph import LayerCall, Tensor, calls


@dataclass(frozen=True)
class ChannelGroup:
    """Channels made by the same layers, removable class by class.

    Attributes:
        makers: names of the layers whose weights make these channels; a layer that puts several channels into
            each class (a grouped convolution) is named as often.
        classes: one array of channel numbers for each class; a class goes or stays whole.

    Example:
        >>> import keras
        >>> from keras.layers import Add, Conv2D
        >>> x = keras.Input((8, 8, 3))
        >>> a, b = Conv2D(6, 3, name="a"), Conv2D(6, 3, name="b")
        >>> block = keras.Model(x, Conv2D(3, 3)(Add()([a(x), b(x)])))
        >>> print(analyse(block).groups[0])
        6 channels made by a + b
    """

    makers: tuple[str, ...]
    classes: tuple[IdArray, ...]

    def __str__(self) -> str:
        makers = (name if n == 1 else f"{name} x {n}" for name, n in Counter(self.makers).items())
        return f"{len(self.classes)} channels made by {' + '.join(makers)}"


@dataclass
class Channels:
    """The channels of one block.

    Attributes:
        of: channel numbers of each tensor's last axis, by the tensor's id().
        groups: what can be removed.
        made: for each layer that makes channels, its output's numbers.
        kept_whole: calls whose channels cannot be removed, with the reason.
        count: how many numbers there are; they are 0 .. count - 1.
    """

    of: dict[int, IdArray] = field(default_factory=dict)
    groups: tuple[ChannelGroup, ...] = ()
    made: dict[str, IdArray] = field(default_factory=dict)
    kept_whole: dict[str, str] = field(default_factory=dict)
    count: int = 0


def analyse(block: keras.Model) -> Channels:
    """Number the channels of a block (a Functional model) and find what can be removed from its inside."""
    numbering, channels = ChannelIds(), Channels()
    uses = Counter(id(call.operation) for call in calls(block))
    for t in block.inputs:
        channels.of[id(t)] = _fixed(t, numbering)
    for call in calls(block):
        result = _relate(call, channels, numbering, uses[id(call.operation)] > 1)
        if isinstance(result, str):
            channels.kept_whole[call.name] = result
            for t in call.inputs:
                numbering.fix(channels.of[id(t)])
            for t in call.outputs:
                channels.of[id(t)] = _fixed(t, numbering)
        else:
            channels.of[id(call.outputs[0])] = result
    for t in block.outputs:
        numbering.fix(channels.of[id(t)])
    channels.made = {name: ids for name, ids in numbering.made.items() if name not in channels.kept_whole}
    channels.count = len(numbering)
    channels.groups = _groups(channels, numbering)
    return channels


def _fixed(tensor: Tensor, numbering: ChannelIds) -> IdArray:
    """Numbers of their own for a tensor's last axis, which must stay; none if it has no such axis of known length."""
    known = len(tensor.shape) > 1 and tensor.shape[-1] is not None
    ids = numbering.fresh(tensor.shape[-1] if known else 0)
    numbering.fix(ids)
    return ids


def _relate(call: LayerCall, channels: Channels, numbering: ChannelIds, shared: bool) -> IdArray | str:
    """The numbers of a call's output, or why they cannot be related to those of its inputs."""
    known = rule(call)
    if isinstance(known, str):
        return known
    # Each call would ask for a cut of its own. What has nothing to cut (an activation) may well be called again.
    if shared and known.cut:
        return f"{call.name} is used more than once"
    inputs = [channels.of[id(t)] for t in call.inputs]
    if not all(len(ids) for ids in inputs):
        return "it reads a tensor without channels"
    result = known.relate(call, inputs, numbering)
    if not isinstance(result, str) and len(result) != call.outputs[0].shape[-1]:
        return "its output has other channels than its inputs together"
    return result


def _groups(channels: Channels, numbering: ChannelIds) -> tuple[ChannelGroup, ...]:
    fixed = {numbering.root(i) for i in numbering.fixed}
    members: dict[int, list[int]] = {}
    makers: dict[int, list[str]] = {}
    for ids in channels.of.values():
        for i in ids.tolist():
            members.setdefault(numbering.root(i), []).append(i)
    for layer, ids in channels.made.items():
        for i in ids.tolist():
            makers.setdefault(numbering.root(i), []).append(layer)
    groups: dict[tuple[str, ...], list[IdArray]] = {}
    for root, layers in makers.items():
        if root not in fixed:
            groups.setdefault(tuple(layers), []).append(np.unique(members[root]))
    return tuple(ChannelGroup(layers, tuple(classes)) for layers, classes in groups.items())
