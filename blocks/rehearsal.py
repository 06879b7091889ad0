"""What would fail after hours of training fails before it: everything that a build does at its end, on untrained
descendants and a few images.

Segments are cut, pruned, converted in every precision and composed; the metric rates outputs good and useless; the
manifest is made. What cannot be converted, but is no original, is left out of the store.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.accuracy.compositions import OptionChain, Stage
from legodnn.blocks.cutting.extract import Piece, check_composed, compose_pieces, output_names
from legodnn.blocks.export.convert import Runner, check_converted, check_convertible, convert
from legodnn.blocks.export.isolated_conversion import Apart
from legodnn.blocks.export.options import convert_apart, evaluation_batch, option_name
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.manifest import check_manifest
from legodnn.blocks.pruning.prune import check_copy, descendant
from legodnn.blocks.training.original import check_labels
from legodnn.console import ProgressLine
from legodnn.errors import ModelError
from legodnn.recipe import Recipe

_CHECKED_IMAGES = 4


def rehearse(
    recipe: Recipe, data: Dataset, model: keras.Model, pieces: Sequence[Piece], metric: str, described: str
) -> dict[str, str]:
    """Try what comes after training.

    Args:
        recipe: what is to be built.
        data: a few of its images are used.
        model: the original.
        pieces: its segments.
        metric: the metric's name.
        described: what it will be measured on.

    Returns:
        Why options are left out, by 'segment/option'.

    Raises:
        ModelError: the model cannot be exported, or a descendant cannot be made or exported to float32.
        DataError: labels do not fit the outputs.
    """
    if recipe.train_epochs:
        check_labels(model, data)
    names = output_names(pieces)
    check_composed(model, pieces)
    batch = evaluation_batch(pieces)
    x = data.train.x[np.arange(batch) % len(data.train)]
    tensors = {name: np.asarray(t) for name, t in compose_pieces(pieces, {pieces[0].inputs[0]: x}).items()}
    blocks = [p for p in pieces if p.kind == "block"]
    left_out: dict[str, str] = {}
    stages = []
    with ProgressLine("checking", len(pieces) + len(blocks) * len(recipe.precisions)) as progress, Apart() as apart:
        for piece in pieces:
            features = [tensors[name] for name in piece.inputs]
            content = check_convertible(piece)
            check_converted(
                content, piece.model, [v[:_CHECKED_IMAGES] for v in features], f"{piece.name}, the original"
            )
            stages.append(Stage(piece.inputs, piece.outputs, [Runner(convert(piece.model, batch))]))
            progress.step(piece.name)
        for piece in blocks:
            features = [tensors[name] for name in piece.inputs]
            check_copy(piece.model)
            pruned = descendant(piece.model, recipe.sparsities[-1])
            for precision in recipe.precisions:
                try:
                    convert_apart(apart, pruned, 1, precision, features)
                except ModelError as e:
                    if precision == "float32":
                        raise ModelError(f"{piece.name}, {recipe.sparsities[-1]:g} of its channels removed: {e}") from e
                    sparsities = (0.0, *recipe.sparsities)
                    left_out |= {f"{piece.name}/{option_name(s, precision)}": str(e) for s in sparsities}
                progress.step(f"{piece.name} {precision}")
    check_undivided(OptionChain(stages, names), model, x)
    check_manifest(recipe, data, pieces, metric, described, left_out)
    return left_out


def check_undivided(chain: OptionChain, model: keras.Model, x: NDArray[np.float32]) -> None:
    """Raise ModelError unless the files of the originals, one after another, compute what the model computes."""
    composed = next(chain.walk([(0,) * len(chain.stages)], x))
    for found, whole in zip(composed, outputs_of(model, x), strict=True):
        difference = float(np.abs(found - whole).max() / max(1.0, float(np.abs(whole).max())))
        if not difference < 1e-4:
            raise ModelError(
                f"the composed originals differ from {model.name} by {difference:.2g}; the store was not written"
            )
