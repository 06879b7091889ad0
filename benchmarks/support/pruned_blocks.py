"""Blocks of VGG16 at half width that have several groups of channels, pruned by L1 and by the default strategy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.reconstruct import batched_outputs, features
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.distill import distill
from legodnn.console import ProgressLine
from legodnn.recipe import Recipe
from support.report import Figures
from support.trained import trained

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

SPARSITIES = (0.5, 0.75)
DEFAULT: str = Recipe.model_fields["strategy"].default


def compared_blocks(folder: Path, data: Dataset, images: int, training_images: int) -> list[Figures]:
    """Return the errors of blocks pruned by `l1` and by default, before and after training: a row for each sparsity.

    Args:
        folder: has the weights in weights/.
        data: CIFAR-10.
        images: that channels are chosen by, and weights refitted to.
        training_images: that all descendants are then distilled on, once, in one pass; 0 for no training.
    """
    model = trained("vgg16_half", folder / "weights")
    pieces, targets = extract(model), [Target("sparsity", s) for s in SPARSITIES]
    students: dict[str, list[keras.Model]] = {}
    for piece, x in features(pieces, data.train.x[:images]):
        if piece.kind == "block" and len(analyse(piece.model).groups) > 1:
            found = [descendants(piece.model, targets, STRATEGIES[name], x) for name in ("l1", DEFAULT)]
            students[piece.name] = [student for of_strategy in found for _, student in of_strategy]

    def errors() -> dict[str, list[float]]:
        found = {}
        for piece, x in features(pieces, data.test.x):
            if piece.name in students:
                wanted = batched_outputs(piece.model, x)
                found[piece.name] = [float(relative_error(batched_outputs(s, x), wanted)) for s in students[piece.name]]
        return found

    before = errors()
    if training_images:
        few = replace(data, train=data.train.first(training_images))
        distill(pieces, students, few, 1, 64, progress=ProgressLine)
    after, count = errors(), len(targets)
    return [
        {
            **{"images": images, "training_images": training_images, "block": name, "sparsity": sparsity},
            **{"macs_share": macs(of[n + count]) / macs(of[n])},
            **{"l1": before[name][n], "default": before[name][n + count]},
            **{"l1_trained": after[name][n], "default_trained": after[name][n + count]},
        }
        for name, of in students.items()
        for n, sparsity in enumerate(SPARSITIES)
    ]
