"""Descendants that start close to their original: after channels are removed, remaining weights are fitted again.

A convolution or dense layer that lost some of its input channels gets the kernel and bias that reproduce its original
response best, in the least squares sense, from the inputs that are left (He et al., Channel Pruning for Accelerating
Very Deep Neural Networks, ICCV 2017, section 3.1; here in closed form, one layer after another, for any block). It
takes seconds, where reaching the same error by gradients takes minutes. What a layer gains is tested on images that it
was not fitted to, and undone if it is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.arrays import Array, Floats, Mask
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, calls, submodel
from legodnn.blocks.importing.layer_copies import blank_copy
from legodnn.blocks.pruning.criteria import Criterion
from legodnn.blocks.pruning.prune import choose, remove

# Columns of a layer's weights; what is multiplied with them, shape (n, inputs); what should come out, (n, columns).
Equations = tuple[NDArray[np.int64], Floats, Floats]

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
) -> list[tuple[IdArray, keras.Model]]:
    """For each sparsity the channel numbers that go, and the descendant without them.

    Args:
        block: a Functional model.
        sparsities: see `legodnn.blocks.pruning.prune.descendant`.
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


def refit(
    block: keras.Model, student: keras.Model, channels: Channels, removed: IdArray, inputs: Sequence[Array]
) -> None:
    """Refit in place every convolution and dense layer of `student` that reads fewer channels than in `block`.

    A fifth of the images is held out. A layer's refit is kept only if its response to them comes closer to the
    original's; and of all states that the student goes through, that one stays whose outputs for them are closest: the
    student as it was, if no other is.

    Args:
        block: the original.
        student: what `remove(block, channels, removed)` returned.
        channels: what `analyse(block)` returned.
        removed: channel numbers that are gone.
        inputs: the block's inputs, each of shape (n, ...); with a single image nothing is refitted.
    """
    seen, held_out = split_images(inputs)
    if not len(seen[0]):
        return
    twins = {call.name: call for call in calls(student)}
    targets = _run(block, held_out)
    best, weights = _error(student, held_out, targets), student.get_weights()
    for call in calls(block):
        twin = twins[call.name]
        if _is_linear(call) and twin.operation.kernel.shape[-2] < call.operation.kernel.shape[-2]:
            kept = ~np.isin(channels.of[id(call.outputs[0])], removed)
            wanted = submodel(block.inputs, [call.outputs[0]], "wanted")
            if _fit(twin, student, wanted, kept, seen, held_out):
                error = _error(student, held_out, targets)
                if error < best:
                    best, weights = error, student.get_weights()
    student.set_weights(weights)


def split_images(inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Inputs that weights are fitted to, and the fifth of them, one at least, that is held out."""
    fitted = len(inputs[0]) - max(1, len(inputs[0]) // 5)
    return [x[:fitted] for x in inputs], [x[fitted:] for x in inputs]


def _error(student: keras.Model, inputs: Sequence[Array], targets: Sequence[Array]) -> float:
    return float(relative_error(_run(student, inputs), targets))


def _is_linear(call: LayerCall) -> bool:
    known = call.kind in ("Dense", "Conv1D", "Conv2D", "Conv3D")
    return known and call.operation.activation is keras.activations.linear


def _fit(
    call: LayerCall,
    student: keras.Model,
    wanted: keras.Model,
    kept: Mask,
    seen: Sequence[Array],
    held_out: Sequence[Array],
) -> bool:
    """Give a layer of `student` the kernel and offset that come closest to the kept channels of what is wanted.

    Returns:
        Whether they are closer than what the layer had on the images held out; otherwise it keeps what it had.
    """
    layer: Any = call.operation
    kernel, shifted = ops.convert_to_numpy(layer.kernel), _shifted(call, student)
    old = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    if shifted is not None:
        bias = ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(old.shape[1])
        old = np.vstack([old, bias])
    read, patches = submodel(student.inputs, [call.inputs[0]], "read"), _patches(layer)

    def equations(inputs: Sequence[Array]) -> Iterator[Equations]:
        rows = -(-max(_ROWS, 4 * len(old)) * _BATCH // len(inputs[0]))
        for x in _batches(inputs):
            target, parts = _flat(wanted(x, training=False))[:, kept], patches(read(x, training=False))
            chosen = np.random.default_rng(0).permutation(len(target))[:rows]
            for columns, part in zip(np.split(np.arange(old.shape[1]), len(parts)), parts, strict=True):
                a = _flat(part)[chosen].astype(np.float64)
                a = a if shifted is None else np.column_stack([a, np.ones(len(a))])
                yield columns, a, target[chosen][:, columns].astype(np.float64)

    new = _solved(old, equations(seen), shifted is not None)
    change = sum(_squared(a @ new[:, c] - b) - _squared(a @ old[:, c] - b) for c, a, b in equations(held_out))
    if not change < 0:  # nor if it is no number
        return False
    layer.kernel.assign(new[: kernel[..., 0].size].reshape(kernel.shape))
    if shifted is not None:
        shifted.assign(new[-1] if layer.use_bias else ops.convert_to_numpy(shifted) - new[-1])
    return True


def _solved(old: Floats, equations: Iterator[Equations], constant: bool) -> Floats:
    """The weights, shape (inputs, outputs), that fit equations best and stay near the old ones where these say nothing.

    Groups of outputs have inputs of their own. `constant`: the last input is always 1, and its weight is free.
    """
    new: Floats = old.copy()
    sums = dict[int, tuple[NDArray[np.int64], Floats, Floats]]()
    for columns, a, b in equations:
        _, squares, products = sums.get(int(columns[0]), (columns, np.zeros(1), np.zeros(1)))
        sums[int(columns[0])] = columns, squares + a.T @ a, products + a.T @ b
    for columns, squares, products in sums.values():
        ridge = np.full(len(old), _RIDGE * squares.diagonal().mean() + 1e-9)
        ridge[len(old) - constant :] = 0
        whole = squares + np.diag(ridge)
        if not np.isfinite(whole).all():
            return new * np.nan
        new[:, columns] = np.linalg.lstsq(whole, products + ridge[:, None] * old[:, columns], rcond=None)[0]
    return new


def _squared(x: Floats) -> float:
    return float(np.square(x).sum())


def _shifted(call: LayerCall, model: keras.Model) -> Any:
    """The variable that shifts a layer's output: its bias, or the mean that its batch norm takes off; None if none."""
    if call.operation.use_bias:
        return call.operation.bias
    readers = [c for c in calls(model) if any(t is call.outputs[0] for t in c.inputs)]
    return readers[0].operation.moving_mean if [c.kind for c in readers] == ["BatchNormalization"] else None


def _patches(layer: Any) -> Callable[[Any], list[Any]]:
    """What a layer multiplies with its flattened kernel at every position, for its input: an array for each group.

    A layer of the same kind finds them, with an identity for its kernel, so strides, padding and dilation are its own.
    """
    if not hasattr(layer, "kernel_size"):
        return lambda x: [x]
    taken = layer.kernel[..., 0].shape
    size = int(np.prod(taken))
    plain = {"filters": size, "groups": 1, "activation": None, "use_bias": False, "kernel_initializer": "zeros"}
    finder = blank_copy(layer, {**plain, "kernel_regularizer": None, "kernel_constraint": None})
    finder.build((None, *[None] * (len(taken) - 1), taken[-1]))
    finder.kernel.assign(np.eye(size).reshape(*taken, size))
    return lambda x: [finder(part) for part in ops.split(x, layer.groups, axis=-1)]


def _flat(x: Any) -> Array:
    array: Array = ops.convert_to_numpy(x)
    return array.reshape(-1, array.shape[-1])


def _batches(inputs: Sequence[Array]) -> Iterator[Any]:
    for start in range(0, len(inputs[0]), _BATCH):
        yield alone([x[start : start + _BATCH] for x in inputs])


def _run(model: keras.Model, inputs: Sequence[Array]) -> list[Array]:
    parts = [[ops.convert_to_numpy(y) for y in as_list(model(x, training=False))] for x in _batches(inputs)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
