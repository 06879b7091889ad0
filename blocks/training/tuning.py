"""A short training of one block towards the original's outputs for sample inputs, which regimes of pruning work with.

It is not the training of descendants (`distill`): it runs before channels are removed, on the few hundred images that
channels are chosen by, so that a regime can change the weights after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import as_list, run_calls
from legodnn.blocks.pruning.reconstruct import batched_outputs
from legodnn.blocks.pruning.regimes import Tune
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.pointwise import strides_before_pointwise
from legodnn.errors import ModelError


class _Imitator(keras.Model):  # type: ignore[misc]
    """A block as a model whose loss is the relative error of its outputs; it is called with a list of inputs."""

    def __init__(self, block: keras.Model) -> None:
        super().__init__(name="imitator", dtype="float32")
        self._block = block

    def call(self, x: Any, training: bool = False) -> Any:
        return run_calls(self._block, x, training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the relative error."""
        return relative_error(as_list(y_pred), as_list(y))


def tune_on(
    block: keras.Model,
    x: Sequence[Array],
    *,
    steps: int = 200,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Tune:
    """Return a function that trains other versions of a block towards what the block gives now.

    Args:
        block: the original.
        x: sample inputs, each of shape (n, ...).
        steps: of Adam, whose rate decays by a cosine to 1 %.
        batch_size: images in a step, if there are as many.
        learning_rate: at the start.
        seed: determines the order of the images.

    Raises:
        ModelError: (when the function is called) training diverged.
    """
    inputs = [np.asarray(a) for a in x]

    def tune(student: keras.Model, after_step: Callable[[float], None]) -> None:
        targets = batched_outputs(block, inputs)
        imitator, rng = _Imitator(student), np.random.default_rng(seed)
        size = min(batch_size, len(inputs[0]))
        imitator([a[:1] for a in inputs])  # builds it
        compile_for(imitator, learning_rate, steps)
        order = np.empty(0, np.int64)
        with strides_before_pointwise():
            for step in range(steps):
                if len(order) < size:
                    order = rng.permutation(len(inputs[0]))
                chosen, order = order[:size], order[size:]
                loss = float(imitator.train_on_batch([a[chosen] for a in inputs], [a[chosen] for a in targets]))
                if not np.isfinite(loss):
                    raise ModelError(f"block {block.name!r}: training before pruning diverged; take another strategy")
                after_step((step + 1) / steps)

    return tune
