"""Which options segments should have by a recipe, and how these are called."""

from __future__ import annotations

from collections.abc import Sequence

from legodnn.blocks.cutting.common_blocks import is_large
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.macs import macs
from legodnn.manifest import Precision
from legodnn.recipe import Recipe


def option_name(sparsity: float, precision: Precision) -> str:
    """Return the name of an option.

    >>> option_name(0.4, "float32"), option_name(0.4, "int8")
    ('s0.4', 's0.4-int8')
    """
    return f"s{sparsity:g}" + ("" if precision == "float32" else f"-{precision}")


def wanted_options(recipe: Recipe, pieces: Sequence[Piece]) -> dict[str, list[tuple[float, Precision]]]:
    """Return sparsity and precision of every option that segments should have by the recipe, the original first.

    A fixed segment keeps its channels. One that holds much of the model, such as a classifier of a thousand classes,
    is exported in every precision all the same; for a small one that would not be worth a choice.
    """
    sizes = [(p.model.count_params(), macs(p.model)) for p in pieces]
    whole = sum(params for params, _ in sizes), sum(work for _, work in sizes)
    found = {}
    for piece, size in zip(pieces, sizes, strict=True):
        block = piece.kind == "block"
        sparsities = (0.0, *recipe.sparsities) if block else (0.0,)
        precisions = recipe.precisions if block or is_large(size, whole) else recipe.precisions[:1]
        found[piece.name] = [(sparsity, precision) for precision in precisions for sparsity in sparsities]
    return found


def option_place(segment: str, sparsity: float, precision: Precision) -> str:
    """Return what tells an option from those of all segments: 'segment/option'."""
    return f"{segment}/{option_name(sparsity, precision)}"


def option_file(segment: str, option: str) -> str:
    """Return the path of an option's file, relative to the store's folder."""
    return f"{segment}/{option}.tflite"
