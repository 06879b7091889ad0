"""A network put together from its segments, some of them pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from legodnn.blocks.cutting.extract import Piece, compose_pieces
from legodnn.blocks.importing.opening import functional

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)


def composed(pieces: Sequence[Piece], variants: Mapping[str, keras.Model], name: str | None = None) -> keras.Model:
    """Return one model of a variant of each segment, which shares their weights.

    Args:
        pieces: the segments of a network with one input and one output, in order.
        variants: models by segment; others run the segment's own.
        name: the model's name.
    """
    inputs = keras.Input(pieces[0].model.inputs[0].shape[1:], name="image")
    tensors = compose_pieces(pieces, {pieces[0].inputs[0]: inputs}, variants)
    return functional(keras.Model(inputs, tensors[pieces[-1].outputs[0]], name=name))
