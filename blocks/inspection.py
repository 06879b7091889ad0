"""Looking at a model before it is built: the blocks that it would be cut into, and what can be removed from each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.post_processing_segment import post_processing_at
from legodnn.console import text_table
from legodnn.savings import small_model

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class InspectedSegment:
    """One segment of a model.

    Attributes:
        name: 'stem', 'block1', 'fixed1', 'head', ...
        kind: 'block' gets descendants, 'fixed' does not.
        layers: number of layers in it.
        params: number of its weights.
        macs: multiply-accumulates for one image.
        reads: names of the tensors it reads.
        outputs: shapes of the tensors it writes, without the batch dimension.
        prunable: the groups of channels that can be removed, each as a line of text; empty for a fixed segment.
        kept_whole: layers whose channels cannot be removed, with the reason.
        fixed_because: of a fixed segment in which there are channels that could be removed, which, and why they stay.
    """

    name: str
    kind: Literal["block", "fixed"]
    layers: int
    params: int
    macs: int
    reads: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...]
    prunable: tuple[str, ...]
    kept_whole: Mapping[str, str]
    fixed_because: str = ""


@dataclass(frozen=True)
class InspectedModel:
    """How a model would be cut. `print` shows a table.

    Attributes:
        name: the model's name.
        segments: its segments in topological order.
        pieces: the same segments as Keras models.
        post_processing: the operators behind them that are run as they are, as one more segment.
    """

    name: str
    segments: tuple[InspectedSegment, ...]
    pieces: tuple[Piece, ...] = field(repr=False, compare=False)
    post_processing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a row for each segment, what the blocks hold in all, and the layers that keep their channels."""
        params, work = (sum(getattr(s, figure) for s in self.segments) for figure in ("params", "macs"))
        rows = [
            (
                s.name,
                s.kind,
                s.layers,
                f"{s.params:,}",
                f"{s.params / max(params, 1):.1%}",
                f"{s.macs:,}",
                f"{s.macs / max(work, 1):.1%}",
                ", ".join("x".join(map(str, shape)) for shape in s.outputs),
                "; ".join(s.prunable),
            )
            for s in self.segments
        ]
        header = ("segment", "kind", "layers", "params", "share", "MACs", "share", "output", "what can be removed")
        blocks = [s for s in self.segments if s.kind == "block"]
        total = (
            f"{len(blocks)} blocks hold {sum(s.params for s in blocks) / max(params, 1):.1%} of {params:,} parameters "
            f"and {sum(s.macs for s in blocks) / max(work, 1):.1%} of {work:,} multiply-accumulates"
        )
        kept = [
            f"{s.name}: {call} keeps its channels: {why}" for s in self.segments for call, why in s.kept_whole.items()
        ]
        fixed = [f"{s.name}: {s.fixed_because}" for s in self.segments if s.fixed_because]
        small = small_model(params, self.name)
        total = f"{total}\n{small}" if small else total
        if self.post_processing:
            total += f"\nbehind them is a segment that runs as it is in the file: {', '.join(self.post_processing)}"
        return "\n".join([text_table(rows, header), "", total, *(["", *fixed, *kept] if fixed or kept else [])])


def inspect(
    model: keras.Model | str | Path,
    max_blocks: int | None = None,
    min_share: float = 0.01,
    cut_at: Sequence[str] = (),
    input_shape: Sequence[int] | None = None,
    custom: Sequence[str] = (),
) -> InspectedModel:
    """Cut a model into segments as a build would, and find what can be removed from each.

    Args:
        model: a Functional or Sequential Keras model, or what `Recipe.model` takes: a file, `module:function`, a name
            in keras.applications, or a model of the built-in zoo.
        max_blocks, min_share: see `legodnn.blocks.cutting.extract.extract`.
        cut_at, input_shape, custom: see `legodnn.blocks.importing.models.open_model`.

    Raises:
        ModelError: the model cannot be opened or cut.
    """
    if isinstance(model, str | Path):
        post = None if cut_at or input_shape else post_processing_at(str(model))
        cut_at = post.cut_at if post else cut_at
        shape = tuple(input_shape) if input_shape else None
        opened = open_model(str(model), cut_at=cut_at, input_shape=shape, custom=custom)
    else:
        opened, post = model, None
    pieces = extract(opened, max_blocks, min_share)
    return InspectedModel(
        opened.name, tuple(_inspected(piece) for piece in pieces), tuple(pieces), post.kinds if post else ()
    )


def _inspected(piece: Piece) -> InspectedSegment:
    channels = analyse(piece.model)
    return InspectedSegment(
        name=piece.name,
        kind=piece.kind,
        layers=len(piece.calls),
        params=piece.model.count_params(),
        macs=macs(piece.model),
        reads=piece.inputs,
        outputs=tuple(tuple(t.shape[1:]) for t in piece.model.outputs),
        prunable=tuple(str(group) for group in channels.groups) if piece.kind == "block" else (),
        kept_whole=channels.reasons,
        fixed_because=_why_fixed(piece, [str(group) for group in channels.groups]),
    )


def _why_fixed(piece: Piece, groups: Sequence[str]) -> str:
    """Return which channels of a fixed segment could be removed, and by which rule of `common_blocks` they stay."""
    if piece.kind == "block" or not groups:
        return ""
    if all(len(t.shape) <= 2 for t in piece.model.outputs):
        rule = "the model's end, from the last tensor with height and width on, holds too few parameters (min_share)"
    else:
        rule = "it holds too little of the model's work to be a block (min_share, --max-blocks)"
    return f"{'; '.join(groups)} could be removed and stay: {rule}"
