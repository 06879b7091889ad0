"""What a model does first with its image: augmenting it, scaling pixels, or resizing images of any size.

A front that scales stays in the model, where it costs next to nothing, and the model gets pixels as they are. Where a
model would take images of any size, resizing is left to whoever reads image files, here and on devices. Augmentation
does nothing in inference, and is dropped where the model is not trained on labels.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import keras
import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.importing.graph import LayerCall, Tensor, calls, on_other_inputs, submodel
from legodnn.blocks.importing.own_layers import is_own

log = logging.getLogger("legodnn.blocks.importing")

# Layers and operations that scale values, add to them, or move them. They are followed from the input on.
_SCALING = frozenset(
    ["Rescaling", "Normalization", "ConstantOperand", "Add", "Subtract", "Multiply", "Divide", "TrueDivide"]
)
_MOVING = frozenset(
    ["Resizing", "CornerResizing", "CenterCrop", "ZeroPadding2D", "Permute", "Transpose", "Reshape", "GetItem", "Flip"]
)
_NOISE = ("GaussianNoise", "GaussianDropout", "Dropout", "SpatialDropout2D", "AlphaDropout")
_IDLE = frozenset(["Identity", "Cast", "ActivityRegularization", *_NOISE])  # in inference
_JOINING = (["Stack"], ["Concatenate"])
_MIXING = ("RandAugment", "AugMix", "CutMix", "MixUp")  # augmentation whose name does not begin with Random
# A model for which values from 0 to 1 become less than this, or less than this share of what it adds, takes pixels.
_FAINT = 1 / 16


def is_augmentation(operation: object) -> bool:
    """Whether a layer of Keras varies images at random in training, and in inference gives them as they are."""
    if isinstance(operation, keras.layers.Pipeline):
        return all(map(is_augmentation, operation.layers))
    kind = type(operation)
    varies = kind.__name__.startswith("Random") or kind.__name__ in _MIXING
    return varies and kind.__module__.startswith("keras.")


def scales_pixels(model: keras.Model, image: Tensor) -> bool:
    """Whether a model begins by scaling pixels from 0 to 255 in one of its inputs.

    That is so if it scales or shifts its input, and values from 0 to 1 would then be almost alike: of a scale of 1/255
    they are, of the mean and the deviation of images from 0 to 1 they are not. What a `Lambda` or a layer of somebody's
    own does is told by trying it: such values would be almost alike in a plain image and in one of noise.

    Args:
        model: a Functional model of one flat graph.
        image: the input.
    """
    first = _front(model, image)
    if not any(call.kind in _SCALING or _is_own(call) for call in first):
        return False
    front = submodel([image], first[-1].outputs, "front")
    images = np.stack([np.zeros(image.shape[1:]), np.ones(image.shape[1:]), _noise(image.shape[1:])])
    black, *faint = keras.ops.convert_to_numpy(front(images.astype(np.float32), training=False))
    return bool(np.abs(np.array(faint) - black).max() < _FAINT * max(1.0, float(np.abs(black).max())))


def _noise(shape: Sequence[int]) -> Floats:
    return np.random.default_rng(0).uniform(size=shape)


def _is_own(call: LayerCall) -> bool:
    """Whether a call is of a `Lambda`, or a layer of somebody's own without weights, that leaves the shape as it is."""
    same = [t.shape for t in call.inputs] == [t.shape for t in call.outputs]
    return same and is_own(call.operation) and not call.operation.weights


def resized_beforehand(model: keras.Model) -> keras.Model:
    """Return a model that takes images of any size, and resizes them first, as one that takes images of that size.

    Any other model is returned as it is. Nested models stay.
    """
    image = model.inputs[0]
    if len(model.inputs) > 1 or len(image.shape) != 4 or None not in image.shape[1:3] or image.shape[3] is None:
        return model
    # What changes the size first: resizing an image that was cropped before cannot be left to others.
    resizing = next(itertools.dropwhile(_keeps_size, _front(model, image)), None)
    if resizing is None or not isinstance(resizing.operation, keras.layers.Resizing):
        return model
    if resizing.operation.crop_to_aspect_ratio or resizing.operation.pad_to_aspect_ratio:
        return model
    height, width = resizing.outputs[0].shape[1:3]
    new = keras.Input((height, width, image.shape[3]), dtype=image.dtype, name=image.name)
    log.info(
        "%s resizes images of any size to %dx%d first: image files are brought to that size before, by averaging",
        *(model.name, height, width),
    )
    return on_other_inputs(model, [new], left_out=resizing.node)


def _keeps_size(call: LayerCall) -> bool:
    """Whether a call of a model's front gives an image of the size that it reads."""
    same = call.outputs[0].shape == call.inputs[0].shape
    return call.kind in _SCALING | _IDLE or (same and is_augmentation(call.operation))


def _front(model: keras.Model, image: Tensor) -> list[LayerCall]:
    """Return the calls that read an input one after another, as long as they only scale or move its values."""
    order, end, found = calls(model), image, list[LayerCall]()
    while not any(t is end for t in model.outputs):
        following = _following(order, end)
        if not following:
            break
        found += following
        end = following[-1].outputs[0]
    return found


def _following(order: Sequence[LayerCall], end: Tensor) -> list[LayerCall]:
    """Return the call that alone reads a tensor, or those that take it apart and the one that joins the parts.

    In this way `preprocess_input` of Keras puts channels in the order blue, green, red.
    """
    readers = _readers(order, [end])
    if len(readers) == 1 and len(readers[0].inputs) == 1:
        first = readers[0]
        known = first.kind in _SCALING | _MOVING | _IDLE or is_augmentation(first.operation) or _is_own(first)
        return readers if known else []
    parts = [call.outputs[0] for call in readers]
    joining = _readers(order, parts)
    if any(call.kind != "GetItem" for call in readers) or [call.kind for call in joining] not in _JOINING:
        return []
    return [*readers, *joining] if all(any(t is part for part in parts) for t in joining[0].inputs) else []


def _readers(order: Sequence[LayerCall], tensors: Sequence[Tensor]) -> list[LayerCall]:
    return [call for call in order if any(t is read for t in call.inputs for read in tensors)]
