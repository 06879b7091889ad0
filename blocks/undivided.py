"""Whether the exported originals, run one after another, are the model that was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from legodnn.arrays import Array
from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.accuracy.option_chain import OptionChain, Stage
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.export.convert import Runner
from legodnn.blocks.importing.data import ModelInputs
from legodnn.blocks.importing.difference import beyond_rounding
from legodnn.errors import ModelError

if TYPE_CHECKING:
    import keras


def check_undivided(pieces: Sequence[Piece], originals: Sequence[Runner], model: keras.Model, x: ModelInputs) -> None:
    """Compare the files of the originals, run one after another, with the undivided model.

    Args:
        pieces: the segments.
        originals: run the `.tflite` file of each segment's original.
        model: the undivided model.
        x: inputs of the model.

    Raises:
        ModelError: the outputs differ by more than rounding.
    """

    def composed(runners: Sequence[Runner]) -> list[Array]:
        stages = [Stage(p.inputs, p.outputs, [runner]) for p, runner in zip(pieces, runners, strict=True)]
        return next(OptionChain(stages, output_names(pieces)).walk([(0,) * len(stages)], x[:]))

    difference = beyond_rounding(
        composed(originals), outputs_of(model, x), lambda: composed([runner.plainly() for runner in originals])
    )
    if difference is not None:
        raise ModelError(
            f"the composed originals differ from {model.name} by {difference:.2g}; the store was not written"
        )
