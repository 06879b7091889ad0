"""Rules for operators that move elements, join tensors or split them."""

from __future__ import annotations

from math import prod

import numpy as np
from keras import layers, ops

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import Tensor
from legodnn.blocks.importing.tflite.call import NoRule, Rule, RuleCall
from legodnn.blocks.importing.tflite.values import (
    GraphValue,
    alike,
    as_value,
    canonical,
    reshaped_value,
    reshaped_where_stored,
    settled,
    transposed_value,
    unbatched,
)

_MOST_SLICED = 5  # dimensions, the batch counted


def _reshape(op: RuleCall) -> GraphValue:
    value = op.value(0)
    given = op.inputs[1] if op.has(1) else op.options.get("shape")
    if isinstance(given, GraphValue) or given is None:
        raise NoRule("its shape is computed")
    shape = [int(d) for d in np.ravel(given)]
    elements, known = prod(value.shape), prod(d for d in shape if d != -1)
    if shape.count(-1) == 1 and known > 0 and elements % known == 0:
        shape[shape.index(-1)] = elements // known
    return _to_shape(op, value, tuple(shape))


def _to_shape(op: RuleCall, value: GraphValue, shape: Shape) -> GraphValue:
    if min(shape, default=1) < 1 or prod(shape) != prod(value.shape):
        raise NoRule(f"it makes {shape} of {value.shape}")
    return reshaped_where_stored(value, shape, op.name)


def _squeeze(op: RuleCall) -> GraphValue:
    value, dims = op.value(0), op.options.get("dims")
    gone = {op.axis(int(d), len(value.shape)) for d in (() if dims is None else dims)}
    gone = gone or {i for i, d in enumerate(value.shape) if d == 1}
    return _to_shape(op, value, tuple(d for i, d in enumerate(value.shape) if i not in gone))


def _expand(op: RuleCall) -> GraphValue:
    value = op.value(0)
    at = op.axis(op.numbers(1)[0], len(value.shape) + 1)
    return _to_shape(op, value, (*value.shape[:at], 1, *value.shape[at:]))


def _transpose(op: RuleCall) -> GraphValue:
    value = op.value(0)
    return transposed_value(value, tuple(op.axis(a, len(value.order)) for a in op.numbers(1)))


def _concatenate(op: RuleCall) -> GraphValue:
    values = [op.value(i) for i in range(len(op.inputs))]
    if len({len(v.order) for v in values}) > 1:
        raise NoRule(f"it joins shapes {', '.join(str(v.shape) for v in values)}")
    values = alike(values, op.name)
    return _joined(op, values, op.axis(op.option("axis"), len(values[0].order)))


def _joined(op: RuleCall, values: list[GraphValue], axis: int) -> GraphValue:
    """Return values one after another along an axis of the file's."""
    if values[0].keras_axis(axis) == 0 or len({v.batched for v in values}) > 1:
        values = [unbatched(v, f"{op.name}.part{i}") for i, v in enumerate(values)]
    first = values[0]
    if len(values) == 1:
        return first
    joined = layers.Concatenate(axis=first.keras_axis(axis), name=op.name)([v.tensor for v in values])
    return canonical(first.now(op.activated(joined)), f"{op.name}.batch")


def _pack(op: RuleCall) -> GraphValue:
    values = [op.settled(i) for i in range(len(op.inputs))]
    shape = values[0].shape
    at = op.axis(op.option("axis"), len(shape) + 1)
    longer = (*shape[:at], 1, *shape[at:])
    return _joined(op, [reshaped_value(v, longer, f"{op.name}.{i}") for i, v in enumerate(values)], at)


def _cut(op: RuleCall, value: GraphValue, slices: list[slice], ending: str = "") -> GraphValue:
    """Return a part of a value: a slice, with positive steps, of each of the file's dimensions."""
    if all(s.indices(d) == (0, d, 1) for s, d in zip(slices, value.shape, strict=True)):
        return value
    keys = [slice(None)] * len(value.tensor.shape)
    for axis, (part, size) in enumerate(zip(slices, value.shape, strict=True)):
        start, stop, step = part.indices(size)
        if len(range(start, stop, step)) == 0:
            raise NoRule(f"it takes nothing of {value.shape}")
        if value.keras_axis(axis) > 0 and (start, stop, step) != (0, size, 1):
            keys[value.keras_axis(axis)] = slice(start, stop, step)
    return canonical(value.now(_sliced(op, value.tensor, keys, ending)), f"{op.name}{ending}.batch")


def _sliced(op: RuleCall, tensor: Tensor, keys: list[slice], ending: str) -> Tensor:
    """Return a part of a Keras tensor. TensorFlow Lite slices few dimensions: those that stay whole are joined."""
    if len(keys) <= _MOST_SLICED:
        return op.named(tensor[tuple(keys)], ending)
    joined, taken = list[int](), [slice(None)]
    for key, size in zip(keys[1:], tensor.shape[1:], strict=True):
        if joined and key == taken[-1] == slice(None):
            joined[-1] *= size
        else:
            joined.append(size)
            taken.append(key)
    flat = layers.Reshape(joined, name=f"{op.name}{ending}.joined")(tensor)
    part = op.named(flat[tuple(taken)], ending)
    sizes = [len(range(*key.indices(size))) for key, size in zip(keys[1:], tensor.shape[1:], strict=True)]
    return layers.Reshape(sizes, name=f"{op.name}{ending}.divided")(part)


def _slice(op: RuleCall) -> GraphValue:
    value, begin, size = op.value(0), op.numbers(1), op.numbers(2)
    if not len(begin) == len(size) == len(value.order) or min(begin, default=0) < 0:
        raise NoRule(f"it slices {value.shape} from {begin}")
    ends = [d if s == -1 else b + s for b, s, d in zip(begin, size, value.shape, strict=True)]
    return _cut(op, value, [slice(b, e) for b, e in zip(begin, ends, strict=True)])


def _strided_slice(op: RuleCall) -> GraphValue:
    value, begin, end, steps = op.value(0), op.numbers(1), op.numbers(2), op.numbers(3)
    if any(op.option(mask) for mask in ("ellipsis_mask", "new_axis_mask", "offset")) or len(begin) > len(value.order):
        raise NoRule("it slices with an ellipsis, a new axis or offsets")
    slices, backwards, gone = [], [], []
    for i, size in enumerate(value.shape):
        if i >= len(begin):
            slices.append(slice(None))
            continue
        first = None if op.option("begin_mask") >> i & 1 else begin[i]
        last = None if op.option("end_mask") >> i & 1 else end[i]
        if op.option("shrink_mask") >> i & 1:
            index = op.axis(begin[i], size)
            slices.append(slice(index, index + 1))
            gone.append(i)
        elif steps[i] < 0:  # the same elements forwards, then reversed
            places = range(size)[slice(first, last, steps[i])]
            slices.append(slice(places[-1], places[0] + 1, -steps[i]) if len(places) else slice(0, 0))
            backwards.append(i)
        else:
            slices.append(slice(first, last, steps[i]))
    cut = _cut(op, value, slices)
    # What has one element is the same backwards; the first axis of the Keras tensor has as many as there are images.
    if axes := [cut.keras_axis(i) for i in backwards if cut.shape[i] > 1]:
        cut = cut.now(op.named(ops.flip(cut.tensor, axis=axes), ".flipped"))
    if not gone:
        return cut
    shape = tuple(d for i, d in enumerate(cut.shape) if i not in gone)
    return reshaped_value(settled(cut, f"{op.name}.turned"), shape, f"{op.name}.squeezed")


def _parts(op: RuleCall, value: GraphValue, axis: int, sizes: list[int]) -> list[GraphValue]:
    """Return parts of a value one after another along an axis, of these sizes."""
    if sum(sizes) != value.shape[axis] or min(sizes, default=0) < 1 or len(sizes) != op.count:
        raise NoRule(f"it divides {value.shape[axis]} into {sizes}")
    parts, start = [], 0
    for i, size in enumerate(sizes):
        slices = [slice(None)] * len(value.order)
        slices[axis] = slice(start, start + size)
        parts.append(_cut(op, value, slices, f".{i}" if i else ""))
        start += size
    return parts


def _split(op: RuleCall) -> list[GraphValue]:
    value = op.value(1)
    axis, count = op.axis(op.numbers(0)[0], len(value.order)), op.count
    return _parts(op, value, axis, [value.shape[axis] // count] * count)


def _split_in_sizes(op: RuleCall) -> list[GraphValue]:
    value, sizes = op.value(0), op.numbers(1)
    axis = op.axis(op.numbers(2)[0], len(value.order))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = value.shape[axis] - sum(sizes) - 1
    return _parts(op, value, axis, sizes)


def _unpack(op: RuleCall) -> list[GraphValue]:
    value = op.settled(0)
    axis = op.axis(op.option("axis"), len(value.order))
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    parts = _parts(op, value, axis, [1] * value.shape[axis])
    return [reshaped_value(p, shape, f"{op.name}.squeezed{i or ''}") for i, p in enumerate(parts)]


def _paddings(op: RuleCall, value: GraphValue) -> list[tuple[int, int]]:
    """Return how much is added before and after each axis of the Keras tensor."""
    found = op.constant(1)
    if found.shape != (len(value.order), 2) or (found < 0).any() or (found > 1 << 16).any():
        raise NoRule(f"its paddings are {found.tolist()}")
    widths = [(0, 0)] * len(value.tensor.shape)
    for axis, (before, after) in enumerate(found.tolist()):
        if value.keras_axis(axis) > 0:
            widths[value.keras_axis(axis)] = (int(before), int(after))
        elif before or after:
            raise NoRule("it adds images")
    return widths


def _pad(op: RuleCall) -> GraphValue:
    value = op.value(0)
    widths = _paddings(op, value)
    number = float(op.constant(2).ravel()[0]) if op.has(2) else 0.0
    if number == 0 and len(widths) == 4 and widths[3] == (0, 0):
        return value.now(layers.ZeroPadding2D(tuple(widths[1:3]), name=op.name)(value.tensor))
    return value.now(op.named(ops.pad(value.tensor, widths, "constant", number)))


def _mirror_pad(op: RuleCall) -> GraphValue:
    value = op.value(0)
    mode = "symmetric" if op.option("mode") == 1 else "reflect"
    return value.now(op.named(ops.pad(value.tensor, _paddings(op, value), mode)))


def _gather(op: RuleCall) -> GraphValue:
    value, indices = op.settled(0), op.constant(1)
    axis = op.axis(op.option("axis"), len(value.order))
    if op.option("batch_dims") or indices.dtype.kind not in "iu":
        raise NoRule("it gathers by batch, or by indices that are no integers")
    if not indices.size or indices.min() < 0 or indices.max() >= value.shape[axis]:
        raise NoRule(f"it gathers {indices.tolist()!s:.60} of {value.shape[axis]}")
    value = unbatched(value, f"{op.name}.whole") if value.keras_axis(axis) == 0 else value
    taken = op.named(ops.take(value.tensor, indices.astype(np.int32), axis=value.keras_axis(axis)))
    return canonical(as_value(taken, value.batched), f"{op.name}.batch")


def _space(name: str) -> Rule:
    def rule(op: RuleCall) -> GraphValue:
        block, function = op.option("block"), getattr(ops.nn, name, None)
        if block < 1:
            raise NoRule(f"its block is {block}")
        if function is None:
            raise NoRule(f"this version of Keras has no {name}: a newer one has")
        return as_value(op.named(function(op.image(0), block, data_format="channels_last")))

    return rule


def _tile(op: RuleCall) -> GraphValue:
    value, times = op.settled(0), op.numbers(1)
    if len(times) != len(value.order) or min(times, default=0) < 1 or max(times) > 1 << 12:
        raise NoRule(f"it repeats {value.shape} {times} times")
    return _tiled(op, value, times)


def _broadcast(op: RuleCall) -> GraphValue:
    value, shape = op.settled(0), op.numbers(1)
    if (ahead := len(shape) - len(value.shape)) > 0:
        value = reshaped_value(value, (1,) * ahead + value.shape, f"{op.name}.rank")
    pairs = [*zip(value.shape, shape, strict=False)]
    if len(shape) != len(value.shape) or any(old not in (1, new) or not 0 < new <= 1 << 16 for old, new in pairs):
        raise NoRule(f"it widens {value.shape} to {shape}")
    return _tiled(op, value, [new // old for old, new in pairs])


def _tiled(op: RuleCall, value: GraphValue, times: list[int]) -> GraphValue:
    """Return a value repeated so many times along each dimension of the file's; no transposition may wait."""
    if max(times, default=1) == 1:
        return value
    whole = unbatched(value, f"{op.name}.whole") if times[0] > 1 else value
    repeats = [1, *times] if not whole.batched else times
    tiled = op.named(ops.tile(whole.tensor, repeats))
    return canonical(as_value(tiled, whole.batched), f"{op.name}.batch")


def _reverse(op: RuleCall) -> GraphValue:
    value = op.value(0)
    axes = [value.keras_axis(op.axis(a, len(value.order))) for a in op.numbers(1)]
    return value.now(op.named(ops.flip(value.tensor, axis=[a for a in axes if a > 0])))


def _same(op: RuleCall) -> GraphValue:
    return op.value(0)


LAYOUT_RULES: dict[str, Rule] = {
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenate,
    "PACK": _pack,
    "UNPACK": _unpack,
    "SPLIT": _split,
    "SPLIT_V": _split_in_sizes,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "GATHER": _gather,
    "SPACE_TO_DEPTH": _space("space_to_depth"),
    "DEPTH_TO_SPACE": _space("depth_to_space"),
    "TILE": _tile,
    "BROADCAST_TO": _broadcast,
    "REVERSE_V2": _reverse,
    # Values are real numbers throughout, whatever type the file gives them.
    "QUANTIZE": _same,
    "DEQUANTIZE": _same,
    "FAKE_QUANT": _same,
}
