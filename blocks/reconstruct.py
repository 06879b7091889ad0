"""Descendants that start close to their original: after channels are removed, remaining weights are fitted again.

A convolution or dense layer that lost some of its input channels gets the kernel and bias that reproduce its original
response best, in the least squares sense, from the inputs that are left (He et al., Channel Pruning for Accelerating
Very Deep Neural Networks, ICCV 2017, section 3.1; here in closed form, one layer after another, for any block). It
takes seconds, where reaching the same error by gradients takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.channels import Channels, analyse
from legodnn.blocks.criteria import Criterion
from legodnn.blocks.cuts import Mask
from legodnn.blocks.extract import Piece
from legodnn.blocks.graph import Call, alone, as_list, calls, submodel
from legodnn.blocks.numbering import Ids
from legodnn.blocks.prune import choose, remove

Array = NDArray[np.float32]

_BATCH = 250  # images at a time
_RIDGE = 1e-4  # of the mean square of an input: keeps weights near their old values where the data say nothing
_ROWS = 20_000  # equations for a layer, at least; four for every unknown where that is more


def features(pieces: Sequence[Piece], x: Any) -> Iterator[tuple[Piece, list[Array]]]:
    """Each segment of a model with what it reads when the original runs on some inputs.

    Args:
        pieces: the segments, in order.
        x: a few hundred of the model's inputs, shape (n, ...), or a dict of them by input name.
    """
    tensors: dict[str, Any] = dict(x) if isinstance(x, Mapping) else {pieces[0].inputs[0]: x}
    for piece in pieces:
        inputs = [tensors[name] for name in piece.inputs]
        yield piece, inputs
        tensors.update(zip(piece.outputs, _run(piece.model, inputs), strict=True))


def descendants(
    block: keras.Model, sparsities: Sequence[float], criterion: Criterion, x: Sequence[Array], fitted: bool = True
) -> list[tuple[Ids, keras.Model]]:
    """For each sparsity the channel numbers that go, and the descendant without them.

    Args:
        block: a Functional model.
        sparsities: see `legodnn.blocks.prune.descendant`.
        criterion: which channels go.
        x: inputs of the block, each of shape (n, ...).
        fitted: refit what is left to the original's responses.
    """
    channels, found = analyse(block), []
    for sparsity in sparsities:
        removed = choose(block, channels, sparsity, criterion, alone(x))
        student = remove(block, channels, removed)
        if fitted:
            refit(block, student, channels, removed, x)
        found.append((removed, student))
    return found


def refit(block: keras.Model, student: keras.Model, channels: Channels, removed: Ids, inputs: Sequence[Array]) -> None:
    """Refit in place every convolution and dense layer of `student` that reads fewer channels than in `block`.

    Args:
        block: the original.
        student: what `remove(block, channels, removed)` returned.
        channels: what `analyse(block)` returned.
        removed: channel numbers that are gone.
        inputs: the block's inputs, each of shape (n, ...).
    """
    twins = {call.name: call for call in calls(student)}
    for call in calls(block):
        twin = twins[call.name]
        if _is_linear(call) and twin.operation.kernel.shape[-2] < call.operation.kernel.shape[-2]:
            kept = ~np.isin(channels.of[id(call.outputs[0])], removed)
            wanted = submodel(block.inputs, [call.outputs[0]], "wanted")
            _fit(twin, student, wanted, kept, inputs)


def _is_linear(call: Call) -> bool:
    layer = call.operation
    plain = call.kind == "Dense" or (call.kind == "Conv2D" and layer.groups == 1)
    return plain and layer.activation is keras.activations.linear


def _fit(call: Call, student: keras.Model, wanted: keras.Model, kept: Mask, inputs: Sequence[Array]) -> None:
    """Give a layer of `student` the kernel and offset that come closest to the kept channels of what is wanted."""
    layer: Any = call.operation
    kernel = ops.convert_to_numpy(layer.kernel).astype(np.float64)
    old = np.vstack([kernel.reshape(-1, kernel.shape[-1]), np.zeros((1, kernel.shape[-1]))])
    read = submodel(student.inputs, [call.inputs[0]], "read")
    count, rng = len(inputs[0]), np.random.default_rng(0)
    rows = -(-max(_ROWS, 4 * len(old)) * _BATCH // count)
    squares, products = np.zeros((len(old), len(old))), np.zeros(old.shape)
    for start in range(0, count, _BATCH):
        x = alone([i[start : start + _BATCH] for i in inputs])
        a, b = _flat(_patches(layer, read(x, training=False))), _flat(wanted(x, training=False))[:, kept]
        chosen = rng.permutation(len(a))[:rows]
        a, b = np.column_stack([a[chosen], np.ones(len(chosen))]).astype(np.float64), b[chosen].astype(np.float64)
        squares += a.T @ a
        products += a.T @ b
    offset = _offset(call, student)
    known = len(old) if offset else len(old) - 1
    squares, products, old = squares[:known, :known], products[:known], old[:known]
    ridge = np.full(known, _RIDGE * squares.diagonal().mean() + 1e-9)
    ridge[len(kernel.reshape(-1, kernel.shape[-1])) :] = 0
    new = np.linalg.lstsq(squares + np.diag(ridge), products + ridge[:, None] * old, rcond=None)[0]
    layer.kernel.assign(new[: kernel[..., 0].size].reshape(kernel.shape))
    if offset:
        variable, sign = offset
        variable.assign(ops.convert_to_numpy(variable) + sign * new[-1])


def _offset(call: Call, model: keras.Model) -> tuple[Any, float] | None:
    """The variable that shifts a layer's output, with the sign in which it does: its bias, or its batch norm's mean."""
    if call.operation.use_bias:
        return call.operation.bias, 1.0
    readers = [c for c in calls(model) if any(t is call.outputs[0] for t in c.inputs)]
    if [c.kind for c in readers] == ["BatchNormalization"]:
        return readers[0].operation.moving_mean, -1.0
    return None


def _patches(layer: Any, x: Any) -> Any:
    """What a layer multiplies with its flattened kernel, for every position."""
    if not hasattr(layer, "kernel_size"):
        return x
    return ops.image.extract_patches(
        x, layer.kernel_size, strides=layer.strides, dilation_rate=layer.dilation_rate[0], padding=layer.padding
    )


def _flat(x: Any) -> Array:
    array: Array = ops.convert_to_numpy(x)
    return array.reshape(-1, array.shape[-1])


def _run(model: keras.Model, inputs: Sequence[Array]) -> list[Array]:
    parts = [
        [ops.convert_to_numpy(y) for y in as_list(model(alone([i[s : s + _BATCH] for i in inputs]), training=False))]
        for s in range(0, len(inputs[0]), _BATCH)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
