"""What a model does first with its image: if it scales pixels by itself, devices feed it pixels as they are.

Such a front stays in the model, where it costs next to nothing; what follows from it is how pixels become the input.
"""

from __future__ import annotations

import keras
import numpy as np

from legodnn.blocks.importing.graph import calls, submodel

# Layers and operations that scale values, add to them, or move them. They are followed from the input on.
_SCALING = frozenset(
    ["Rescaling", "Normalization", "ConstantOperand", "Add", "Subtract", "Multiply", "Divide", "TrueDivide"]
)
_MOVING = frozenset(
    ["Identity", "Cast", "Resizing", "CornerResizing", "CenterCrop", "ZeroPadding2D", "Permute", "Reshape"]
)
# Values from 0 to 1 are not what a model takes that shrinks them to less than this, or adds this many times as much.
_FAINT = 1 / 16


def scales_pixels(model: keras.Model) -> bool:
    """Whether a model of one image begins by scaling pixels from 0 to 255.

    That is so if it scales or shifts its input, and values from 0 to 1 would then be almost alike: of a scale of 1/255
    they are, of the mean and the deviation of images from 0 to 1 they are not.

    Args:
        model: a Functional model of one flat graph.
    """
    (image,) = model.inputs
    order, end, scaled = calls(model), image, False
    while True:
        readers = [call for call in order if any(t is end for t in call.inputs)]
        moves = len(readers) == 1 and (readers[0].kind in _MOVING or readers[0].kind.startswith("Random"))
        scales = len(readers) == 1 and readers[0].kind in _SCALING and len(readers[0].inputs) == 1
        if not (moves or scales) or any(t is end for t in model.outputs):
            break
        end, scaled = readers[0].outputs[0], scaled or scales
    if not scaled:
        return False
    front = submodel([image], [end], "front")
    black, faint = (
        keras.ops.convert_to_numpy(front(np.full((1, *image.shape[1:]), value, np.float32), training=False))
        for value in (0, 1)
    )
    return bool(np.abs(faint - black).max() < _FAINT * max(1.0, float(np.abs(black).max())))
