"""One job of a build: prune and distil the descendants of a few blocks, and write them to the work folder.

A job depends only on the work folder, in which recipe, original and results are found, and on its number. So any
process that sees the folder can run it:

    python -m legodnn.blocks.training.job STORE.work NUMBER

runs job NUMBER of `jobs.json`, and prints a line for every step.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.models import data_and_model
from legodnn.blocks.kept_channels import distinct, write_kept
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.reconstruct import features
from legodnn.blocks.pruning.regimes import Descendant
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.distill import distill
from legodnn.blocks.training.partition import read_jobs
from legodnn.blocks.training.scalars import scalars_to
from legodnn.blocks.training.trained_weights import read_original, write_descendants
from legodnn.blocks.training.tuning import tune_on
from legodnn.errors import LegoError, StoreError
from legodnn.progress import Progress, no_progress

# Images that channels are chosen and weights are refitted on: as many as this, or as have features of one tensor that
# take this much memory.
_FITTED_IMAGES, _FITTED_BYTES = 500, 400_000_000


def run_job(
    work: BuildState,
    number: int,
    blocks: Sequence[str],
    pieces: Sequence[Piece],
    data: Dataset,
    tensorboard: str | None = None,
    progress: Progress = no_progress,
) -> None:
    """Prune and distil the descendants of some blocks, and write them to the work folder.

    Args:
        work: the work folder of the build.
        number: the job's number, which its checkpoint and its log are named after.
        blocks: names of the blocks.
        pieces: the segments of the trained original, in order.
        data: supplies the images.
        tensorboard: a folder for logs; each job writes to a folder of its own in it.
        progress: is told of every step.
    """
    recipe = work.recipe
    pruned: dict[str, list[Descendant]] = {}
    targets = [Target("sparsity", sparsity) for sparsity in recipe.sparsities]
    strategy, fitted = STRATEGIES[recipe.strategy], bool(recipe.joint_epochs)
    for piece, x in features(pieces, data.train.x[: _fitted_images(pieces, len(data.train))]):
        if piece.name in blocks:
            keras.utils.set_random_seed(recipe.seed)  # of dropout: the same however blocks are divided into jobs
            tune = tune_on(piece.model, x, seed=recipe.seed)
            found = descendants(
                piece.model, targets, strategy, x, fitted, tune, round_to=recipe.round_to, seed=recipe.seed
            )
            pruned[piece.name] = distinct(found)
            write_kept(work, piece, [removed for removed, _ in found])
    students = {name: [student for _, student in found] for name, found in pruned.items() if found}
    checkpoint = work.checkpoint(f"job{number}")
    errors = distill(
        pieces,
        students,
        data,
        recipe.distill_epochs,
        recipe.batch_size,
        recipe.learning_rate,
        patience=recipe.patience,
        seed=recipe.seed,
        mixed_precision=recipe.mixed_precision,
        checkpoint=checkpoint,
        log=scalars_to(str(Path(tensorboard) / f"job{number}") if tensorboard else None),
        progress=progress,
    )
    for name, found in pruned.items():
        write_descendants(work, name, found, errors.get(name, []))
    checkpoint.discard()


def _fitted_images(pieces: Sequence[Piece], images: int) -> int:
    """Return how many images channels are chosen and weights are refitted on."""
    largest: int = max(math.prod(t.shape[1:]) for p in pieces for t in (*p.model.inputs, *p.model.outputs))
    return min(images, _FITTED_IMAGES, max(16, _FITTED_BYTES // (4 * largest)))


class _StepLines:
    """Progress for the process that started this program: a line on stdout for every step."""

    def step(self, note: str = "") -> None:
        print("step", flush=True)

    def at(self, done: float, note: str = "") -> None:
        raise NotImplementedError("training counts steps")


@contextmanager
def _step_lines(label: str, total: int, done: int = 0) -> Iterator[_StepLines]:
    print("step\n" * done, end="", flush=True)
    yield _StepLines()


def job_program(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m legodnn.blocks.training.job",
        description="Run one training job of a build, and print a line for every step.",
        epilog="example:\n  python -m legodnn.blocks.training.job stores/mymodel.work 0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("work", type=Path, help="the work folder of the build, STORE.work")
    parser.add_argument("number", type=int, help="the job's place in jobs.json, from 0 on")
    parser.add_argument("tensorboard", nargs="?", help="a folder for logs")
    args = parser.parse_args(arguments)
    try:
        work = BuildState.of(args.work)
        data, model = data_and_model(work.recipe)
        read_original(work, model)
        pieces = extract(model, work.recipe.max_blocks, work.recipe.min_share)
        jobs = read_jobs(work, pieces)
        if not 0 <= args.number < len(jobs):
            raise StoreError(f"{work.path / 'jobs.json'} has jobs 0 to {len(jobs) - 1}, not {args.number}")
        run_job(work, args.number, jobs[args.number], pieces, data, args.tensorboard, _step_lines)
    except LegoError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = job_program()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python's normal exit has been seen to wait for TensorFlow's threads for ever
