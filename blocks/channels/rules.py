"""What each operation does to channels: one rule for each layer and keras.ops call that is understood.

A rule has two halves. `relate` says how the output's channels relate to the input's: the same ones (pooling), the
inputs' tied one to one (add), new ones that weights make (convolution), or why that cannot be said. `cut` says what
changes in a copy of the layer that keeps only some channels (`cuts`). What has no rule keeps all its channels: that
may cost compression, never correctness.

Channels are on the last axis throughout; `c` stands for their number. A removed channel is one that every reader
(convolution, dense layer) gets zeros for, so an operation in between may do to it whatever it likes, as long as the
other channels stay as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from legodnn.blocks.channels.channel_ids import ChannelIds, IdArray
from legodnn.blocks.channels.cuts import (
    Cut,
    cut_and_count,
    cut_depthwise_kernel,
    cut_kernel,
    cut_last_axis,
    cut_separable_kernels,
    cut_shape,
    cut_transposed_kernel,
)
from legodnn.blocks.importing.graph import LayerCall

Relate = Callable[[LayerCall, Sequence[IdArray], ChannelIds], "IdArray | str"]


@dataclass(frozen=True)
class ChannelRule:
    """What an operation does to channels.

    Attributes:
        relate: from a call and the numbers of its inputs' channels to those of its output, or the reason why not.
        cut: from a call and which channels stay to the changed configuration and weights; None if the operation
            holds nothing that depends on the number of channels.
    """

    relate: Relate
    cut: Cut | None = None


def rule(call: LayerCall) -> ChannelRule | str:
    """The rule of a call's operation, or why there is none."""
    operation: Any = call.operation
    kind = type(operation)
    table = LAYERS if isinstance(operation, keras.layers.Layer) else OPERATIONS
    # A layer of somebody's own may have a known name.
    if not kind.__module__.startswith("keras.") or kind.__name__ not in table:
        if isinstance(operation, keras.Model):
            return f"{kind.__name__} is a model inside the model"
        return f"{kind.__name__} is not known to keep channels apart"
    if (getattr(operation, "data_format", "channels_last") or keras.config.image_data_format()) == "channels_first":
        return "its channels are not on the last axis"
    if getattr(operation, "lora_enabled", False) or getattr(operation, "quantization_mode", None):
        return "its kernel is quantised or adapted (LoRA)"
    if len(call.outputs) != 1:
        return "it has several outputs"
    return table[kind.__name__]


# Relations: (call, numbers of each input's channels, numbering) -> numbers of the output's channels, or a reason.


def _same(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    return ids[0]


def _same_unless(reason: Callable[[LayerCall], str | None]) -> Relate:
    """The same channels, unless something about the call speaks against it."""

    def relate(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
        return reason(call) or ids[0]

    return relate


def _same_unless_over_channels(what: str) -> Relate:
    """The same channels, unless the operation's `axis` includes the last axis."""
    return _same_unless(lambda call: what if _is_last(call.operation.axis, len(call.inputs[0].shape)) else None)


def _united(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    arguments = keras.tree.flatten([call.node.arguments.args, call.node.arguments.kwargs])
    if any(np.size(a) > 1 for a in arguments if not isinstance(a, keras.KerasTensor)):
        return "it reads a constant that is not a single number"
    full = max(ids, key=len)
    for other in ids:
        if len(other) == len(full):
            numbering.unite(full, other)
        elif len(other) == 1:  # broadcast over channels: has no counterpart in the others
            numbering.fix(other)
        else:
            return "its inputs have different numbers of channels"
    return full


def _concatenated(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    if _is_last(call.operation.axis, len(call.inputs[0].shape)):
        return np.concatenate(ids)
    return _united(call, ids, numbering)


def _made(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    """New channels; those of a grouped convolution are tied so that every group keeps the same number of them.

    The i-th channels of all groups go together, on both sides: what is left has groups of equal size again.
    """
    layer: Any = call.operation
    if reason := _activation(call):
        return reason
    groups = getattr(layer, "groups", 1)
    if 1 < groups == len(ids[0]):  # a depthwise convolution by another name
        return np.repeat(ids[0], layer.filters // groups)
    made = numbering.make(call.name, call.outputs[0].shape[-1])
    numbering.unite_rows(ids[0].reshape(groups, -1))
    numbering.unite_rows(made.reshape(groups, -1))
    return made


def _depthwise(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    return _activation(call) or np.repeat(ids[0], call.operation.depth_multiplier)


def _reshaped(call: LayerCall, ids: Sequence[IdArray], numbering: ChannelIds) -> IdArray | str:
    """Positions that move into the last axis repeat its channels; channels that become positions are tied."""
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    if not after or None in (*before, *after) or math.prod(before) != math.prod(after):
        return "it changes the number of images or has no fixed shape"
    old, new = len(ids[0]), after[-1]
    if new % old == 0:
        return np.tile(ids[0], new // old)
    if old % new == 0:
        numbering.unite_rows(ids[0].reshape(-1, new))
        return ids[0][:new]
    return "it divides channels among positions"


# Reasons against keeping channels apart, where an operation's configuration decides.


def _activation(call: LayerCall) -> str | None:
    activation = call.operation.activation
    name = getattr(activation, "__name__", type(activation).__name__)
    if name in _ELEMENTWISE and activation is getattr(keras.activations, name, None):
        return None
    whose = f"{name}" if call.kind == "Activation" else f"its activation {name}"
    return f"{whose} is not known to keep channels apart"


def _constants(*names: str) -> Callable[[LayerCall], str | None]:
    def reason(call: LayerCall) -> str | None:
        values = (getattr(call.operation, name) for name in names)
        return "it reads a constant for each channel" if any(np.size(v) > 1 for v in values) else None

    return reason


def _other_axis(call: LayerCall) -> str | None:
    last = _is_last(call.operation.axis, len(call.inputs[0].shape))
    return None if last else "it normalises another axis than the last"


def _group_norm(call: LayerCall) -> str | None:
    if reason := _other_axis(call):
        return reason
    several = call.operation.groups != call.inputs[0].shape[-1]
    return "it normalises over several channels, which depend on one another" if several else None


def _noise_shape(call: LayerCall) -> str | None:
    last = (getattr(call.operation, "noise_shape", None) or [1])[-1]
    return None if last in (None, 1) else "its configuration holds the number of channels"


def _permuted(axes: Callable[[Any], Sequence[int] | None]) -> Callable[[LayerCall], str | None]:
    def reason(call: LayerCall) -> str | None:
        order, rank = axes(call.operation), len(call.inputs[0].shape)
        stays = order is not None and order[-1] % rank == rank - 1
        return None if stays else "it moves the channels from the last axis"

    return reason


def _expanded(call: LayerCall) -> str | None:
    return (
        "it moves the channels from the last axis"
        if _is_last(call.operation.axis, len(call.outputs[0].shape))
        else None
    )


def _padded(call: LayerCall) -> str | None:
    width = call.operation.pad_width
    whole = len(width) == len(call.inputs[0].shape) and tuple(width[-1]) == (0, 0)
    return None if whole else "it adds channels"


def _indexed(call: LayerCall) -> str | None:
    """x[:, ::2, ::2] and the like leave the channels; anything cleverer is not followed."""
    key = call.node.arguments.args[1] if len(call.node.arguments.args) > 1 else None
    key = key if isinstance(key, tuple) else (key,)
    plain = all(isinstance(k, int | slice) or k is Ellipsis for k in key)
    entries = sum(k is not Ellipsis for k in key)
    untouched = entries < len(call.inputs[0].shape) and (entries == len(key) or key[-1] is Ellipsis)
    return None if plain and (untouched or key[-1] == slice(None)) else "it picks channels"


def _is_last(axis: int | Sequence[int] | None, rank: int) -> bool:
    """Whether an operation's axis or axes include the last one; None means all."""
    if axis is None:
        return True
    return any(a % rank == rank - 1 for a in np.atleast_1d(axis))


# Activations that look at each value alone.
_ELEMENTWISE = {
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
}  # fmt: skip

_NORMALISES = "it normalises over the channels, which depend on one another"
_ND = ("1D", "2D", "3D")

LAYERS: dict[str, ChannelRule] = {
    **dict.fromkeys(
        [
            *("ActivityRegularization", "ELU", "GaussianNoise", "Identity", "LeakyReLU", "ReLU", "Resizing"),
            *(
                f"{name}{nd}"
                for nd in _ND
                for name in (
                    "AdaptiveAveragePooling",
                    "AdaptiveMaxPooling",
                    "AveragePooling",
                    "Cropping",
                    "GlobalAveragePooling",
                    "GlobalMaxPooling",
                    "MaxPooling",
                    "SpatialDropout",
                    "UpSampling",
                    "ZeroPadding",
                )
            ),
            "StochasticDepth",  # keras.applications.convnext: a dropout of whole images
        ],
        ChannelRule(_same),
    ),
    **dict.fromkeys(["AlphaDropout", "Dropout", "GaussianDropout"], ChannelRule(_same_unless(_noise_shape))),
    **dict.fromkeys(["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"], ChannelRule(_united)),
    "CustomScaleLayer": ChannelRule(_united),  # keras.applications.inception_resnet_v2: a + scale * b
    "Concatenate": ChannelRule(_concatenated),
    **dict.fromkeys(["Dense", *(f"Conv{nd}" for nd in _ND)], ChannelRule(_made, cut_kernel)),
    **dict.fromkeys([f"Conv{nd}Transpose" for nd in _ND], ChannelRule(_made, cut_transposed_kernel)),
    **dict.fromkeys([f"DepthwiseConv{nd}" for nd in _ND[:2]], ChannelRule(_depthwise, cut_depthwise_kernel)),
    **dict.fromkeys([f"SeparableConv{nd}" for nd in _ND[:2]], ChannelRule(_made, cut_separable_kernels)),
    "Activation": ChannelRule(_same_unless(_activation)),
    "BatchNormalization": ChannelRule(_same_unless(_other_axis), cut_last_axis),
    "GroupNormalization": ChannelRule(_same_unless(_group_norm), cut_and_count("groups")),
    "LayerScale": ChannelRule(_same, cut_and_count("projection_dim")),  # keras.applications.convnext
    "PReLU": ChannelRule(_same, cut_last_axis),
    **dict.fromkeys(
        ["LayerNormalization", "RMSNormalization", "UnitNormalization"],
        ChannelRule(_same_unless_over_channels(_NORMALISES)),
    ),
    "Normalization": ChannelRule(_same_unless(lambda call: "it reads a constant for each channel")),
    "Rescaling": ChannelRule(_same_unless(_constants("scale", "offset"))),
    "Softmax": ChannelRule(_same_unless_over_channels(_NORMALISES)),
    "Flatten": ChannelRule(_reshaped),
    "Reshape": ChannelRule(_reshaped, cut_shape),
    "Permute": ChannelRule(_same_unless(_permuted(lambda layer: layer.dims))),
}

# keras.ops calls; some share a layer's name and not its meaning (Average).
OPERATIONS: dict[str, ChannelRule] = {
    **dict.fromkeys(
        [
            "Abs", "Absolute", "AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "Cast", "Celu", "Elu", "Erf",
            "Exp", "Expm1", "Gelu", "HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log", "Log1p",
            "LogSigmoid", "MaxPool", "Negative", "Reciprocal", "Relu", "Relu6", "Resize", "Round", "Rsqrt", "Selu",
            "Sigmoid", "Sign", "Silu", "SoftShrink", "Softplus", "Softsign", "Sqrt", "Square", "Squareplus",
            "StopGradient", "Tanh", "TanhShrink",
        ],
        ChannelRule(_same),
    ),
    **dict.fromkeys(
        ["Add", "Divide", "Maximum", "Minimum", "Multiply", "Power", "Subtract", "TrueDivide"], ChannelRule(_united)
    ),
    **dict.fromkeys(
        ["Amax", "Amin", "Max", "Mean", "Min", "Std", "Sum", "Var"],
        ChannelRule(_same_unless_over_channels("it reduces over the channels")),
    ),
    "Clip": ChannelRule(_same_unless(_constants("x_min", "x_max"))),
    "Concatenate": ChannelRule(_concatenated),
    "ExpandDims": ChannelRule(_same_unless(_expanded)),
    "GetItem": ChannelRule(_same_unless(_indexed)),
    "Pad": ChannelRule(_same_unless(_padded)),
    "Reshape": ChannelRule(_reshaped, cut_shape),
    "Softmax": ChannelRule(_same_unless_over_channels(_NORMALISES)),
    "Squeeze": ChannelRule(_same_unless_over_channels("it may remove the channels' axis")),
    "Transpose": ChannelRule(_same_unless(_permuted(lambda operation: operation.axes))),
}  # fmt: skip
