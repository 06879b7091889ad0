"""Channel rules: what each layer and each `keras.ops` operation does to channels, so that channels can be removed.

A rule has two halves: a relation (`relations`), which says how the output's channels depend on those of the inputs, and
a cut (`cuts`), which says what changes in a copy of the layer that keeps only some of them. An operation without a rule
keeps all channels that it reads and writes; that may cost compression, never correctness.

Channels are on the last axis throughout. The layers that sum over channels (convolutions, dense layers) read zeros in
place of removed ones. So an operation in between may do to a removed channel whatever it likes, as long as it leaves
the other channels as they were.

To add a rule for a layer or an operation:

1. Add its class name to `LAYERS` or `OPERATIONS`, with a relation; where its configuration decides, `same_unless` and a
   reason (`reasons`). If its weights or configuration depend on the number of channels, give the cut too.
2. Add a case to `tests/blocks/operators`, which compare the pruned model with one whose removed channels are zeroed.
3. Add a line to the table in docs/models.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

from legodnn.blocks.channels.cuts import (
    Cut,
    cut_and_count,
    cut_borders,
    cut_depthwise_kernel,
    cut_groups,
    cut_kernel,
    cut_key,
    cut_last_axis,
    cut_padding,
    cut_separable_kernels,
    cut_shape,
    cut_transposed_kernel,
)
from legodnn.blocks.channels.reasons import (
    activation_mixes,
    acts_over_channels,
    exchanges_channels,
    expands_last_axis,
    noise_fixes_channels,
    normalises_other_axis,
    permutes_channels,
    reads_constants,
)
from legodnn.blocks.channels.relations import (
    Relation,
    concatenated,
    coupled_in_groups,
    from_positions,
    made_by_weights,
    picked,
    product_of_two,
    repeated,
    reshaped,
    same_channels,
    same_unless,
    stacked,
    taken_apart,
    to_positions,
    united,
    with_added,
)
from legodnn.blocks.importing.graph import LayerCall


@dataclass(frozen=True)
class ChannelRule:
    """What an operation does to channels.

    Attributes:
        relation: how the output's channels depend on the inputs' channels.
        cut: what changes in a copy that keeps only some channels; None if neither the operation's weights nor its
            configuration depend on the number of channels.
    """

    relation: Relation
    cut: Cut | None = None


def channel_rule(call: LayerCall) -> ChannelRule | str:
    """Return the rule of a call's operation, or the reason why there is none."""
    operation: Any = call.operation
    kind = type(operation)
    table = LAYERS if isinstance(operation, keras.layers.Layer) else OPERATIONS
    # The class of a layer that is neither Keras' own nor of this package may have a known name.
    if not kind.__module__.startswith(("keras.", "legodnn.blocks.importing.file_layers")) or kind.__name__ not in table:
        if isinstance(operation, keras.Model):
            return f"{kind.__name__} is a model inside the model"
        return f"{kind.__name__} is not known to keep channels apart"
    if (getattr(operation, "data_format", "channels_last") or keras.config.image_data_format()) == "channels_first":
        return "its channels are not on the last axis"
    if getattr(operation, "lora_enabled", False) or getattr(operation, "quantization_mode", None):
        return "its kernel is quantised or adapted (LoRA)"
    return table[kind.__name__]


_NORMALISES = "it normalises over the channels, which depend on one another"
_ND = ("1D", "2D", "3D")


def _each(names: Iterable[str], relation: Relation, cut: Cut | None = None) -> dict[str, ChannelRule]:
    """The same rule for several class names."""
    return dict.fromkeys(names, ChannelRule(relation, cut))


LAYERS: dict[str, ChannelRule] = {
    # Convolutions and dense layers.
    **_each(["Dense", *(f"Conv{nd}" for nd in _ND)], made_by_weights, cut_kernel),
    **_each([f"Conv{nd}Transpose" for nd in _ND], made_by_weights, cut_transposed_kernel),
    **_each([f"SeparableConv{nd}" for nd in _ND[:2]], made_by_weights, cut_separable_kernels),
    **_each([f"DepthwiseConv{nd}" for nd in _ND[:2]], repeated, cut_depthwise_kernel),
    # Merging.
    **_each(["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"], united),
    "ConstantOperand": ChannelRule(same_channels, cut_last_axis),  # legodnn.blocks.importing.file_layers
    "CustomScaleLayer": ChannelRule(united),  # keras.applications.inception_resnet_v2: a + scale * b
    "Concatenate": ChannelRule(concatenated),
    # Activations.
    **_each(["ELU", "Identity", "LeakyReLU", "ReLU"], same_channels),
    "Activation": ChannelRule(same_unless(activation_mixes)),
    "PReLU": ChannelRule(same_channels, cut_last_axis),
    "Softmax": ChannelRule(same_unless(acts_over_channels(_NORMALISES))),
    # Normalisation and scaling.
    "BatchNormalization": ChannelRule(same_unless(normalises_other_axis), cut_last_axis),
    "GroupNormalization": ChannelRule(coupled_in_groups, cut_groups),
    **_each(
        ["LayerNormalization", "RMSNormalization", "UnitNormalization"], same_unless(acts_over_channels(_NORMALISES))
    ),
    "LayerScale": ChannelRule(same_channels, cut_and_count("projection_dim")),  # keras.applications.convnext
    "Normalization": ChannelRule(same_unless(lambda call: "it reads a constant for each channel")),
    "Rescaling": ChannelRule(same_unless(reads_constants("scale", "offset"))),
    # Pooling, resizing and padding.
    **_each(["CenterCrop", "CornerResizing", "Resizing"], same_channels),
    **_each([f"{kind}Pooling{nd}" for kind in ("Average", "Max") for nd in _ND], same_channels),
    **_each([f"Adaptive{kind}Pooling{nd}" for kind in ("Average", "Max") for nd in _ND], same_channels),
    **_each([f"Global{kind}Pooling{nd}" for kind in ("Average", "Max") for nd in _ND], same_channels),
    **_each([f"{kind}{nd}" for kind in ("Cropping", "UpSampling", "ZeroPadding") for nd in _ND], same_channels),
    # Regularisation.
    **_each(["ActivityRegularization", "GaussianNoise", *(f"SpatialDropout{nd}" for nd in _ND)], same_channels),
    **_each(["AlphaDropout", "Dropout", "GaussianDropout"], same_unless(noise_fixes_channels)),
    "StochasticDepth": ChannelRule(same_channels),  # keras.applications.convnext: a dropout of whole images
    # Shapes.
    "Flatten": ChannelRule(reshaped),
    "RepeatVector": ChannelRule(same_channels),
    "Reshape": ChannelRule(reshaped, cut_shape),
    "Permute": ChannelRule(same_unless(permutes_channels(lambda layer: layer.dims))),
}

# Operations of keras.ops. Some share a layer's name, but not its meaning: `Average` is a mean over axes.
OPERATIONS: dict[str, ChannelRule] = {
    # Elementwise functions of one tensor.
    **_each(
        [
            "Abs", "Absolute", "Cast", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Exp2", "Expm1", "Floor", "Gelu",
            "HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log", "Log10", "Log1p", "Log2",
            "LogSigmoid", "Negative", "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign",
            "Silu", "Sin", "SoftShrink", "Softplus", "Softsign", "Sqrt", "Square", "Squareplus", "StopGradient",
            "Tanh", "TanhShrink", "Threshold",
        ],
        same_channels,
    ),
    "Clip": ChannelRule(same_unless(reads_constants("x_min", "x_max"))),
    # Merging.
    **_each(["Add", "Divide", "Maximum", "Minimum", "Multiply", "Power", "Subtract", "TrueDivide"], united),
    **_each(["Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual"], united),
    **_each(["FloorDivide", "LogicalAnd", "LogicalOr", "Logaddexp", "Mod", "Where"], united),
    "LogicalNot": ChannelRule(same_channels),
    "Concatenate": ChannelRule(concatenated),
    **_each(["Einsum", "Matmul"], product_of_two),
    # Reductions and softmax.
    **_each(
        ["Amax", "Amin", "Logsumexp", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var"],
        same_unless(acts_over_channels("it reduces over the channels")),
    ),
    "Softmax": ChannelRule(same_unless(acts_over_channels(_NORMALISES))),
    # Pooling, resizing and padding.
    **_each(["AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "MaxPool", "Resize"], same_channels),
    "Pad": ChannelRule(with_added, cut_padding),
    # Shapes and indexing.
    **_each(["Cumsum", "Flip", "Repeat", "Roll"], same_unless(acts_over_channels("it moves or sums channels"))),
    "ExpandDims": ChannelRule(same_unless(expands_last_axis)),
    "GetItem": ChannelRule(picked, cut_key),
    "Moveaxis": ChannelRule(same_unless(exchanges_channels("source", "destination"))),
    "Reshape": ChannelRule(reshaped, cut_shape),
    "Stack": ChannelRule(stacked),
    "Swapaxes": ChannelRule(same_unless(exchanges_channels("axis1", "axis2"))),
    "DepthToSpace": ChannelRule(to_positions),
    "SpaceToDepth": ChannelRule(from_positions),
    "Split": ChannelRule(taken_apart, cut_borders),
    "Squeeze": ChannelRule(same_unless(acts_over_channels("it may remove the channels' axis"))),
    "Take": ChannelRule(same_unless(acts_over_channels("it picks channels"))),
    "Transpose": ChannelRule(same_unless(permutes_channels(lambda operation: operation.axes))),
}  # fmt: skip
