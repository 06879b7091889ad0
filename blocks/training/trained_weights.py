"""Results of training in the work folder of a build: weights of the original and of descendants.

original.npz      {"weights": [...]}
block1.npz ...    {"errors": array, "descendants": [{"removed": array, "weights": [...]}, ...], "kept": array}
joint.npz         {"weights": [...]}  of all descendants, block by block
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.kept_channels import KeptChannels, kept_array
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.training.variables import assign, values, weights_of
from legodnn.errors import StoreError

# Descendants by block name.
Students = Mapping[str, Sequence[keras.Model]]


def read_original(work: BuildState, model: keras.Model) -> bool:
    """Give the model the weights that it was trained to in this build; return False if that is not finished.

    Raises:
        StoreError: the file is damaged, or of another model.
    """
    return _read_weights(work, "original", model.weights)


def write_original(work: BuildState, model: keras.Model) -> None:
    """Write the weights of the original once it is trained."""
    work.write("original", {"weights": values(model.weights)})


def read_descendants(work: BuildState, pieces: Sequence[Piece]) -> dict[str, list[keras.Model]]:
    """Return the descendants of all blocks whose training is finished, by block name.

    Raises:
        StoreError: a file is damaged, or of another model.
    """
    found: dict[str, list[keras.Model]] = {}
    for piece in pieces:
        if piece.kind == "block" and (saved := work.read(piece.name)) is not None:
            channels, found[piece.name] = analyse(piece.model), []
            try:
                for descendant in saved["descendants"]:
                    student = remove(piece.model, channels, descendant["removed"])
                    assign(student.weights, descendant["weights"])
                    found[piece.name].append(student)
            except (LookupError, TypeError, ValueError):
                raise _of_another_model(work, piece.name) from None
    return found


def descendants_tree(
    descendants: Sequence[tuple[IdArray, keras.Model]], errors: Sequence[float], kept: KeptChannels
) -> ArrayTree:
    """Return the trained descendants of a block as they are kept in the work folder, under the block's name.

    Args:
        descendants: channel numbers that were removed, and what was left, for each sparsity that has a descendant.
        errors: relative error of each descendant on the validation images.
        kept: what every sparsity leaves of the block.
    """
    saved = [{"removed": removed, "weights": student.get_weights()} for removed, student in descendants]
    return {"errors": np.array(errors), "descendants": saved, "kept": kept_array(kept)}


def read_joint(work: BuildState, descendants: Students) -> bool:
    """Give descendants the weights that training in compositions led to; return False if that is not finished.

    Raises:
        StoreError: the file is damaged, or of another model.
    """
    return _read_weights(work, "joint", weights_of(descendants))


def write_joint(work: BuildState, descendants: Students) -> None:
    """Write the weights of all descendants once they are trained in compositions."""
    work.write("joint", {"weights": values(weights_of(descendants))})


def _read_weights(work: BuildState, name: str, variables: Sequence[Any]) -> bool:
    if (saved := work.read(name)) is None:
        return False
    try:
        assign(variables, saved["weights"])
    except (LookupError, TypeError, ValueError):
        raise _of_another_model(work, name) from None
    return True


def _of_another_model(work: BuildState, name: str) -> StoreError:
    return StoreError(f"{work.path / name}.npz holds the weights of another model; remove {work.path} and build again")
