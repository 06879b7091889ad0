"""Sparse constants of `.tflite` files, which leave zeros out, made dense.

The layout is that of the file format's `SparsityParameters`: dimensions are stored in the order `order`; each is dense,
or lists for every position of the dimension before it which indices are there (compressed sparse rows). Dimensions past
the tensor's rank are blocks that divide one of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.errors import ModelError

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]  # segments and indices


@dataclass(frozen=True, eq=False)
class Sparsity:
    """The layout of one sparse constant.

    Attributes:
        order: which dimension each stored dimension is; those from the tensor's rank on are blocks.
        block_map: the dimension that each block divides.
        dimensions: for each stored dimension its size, or segments and indices where it is sparse.
    """

    order: tuple[int, ...]
    block_map: tuple[int, ...]
    dimensions: tuple[tuple[int, Rows | None], ...]


def dense(elements: NDArray[Any], shape: Shape, sparsity: Sparsity, name: str) -> NDArray[Any]:
    """Return a constant with its zeros.

    Args:
        elements: the elements that are stored, in one row.
        shape: the constant's shape.
        sparsity: the layout.
        name: what messages call it.

    Raises:
        ModelError: the layout contradicts itself or the shape.
    """
    damaged = ModelError(f"constant {name!r} is sparse, and its layout does not fit its shape {shape}")
    rank, order, count = len(shape), sparsity.order, prod(shape)
    blocks = len(sparsity.block_map)
    if sorted(order) != list(range(rank + blocks)) or len(sparsity.dimensions) != len(order):
        raise damaged
    if any(not 0 <= d < rank for d in sparsity.block_map) or len(set(sparsity.block_map)) < blocks:
        raise damaged
    position = np.zeros(1, np.int64)
    places: list[NDArray[np.int64]] = []  # for each stored dimension the index of every element
    for size, rows in sparsity.dimensions:
        found = _dense_below(position, size, count) if rows is None else _rows_below(position, *rows, count)
        if found is None:
            raise damaged
        parent, index, position = found
        places = [*(p[parent] for p in places), index]
    # A block's index counts within the block.
    index_of = dict(zip(order, places, strict=True))
    whole = [index_of[d] for d in range(rank)]
    for block, divided in enumerate(sparsity.block_map):
        size, rows = sparsity.dimensions[order.index(rank + block)]
        if rows is not None:
            raise damaged
        whole[divided] = whole[divided] * size + index_of[rank + block]
    fits = all(((i >= 0) & (i < d)).all() for i, d in zip(whole, shape, strict=True))
    if not fits or (len(position) and position.max() >= len(elements)):
        raise damaged
    made = np.zeros(shape, elements.dtype)
    made[tuple(whole)] = elements[position]
    return made


# Of every element below the positions of a dimension: which of these it is below, its index, and its own position.
_Below = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _dense_below(position: NDArray[np.int64], size: int, count: int) -> _Below | None:
    """Return what a dense dimension holds below positions; None if that is more than `count` elements."""
    if not 0 < size <= count or len(position) * size > count:
        return None
    index, parent = np.tile(np.arange(size), len(position)), np.repeat(np.arange(len(position)), size)
    return parent, index, position[parent] * size + index


def _rows_below(
    position: NDArray[np.int64], segments: NDArray[np.int64], indices: NDArray[np.int64], count: int
) -> _Below | None:
    """Return what a sparse dimension holds below positions; None if it contradicts itself, or for more than `count`."""
    if len(position) and position.max() + 1 >= len(segments):
        return None
    lengths = segments[position + 1] - segments[position]
    if (lengths < 0).any() or lengths.sum() > count or (segments < 0).any():
        return None
    parent = np.repeat(np.arange(len(position)), lengths)
    before = np.cumsum(lengths) - lengths
    position = segments[position][parent] + np.arange(lengths.sum()) - before[parent]
    if len(position) and position.max() >= len(indices):
        return None
    return parent, indices[position], position
