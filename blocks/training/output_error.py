"""How far outputs of a model are from the original's, by what they hold (`legodnn.blocks.importing.heads`).

Numbers are compared by the relative error. Class scores, and answers of yes or no, are compared as distributions that
are softened by a temperature (Hinton et al., Distilling the Knowledge in a Neural Network, 2015).
"""

from __future__ import annotations

from typing import Any

from keras import ops

from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.heads import Head

_TEMPERATURE = 4.0
_EPSILON = 1e-7  # keeps the logarithm of a probability finite


def output_error(head: Head, output: Any, target: Any, chunks: int) -> Any:
    """Return the error of each chunk of a batch, shape (chunks,).

    Args:
        head: how the output is read.
        output: shape (n, ...), n a multiple of `chunks`.
        target: the original's output for the same images; no gradients flow into it.
        chunks: number of equal parts that the batch is divided into.
    """
    target = ops.stop_gradient(target)
    if head.kind == "numbers":
        return relative_error([output], [target], chunks)
    found, wanted = (_log_probabilities(head, _logits(head, y) / _TEMPERATURE) for y in (output, target))
    divergences = ops.sum(ops.exp(wanted) * (wanted - found), axis=-1)  # Kullback-Leibler
    return _TEMPERATURE**2 * ops.mean(ops.reshape(divergences, (chunks, -1)), axis=1)


def _logits(head: Head, output: Any) -> Any:
    """Return the output as logits: recovered from probabilities where the model ends in a softmax or a sigmoid."""
    if head.scale == "linear":
        return output
    logits = ops.log(output + _EPSILON)
    return logits if head.scale == "softmax" and head.kind == "classes" else logits - ops.log(1 - output + _EPSILON)


def _log_probabilities(head: Head, logits: Any) -> Any:
    """Return logarithms of probabilities whose last axis is one distribution: over classes, or over yes and no."""
    if head.kind == "classes":
        return ops.log_softmax(logits, axis=-1)
    return ops.stack([ops.log_sigmoid(logits), ops.log_sigmoid(-logits)], axis=-1)
