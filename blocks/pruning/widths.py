"""Widths: how many sets of coupled channels each group of a block keeps, and what the block costs with them.

Costs are told without building the pruned block. What a layer's weights take is a function of how many input and output
channels it keeps that is linear in each of the two; the layer's own cut (`channels.cuts`) is tried at its four corners,
so that a new channel rule needs nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array, Floats, Ints
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.channels.cuts import Cut
from legodnn.blocks.channels.rules import channel_rule
from legodnn.blocks.importing.graph import LayerCall, calls
from legodnn.blocks.importing.macs import call_macs, macs

# How many of its sets of coupled channels each group of `Channels.groups` keeps, shape (groups,). At least one each.
Widths = NDArray[np.int64]

# What can be counted without running anything: multiply-accumulates of one inference, weights, bytes of weights.
Counted = Literal["macs", "parameters", "bytes"]
_COUNTED: tuple[Counted, ...] = ("macs", "parameters", "bytes")


def full_widths(channels: Channels) -> Widths:
    """Return the widths of a block that keeps all of its channels, shape (groups,)."""
    return np.array([len(group.coupled) for group in channels.groups], np.int64)


def widths_at(channels: Channels, sparsity: float) -> Widths:
    """Return the widths when every group loses the same share of its sets, rounded, but never all of them.

    Args:
        channels: what `analyse(block)` returned.
        sparsity: the share that goes, in [0, 1].
    """
    return np.array([n - min(n - 1, round(sparsity * n)) for n in full_widths(channels).tolist()], np.int64)


def removed_ids(channels: Channels, widths: Widths, importance: Sequence[Floats]) -> IdArray:
    """Return the IDs of the channels that go when each group keeps its most important sets.

    Args:
        channels: what `analyse(block)` returned.
        widths: sets to keep, shape (groups,).
        importance: for each group the importance of its sets, shape (sets,). Of equal sets the first goes first.
    """
    gone = [np.empty(0, np.int64)]
    for group, keep, of_sets in zip(channels.groups, widths.tolist(), importance, strict=True):
        order = np.argsort(of_sets, kind="stable")
        gone += [group.coupled[i] for i in order[: len(group.coupled) - keep]]
    return np.concatenate(gone)


@dataclass(frozen=True, eq=False)
class WidthCosts:
    """What a block costs as a function of its widths. It is exact: the pruned block, built, has the same figures.

    Attributes:
        layers: names of the layers whose cost depends on widths, in the order of their calls.
        kept_in, kept_out: shape (layers, groups + 1): channels of a layer's input, and of its output, for one set of
            each group; in the last column those that always stay.
        coefficients: for each measure, shape (layers, 4): the cost of a layer that keeps n input and m output channels
            is their product with (1, n, m, n * m).
        constant: for each measure, what all other layers cost.
        others: for each measure, what every other layer costs, by its name.
    """

    layers: tuple[str, ...]
    kept_in: Ints
    kept_out: Ints
    coefficients: dict[Counted, Floats]
    constant: dict[Counted, int]
    others: dict[Counted, dict[str, int]]

    def of(self, measure: Counted, widths: Widths) -> int:
        """Return what the block costs with these widths."""
        return self.constant[measure] + int(self._by_layer(measure, widths).sum())

    def by_layer(self, measure: Counted, widths: Widths) -> dict[str, int]:
        """Return what each layer that costs anything costs with these widths, by its name."""
        found = Counter(self.others[measure])
        for name, cost in zip(self.layers, self._by_layer(measure, widths).tolist(), strict=True):
            found[name] += cost  # of a layer that is called twice
        return {name: cost for name, cost in found.items() if cost}

    def _by_layer(self, measure: Counted, widths: Widths) -> Ints:
        sets = np.append(widths, 1)
        n, m = (self.kept_in @ sets).astype(float), (self.kept_out @ sets).astype(float)
        terms = np.stack([np.ones_like(n), n, m, n * m], axis=1)
        found: Ints = np.rint((terms * self.coefficients[measure]).sum(axis=1)).astype(np.int64)
        return found


def width_costs(block: keras.Model, channels: Channels) -> WidthCosts:
    """Return what a block costs as a function of its widths.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.

    Example: a convolution whose 3 x 3 kernel and bias go with each of its four filters, and its reader.
        >>> from keras import Input, Model
        >>> from keras.layers import Conv2D
        >>> from legodnn.blocks.channels.analysis import analyse
        >>> x = Input((8, 8, 1))
        >>> block = Model(x, Conv2D(2, 1, name="b")(Conv2D(4, 3, name="a")(x)))
        >>> costs = width_costs(block, analyse(block))
        >>> [costs.by_layer("parameters", np.array([width])) for width in (4, 1)]
        [{'a': 40, 'b': 10}, {'a': 10, 'b': 4}]
    """
    sets = np.append(full_widths(channels), 1)

    def per_set(ids: IdArray) -> Ints:
        counts: Ints = np.bincount(channels.group_of[ids], minlength=len(sets)) // sets
        return counts

    rows: list[tuple[str, Ints, Ints, Floats]] = []
    others: dict[Counted, dict[str, int]] = {measure: {} for measure in _COUNTED}
    seen: set[int] = set()
    for call in calls(block):
        read, written = (per_set(channels.of[id(t)]) for t in (call.inputs[0], call.outputs[0]))
        rule = channel_rule(call)
        cut = None if call.name in channels.kept_whole or isinstance(rule, str) else rule.cut
        again = id(call.operation) in seen
        seen.add(id(call.operation))
        if cut and (read[:-1].any() or written[:-1].any()):
            of_call = _coefficients(call, cut, int(read @ sets), int(written @ sets))
            of_call[1:] *= not again  # a layer that is called twice has its weights once
            rows.append((call.name, read, written, of_call))
            continue
        weights = [] if again else getattr(call.operation, "weights", [])
        if not weights and call_macs(call) and (read[:-1].any() or written[:-1].any()):
            carried = np.array_equal(channels.of[id(call.inputs[0])], channels.of[id(call.outputs[0])])
            rows.append((call.name, read, written, _of_product(call, carried, int(read @ sets), int(written @ sets))))
            continue
        counts = (call_macs(call), sum(int(np.prod(w.shape)) for w in weights), sum(map(_bytes, weights)))
        for measure, count in zip(_COUNTED, counts, strict=True):
            others[measure][call.name] = others[measure].get(call.name, 0) + count
    coefficients = np.array([row[3] for row in rows]).reshape(len(rows), len(_COUNTED), 4)
    costs = WidthCosts(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows], np.int64).reshape(len(rows), len(sets)),
        np.array([row[2] for row in rows], np.int64).reshape(len(rows), len(sets)),
        {measure: coefficients[:, i] for i, measure in enumerate(_COUNTED)},
        {measure: sum(others[measure].values()) for measure in _COUNTED},
        others,
    )
    assert costs.of("macs", sets[:-1]) == macs(block)
    return costs


def _bytes(weight: keras.Variable) -> int:
    return int(keras.ops.convert_to_numpy(weight).nbytes)


def _coefficients(call: LayerCall, cut: Cut, n: int, m: int) -> Floats:
    """Return a layer's coefficients for each measure, shape (measures, 4), from its cut to no and to all channels."""
    corners = [
        _counts(cut(call, np.full(n, bool(keep_in)), np.full(m, bool(keep_out)))[1])
        for keep_out in (0, 1)
        for keep_in in (0, 1)
    ]
    none, only_in, only_out, both = np.array(corners, np.float64)  # each of shape (measures,)
    both = both - only_in - only_out + none
    found: Floats = np.stack([none, (only_in - none) / n, (only_out - none) / m, both / (n * m)], axis=1)
    whole = found[0] @ [1, n, m, n * m]
    found[0] *= call_macs(call) / whole if whole else 0  # every value of a kernel is used at as many positions
    return found


def _of_product(call: LayerCall, carried: bool, n: int, m: int) -> Floats:
    """Return the coefficients of a product of two tensors for each measure, shape (measures, 4).

    Args:
        call: the product.
        carried: whether its channels are those of its first input, rather than of its second or none of either.
        n, m: how many channels its first input and its output have.
    """
    found = np.zeros((len(_COUNTED), 4))
    found[0, 2 if carried else 3] = call_macs(call) / (m if carried else n * m)
    return found


def _counts(weights: Sequence[Array]) -> tuple[int, int, int]:
    """Return the values of kernels, of all weights, and bytes. A bias, which is a vector, multiplies nothing."""
    kernels = sum(w.size for w in weights if w.ndim > 1)
    return kernels, sum(w.size for w in weights), sum(w.nbytes for w in weights)
