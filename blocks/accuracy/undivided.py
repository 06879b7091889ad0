"""Whether the exported originals, run one after another, are the model that was cut."""

from __future__ import annotations

import keras

from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.accuracy.option_chain import OptionChain
from legodnn.blocks.importing.data import ModelInputs
from legodnn.blocks.importing.difference import largest_difference
from legodnn.errors import ModelError


def check_undivided(chain: OptionChain, model: keras.Model, x: ModelInputs) -> None:
    """Compare the files of the originals, run one after another, with the undivided model.

    Args:
        chain: the segments, whose first options are the originals.
        model: the undivided model.
        x: inputs of the model.

    Raises:
        ModelError: the outputs differ.
    """
    composed = next(chain.walk([(0,) * len(chain.stages)], x[:]))
    for found, whole in zip(composed, outputs_of(model, x), strict=True):
        difference = largest_difference(found, whole)
        if not difference < 1e-4:
            raise ModelError(
                f"the composed originals differ from {model.name} by {difference:.2g}; the store was not written"
            )
