"""Criteria of pruning that look at what a block computes for sample inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.importing.graph import as_list, calls, values_of
from legodnn.blocks.importing.layer_copies import blank_copy
from legodnn.blocks.pruning.criteria import Importance
from legodnn.blocks.pruning.surgery import remove
from legodnn.errors import ModelError

# How many values of a layer's response `reconstruction` looks at, drawn from all images, positions and filters.
_ENTRIES = 4096
_BATCH = 50  # images at a time, for gradients


def reconstruction(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the rank of each channel in the order of removal that changes the responses of later layers least.

    This is ThiNet's greedy choice (Luo et al., ICCV 2017, algorithm 1). A convolution or dense layer sums what its
    input channels contribute, so removing some changes its response by the sum of their contributions. In each step
    that set of coupled channels goes that adds least to the sum of squares of the change on sample inputs. Responses
    are taken before bias and activation, and divided by their variance, so that all layers that read a set count alike.

    Raises:
        ModelError: there are no sample inputs.
    """
    x = _samples("reconstruction", x)
    readers = [call for call in calls(block) if call.name in channels.readers]
    importance = np.zeros(channels.count)
    if not channels.groups:
        return importance
    features = values_of(block, [t for call in readers for t in (call.inputs[0], call.inputs[-1])], x)
    features, seconds = features[::2], features[1::2]
    linear = [
        _linear(call.operation) if call.name in channels.made else _times(call.operation, second)
        for call, second in zip(readers, seconds, strict=True)
    ]
    for group in channels.groups:
        change = np.zeros((len(group.coupled), len(group.coupled)))
        for call, feature, respond in zip(readers, features, linear, strict=True):
            ids = channels.of[id(call.inputs[0])]
            masks = [np.isin(ids, members) for members in group.coupled]
            if np.any(masks):
                # `_sample` draws the same entries each time, so that the parts are comparable.
                whole = _sample(respond(feature))
                parts = np.stack([_sample(respond(feature * mask)) for mask in masks]).astype(np.float64)
                change += parts @ parts.T / max(float(whole.var()), np.finfo(np.float32).tiny)
        for rank, i in enumerate(_greedy(change)):
            importance[group.coupled[i][0]] = rank
    return importance


def taylor(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return how much the block's outputs change, to first order, when the readers of a set read zeros for it.

    This is the first-order Taylor criterion (Molchanov et al., ICLR 2017) for distillation, which needs no labels. The
    gradient of the distillation loss itself is 0 at the original, where the loss has its minimum. So the outputs are
    expanded: the importance is the sum, over outputs and sample inputs, of the squared derivative of the output in a
    factor that scales what is read of the set. To first order that is the squared error that the set's removal leaves,
    so that importances compare between groups. The sum over outputs is estimated with random signs, one draw for each
    image.

    Raises:
        ModelError: there are no sample inputs.
    """
    inputs, importance = _samples("taylor", x), np.zeros(channels.count)
    if not channels.groups:
        return importance
    sets = [ids for group in channels.groups for ids in group.coupled]
    gated = _Gated(block, channels, len(sets))
    # A graph would take longer to trace than these few steps take.
    gated.compile(optimizer=keras.optimizers.SGD(1.0), loss=None, run_eagerly=True)
    scale = [max(float(np.var(y)), 1e-12) ** -0.5 for y in values_of(block, block.outputs, inputs)]
    rng, squares = np.random.default_rng(0), np.zeros(len(sets))
    for start in range(0, len(inputs[0]), _BATCH):
        parts = [a[start : start + _BATCH] for a in inputs]
        count = len(parts[0])
        parts = [np.concatenate([a] * -(-_BATCH // len(a)))[:_BATCH] for a in parts]  # there are as many gates
        signs = [
            (rng.choice([-s, s], (_BATCH, *t.shape[1:]))).astype(np.float32)
            for s, t in zip(scale, block.outputs, strict=True)
        ]
        gated.gates.assign(np.ones(gated.gates.shape))
        gated.train_on_batch([*parts, *signs])
        # A step of size 1 went down the gradient. Images that fill up the last batch do not count again.
        squares += np.square(1 - ops.convert_to_numpy(gated.gates))[:count].sum(axis=0)
    importance[[int(ids[0]) for ids in sets]] = squares
    return importance


class _Gated(keras.Model):  # type: ignore[misc]
    """A block whose layers read every set of channels times a gate, one for each image and set.

    It is called with the block's inputs and one array of weights for each output, and returns the weighted sum of all
    values of the outputs. Only the gates are trained.
    """

    def __init__(self, block: keras.Model, channels: Channels, sets: int) -> None:
        super().__init__(name="gated", dtype="float32")
        self._block = remove(block, channels, np.empty(0, np.int64))
        self._block.trainable = False
        self._sets_read = {
            twin.name: channels.set_of[channels.of[id(call.inputs[0])]]
            for call, twin in zip(calls(block), calls(self._block), strict=True)
            if call.name in channels.readers and (channels.set_of[channels.of[id(call.inputs[0])]] >= 0).any()
        }
        self.gates = self.add_weight(shape=(_BATCH, sets), initializer="ones", name="gates")

    def call(self, x: Any) -> Any:
        known = {id(t): value for t, value in zip(self._block.inputs, x, strict=False)}
        padded = ops.concatenate([self.gates, ops.ones((_BATCH, 1))], axis=1)  # the last one, -1, is always open
        for call in calls(self._block):
            given = known
            if call.name in self._sets_read:
                read = known[id(call.inputs[0])]
                gate = ops.take(padded, self._sets_read[call.name] % padded.shape[1], axis=1)
                gate = ops.reshape(gate, (_BATCH, *[1] * (len(read.shape) - 2), read.shape[-1]))
                given = {**known, id(call.inputs[0]): read * gate}
            args, kwargs = call.node.arguments.fill_in(given)
            results = keras.tree.flatten(call.operation(*args, **kwargs))
            known.update((id(t), result) for t, result in zip(call.outputs, results, strict=True))
        outputs = [known[id(t)] for t in self._block.outputs]
        return sum(ops.sum(y * weight) for y, weight in zip(outputs, x[len(self._block.inputs) :], strict=True))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the weighted sum."""
        return y_pred


def _samples(criterion: str, x: Any) -> list[Array]:
    if x is None:
        raise ModelError(f"criterion `{criterion}` needs sample inputs of the block: pass x")
    return as_list(x)


def _greedy(change: NDArray[np.float64]) -> list[int]:
    """Return an order of rows in which the sum of change[i, j] over all i and j so far grows least in each step."""
    added, order = change.diagonal().copy(), []
    for _ in range(len(change)):
        i = int(np.argmin(added))
        order.append(i)
        added += 2 * change[i]
        added[order] = np.inf
    return order


def _linear(layer: Any) -> Callable[[Array], Array]:
    """Return what a layer computes before bias and activation, as a function of its input."""
    copy = blank_copy(layer, {"activation": None, "use_bias": False})
    weights = layer.get_weights()

    def respond(feature: Array) -> Array:
        if not copy.built:
            copy.build(feature.shape)
            copy.set_weights(weights[: len(copy.weights)])  # behind kernels come the bias and an activation's own
        response: Array = ops.convert_to_numpy(copy(feature))
        return response

    return respond


def _times(product: Any, second: Array) -> Callable[[Array], Array]:
    """Return what a product of two tensors computes, as a function of the first."""
    return lambda feature: ops.convert_to_numpy(product(feature, second))


def _sample(response: Array) -> Array:
    """Return at most `_ENTRIES` values of a response, those in the same places for every response of one shape."""
    flat = response.ravel()
    return flat if flat.size <= _ENTRIES else flat[np.random.default_rng(0).integers(flat.size, size=_ENTRIES)]
