"""Reasons why an operation mixes, moves or fixes channels, where its configuration or its arguments decide.

A reason is a function from a call to a text, or to None if the call treats every channel on its own. The text completes
the sentence "the channels are kept because ...", and `legodnn inspect MODEL` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from legodnn.blocks.importing.graph import LayerCall

Reason = Callable[[LayerCall], str | None]

# Activations that compute each value from that value alone.
ELEMENTWISE_ACTIVATIONS = {
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink",
}  # fmt: skip
# keras.ops and tf.nn have them under the same names.
_OF_THESE_NAMES = ("keras.src.ops.", "tensorflow.python.ops.")


def is_last_axis(axis: int | Sequence[int] | None, rank: int) -> bool:
    """Whether an operation's axis or axes include the last one of a tensor with `rank` axes; None means all axes."""
    if axis is None:
        return True
    return any(a % rank == rank - 1 for a in np.atleast_1d(axis))


def acts_over_channels(text: str) -> Reason:
    """Return a reason that gives `text` if the operation's `axis` includes the channels' axis, which is the last."""
    return lambda call: text if is_last_axis(call.operation.axis, len(call.inputs[0].shape)) else None


def activation_mixes(call: LayerCall) -> str | None:
    """Object to an activation that is not elementwise, such as softmax, or that is somebody's own function."""
    activation = call.operation.activation
    name = getattr(activation, "__name__", type(activation).__name__)
    known = activation is getattr(keras.activations, name, None)
    if name in ELEMENTWISE_ACTIVATIONS and (known or str(activation.__module__).startswith(_OF_THESE_NAMES)):
        return None
    whose = name if call.kind == "Activation" else f"its activation {name}"
    return f"{whose} is not known to keep channels apart"


def reads_constants(*attributes: str) -> Reason:
    """Return a reason against operations in which one of these attributes holds more than one number."""

    def reason(call: LayerCall) -> str | None:
        values = (getattr(call.operation, name) for name in attributes)
        return "it reads a constant for each channel" if any(np.size(v) > 1 for v in values) else None

    return reason


def normalises_other_axis(call: LayerCall) -> str | None:
    """Object to a normalisation whose `axis` is not the channels'."""
    last = is_last_axis(call.operation.axis, len(call.inputs[0].shape))
    return None if last else "it normalises another axis than the last"


def noise_fixes_channels(call: LayerCall) -> str | None:
    """Object to a dropout whose `noise_shape` names the number of channels."""
    last = (getattr(call.operation, "noise_shape", None) or [1])[-1]
    return None if last in (None, 1) else "its configuration holds the number of channels"


def permutes_channels(order_of: Callable[[Any], Sequence[int] | None]) -> Reason:
    """Return a reason against permutations that move the last axis; `order_of` reads the order from an operation."""

    def reason(call: LayerCall) -> str | None:
        order, rank = order_of(call.operation), len(call.inputs[0].shape)
        stays = order is not None and order[-1] % rank == rank - 1
        return None if stays else "it moves the channels from the last axis"

    return reason


def exchanges_channels(*attributes: str) -> Reason:
    """Return a reason against operations that move the last axis: one of these attributes names it among the axes."""

    def reason(call: LayerCall) -> str | None:
        rank = len(call.inputs[0].shape)
        moved = any(is_last_axis(getattr(call.operation, name), rank) for name in attributes)
        return "it moves the channels from the last axis" if moved else None

    return reason


def expands_last_axis(call: LayerCall) -> str | None:
    """Object to `expand_dims` that puts a new axis behind the channels'."""
    moved = is_last_axis(call.operation.axis, len(call.outputs[0].shape))
    return "it moves the channels from the last axis" if moved else None
