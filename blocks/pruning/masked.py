"""A block that reads zeros in place of some channels: it computes what the pruned block does, without being rebuilt.

A search measures hundreds of widths. Building each pruned block takes seconds, masking it a matter of its inference.
Masks may also be fractions, and gradients flow through them.

What a block loses is judged as it will be used, refitted and trained. So a channel that goes leaves its mean behind,
which the next layer's offset takes over, and batch norms take the statistics of the images at hand. Without both, the
error of a block that lost a third of its channels is worse than that of one that lost nearly all and gives a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.importing.difference import fitted_error
from legodnn.blocks.importing.graph import LayerCall, as_list, calls, values_of
from legodnn.blocks.pruning.allocation import PruningProblem
from legodnn.blocks.pruning.reconstruct import batched_outputs
from legodnn.blocks.pruning.widths import Widths
from legodnn.errors import ModelError

_BATCH = 250  # images at a time

# What runs in place of a call: a function of the call and its arguments that returns the outputs, or None for itself.
Replaced = Callable[[LayerCall, tuple[Any, ...], Mapping[str, Any]], Any]


def run_masked(
    block: keras.Model,
    channels: Channels,
    inputs: Sequence[Any],
    keep: Any,
    replaced: Replaced | None = None,
    means: Mapping[int, Any] | None = None,
) -> list[Any]:
    """Return a block's outputs in inference when layers that sum over channels read them times a mask.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        inputs: the block's inputs, each of shape (n, ...).
        keep: a factor for each channel ID, shape (channels.count,): 1 for a channel that stays, 0 for one that goes.
        replaced: see `Replaced`.
        means: see `read_means`: what a layer reads in place of a channel that goes; 0 where nothing is given.
    """
    known = {id(t): ops.cast(x, t.dtype) for t, x in zip(block.inputs, inputs, strict=True)}
    for number, call in enumerate(calls(block)):
        read = known
        if call.name in channels.readers:
            x = known[id(call.inputs[0])]
            kept = ops.cast(ops.take(keep, channels.of[id(call.inputs[0])]), x.dtype)
            rest = ops.cast(means[number], x.dtype) * (1 - kept) if means and number in means else 0.0
            read = {**known, id(call.inputs[0]): x * kept + rest}
        args, kwargs = call.node.arguments.fill_in(read)
        outputs = replaced(call, args, kwargs) if replaced else None
        if outputs is None:
            if isinstance(call.operation, keras.layers.Layer):
                kwargs["training"] = False
            outputs = call.operation(*args, **kwargs)
        known.update((id(t), y) for t, y in zip(call.outputs, keras.tree.flatten(outputs), strict=True))
    return [known[id(t)] for t in block.outputs]


def recalibrated(call: LayerCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run a batch norm with the statistics of the images at hand, and anything else as it is; see `Replaced`."""
    layer: Any = call.operation
    return normalised(layer, args[0], layer.gamma, layer.beta) if is_plain_norm(call) else None


def is_plain_norm(call: LayerCall) -> bool:
    """Whether a call is a batch norm of the channels on the last axis."""
    return call.kind == "BatchNormalization" and call.operation.axis in (-1, len(call.inputs[0].shape) - 1)


def normalised(layer: Any, x: Any, gamma: Any, beta: Any) -> Any:
    """Return what a batch norm gives with the statistics of the images at hand.

    Args:
        layer: the batch norm.
        x: what it reads, shape (n, ..., channels).
        gamma, beta: scale and offset of each channel; None for none.
    """
    mean, variance = ops.moments(x, tuple(range(len(x.shape) - 1)))
    y = (x - mean) * ops.rsqrt(variance + layer.epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def read_means(block: keras.Model, channels: Channels, inputs: Sequence[Any]) -> dict[int, Array]:
    """Return the mean of every channel that a layer which makes channels reads, by the number of its call.

    A product of two tensors has no offset that could take the mean over.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        inputs: sample inputs, each of shape (n, ...).
    """
    readers = {i: call.inputs[0] for i, call in enumerate(calls(block)) if call.name in channels.made}
    if not readers:
        return {}
    values = values_of(block, [*readers.values()], inputs)
    return {i: y.reshape(-1, y.shape[-1]).mean(axis=0) for i, y in zip(readers, values, strict=True)}


def keep_mask(problem: PruningProblem, widths: Widths) -> Array:
    """Return the mask of widths, shape (channels.count,)."""
    keep = np.ones(problem.channels.count, np.float32)
    keep[problem.removed(widths)] = 0
    return keep


def outputs_by_widths(problem: PruningProblem) -> Callable[[Widths], list[Array]]:
    """Return a function from widths to the outputs of the block for the problem's sample inputs, as it will be used.

    Args:
        problem: with sample inputs.
    """
    inputs = sample_arrays(problem)
    means = read_means(problem.block, problem.channels, [x[:_BATCH] for x in inputs])

    def forward(x: Any, keep: Any) -> list[Any]:
        return run_masked(problem.block, problem.channels, x, keep, recalibrated, means)

    run = tf.function(forward, autograph=False)

    def outputs(widths: Widths) -> list[Array]:
        keep = tf.constant(keep_mask(problem, widths))
        starts = range(0, len(inputs[0]), _BATCH)
        parts = [run([tf.constant(x[i : i + _BATCH]) for x in inputs], keep) for i in starts]
        return [np.concatenate([np.asarray(y) for y in column]) for column in zip(*parts, strict=True)]

    return outputs


def loss_by_widths(problem: PruningProblem) -> Callable[[Widths], float]:
    """Return the loss of widths: the relative error of the block's outputs, or the problem's loss if it has no inputs.

    Raises:
        ModelError: there are neither sample inputs nor a loss.
    """
    own = problem.loss
    if problem.x is None and own is not None:
        return lambda widths: own(problem.pruned(widths))
    outputs = outputs_by_widths(problem)
    targets = targets_of(problem)
    return lambda widths: float(fitted_error(outputs(widths), targets))


def targets_of(problem: PruningProblem) -> list[Array]:
    """Return the outputs of the whole block for the problem's sample inputs."""
    return batched_outputs(problem.block, sample_arrays(problem))


def sample_arrays(problem: PruningProblem) -> list[Array]:
    """Return the problem's sample inputs as a list.

    Raises:
        ModelError: there are none.
    """
    if problem.x is None:
        raise ModelError(
            f"widths of {problem.block.name!r} cannot be searched for without sample inputs or a loss to measure: pass "
            "x, or name a strategy that measures nothing, such as uniform"
        )
    return [np.asarray(x[:], np.float32) for x in as_list(problem.x)]
