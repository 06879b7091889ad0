"""The training of descendants in jobs: one after another in this process, or several at a time by workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.jobs.job import Job, Workers
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.job import train_blocks, training_work
from legodnn.blocks.training.partition import features_share, jobs_of
from legodnn.blocks.training.scalars import Log, scalars_to
from legodnn.blocks.training.trained_weights import Students, read_descendants
from legodnn.errors import LegoError
from legodnn.progress import Progress, no_progress


def train_descendants(
    work: BuildState,
    model: keras.Model,
    pieces: Sequence[Piece],
    data: Dataset,
    workers: Workers,
    tensorboard: str | None = None,
    progress: Progress = no_progress,
) -> Students:
    """Prune and distil the descendants of every block that are not in the work folder yet.

    Args:
        work: the work folder, with the recipe and earlier results.
        model: the trained original.
        pieces: its segments, in order.
        data: supplies the images.
        workers: do the jobs, where they divide work; otherwise this process does.
        tensorboard: a folder for logs; each job writes to a folder of its own in it.
        progress: is told of every step.

    Returns:
        The descendants of every block, by block name.

    Raises:
        ModelError: training diverged.
        WorkerError: a worker failed.
        StoreError: a file in the work folder is damaged.
    """
    recipe = work.recipe
    jobs = jobs_of(work, pieces, workers)
    done = read_descendants(work, pieces)
    left = [number for number, blocks in enumerate(jobs) if not all(name in done for name in blocks)]
    if not left:
        return done
    if not workers.divides:
        for number in left:
            checkpoint, log = work.checkpoint(f"job{number}"), _log_of(number, tensorboard)
            _keep(work, number, train_blocks(recipe, jobs[number], pieces, data, checkpoint, log, progress))
        return read_descendants(work, pieces)
    steps = recipe.distill_epochs * Batches(len(data.train), recipe.batch_size, recipe.seed).per_epoch
    numbers = {f"training of {', '.join(jobs[number])}": number for number in left}
    asked = [
        Job(name, {"blocks": json.dumps(jobs[n])}, work.checkpoint(f"job{n}"), _log_of(n, tensorboard))
        for name, n in numbers.items()
    ]
    common = training_work(recipe, model, pieces, data, features_share(workers))
    label = f"distilling, {min(workers.at_once, len(left))} jobs at a time"
    with workers.team(common) as team, progress(label, steps * len(left)) as task:
        for job, outcome in team.run(asked, task):
            if isinstance(outcome, LegoError):
                told = f"a training job failed: {outcome}; what is finished is kept, the same command goes on"
                raise type(outcome)(told) from None
            _keep(work, numbers[job.name], outcome)
    return read_descendants(work, pieces)


def _keep(work: BuildState, number: int, trained: Mapping[str, Any]) -> None:
    """Write the descendants that a job has trained, after which its checkpoint is not needed."""
    for name, tree in trained.items():
        work.write(name, tree)
    work.checkpoint(f"job{number}").discard()


def _log_of(number: int, tensorboard: str | None) -> Log:
    return scalars_to(str(Path(tensorboard) / f"job{number}") if tensorboard else None)
