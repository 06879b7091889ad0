"""Rules for operators that move elements, join tensors or split them (see `operators`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.tflite.model_file import FileTensor
from legodnn.runtime.tflite.operators import ANY, COUNTS, FLOAT, NUMBERS, OperatorCall, Result, broadcast


def reshape(op: OperatorCall) -> list[Result]:
    """Check a reshape: the same elements in other dimensions."""
    x = op.tensor(0, ANY)
    shape = op.sizes(1) if len(op.inputs) > 1 else [int(d) for d in _given(op.option("shape"))]
    if shape.count(-1) == 1 and (rest := -prod(shape)) > 0 and x.size % rest == 0:
        shape[shape.index(-1)] = x.size // rest
    op.need(min(shape, default=1) > 0 and prod(shape) == x.size, f"{x.shape} to {shape}")
    return [(tuple(shape), x.dtype)]


def _given(vector: NDArray[np.int32] | None) -> Sequence[int]:
    """Return the numbers of a vector among the options, which may be absent."""
    return () if vector is None else vector.tolist()


def squeeze(op: OperatorCall) -> list[Result]:
    """Check a squeeze: dimensions of 1 are removed."""
    x = op.tensor(0, ANY)
    dims = {op.axis(int(d), len(x.shape)) for d in _given(op.option("dims"))}
    op.need(all(x.shape[d] == 1 for d in dims), f"dimensions {sorted(dims)} of {x.shape}")
    gone = dims or {i for i, d in enumerate(x.shape) if d == 1}
    return [(tuple(d for i, d in enumerate(x.shape) if i not in gone), x.dtype)]


def expand(op: OperatorCall) -> list[Result]:
    """Check the insertion of a dimension of 1."""
    x = op.tensor(0, ANY)
    at = op.axis(op.scalar(1), len(x.shape) + 1)
    return [((*x.shape[:at], 1, *x.shape[at:]), x.dtype)]


def transpose(op: OperatorCall) -> list[Result]:
    """Check a transposition: dimensions in another order."""
    x, order = op.tensor(0, ANY), op.sizes(1)
    axes = [op.axis(a, len(x.shape)) for a in order]
    op.need(sorted(axes) == list(range(len(x.shape))), f"order {order} of {len(x.shape)} dimensions")
    return [(tuple(x.shape[a] for a in axes), x.dtype)]


def _paddings(op: OperatorCall, rank: int) -> list[tuple[int, int]]:
    """Return how much is added before and after each dimension."""
    found = op.constant(1, 2, COUNTS)
    op.need(found.shape == (rank, 2) and bool((found >= 0).all()) and bool((found < 1 << 30).all()), "its paddings")
    return [(int(a), int(b)) for a, b in found]


def pad(op: OperatorCall) -> list[Result]:
    """Check padding with zeros or with one other value."""
    x = op.tensor(0, ranks=range(1, 6))
    if len(op.inputs) > 2:
        op.need(op.tensor(2, (x.dtype,)).size == 1, "it is padded by more than one value")
    return [(tuple(a + d + b for d, (a, b) in zip(x.shape, _paddings(op, len(x.shape)), strict=True)), x.dtype)]


def mirror_pad(op: OperatorCall) -> list[Result]:
    """Check padding with the mirror image of what is at the border."""
    x = op.tensor(0, ranks=range(1, 6))
    paddings = _paddings(op, len(x.shape))
    op.need(op.option("mode") in (0, 1), f"mode {op.option('mode')}")
    for d, ends in zip(x.shape, paddings, strict=True):
        op.need(max(ends) <= (d - 1 if op.option("mode") == 0 else d), f"{d} mirrored by {ends}")
    return [(tuple(a + d + b for d, (a, b) in zip(x.shape, paddings, strict=True)), x.dtype)]


def concatenate(op: OperatorCall) -> list[Result]:
    """Check a concatenation of tensors along an axis."""
    xs = op.alike(ANY)
    rank = len(xs[0].shape)
    op.need(rank > 0, "scalars")
    at = op.axis(op.option("axis"), rank)
    rests = {(*x.shape[:at], *x.shape[at + 1 :]) for x in xs}
    op.need(len(rests) == 1 and all(len(x.shape) == rank for x in xs), "its inputs do not fit beside one another")
    op.need(xs[0].dtype in FLOAT or op.option("activation") == 0, "it has an activation")
    return [((*xs[0].shape[:at], sum(x.shape[at] for x in xs), *xs[0].shape[at + 1 :]), xs[0].dtype)]


def pack(op: OperatorCall) -> list[Result]:
    """Check a stack of tensors along a new axis."""
    xs = op.alike(ANY)
    op.need(len({x.shape for x in xs}) == 1 and op.option("count") == len(xs), "its inputs differ")
    at = op.axis(op.option("axis"), len(xs[0].shape) + 1)
    return [((*xs[0].shape[:at], len(xs), *xs[0].shape[at:]), xs[0].dtype)]


def unpack(op: OperatorCall) -> list[Result]:
    """Check a tensor being taken apart along an axis, which is removed."""
    x = op.tensor(0, ANY, range(1, 5))
    at = op.axis(op.option("axis"), len(x.shape))
    op.need(op.option("count") == x.shape[at], f"{op.option('count')} parts of {x.shape}")
    return [((*x.shape[:at], *x.shape[at + 1 :]), x.dtype)] * x.shape[at]


def split(op: OperatorCall) -> list[Result]:
    """Check a split into equal parts along an axis."""
    x, count = op.tensor(1, ANY, range(1, 7)), op.option("count")
    at = op.axis(op.scalar(0), len(x.shape))
    op.need(x.shape[at] % count == 0, f"{x.shape[at]} in {count} parts")
    return [((*x.shape[:at], x.shape[at] // count, *x.shape[at + 1 :]), x.dtype)] * count


def split_in_sizes(op: OperatorCall) -> list[Result]:
    """Check a split into parts of given sizes along an axis."""
    x, sizes = op.tensor(0, ANY, range(1, 7)), op.sizes(1)
    at = op.axis(op.scalar(2), len(x.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[at] - sum(sizes) - 1
    fits = min(sizes, default=0) > 0 and sum(sizes) == x.shape[at] and len(sizes) == op.option("count")
    op.need(fits, f"{x.shape[at]} in parts of {sizes}")
    return [((*x.shape[:at], size, *x.shape[at + 1 :]), x.dtype) for size in sizes]


def cut(op: OperatorCall) -> list[Result]:
    """Check a slice that is given by where it begins and by its size."""
    x = op.tensor(0, ANY, range(1, 6))
    begin, size = ([int(v) for v in op.constant(i, 1, COUNTS)] for i in (1, 2))
    op.need(len(begin) == len(size) == len(x.shape), f"from {begin}, {size} of {x.shape}")
    size = [d - b if s == -1 else s for b, s, d in zip(begin, size, x.shape, strict=True)]
    fits = all(b >= 0 and s > 0 and b + s <= d for b, s, d in zip(begin, size, x.shape, strict=True))
    op.need(fits, f"from {begin}, {size} of {x.shape}")
    return [(tuple(size), x.dtype)]


def strided_slice(op: OperatorCall) -> list[Result]:
    """Check a slice that is given by begin, end and stride, as in Python."""
    x = op.tensor(0, ANY, range(1, 6))
    begin, end, stride = (op.sizes(i) for i in (1, 2, 3))
    op.need(len(begin) == len(end) == len(stride) == len(x.shape), f"{len(begin)} numbers for {x.shape}")
    others = (op.option("ellipsis_mask"), op.option("new_axis_mask"), op.option("offset"))
    op.need(not any(others), "it adds axes, leaves axes out or counts from the beginning")
    shape = []
    for i, size in enumerate(x.shape):
        op.need(stride[i] != 0 and abs(stride[i]) <= size, f"stride {stride[i]} in {size}")
        if op.option("shrink_mask") >> i & 1:
            op.need(stride[i] > 0 and -size <= begin[i] < size, f"index {begin[i]} of {size}")
            continue
        first = None if op.option("begin_mask") >> i & 1 else begin[i]
        last = None if op.option("end_mask") >> i & 1 else end[i]
        count = len(range(size)[slice(first, last, stride[i])])
        op.need(count > 0, f"nothing of {size} from {first} to {last} by {stride[i]}")
        shape.append(count)
    return [(tuple(shape), x.dtype)]


def tile(op: OperatorCall) -> list[Result]:
    """Check a tensor being repeated along its dimensions."""
    x = op.tensor(0, ANY)
    times = [int(v) for v in op.constant(1, 1, COUNTS)]
    op.need(len(times) == len(x.shape) and min(times, default=1) > 0, f"{x.shape} {times} times")
    return [(tuple(d * t for d, t in zip(x.shape, times, strict=True)), x.dtype)]


def broadcast_to(op: OperatorCall) -> list[Result]:
    """Check a tensor being broadcast to a constant shape."""
    x = op.tensor(0, ANY)
    shape = tuple(int(v) for v in op.constant(1, 1, COUNTS))
    op.need(min(shape, default=1) > 0 and broadcast(op, [x.shape, shape], 6) == shape, f"{x.shape} to {shape}")
    return [(shape, x.dtype)]


def reverse(op: OperatorCall) -> list[Result]:
    """Check a reversal along one axis."""
    x = op.tensor(0, (*NUMBERS, *COUNTS), range(1, 7))
    axes = [op.axis(a, len(x.shape)) for a in op.sizes(1)]
    op.need(len(axes) == 1, f"{len(axes)} axes")
    return [(x.shape, x.dtype)]


def space_to_depth(op: OperatorCall) -> list[Result]:
    """Check blocks of pixels being moved to channels."""
    x, block = op.tensor(0, ranks=(4,)), op.option("block")
    n, h, w, c = x.shape
    op.need(h % block == 0 and w % block == 0, f"blocks of {block} in {x.shape}")
    return [((n, h // block, w // block, c * block * block), x.dtype)]


def depth_to_space(op: OperatorCall) -> list[Result]:
    """Check channels being moved to blocks of pixels."""
    x, block = op.tensor(0, ranks=(4,)), op.option("block")
    n, h, w, c = x.shape
    op.need(c % (block * block) == 0, f"blocks of {block} in {x.shape}")
    return [((n, h * block, w * block, c // (block * block)), x.dtype)]


def _blocks(op: OperatorCall) -> tuple[FileTensor, list[int], list[tuple[int, int]]]:
    """Return the input, the block sizes, and the paddings or crops of an operator between space and batch."""
    x, sizes, edges = op.tensor(0, ranks=(3, 4)), op.sizes(1), op.constant(2, 2)
    spatial = len(x.shape) - 2
    op.need(len(sizes) == spatial and edges.shape == (spatial, 2), f"blocks {sizes} in {x.shape}")
    op.need(min(sizes) > 0 and max(sizes) < 1 << 15, f"blocks {sizes}")
    op.need(bool(((edges >= 0) & (edges < 1 << 30)).all()), "its edges")
    return x, sizes, [(int(a), int(b)) for a, b in edges]


def space_to_batch(op: OperatorCall) -> list[Result]:
    """Check blocks of pixels being moved to the batch dimension."""
    x, sizes, edges = _blocks(op)
    padded = [d + a + b for d, (a, b) in zip(x.shape[1:-1], edges, strict=True)]
    op.need(all(d % s == 0 for d, s in zip(padded, sizes, strict=True)), f"blocks {sizes} in {padded}")
    spatial = (d // s for d, s in zip(padded, sizes, strict=True))
    return [((x.shape[0] * prod(sizes), *spatial, x.shape[-1]), x.dtype)]


def batch_to_space(op: OperatorCall) -> list[Result]:
    """Check images of a batch being moved to blocks of pixels."""
    x, sizes, edges = _blocks(op)
    spatial = [d * s - a - b for d, s, (a, b) in zip(x.shape[1:-1], sizes, edges, strict=True)]
    op.need(x.shape[0] % prod(sizes) == 0 and min(spatial) > 0, f"blocks {sizes} of {x.shape}")
    return [((x.shape[0] // prod(sizes), *spatial, x.shape[-1]), x.dtype)]


def fill(op: OperatorCall) -> list[Result]:
    """Check a tensor of constant shape that is filled with one value."""
    shape = tuple(int(v) for v in op.constant(0, 1, COUNTS))
    op.need(min(shape, default=1) > 0, f"shape {shape}")
    return [(shape, op.tensor(1, ANY, (0,)).dtype)]
