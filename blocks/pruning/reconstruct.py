"""Refitting descendants: after channels are removed, the remaining weights are fitted to the original's responses.

A convolution or dense layer that lost some of its input channels gets the kernel and bias that reproduce its original
response best, in the least squares sense, from the inputs that are left (He et al., Channel Pruning for Accelerating
Very Deep Neural Networks, ICCV 2017, section 3.1; here in closed form, one layer after another, for any block). The
response is what the layer gives before its activation. This takes seconds, where gradient descent takes minutes to
reach the same error. Every layer's new weights are tested on images that they were not fitted to, and dropped if they
are no better there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.arrays import Array, Floats, Mask
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.channels.reasons import normalises_other_axis
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import by_name
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, calls, submodel
from legodnn.blocks.importing.layer_copies import blank_copy

# A part of a least squares problem for a layer's weights, shape (inputs, outputs): the numbers of the outputs in it,
# what is multiplied with their weights, shape (n, inputs), and the wanted results, shape (n, outputs in it).
Equations = tuple[NDArray[np.int64], Floats, Floats]

_BATCH = 250  # images at a time
_RIDGE = 1e-4  # of the mean square of the inputs; it keeps weights near their old values where the data say nothing
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_FITTED = ("Dense", "Conv1D", "Conv2D", "Conv3D", *_TRANSPOSED, *_SEPARABLE)  # layers that are refitted
_ROWS = 20_000  # equations for a layer, or four for each of its inputs if that is more


def features(pieces: Sequence[Piece], x: Any) -> Iterator[tuple[Piece, list[Array]]]:
    """Run a model on some images, and yield each segment with the tensors that it reads.

    Args:
        pieces: all segments of the model, in order.
        x: a few hundred images, shape (n, ...); a dict of arrays by input name if the model has several inputs.
    """
    tensors = by_name(x, pieces[0].inputs[0])
    for piece in pieces:
        inputs = [tensors[name] for name in piece.inputs]
        yield piece, inputs
        tensors.update(zip(piece.outputs, batched_outputs(piece.model, inputs), strict=True))


def refit(
    block: keras.Model, student: keras.Model, channels: Channels, removed: IdArray, inputs: Sequence[Array]
) -> None:
    """Refit, in place, every convolution and dense layer of `student` that reads fewer channels than in `block`.

    A fifth of the images is held out. A layer's new weights are kept only if they bring its response to those images
    closer to the original's. And the student gets the weights, among all that it had on the way, the old ones included,
    with which its outputs for those images are closest to the original's.

    Args:
        block: the original.
        student: what `remove(block, channels, removed)` returned.
        channels: what `analyse(block)` returned.
        removed: IDs of the removed channels.
        inputs: sample inputs of the block, each of shape (n, ...); with a single image nothing is refitted.
    """
    seen, held_out = split_images(inputs)
    if not len(seen[0]):
        return
    targets = batched_outputs(block, held_out)
    best, weights = _error(student, held_out, targets), student.get_weights()
    pairs: dict[int, list[tuple[LayerCall, LayerCall]]] = {}  # of a layer that is used again, all of its calls
    for call, twin in zip(calls(block), calls(student), strict=True):
        if call.kind in _FITTED and _kernel(twin.operation).shape[-2] < _kernel(call.operation).shape[-2]:
            pairs.setdefault(id(call.operation), []).append((call, twin))
    for own, twins in (zip(*each, strict=True) for each in pairs.values()):
        kept = ~np.isin(channels.of[id(own[0].outputs[0])], removed)
        responses = [_response(call, block) for call in own]
        if _fit(twins, student, responses, _offset(own, block), kept, seen, held_out):
            error = _error(student, held_out, targets)
            if error < best:
                best, weights = error, student.get_weights()
    student.set_weights(weights)


def split_images(inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Divide inputs into those that weights are fitted to, and the last fifth, at least one image, that is held out."""
    fitted = len(inputs[0]) - max(1, len(inputs[0]) // 5)
    return [x[:fitted] for x in inputs], [x[fitted:] for x in inputs]


def _error(student: keras.Model, inputs: Sequence[Array], targets: Sequence[Array]) -> float:
    return float(relative_error(batched_outputs(student, inputs), targets))


def _response(call: LayerCall, block: keras.Model) -> Callable[[Any], Any]:
    """Return a function from a block's inputs to what a layer in it gives before its activation.

    Args:
        call: the layer's call, which does not read an input of the block.
        block: the original.
    """
    read = submodel(block.inputs, [call.inputs[0]], "read")
    linear = _linear_copy(call.operation)
    linear.build(call.inputs[0].shape)
    linear.set_weights(call.operation.get_weights()[: len(linear.weights)])  # an activation's own come last
    return lambda x: linear(read(x, training=False))


def _linear_copy(layer: Any, **changes: Any) -> Any:
    """Return a layer without an activation that is not built yet; its weights will be zeros, and nothing more.

    Args:
        layer: is copied.
        changes: other entries of its configuration that are to be different.
    """
    zeros = {key: "zeros" for key in layer.get_config() if key.endswith("_initializer")}
    free = {key: None for key in layer.get_config() if key.endswith(("_regularizer", "_constraint"))}
    return blank_copy(layer, {**zeros, **free, "activation": None, **changes})


def _kernel_variable(layer: Any) -> Any:
    """Return the variable that is refitted: of a separable convolution, that which mixes channels."""
    return layer.pointwise_kernel if type(layer).__name__ in _SEPARABLE else layer.kernel


def _kernel(layer: Any) -> NDArray[Any]:
    """Return what is refitted of a layer, shape (..., inputs, outputs)."""
    return _turned(layer, ops.convert_to_numpy(_kernel_variable(layer)))


def _set_kernel(layer: Any, kernel: NDArray[Any]) -> None:
    """Give a layer what `_kernel` returns of it."""
    _kernel_variable(layer).assign(_turned(layer, kernel))


def _turned(layer: Any, kernel: NDArray[Any]) -> NDArray[Any]:
    """Exchange the axes of inputs and outputs, which transposed convolutions have the other way round."""
    return np.swapaxes(kernel, -1, -2) if type(layer).__name__ in _TRANSPOSED else kernel


def _fit(
    twins: Sequence[LayerCall],
    student: keras.Model,
    wanted: Sequence[Callable[[Any], Any]],
    offset: Array | None,
    kept: Mask,
    seen: Sequence[Array],
    held_out: Sequence[Array],
) -> bool:
    """Give a layer of `student` the kernel and offset whose response comes closest to the original's.

    Args:
        twins: the layer's calls in `student`.
        student: the block that lost channels.
        wanted: gives, for each call, the layer's response in the original block, see `_response`.
        offset: the original's value of what shifts that response, see `_shifted`.
        kept: which channels of that response the student still has.
        seen: inputs of the block that the weights are fitted to.
        held_out: inputs of the block that tell whether the new weights are better.

    Returns:
        Whether the new weights are better on the inputs held out; otherwise the layer keeps its old ones.
    """
    layer: Any = twins[0].operation
    kernel, shifted = _kernel(layer), _shifted(twins, student)
    old = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    if shifted is not None:
        # A mean may have been shifted before, and then the layer has an offset already.
        current = ops.convert_to_numpy(shifted)
        old = np.vstack([old, current if layer.use_bias or offset is None else offset[kept] - current])
    reads, patches = [submodel(student.inputs, [twin.inputs[0]], "read") for twin in twins], _patches(layer)

    def equations(inputs: Sequence[Array]) -> Iterator[Equations]:
        rows = -(-max(_ROWS, 4 * len(old)) * _BATCH // (len(inputs[0]) * len(twins)))
        for x, (read, response) in product(_batches(inputs), zip(reads, wanted, strict=True)):
            target, parts = _flat(response(x))[:, kept], patches(read(x, training=False))
            chosen = np.random.default_rng(0).permutation(len(target))[:rows]
            for columns, part in zip(np.split(np.arange(old.shape[1]), len(parts)), parts, strict=True):
                a = _flat(part)[chosen].astype(np.float64)
                a = a if shifted is None else np.column_stack([a, np.ones(len(a))])
                yield columns, a, target[chosen][:, columns].astype(np.float64)

    new = _solved(old, equations(seen), shifted is not None)
    change = sum(_squared(a @ new[:, c] - b) - _squared(a @ old[:, c] - b) for c, a, b in equations(held_out))
    if not change < 0:  # also where it is NaN
        return False
    _set_kernel(layer, new[: kernel[..., 0].size].reshape(kernel.shape))
    if shifted is not None:
        shifted.assign(new[-1] if layer.use_bias or offset is None else offset[kept] - new[-1])
    return True


def _solved(old: Floats, equations: Iterator[Equations], constant: bool) -> Floats:
    """Return the weights, shape (inputs, outputs), that solve equations best in the least squares sense.

    Args:
        old: the weights that the new ones stay close to where the equations say nothing.
        equations: parts of the problem; each group of a grouped convolution has inputs of its own.
        constant: whether the last input is always 1; its weight may then go as far from the old one as it will.
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
        # The ridge keeps it regular.
        new[:, columns] = np.linalg.solve(whole, products + ridge[:, None] * old[:, columns])
    return new


def _squared(x: Floats) -> float:
    return float(np.square(x).sum())


def _shifted(of_layer: Sequence[LayerCall], model: keras.Model) -> Any:
    """Return the variable that shifts a layer's response: its bias, or the mean that its batch norm subtracts."""
    layer: Any = of_layer[0].operation
    if layer.use_bias:
        return layer.bias
    if layer.activation is not keras.activations.linear:
        return None  # a batch norm behind the activation shifts what comes out of it
    written = {id(call.outputs[0]) for call in of_layer}
    readers = [c for c in calls(model) if any(id(t) in written for t in c.inputs)]
    norms = [c for c in calls(model) if any(c.operation is reader.operation for reader in readers)]
    # What is used again, be it the layer or its batch norm, has no mean of its own.
    if len(of_layer) > 1 or [c.kind for c in norms] != ["BatchNormalization"] or normalises_other_axis(norms[0]):
        return None
    return norms[0].operation.moving_mean


def _offset(of_layer: Sequence[LayerCall], block: keras.Model) -> Array | None:
    shifted = _shifted(of_layer, block)
    return None if shifted is None else ops.convert_to_numpy(shifted)


def _patches(layer: Any) -> Callable[[Any], list[Any]]:
    """Return a function from a layer's input to what the layer multiplies with its flattened kernel at every position.

    That is one array for each group of a grouped convolution. A copy of the layer with an identity as its kernel
    computes it, so that strides, padding and dilation are the layer's own.
    """
    if not hasattr(layer, "kernel_size"):
        return lambda x: [x]
    taken, groups = _kernel(layer)[..., 0].shape, getattr(layer, "groups", 1)
    size, whole = math.prod(taken), {"groups": 1} if groups > 1 else {}
    finder = _linear_copy(layer, filters=size, use_bias=False, **whole)
    separable = type(layer).__name__ in _SEPARABLE
    channels = layer.depthwise_kernel.shape[-2] if separable else taken[-1]
    finder.build((None, *[None] * (len(taken) - 1), channels))
    if separable:
        finder.depthwise_kernel.assign(layer.depthwise_kernel)
    _set_kernel(finder, np.eye(size).reshape(*taken, size))
    return lambda x: [finder(part) for part in ops.split(x, groups, axis=-1)]


def _flat(x: Any) -> Array:
    array: Array = ops.convert_to_numpy(x)
    return array.reshape(-1, array.shape[-1])


def _batches(inputs: Sequence[Array]) -> Iterator[Any]:
    for start in range(0, len(inputs[0]), _BATCH):
        yield alone([x[start : start + _BATCH] for x in inputs])


def batched_outputs(model: keras.Model, inputs: Sequence[Array]) -> list[Array]:
    """Return the outputs of a model for a few hundred inputs, each of shape (n, ...), computed in batches."""
    parts = [[ops.convert_to_numpy(y) for y in as_list(model(x, training=False))] for x in _batches(inputs)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
