"""Tensors of a `.tflite` file as tensors of a Keras graph.

A file has images of a fixed number, usually 1, in its first dimension; in Keras that dimension is the batch. A tensor
whose first dimension is not 1, because a reshape or a transposition has moved it, has the batch in front of all its
dimensions instead, so that the graph treats every image alone.

Transpositions wait: a value keeps the order of its dimensions beside a tensor that was not transposed, and operators
that treat all dimensions alike work on that tensor. Two transpositions that undo each other leave nothing, so islands
of channels-first layout in a file, such as converters from PyTorch write, become channels-last graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import Tensor

# Orders in which the dimensions of an image are taken to bring its channels to the front, or to the end.
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class GraphValue:
    """A computed tensor of a file.

    Attributes:
        tensor: the Keras tensor, shape (batch, ...).
        batched: whether the batch stands for the first dimension, 1, of the file's tensor; otherwise the file's tensor
            is what one image has.
        order: the file's dimension i is dimension `order[i]` of the tensor as it is stored, which for a batched value
            counts the batch.
    """

    tensor: Tensor
    batched: bool
    order: tuple[int, ...]

    @property
    def stored(self) -> Shape:
        """The shape before the transposition that waits."""
        rest = tuple(int(d) for d in self.tensor.shape[1:])
        return (1, *rest) if self.batched else rest

    @property
    def shape(self) -> Shape:
        """The shape of the file's tensor."""
        stored = self.stored
        return tuple(stored[i] for i in self.order)

    @property
    def waits(self) -> bool:
        """Whether a transposition waits."""
        return self.order != tuple(range(len(self.order)))

    def now(self, tensor: Tensor) -> GraphValue:
        """Return a value of the same dimensions in the same order, after an operation on the stored tensor."""
        return replace(self, tensor=tensor)

    def keras_axis(self, axis: int) -> int:
        """Return the Keras tensor's axis for the file's dimension `axis`, which counts from 0."""
        return self.order[axis] + (0 if self.batched else 1)


def as_value(tensor: Tensor, batched: bool = True) -> GraphValue:
    """Return the value of a Keras tensor in which no transposition waits."""
    return GraphValue(tensor, batched, tuple(range(len(tensor.shape) - (0 if batched else 1))))


def reshaped_value(value: GraphValue, shape: Shape, name: str) -> GraphValue:
    """Return a value with its elements in other dimensions. It must have as many, and no transposition may wait."""
    if value.waits:
        raise ValueError(f"dimensions {value.order} are not in the file's order")
    batched = len(shape) > 0 and shape[0] == 1
    rest = shape[1:] if batched else shape
    if tuple(value.tensor.shape[1:]) == rest:
        return as_value(value.tensor, batched)
    if prod(rest) != prod(value.stored):
        raise ValueError(f"{prod(value.stored)} elements do not become {shape}")
    return as_value(layers.Reshape(rest, name=name)(value.tensor), batched)


def unbatched(value: GraphValue, name: str) -> GraphValue:
    """Return a value with the batch in front of all its dimensions; a layer of that name is added if that needs one."""
    if not value.batched:
        return value
    return replace(value, tensor=layers.Reshape(value.stored, name=name)(value.tensor), batched=False)


def canonical(value: GraphValue, name: str) -> GraphValue:
    """Return a value whose batch stands for its first dimension if that is 1; layers of that name are added if needed.

    An operation on values that have the batch in front of all dimensions may leave 1 of the first one.
    """
    if value.batched or value.shape[:1] != (1,):
        return value
    return reshaped_where_stored(value, value.shape, name)


def transposed_value(value: GraphValue, order: Shape) -> GraphValue:
    """Return a value with its dimensions in another order; the transposition waits."""
    if sorted(order) != list(range(len(value.order))):
        raise ValueError(f"{order} is no order of {len(value.order)} dimensions")
    return replace(value, order=tuple(value.order[i] for i in order))


def settled(value: GraphValue, name: str) -> GraphValue:
    """Return a value in which no transposition waits; a layer of that name is added if that needs one."""
    if not value.waits:
        return value
    if _only_ones_move(value):
        return reshaped_value(as_value(value.tensor, value.batched), value.shape, name)
    if value.batched and value.order[0] == 0:
        return as_value(layers.Permute(value.order[1:], name=name)(value.tensor))
    whole = unbatched(value, f"{name}.whole")
    turned = layers.Permute(tuple(i + 1 for i in value.order), name=name)(whole.tensor)
    return reshaped_value(as_value(turned, batched=False), value.shape, f"{name}.batch")


def _only_ones_move(value: GraphValue) -> bool:
    """Whether the transposition that waits leaves all elements in their order: only dimensions of 1 change places."""
    moved = [i for i in value.order if value.stored[i] != 1]
    return moved == sorted(moved)


def led_by_batch(value: GraphValue) -> GraphValue:
    """Return a value with its elements as they are, and 1, for which the batch stands, before all other dimensions."""
    rest = (i for i in value.order if i) if value.batched else (i + 1 for i in value.order)
    return GraphValue(value.tensor, True, (0, *rest))


def not_led(value: GraphValue) -> GraphValue:
    """Return a value without its first dimension, for which the batch stands. This undoes `led_by_batch`."""
    return GraphValue(value.tensor, False, tuple(i - 1 for i in value.order[1:]))


def reordered(value: GraphValue, order: Shape, name: str) -> GraphValue:
    """Return a value whose dimensions are stored in another order, by a layer of that name if that needs one."""
    by_place = transposed_value(value, tuple(int(i) for i in np.argsort(order)))
    return replace(settled(by_place, name), order=order)


def alike(values: Sequence[GraphValue], name: str) -> list[GraphValue]:
    """Return values of one rank with their dimensions stored in one order, that of the largest which waits."""
    if len({(v.order, v.batched) for v in values}) == 1:
        return list(values)
    if not all(v.batched and v.order[0] == 0 for v in values):
        return [settled(v, f"{name}.turned{i}") for i, v in enumerate(values)]
    order = max(values, key=lambda v: (prod(v.stored), v.waits)).order
    return [reordered(v, order, f"{name}.turned{i}") for i, v in enumerate(values)]


def reshaped_where_stored(value: GraphValue, shape: Shape, name: str) -> GraphValue:
    """Return a value in another shape whose transposition goes on waiting, as far as the shape leaves room for that.

    Dimensions of the two shapes that hold the same elements belong together. They are brought side by side in the
    file's order; among one another such groups stay where they are stored. So channels that are divided into groups,
    swapped with these, and joined again stay behind height and width.
    """
    if _only_ones_move(value):
        return reshaped_value(as_value(value.tensor, value.batched), shape, name)
    led, wanted = led_by_batch(value), shape if shape[:1] == (1,) else (1, *shape)
    groups = _together(led.shape, wanted)
    stored = [int(i) for i in np.argsort(led.order)]  # the file's dimension in each place
    ordered = sorted(groups, key=lambda group: min(stored.index(i) for i in group[0]))
    places = np.argsort([i for old, _ in ordered for i in old])
    led = reordered(led, tuple(int(i) for i in places), f"{name}.turned")
    new = [i for _, group in ordered for i in group]
    result = reshaped_value(as_value(led.tensor), tuple(wanted[i] for i in new), name)
    result = replace(result, order=tuple(int(i) for i in np.argsort(new)))
    return result if shape == wanted else not_led(result)


def _together(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Return which dimensions of two shapes, both of which begin with 1, hold the same elements, first to last.

    Example:
        >>> _together((1, 6, 5, 4), (1, 2, 3, 20))
        [([0], [0]), ([1], [1, 2]), ([2, 3], [3])]
    """
    found: list[tuple[list[int], list[int]]] = [([0], [0])]
    i = j = 1
    while i < len(old) and j < len(new):
        group: tuple[list[int], list[int]] = ([i], [j])
        a, b, i, j = old[i], new[j], i + 1, j + 1
        while a != b:
            if a < b:
                group[0].append(i)
                a, i = a * old[i], i + 1
            else:
                group[1].append(j)
                b, j = b * new[j], j + 1
        found.append(group)
    found[-1][0].extend(range(i, len(old)))  # of size 1
    found[-1][1].extend(range(j, len(new)))
    return found


def aligned(a: GraphValue, b: GraphValue, name: str) -> tuple[GraphValue, GraphValue]:
    """Return two values whose Keras tensors can be broadcast together, and whose dimensions are in one order."""
    if len(a.order) == len(b.order):
        a, b = alike([a, b], name)
    if a.order == b.order and a.batched == b.batched:
        return a, b
    a, b = settled(a, f"{name}.a"), settled(b, f"{name}.b")
    rank = max(len(a.order), len(b.order))
    shapes: list[Shape] = [(*(1 for _ in range(rank - len(v.order))), *v.shape) for v in (a, b)]
    if all(shape[0] == 1 for shape in shapes):
        a, b = (reshaped_value(v, s, f"{name}.{e}") for v, s, e in zip((a, b), shapes, "ab", strict=True))
        return a, b
    whole: list[GraphValue] = []
    for v, shape, end in zip((a, b), shapes, "ab", strict=True):
        tensor = v.tensor
        if tuple(tensor.shape[1:]) != shape:
            tensor = layers.Reshape(shape, name=f"{name}.{end}")(tensor)
        whole.append(as_value(tensor, batched=False))
    return whole[0], whole[1]


def constant_beside(value: GraphValue, constant: NDArray[Any], name: str) -> tuple[GraphValue, NDArray[Any]]:
    """Return a value and a constant, without a batch, that can be broadcast together as they are stored."""
    rank = max(len(value.order), constant.ndim)
    constant = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    if len(value.order) < rank:
        value = settled(value, f"{name}.a")
        value = reshaped_value(value, (1,) * (rank - len(value.order)) + value.shape, f"{name}.rank")
    stored: NDArray[Any] = constant.transpose(np.argsort(value.order))
    if value.batched and len(stored) != 1:  # it widens the dimension that the batch stands for
        value = unbatched(value, f"{name}.whole")
    return value, stored[0] if value.batched else stored


def flattened_turned(tensor: Tensor) -> tuple[Tensor, NDArray[np.int64]] | None:
    """Return what a tensor of one row was before a `Permute` and a `Reshape` made the row; None if they did not.

    Args:
        tensor: of a graph that is being made, shape (n, length) or (n, 1, ..., length).

    Returns:
        The tensor that was permuted; and for each element of the row its place among that tensor's elements.
    """
    flat, *before = _made_by(tensor)
    if not isinstance(flat, layers.Reshape) or prod(tensor.shape[1:-1]) != 1:
        return None
    turn, *images = _made_by(before[0])
    if not isinstance(turn, layers.Permute):
        return None
    sizes = images[0].shape[1:]
    places = np.arange(prod(sizes)).reshape(sizes).transpose([d - 1 for d in turn.dims])
    return images[0], places.ravel()


def _made_by(tensor: Tensor) -> list[Any]:
    """Return the operation that made a tensor, and the tensors that it read."""
    operation, node, _ = tensor._keras_history
    return [operation, *operation._inbound_nodes[node].input_tensors]
