"""The statistics of batch norms, after a training that was too short for them.

A batch norm goes 1 % of the way to each batch's statistics, so that those that a network begins with are gone after
some 500 steps. A training on a few hundred images ends before that, and the network is right on batches and wrong on
single images.
"""

from __future__ import annotations

from typing import Any

import keras

from legodnn.blocks.training.batches import Batches
from legodnn.progress import Progress, no_progress

_MOST_BATCHES = 100  # as many as a moving average of 1 % a batch remembers
_GONE = 1e-4  # the share of the first statistics that is none any more: with 1 % a batch, after 917 steps


def renew_statistics(
    model: keras.Model, x: Any, batches: Batches, steps: int, progress: Progress = no_progress
) -> None:
    """Give the batch norms of a trained model the mean statistics of an epoch's first batches, at most a hundred.

    Nothing is done where the training was long enough.

    Args:
        model: the model; those of its batch norms that are not trainable stay as they are.
        x: the training images, which arrays of indices select.
        batches: which of them make up each batch.
        steps: how many the model was trained for.
        progress: is told of every batch.
    """
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    if max(momenta, default=0.0) ** steps < _GONE:
        return
    count = min(batches.per_epoch, _MOST_BATCHES)
    try:
        with progress("statistics of batch norms", count) as task:
            for number in range(count):
                for norm in norms:
                    norm.momentum = number / (number + 1)  # the mean of all batches so far
                model(x[batches.indices(number)], training=True)
                task.step()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
