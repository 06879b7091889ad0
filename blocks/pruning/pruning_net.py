"""PruningNet: a network that makes the weights of a block for any widths (Liu et al., MetaPruning, ICCV 2019).

For every convolution and dense layer two fully connected layers turn the shares of its input and output channels that
are kept into its kernel; at first they make the block's own. They are trained towards the block's outputs with widths
drawn at random, and then rate widths better than the block's own weights do, which know only the full width. Batch
norms take the statistics of the images at hand, which is what recalibration amounts to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from legodnn.arrays import Array
from legodnn.blocks.importing.difference import fitted_error, relative_error
from legodnn.blocks.importing.graph import LayerCall, calls
from legodnn.blocks.pruning.allocation import PruningProblem
from legodnn.blocks.pruning.masked import is_plain_norm, keep_mask, normalised, run_masked, sample_arrays, targets_of
from legodnn.blocks.pruning.reconstruct import split_images
from legodnn.blocks.pruning.widths import Widths
from legodnn.progress import Progress, no_progress

_HIDDEN = 32
_MOST_WEIGHTS = 30_000_000  # of all second layers; for a large block the hidden layers are narrower
_SHARES = np.linspace(0.1, 1.0, 31)  # widths in training
_BATCH, _RATE, _RATED = 32, 1e-3, 256


def train_pruning_net(
    problem: PruningProblem, steps: int = 300, progress: Progress = no_progress
) -> Callable[[Widths], float]:
    """Train a PruningNet, and return the loss of widths with the weights that it makes for them.

    Args:
        problem: the block, with sample inputs; a fifth of them, held out, are what the loss is measured on.
        steps: of training.
        progress: shows them.
    """
    rng, inputs = np.random.default_rng(problem.seed), sample_arrays(problem)
    targets = targets_of(problem)
    (seen, held_out), (wanted_seen, wanted) = split_images(inputs), split_images(targets)
    net = PruningNet(problem)
    optimizer = keras.optimizers.Adam(_RATE)
    optimizer.build(net.variables)

    def train(xs: Any, ys: Any, keep: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = relative_error(net.run(xs, keep), ys)
        optimizer.apply(tape.gradient(loss, [v.value for v in net.variables]), net.variables)
        return loss

    run = tf.function(train, autograph=False)
    with progress("training PruningNet", steps) as task:
        for _ in range(steps):
            rows = rng.integers(len(seen[0]), size=_BATCH)
            shares = rng.choice(_SHARES, len(problem.full))
            keep = keep_mask(problem, np.maximum(1, np.round(shares * problem.full)).astype(np.int64))
            xs, ys = ([tf.constant(a[rows]) for a in arrays] for arrays in (seen, wanted_seen))
            task.step(f"loss {float(run(xs, ys, tf.constant(keep))):.4g}")
    rated, right = ([tf.constant(a[:_RATED]) for a in arrays] for arrays in (held_out, wanted))
    rate = tf.function(lambda keep: fitted_error(net.run(rated, keep), right), autograph=False)
    return lambda widths: float(rate(tf.constant(keep_mask(problem, widths))))


class PruningNet:
    """What makes kernels for a block.

    Attributes:
        variables: all that is trained: the layers that make kernels, and copies of the batch norms' scales and offsets.
    """

    def __init__(self, problem: PruningProblem) -> None:
        """Make a network whose kernels are the block's own, whatever the widths."""
        self._block, self._channels = problem.block, problem.channels
        made = [c for c in calls(problem.block) if c.name in self._channels.made and _takes_kernel(c.operation)]
        size = sum(int(np.prod(c.operation.kernel.shape)) for c in made)
        hidden = int(np.clip(_MOST_WEIGHTS // max(1, size), 1, _HIDDEN))
        self._makers = {c.name: _maker(c.operation, hidden, problem.seed + i) for i, c in enumerate(made)}
        self._norms = {
            c.name: [None if v is None else keras.Variable(ops.copy(v)) for v in (c.operation.gamma, c.operation.beta)]
            for c in calls(problem.block)
            if is_plain_norm(c)
        }
        norms = [v for pair in self._norms.values() for v in pair if v is not None]
        self.variables = [v for maker in self._makers.values() for v in maker.trainable_variables] + norms

    def run(self, inputs: Any, keep: Any) -> list[Any]:
        """Return the block's outputs for channels that are kept, with the kernels that are made for them.

        Args:
            inputs: the block's inputs, each of shape (n, ...).
            keep: 1 or 0 for each channel ID.
        """
        return run_masked(self._block, self._channels, inputs, keep, lambda *call: self._replaced(keep, *call))

    def _replaced(self, keep: Any, call: LayerCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        layer: Any = call.operation
        if call.name in self._makers:
            shares = [ops.mean(ops.take(keep, self._channels.of[id(t)])) for t in (call.inputs[0], call.outputs[0])]
            kernel = ops.reshape(self._makers[call.name](ops.stack(shares)[None]), layer.kernel.shape)
            convolved = hasattr(layer, "kernel_size")
            y = layer.convolution_op(args[0], kernel) if convolved else ops.matmul(args[0], kernel)
            return layer.activation(y + layer.bias if layer.use_bias else y)
        if call.name in self._norms:
            return normalised(layer, args[0], *self._norms[call.name])
        return None


def _takes_kernel(layer: Any) -> bool:
    """Whether a layer is a plain convolution or dense layer, whose kernel can come from elsewhere.

    A causal one pads its input in a way of its own before it convolves; it keeps its kernel.
    """
    plain = type(layer).__name__ in ("Dense", "Conv1D", "Conv2D", "Conv3D")
    return plain and getattr(layer, "padding", None) != "causal"


def _maker(layer: Any, hidden: int, seed: int) -> keras.Model:
    """Return the two layers that make a kernel; at first it is the layer's own."""
    kernel: Array = ops.convert_to_numpy(layer.kernel)
    x = keras.Input((2,))
    first = layers.Dense(hidden, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(seed))
    second = layers.Dense(kernel.size, kernel_initializer="zeros")
    maker = keras.Model(x, second(first(x)))
    second.bias.assign(kernel.ravel())
    return maker
