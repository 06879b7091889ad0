"""Which channels of a block depend on one another, so that they can only be removed together.

Every channel of every tensor has an ID. The rule of each operation (`rules`) says how its output channels depend on its
input channels: they are the same (batch norm, pooling), the inputs' one after another (concatenate), the inputs' united
one by one (add), or new ones that its weights make (convolution, dense). Channels that are united are *coupled*: they
are removed together or not at all. Sets of coupled channels that the same layers make form a *group*. Every relation
treats them alike, so that what a block costs depends on how many sets of each group stay, not on which.

The block's inputs and outputs keep all channels, and so does every tensor that an unknown operation reads or writes:
that may cost compression, never correctness. The idea of dependency groups is DepGraph's (Fang et al., CVPR 2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np

from legodnn.blocks.channels.channel_ids import ChannelIds, IdArray
from legodnn.blocks.channels.rules import channel_rule
from legodnn.blocks.importing.graph import LayerCall, Tensor, calls


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that the same layers make and the same tensors hold, as sets of coupled channels.

    Attributes:
        makers: names of the layers whose weights make these channels. A layer that puts several channels into each set,
            as a grouped convolution does, is named as often.
        coupled: the channel IDs of each set of coupled channels; a set is removed as a whole or stays.

    Example: two convolutions of three filters are added, so that filter i of one goes with filter i of the other. The
    input has the channel IDs 0 and 1, and `a` and `b` make 2 to 4 and 5 to 7.
        >>> from keras import Input, Model
        >>> from keras.layers import Add, Conv2D
        >>> x, a, b = Input((8, 8, 2)), Conv2D(3, 3, name="a"), Conv2D(3, 3, name="b")
        >>> block = Model(x, Conv2D(4, 3)(Add()([a(x), b(x)])))
        >>> (group,) = analyse(block).groups
        >>> print(group)
        3 channels made by a + b
        >>> [ids.tolist() for ids in group.coupled]
        [[2, 5], [3, 6], [4, 7]]
    """

    makers: tuple[str, ...]
    coupled: tuple[IdArray, ...]

    def __str__(self) -> str:
        makers = (name if n == 1 else f"{name} x {n}" for name, n in Counter(self.makers).items())
        return f"{len(self.coupled)} channels made by {' + '.join(makers)}"


@dataclass
class Channels:
    """The channels of one block.

    Attributes:
        of: the channel IDs of each tensor's last axis, by the tensor's `id()`.
        groups: the channels that can be removed.
        made: the IDs of the output channels of each layer that makes channels, by the layer's name.
        kept_whole: names of the calls whose channels cannot be removed, with the reason: what they read and write.
        kept_in_part: the same for calls of which only what they make, or only what they read, cannot be removed; not
            for layers whose channels leave the block, which stay anyway.
        readers: names of the calls that sum over the channels of their first input: those that make channels, and
            products of two tensors.
        count: the number of channel IDs, which are 0 to count - 1.
    """

    of: dict[int, IdArray] = field(default_factory=dict)
    groups: tuple[ChannelGroup, ...] = ()
    made: dict[str, IdArray] = field(default_factory=dict)
    kept_whole: dict[str, str] = field(default_factory=dict)
    kept_in_part: dict[str, str] = field(default_factory=dict)
    readers: frozenset[str] = frozenset()
    count: int = 0

    @property
    def reasons(self) -> dict[str, str]:
        """Why channels stay, by the names of calls that read or write them."""
        return self.kept_whole | self.kept_in_part

    @cached_property
    def group_of(self) -> IdArray:
        """The number of each channel's group, shape (count,); the number of groups for channels that always stay."""
        found = np.full(self.count, len(self.groups))
        for number, group in enumerate(self.groups):
            found[np.concatenate(group.coupled)] = number
        return found

    @cached_property
    def set_of(self) -> IdArray:
        """The number of each channel's set, counted through all groups, shape (count,); -1 for those that stay."""
        found = np.full(self.count, -1)
        for number, ids in enumerate(ids for group in self.groups for ids in group.coupled):
            found[ids] = number
        return found


def analyse(block: keras.Model) -> Channels:
    """Give every channel of a block (a Functional model) an ID, and find the groups that can be removed.

    Example: what `Softmax` reads and writes stays, since each of its outputs depends on all channels.
        >>> from keras import Input, Model
        >>> from keras.layers import Conv2D, Softmax
        >>> x = Input((8, 8, 2))
        >>> block = Model(x, Conv2D(4, 3)(Softmax(name="gate")(Conv2D(3, 3)(Conv2D(5, 3, name="first")(x)))))
        >>> channels = analyse(block)
        >>> [str(group) for group in channels.groups]
        ['5 channels made by first']
        >>> channels.kept_whole
        {'gate': 'it normalises over the channels, which depend on one another'}
    """
    ids, channels = ChannelIds(), Channels()
    earlier: dict[int, list[LayerCall]] = {}
    for t in block.inputs:
        channels.of[id(t)] = _fixed(t, ids)
    for call in calls(block):
        before = earlier.setdefault(id(call.operation), [])
        result = _related(call, before, channels, ids)
        if isinstance(result, str):
            channels.kept_whole[call.name] = result
            for t in (t for each in before for t in (*each.inputs, *each.outputs)):
                ids.fix(channels.of[id(t)])
            for t in call.inputs:
                ids.fix(channels.of[id(t)])
            for t in call.outputs:
                channels.of[id(t)] = _fixed(t, ids)
        else:
            channels.of.update((id(t), written) for t, written in zip(call.outputs, result, strict=True))
        before.append(call)
    for t in block.outputs:
        ids.fix(channels.of[id(t)])
    channels.made = {name: made for name, made in ids.made.items() if name not in channels.kept_whole}
    channels.readers = frozenset({*channels.made, *ids.summed})
    leaving = np.concatenate([channels.of[id(t)] for t in block.outputs])
    outer = {name for name, made in channels.made.items() if np.isin(made, leaving).all()}
    channels.kept_in_part = {name: why for name, why in ids.held.items() if name not in {*outer, *channels.kept_whole}}
    channels.count = len(ids)
    channels.groups = _groups(channels, ids)
    return channels


def _fixed(tensor: Tensor, ids: ChannelIds) -> IdArray:
    """Return new IDs, which must stay, for a tensor's last axis; none if it has no such axis of known length."""
    known = len(tensor.shape) > 1 and tensor.shape[-1] is not None
    new = ids.fresh(tensor.shape[-1] if known else 0)
    ids.fix(new)
    return new


def _related(
    call: LayerCall, before: Sequence[LayerCall], channels: Channels, ids: ChannelIds
) -> Sequence[IdArray] | str:
    """Return the IDs of the channels of each output of a call, or why they cannot be told from those of its inputs.

    Args:
        call: the call.
        before: earlier calls of the same layer.
        channels, ids: what is known of the calls so far.
    """
    rule = channel_rule(call)
    if isinstance(rule, str):
        return rule
    inputs = [channels.of[id(t)] for t in call.inputs]
    if before and rule.cut:
        return _as_before(call, before[0], channels, ids)
    if not all(len(read) for read in inputs):
        return "it reads a tensor without channels"
    result = rule.relation(call, inputs, ids)
    if isinstance(result, str):
        return result
    written = result if isinstance(result, tuple) else (result,)
    if [*map(len, written)] != [t.shape[-1] for t in call.outputs]:
        return "its output has other channels than its inputs together"
    return written


def _as_before(call: LayerCall, first: LayerCall, channels: Channels, ids: ChannelIds) -> Sequence[IdArray] | str:
    """Couple what a layer that is used again reads with what it read at first: it is cut once, for all of its calls.

    What it writes are the same channels as at first, since the same weights make them.
    """
    if call.name in channels.kept_whole:
        return channels.kept_whole[call.name]
    read, again = ([channels.of[id(t)] for t in each.inputs] for each in (first, call))
    if [*map(len, read)] != [*map(len, again)] or not _alike(first, call):
        return f"{call.name} is used more than once, on tensors of different shapes"
    for a, b in zip(read, again, strict=True):
        ids.unite(a, b)
    return [channels.of[id(t)] for t in first.outputs]


def _alike(first: LayerCall, call: LayerCall) -> bool:
    """Whether what a layer is cut to for one call will do for another: a reshape's copy has all sizes."""
    shapes = ([t.shape for t in (*each.inputs, *each.outputs)] for each in (first, call))
    return bool(getattr(call.operation, "weights", [])) or len({*map(tuple, shapes)}) == 1


def _groups(channels: Channels, ids: ChannelIds) -> tuple[ChannelGroup, ...]:
    """Return the sets of coupled channels that need not stay, grouped by the layers that make them.

    Sets of the same layers are of different groups where some are in tensors in which others are not, as after a split.
    """
    fixed = {ids.root(i) for i in ids.fixed}
    members: dict[int, list[int]] = {}
    places: dict[int, list[int]] = {}
    makers: dict[int, list[str]] = {}
    for number, of_tensor in enumerate(channels.of.values()):
        for i in of_tensor.tolist():
            members.setdefault(ids.root(i), []).append(i)
            places.setdefault(ids.root(i), []).append(number)
    for layer, made in channels.made.items():
        for i in made.tolist():
            makers.setdefault(ids.root(i), []).append(layer)
    groups: dict[tuple[tuple[str, ...], tuple[int, ...]], list[IdArray]] = {}
    for root, layers in makers.items():
        if root not in fixed:
            groups.setdefault((tuple(layers), tuple(places[root])), []).append(np.unique(members[root]))
    return tuple(ChannelGroup(layers, tuple(coupled)) for (layers, _), coupled in groups.items())
