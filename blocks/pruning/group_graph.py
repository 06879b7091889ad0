"""A block as a graph of operations, and an embedding of its groups of channels by graph convolution.

Features of operations are averaged over neighbours again and again (the simplified graph convolution of Wu et al., ICML
2019). The weights that a graph convolution learns are here in the first layer of whatever reads the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.importing.graph import LayerCall, calls
from legodnn.blocks.importing.macs import call_macs

_HOPS = 3
_KINDS = ("Conv", "Depthwise", "Dense", "Normalization", "Pooling", "Add", "Concatenate", "Multiply")


@dataclass(frozen=True, eq=False)
class GroupGraph:
    """The operations of a block, which are connected where one reads what the other writes.

    Attributes:
        spread: one step of averaging over an operation and its neighbours, shape (operations, operations).
        features: what is known of each operation, shape (operations, features), each with mean 0 and variance 1.
        held: the share of an operation's output channels that are of each group, and in the last column of none, shape
            (operations, groups + 1).
        makers: the mean over the operations that make a group, shape (groups, operations).
    """

    spread: Floats
    features: Floats
    held: Floats
    makers: Floats

    @property
    def of_groups(self) -> Floats:
        """The features of the layers that make each group, shape (groups, features)."""
        return self.makers @ self.features

    def embed(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return embeddings of each group, shape (groups, any), and of the whole graph, shape (any,).

        Args:
            shares: the share of each group that is kept, shape (groups,).
        """
        kept = self.held @ np.append(shares, 1.0)
        parts = [np.column_stack([self.features, kept])]
        for _ in range(_HOPS):
            parts.append(self.spread @ parts[-1])
        return self.makers @ np.column_stack(parts), parts[-1].mean(axis=0)


def group_graph(block: keras.Model, channels: Channels) -> GroupGraph:
    """Return the graph of a block.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
    """
    order = calls(block)
    writer = {id(t): i for i, call in enumerate(order) for t in call.outputs}
    near = np.eye(len(order))
    for i, call in enumerate(order):
        for t in call.inputs:
            if id(t) in writer:
                near[i, writer[id(t)]] = near[writer[id(t)], i] = 1
    degrees = 1 / np.sqrt(near.sum(axis=1))
    features = np.array([_features(call, i / len(order)) for i, call in enumerate(order)])
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    held = np.zeros((len(order), len(channels.groups) + 1))
    for row, call in zip(held, order, strict=True):
        np.add.at(row, channels.group_of[channels.of[id(call.outputs[0])]], 1)
        row /= max(1.0, row.sum())
    names = [call.name for call in order]
    makers = np.zeros((len(channels.groups), len(order)))
    for row, group in zip(makers, channels.groups, strict=True):
        row[[names.index(maker) for maker in set(group.makers)]] = 1 / len(set(group.makers))
    return GroupGraph(near * degrees * degrees[:, None], features, held, makers)


def _features(call: LayerCall, place: float) -> list[float]:
    """Return place, kind, sizes of input and output, kernel, stride and work of an operation."""
    shapes = [tuple(n or 1 for n in t.shape[1:]) for t in (call.inputs[0], call.outputs[0])]
    sizes = [float(np.log1p(size)) for s in shapes for size in (s[-1] if s else 1, np.prod(s[:-1]))]
    kernel, strides = (np.prod(getattr(call.operation, name, None) or 1) for name in ("kernel_size", "strides"))
    work = float(np.log1p(call_macs(call)))
    return [place, *(float(kind in call.kind) for kind in _KINDS), *sizes, float(kernel), float(strides), work]
