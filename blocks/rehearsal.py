"""The rehearsal of a build: its last stages are tried before anything is trained, on untrained descendants.

So what would fail after hours of training fails before it. Segments are pruned, converted in every precision and
composed, and the manifest is made. An option that cannot be converted is left out of the store, unless it is an
original or in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from legodnn.blocks.cutting.extract import Piece, check_composed, compose_pieces
from legodnn.blocks.export.conversion_job import CONVERSIONS, conversion_job, converted_files
from legodnn.blocks.export.convert import CHECKED_IMAGES, Runner, check_converted, check_convertible, convert
from legodnn.blocks.export.options import evaluation_batch
from legodnn.blocks.export.wanted_options import option_place, wanted_options
from legodnn.blocks.importing.data import by_name
from legodnn.blocks.jobs.job import Job, Workers
from legodnn.blocks.manifest import check_manifest
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.pruning.strategies import check_strategy
from legodnn.blocks.pruning.surgery import check_copy
from legodnn.blocks.source import BuildSource
from legodnn.blocks.training.original import check_labels
from legodnn.blocks.training.variation import varied_inputs
from legodnn.blocks.undivided import check_undivided
from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Recipe

_LEAST_IMAGES = 16  # what rounding comes to differs from image to image


def rehearse(
    recipe: Recipe,
    source: BuildSource,
    pieces: Sequence[Piece],
    workers: Workers,
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Try what a build does after training.

    Args:
        recipe: what is to be built.
        source: the original, and the data, of which a few images are used.
        pieces: the segments of the original.
        workers: convert to int8, which may crash.
        progress: shows the conversions that are done.

    Returns:
        By 'segment/option', why an option cannot be made and is left out of the store.

    Raises:
        ConfigError: inputs are to be varied that are no images.
        ModelError: the model cannot be exported, or a descendant cannot be made or exported to float32.
        DataError: labels do not fit the outputs.
    """
    data, model = source.data, source.model
    if recipe.train_epochs:
        check_labels(model, data)
    varied_inputs(data.train.x[:1], recipe.augment, [0])
    check_composed(model, pieces)
    batch = evaluation_batch(pieces)
    x = data.train.take(np.arange(max(batch, _LEAST_IMAGES)) % len(data.train)).x
    inputs = by_name(x[:], pieces[0].inputs[0])
    tensors = {name: np.asarray(t) for name, t in compose_pieces(pieces, inputs).items()}
    left_out: dict[str, str] = {}
    originals: list[Runner] = []
    wanted = wanted_options(recipe, pieces)
    # Of a block one descendant is tried in every precision; of a fixed segment the original in those it has not yet.
    tried = {
        p.name: list(recipe.precisions) if p.kind == "block" else [precision for _, precision in wanted[p.name][1:]]
        for p in pieces
    }
    count = len(pieces) + sum(map(len, tried.values()))
    with progress("checking", count) as task, workers.team(CONVERSIONS) as team:
        segment_of: dict[str, str] = {}

        def conversions() -> Iterator[Job]:
            """Convert segments and a descendant of every block here, except to int8, for which there is a job."""
            for piece in pieces:
                features = [tensors[name] for name in piece.inputs]
                content = check_convertible(piece)
                some = [v[:CHECKED_IMAGES] for v in features]
                check_converted(content, piece.model, some, f"{piece.name}, the original")
                originals.append(Runner(convert(piece.model, batch)))
                task.step(piece.name)
                smallest = piece.model
                if piece.kind == "block":
                    check_copy(piece.model)
                    smallest = descendant(piece.model, recipe.sparsities[-1])
                    _check_strategy(recipe, piece)
                for precision in tried[piece.name]:
                    if precision == "int8":
                        job = conversion_job(f"{piece.name} to int8", smallest, [1], precision, features)
                        segment_of[job.name] = piece.name
                        yield job
                        continue
                    try:
                        convert(smallest, 1, precision, features)
                    except ModelError as e:
                        if precision == "float32":
                            told = f"{piece.name}, {recipe.sparsities[-1]:g} of its channels removed: {e}"
                            raise ModelError(told) from e
                        leave_out(piece.name, precision, e)
                    task.step(f"{piece.name} {precision}")

        def leave_out(segment: str, precision: Precision, reason: ModelError) -> None:
            for sparsity, of in wanted[segment]:
                if of == precision:
                    left_out[option_place(segment, sparsity, precision)] = str(reason)

        for job, outcome in team.run(conversions()):
            try:
                converted_files(outcome)
            except ModelError as e:
                leave_out(segment_of[job.name], "int8", e)
            task.step(f"{segment_of[job.name]} int8")
    check_undivided(pieces, originals, model, x)
    check_manifest(recipe, source, pieces, left_out)
    return left_out


def _check_strategy(recipe: Recipe, block: Piece) -> None:
    """Check that the strategy can decide on a block; ModelError, which names the block, if it cannot."""
    try:
        check_strategy(recipe.strategy, block.model, Target("sparsity", recipe.sparsities[-1]))
    except ModelError as e:
        raise ModelError(f"{block.name}: {e}") from None
