"""The channels that the descendants of a block keep, in the work folder: block1.kept.json beside block1.npz.

Sparsities that come to the same channels share one descendant, which is trained once. It is the option of the least of
these sparsities; the others are left out of the store, and so is a sparsity that removes no channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from pydantic import ValidationError, model_validator
from typing_extensions import Self

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.cutting.extract import Piece
from legodnn.errors import StoreError
from legodnn.files import write_atomic
from legodnn.schema import Schema, to_json

_ORIGINAL = -1


class KeptChannels(Schema):
    """What the sparsities of a recipe leave of a block.

    Attributes:
        original: how many output channels each layer has that can lose some, by the layer's name.
        kept: the same of each sparsity's descendant.
        same_as: for each sparsity the place of the first one with the same channels, which may be its own; -1 if no
            channel is removed.
    """

    original: dict[str, int]
    kept: tuple[dict[str, int], ...]
    same_as: tuple[int, ...]

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        if len(self.kept) != len(self.same_as) or any(not _ORIGINAL <= s <= i for i, s in enumerate(self.same_as)):
            raise ValueError("kept and same_as do not go together")
        return self

    @property
    def trained(self) -> tuple[int, ...]:
        """The places of the sparsities that have a descendant of their own."""
        return tuple(i for i, same in enumerate(self.same_as) if same == i)

    def by_sparsity(self, sparsities: Sequence[float]) -> dict[float, dict[str, int]]:
        """Return the channels of the original's layers, and those of each sparsity that has a descendant of its own.

        Args:
            sparsities: those of the recipe.
        """
        return {0.0: self.original, **{sparsities[i]: self.kept[i] for i in self.trained}}

    def left_out(self, sparsities: Sequence[float]) -> dict[float, str]:
        """Return why sparsities have no descendant of their own.

        Args:
            sparsities: those of the recipe.
        """
        return {
            sparsities[i]: "it removes no channel"
            if same == _ORIGINAL
            else f"it keeps the same channels as sparsity {sparsities[same]:g}"
            for i, same in enumerate(self.same_as)
            if same != i
        }


def distinct(found: Sequence[tuple[IdArray, keras.Model]]) -> list[tuple[IdArray, keras.Model]]:
    """Return the descendants that lack channels, each once; `found` names one that sparsities share several times."""
    same = _same_as([removed for removed, _ in found])
    return [pair for i, pair in enumerate(found) if same[i] == i]


def _same_as(removed: Sequence[IdArray]) -> tuple[int, ...]:
    sets = [frozenset(ids.tolist()) for ids in removed]
    return tuple(sets.index(ids) if ids else _ORIGINAL for ids in sets)


def write_kept(work: BuildState, piece: Piece, removed: Sequence[IdArray]) -> None:
    """Write down what the sparsities leave of a block.

    Args:
        work: the work folder.
        piece: the block.
        removed: the IDs of the channels that go, for each sparsity of the recipe.
    """
    channels = analyse(piece.model)
    layers = {name: channels.made[name] for group in channels.groups for name in group.makers}

    def left(gone: IdArray) -> dict[str, int]:
        return {name: int((~np.isin(ids, gone)).sum()) for name, ids in layers.items()}

    kept = KeptChannels(original=left(np.empty(0, np.int64)), kept=tuple(map(left, removed)), same_as=_same_as(removed))
    write_atomic(work.path / f"{piece.name}.kept.json", to_json(kept))


def read_kept(work: BuildState, block: str) -> KeptChannels:
    """Return what the sparsities leave of a block whose descendants are in the work folder.

    Raises:
        StoreError: the file is missing or damaged, or of another recipe.
    """
    file = work.path / f"{block}.kept.json"
    try:
        kept = KeptChannels.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        raise StoreError(f"{file} is missing or damaged; remove {work.path} and build again") from None
    if len(kept.kept) != len(work.recipe.sparsities):
        raise StoreError(f"{file} is of another recipe; remove {work.path} and build again")
    return kept
