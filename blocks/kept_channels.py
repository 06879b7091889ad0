"""The channels that the descendants of a block keep, as the work folder has it beside their weights.

Sparsities that come to the same channels share one descendant, which is trained once. It is the option of the least of
these sparsities; the others are left out of the store, and so is a sparsity that removes no channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator
from typing_extensions import Self

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.cutting.extract import Piece
from legodnn.errors import StoreError
from legodnn.schema import Schema, to_json

if TYPE_CHECKING:
    import keras

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


def kept_channels(piece: Piece, removed: Sequence[IdArray]) -> KeptChannels:
    """Return what sparsities leave of a block.

    Args:
        piece: the block.
        removed: the IDs of the channels that go, for each sparsity of the recipe.
    """
    channels = analyse(piece.model)
    layers = {name: channels.made[name] for group in channels.groups for name in group.makers}

    def left(gone: IdArray) -> dict[str, int]:
        return {name: int((~np.isin(ids, gone)).sum()) for name, ids in layers.items()}

    return KeptChannels(original=left(np.empty(0, np.int64)), kept=tuple(map(left, removed)), same_as=_same_as(removed))


def kept_array(kept: KeptChannels) -> NDArray[np.uint8]:
    """Return it as the work folder keeps it beside a block's weights: the bytes of its JSON."""
    return np.frombuffer(to_json(kept).encode(), np.uint8)


def read_kept(work: BuildState, block: str) -> KeptChannels:
    """Return what the sparsities leave of a block whose descendants are in the work folder (`trained_weights`).

    Raises:
        StoreError: the file is missing or damaged, or of another recipe.
    """
    place = work.path / f"{block}.npz"
    saved = work.read(block) or {}
    try:
        kept = KeptChannels.model_validate_json(bytes(saved["kept"]))
    except (LookupError, TypeError, ValidationError):
        raise StoreError(f"{place} does not say which channels are kept; remove {work.path} and build again") from None
    if len(kept.kept) != len(work.recipe.sparsities):
        raise StoreError(f"{place} is of another recipe; remove {work.path} and build again")
    return kept
