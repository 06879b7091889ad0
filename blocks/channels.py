"""Which channels of a block hang together: every channel that must go when one goes.

Each channel of each tensor has a number. An operation says how its output channels relate to its input channels:
the same ones (batch norm, pooling), the input's one after another (concatenate), one each united (add), or new ones
that its own weights make (convolution, dense). Numbers that are united form a *class*: its channels can only be
removed together. Classes made by the same layers form a *group*, within which a sparsity applies. The block's
inputs and outputs keep all their channels, and so does everything an unknown operation touches: that may cost
compression, never correctness. The idea of dependency groups is DepGraph's (Fang et al., CVPR 2023).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.graph import Call, calls

Ids = NDArray[np.int64]

# Operations after which channel c of the output depends on channel c of the input alone, and a removed channel
# leaves the others as they were. A per-channel layer's variables are indexed by channel on their last axis.
_PER_CHANNEL = {
    "Activation", "ActivityRegularization", "AlphaDropout", "AveragePooling2D", "BatchNormalization",
    "Cropping2D", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "Identity", "LeakyReLU", "MaxPooling2D", "ReLU", "Relu", "Rescaling", "SpatialDropout2D",
    "UpSampling2D", "ZeroPadding2D",
}  # fmt: skip
_ELEMENTWISE = {
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold",
}  # fmt: skip
# Names that keras.ops has with the same meaning (keras.ops.average, for one, is another thing than layers.Average).
_OPERATIONS = {"Relu", "Add", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate"}
_UNITE = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
_MAKERS = {"Conv2D", "Dense"}


@dataclass(frozen=True)
class Group:
    """Channels made by the same layers, removable class by class.

    Attributes:
        makers: names of the layers whose weights make these channels.
        classes: one array of channel numbers for each class; a class goes or stays whole.
    """

    makers: tuple[str, ...]
    classes: tuple[Ids, ...]

    def __str__(self) -> str:
        return f"{len(self.classes)} channels made by {' + '.join(self.makers)}"


@dataclass
class Channels:
    """The channels of one block.

    Attributes:
        of: channel numbers of each tensor's last axis, by the tensor's id().
        groups: what can be removed.
        made: for each layer that makes channels, its output's numbers.
        kept_whole: calls whose channels cannot be removed, with the reason.
    """

    of: dict[int, Ids] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    made: dict[str, Ids] = field(default_factory=dict)
    kept_whole: dict[str, str] = field(default_factory=dict)


class _Union:
    """Union-find over channel numbers."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.fixed: list[int] = []

    def fresh(self, count: int) -> Ids:
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def unite(self, a: Ids, b: Ids) -> None:
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self.root(y)] = self.root(x)

    def fix(self, ids: Ids) -> None:
        self.fixed.extend(ids.tolist())


def analyse(block: keras.Model) -> Channels:
    """Number the channels of a block (a Functional model) and find what can be removed from its inside."""
    union, channels = _Union(), Channels()
    uses = Counter(call.name for call in calls(block))
    for t in block.inputs:
        channels.of[id(t)] = union.fresh(t.shape[-1])
        union.fix(channels.of[id(t)])
    for call in calls(block):
        reason = f"{call.name} is used more than once" if uses[call.name] > 1 else _relate(call, channels, union)
        if reason:
            channels.kept_whole[call.name] = reason
            for t in call.inputs:
                union.fix(channels.of[id(t)])
            for t in call.outputs:
                channels.of[id(t)] = union.fresh(t.shape[-1])
                union.fix(channels.of[id(t)])
    for t in block.outputs:
        union.fix(channels.of[id(t)])
    channels.groups = _groups(channels, union)
    return channels


def _groups(channels: Channels, union: _Union) -> tuple[Group, ...]:
    fixed = {union.root(i) for i in union.fixed}
    members: dict[int, list[int]] = {}
    makers: dict[int, list[str]] = {}
    for ids in channels.of.values():
        for i in ids.tolist():
            members.setdefault(union.root(i), []).append(i)
    for layer, ids in channels.made.items():
        for i in ids.tolist():
            makers.setdefault(union.root(i), []).append(layer)
    groups: dict[tuple[str, ...], list[Ids]] = {}
    for root, layers in makers.items():
        if root not in fixed:
            groups.setdefault(tuple(layers), []).append(np.unique(members[root]))
    return tuple(Group(layers, tuple(classes)) for layers, classes in groups.items())


def _relate(call: Call, channels: Channels, union: _Union) -> str | None:
    """Number a call's outputs; returns why not if the operation is not understood."""
    kind, ids = call.kind, [channels.of[id(t)] for t in call.inputs]
    rule: Callable[[Call, list[Ids], Channels, _Union], Ids | str]
    own = type(call.operation).__module__.startswith("keras.")
    if not own or not (kind in _OPERATIONS or isinstance(call.operation, keras.layers.Layer)):
        return f"{kind} is not known to keep channels apart"
    if kind in _PER_CHANNEL:
        rule = _same
    elif kind in _UNITE:
        rule = _united
    elif kind in _MAKERS:
        rule = _new
    elif kind == "Concatenate":
        rule = _one_after_another
    elif kind in ("Flatten", "Reshape"):
        rule = _repeated
    else:
        return f"{kind} is not known to keep channels apart"
    result = rule(call, ids, channels, union)
    if isinstance(result, str):
        return result
    if len(result) != call.outputs[0].shape[-1]:
        return "its output has other channels than its inputs together"
    channels.of[id(call.outputs[0])] = result
    return None


def _same(call: Call, ids: list[Ids], channels: Channels, union: _Union) -> Ids | str:
    layer: Any = call.operation
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "its channels are not on the last axis"
    if call.kind == "BatchNormalization" and layer.axis not in (-1, len(call.inputs[0].shape) - 1):
        return "it normalises another axis than the last"
    if call.kind == "Activation" and not _elementwise(layer.activation):
        return f"{_called(layer.activation)} is not known to keep channels apart"
    if call.kind == "Rescaling" and (np.size(layer.scale) > 1 or np.size(layer.offset) > 1):
        return "it scales each channel by a constant of its configuration"
    return ids[0]


def _united(call: Call, ids: list[Ids], channels: Channels, union: _Union) -> Ids | str:
    if len({len(i) for i in ids}) > 1:
        return "its inputs are broadcast over channels"
    arguments = keras.tree.flatten([call.node.arguments.args, call.node.arguments.kwargs])
    if any(np.size(a) > 1 for a in arguments if not isinstance(a, keras.KerasTensor)):
        return "it reads a constant that is not a single number"
    for other in ids[1:]:
        union.unite(ids[0], other)
    return ids[0]


def _new(call: Call, ids: list[Ids], channels: Channels, union: _Union) -> Ids | str:
    layer: Any = call.operation
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "its channels are not on the last axis"
    if getattr(layer, "groups", 1) != 1:
        return "it is a grouped convolution"
    if not _elementwise(layer.activation):
        return f"its activation {_called(layer.activation)} is not known to keep channels apart"
    channels.made[call.name] = union.fresh(call.outputs[0].shape[-1])
    return channels.made[call.name]


def _one_after_another(call: Call, ids: list[Ids], channels: Channels, union: _Union) -> Ids | str:
    if call.operation.axis not in (-1, len(call.inputs[0].shape) - 1):
        return "it joins another axis than the channels"
    return np.concatenate(ids)


def _repeated(call: Call, ids: list[Ids], channels: Channels, union: _Union) -> Ids | str:
    if getattr(call.operation, "data_format", "channels_last") == "channels_first":
        return "its channels are not on the last axis"
    if call.kind == "Reshape" and tuple(call.operation.target_shape) != (-1,):
        return "its configuration holds the number of channels"
    positions = math.prod(call.inputs[0].shape[1:-1])
    if tuple(call.outputs[0].shape[1:]) != (positions * len(ids[0]),):
        return "it is a reshape to something else than a vector"
    return np.tile(ids[0], positions)


def _elementwise(activation: Any) -> bool:
    name = getattr(activation, "__name__", "")
    return name in _ELEMENTWISE and activation is getattr(keras.activations, name, None)


def _called(activation: Any) -> str:
    return str(getattr(activation, "__name__", type(activation).__name__))
