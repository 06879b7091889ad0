"""The training of a build: what the work folder holds already is read from there, and the rest is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.jobs.job import Workers
from legodnn.blocks.source import BuildSource
from legodnn.blocks.training.divided import train_descendants
from legodnn.blocks.training.joint import train_jointly
from legodnn.blocks.training.original import train_original
from legodnn.blocks.training.scalars import scalars_to
from legodnn.blocks.training.trained_weights import Students, read_joint, read_original, write_joint, write_original
from legodnn.errors import ModelError
from legodnn.progress import Progress, no_progress

log = logging.getLogger("legodnn.blocks")


def train_or_restore_original(
    work: BuildState, source: BuildSource, tensorboard: str | None = None, progress: Progress = no_progress
) -> None:
    """Train the original on the labels, in place, or give it the weights that it was trained to before.

    Args:
        work: the work folder.
        source: the model and the data.
        tensorboard: a folder for logs.
        progress: shows the steps.

    Raises:
        DataError: there are no labels, or they do not fit the outputs.
        ModelError: training diverged.
    """
    if read_original(work, source.model):
        return
    recipe, checkpoint = work.recipe, work.checkpoint("original")
    train_original(
        source.model,
        source.data,
        recipe.train_epochs,
        recipe.batch_size,
        seed=recipe.seed,
        checkpoint=checkpoint,
        log=scalars_to(tensorboard),
        progress=progress,
    )
    write_original(work, source.model)
    checkpoint.discard()


def train_or_restore_descendants(
    work: BuildState,
    source: BuildSource,
    pieces: Sequence[Piece],
    workers: Workers,
    tensorboard: str | None = None,
    progress: Progress = no_progress,
) -> Students:
    """Prune every block and train its descendants: each alone by distillation, then together in random compositions.

    Args:
        work: the work folder.
        source: the data, and how outputs are compared.
        pieces: the segments of the original.
        workers: do the distillation, where they divide work.
        tensorboard: a folder for logs.
        progress: shows the steps.

    Returns:
        The descendants of every block, in the order of the sparsities that have one of their own.

    Raises:
        ModelError: training diverged, or no sparsity removes a channel of any block.
        WorkerError: a worker failed.
    """
    descendants = train_descendants(work, source.model, pieces, source.data, workers, tensorboard, progress)
    if not any(descendants.values()):
        asked = ", ".join(f"{sparsity:g}" for sparsity in work.recipe.sparsities)
        raise ModelError(
            f"sparsities {asked} remove no channel of any block, so there is nothing to train; ask for larger ones, "
            f"remove {work.path} and build again"
        )
    _train_jointly(work, source, pieces, descendants, progress)
    return descendants


def _train_jointly(
    work: BuildState, source: BuildSource, pieces: Sequence[Piece], descendants: Students, progress: Progress
) -> None:
    recipe = work.recipe
    if not recipe.joint_epochs or read_joint(work, descendants):
        return
    checkpoint = work.checkpoint("joint")
    keeps = train_jointly(
        pieces,
        descendants,
        source.data,
        recipe.joint_epochs,
        recipe.batch_size,
        recipe.seed,
        heads=source.heads,
        augment=recipe.augment,
        checkpoint=checkpoint,
        progress=progress,
    )
    if min(keeps) < 1:
        shares = ", ".join(f"{share:g}" for share in keeps)
        log.info(
            f"descendants keep {shares} of what training in compositions changed (the least pruned first): on "
            "validation images that is better than all of it"
        )
    write_joint(work, descendants)
    checkpoint.discard()
