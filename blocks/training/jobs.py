"""Training divided into jobs: a few blocks each, independent of one another, each a process if wanted.

A job is data: its blocks' names, and the work folder in which recipe, original and results are found. So any process
that sees the folder can run it:

    python -m legodnn.blocks.training.jobs WORK NUMBER

runs job NUMBER of jobs.json and prints a line for every step.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
from pydantic import TypeAdapter, ValidationError

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import calls, macs
from legodnn.blocks.importing.models import data_and_model
from legodnn.blocks.pruning.criteria import CRITERIA
from legodnn.blocks.pruning.prune import remove
from legodnn.blocks.pruning.reconstruct import descendants, features
from legodnn.blocks.training.distill import distill
from legodnn.blocks.training.training import Log, assign, scalars_to, steps_per_epoch
from legodnn.console import ProgressLine
from legodnn.errors import LegoError, ModelError, StoreError
from legodnn.files import write_atomic
from legodnn.processes import start_module
from legodnn.recipe import Recipe

Students = Mapping[str, Sequence[keras.Model]]

# Share of the memory that is free when a build starts that features in training may take.
_MEMORY_SHARE = 0.5
# Images that channels are chosen and weights are refitted on, as far as features of one tensor take this much memory.
_FITTED_IMAGES, _FITTED_BYTES = 500, 400_000_000


def read_students(work: BuildState, pieces: Sequence[Piece]) -> dict[str, list[keras.Model]]:
    """The finished descendants of all blocks that have them."""
    found: dict[str, list[keras.Model]] = {}
    for piece in pieces:
        if piece.kind == "block" and (arrays := work.read(piece.name)):
            channels = analyse(piece.model)
            found[piece.name] = []
            for i in range(len(work.recipe.sparsities)):
                student = remove(piece.model, channels, arrays[f"{i}/removed"])
                student.set_weights([arrays[f"{i}/{k}"] for k in range(len(student.weights))])
                found[piece.name].append(student)
    return found


def divide(pieces: Sequence[Piece], recipe: Recipe, jobs: int, memory_bytes: int) -> list[list[str]]:
    """Blocks shared out among `jobs` jobs of about equal work, or more where the features need more memory.

    Neighbours stay together: a job runs the original only as far as its last block.
    """
    blocks = [p for p in pieces if p.kind == "block"]
    work = np.array([macs(p.model) for p in blocks], float)
    middle = (np.cumsum(work) - work / 2) / work.sum()
    parts: list[list[Piece]] = [[] for _ in range(min(jobs, len(blocks)))]
    for block, position in zip(blocks, middle, strict=True):
        parts[int(position * len(parts))].append(block)
    split: list[list[str]] = []
    for part in parts:
        used = math.inf
        for block in part:
            needed = _feature_bytes(block, recipe)
            used += needed
            if used > memory_bytes:
                split.append([])
                used = needed
            split[-1].append(block.name)
    return split


def read_jobs(work: BuildState, pieces: Sequence[Piece]) -> list[list[str]]:
    """The blocks' names of every job; StoreError if the file is damaged."""
    file = work.path / "jobs.json"
    try:
        jobs = TypeAdapter(list[list[str]]).validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError) as e:
        raise StoreError(f"{file} is damaged ({str(e).splitlines()[0]}); remove {work.path} and build again") from None
    if sorted(name for names in jobs for name in names) != sorted(p.name for p in pieces if p.kind == "block"):
        raise StoreError(f"{file} does not name every block once; remove {work.path} and build again")
    return jobs


def _feature_bytes(piece: Piece, recipe: Recipe) -> float:
    """Features of all descendants of a block, and as many gradients, for one batch."""
    values: int = sum(math.prod(t.shape[1:]) for call in calls(piece.model) for t in call.outputs)
    return 8.0 * recipe.batch_size * values * sum(1 - s for s in recipe.sparsities)


def train_job(
    work: BuildState, pieces: Sequence[Piece], data: Dataset, processes: int, tensorboard: str | None
) -> Students:
    """Distil the descendants of every block, as far as that is not done already.

    Args:
        work: where recipe, original and results lie.
        pieces: the segments of the original.
        data: supplies the images.
        processes: jobs at a time; with one, the job runs in this process.
        tensorboard: a folder for logs.

    Returns:
        Descendants by block.
    """
    file = work.path / "jobs.json"
    if not file.exists():
        share = int(_MEMORY_SHARE * psutil.virtual_memory().available / processes)
        write_atomic(file, json.dumps(divide(pieces, work.recipe, processes, max(1, share))) + "\n")
    jobs = read_jobs(work, pieces)
    done = read_students(work, pieces)
    left = [number for number, names in enumerate(jobs) if not all(name in done for name in names)]
    if not left:
        return done
    if processes == 1 or len(left) < 2:
        for number in left:
            run_jobs(work, number, jobs[number], pieces, data, scalars_to(_log_folder(tensorboard, number)))
    else:
        _run_all(work, left, len(data.train), processes, tensorboard)
    return read_students(work, pieces)


def run_jobs(
    work: BuildState,
    number: int,
    names: Sequence[str],
    pieces: Sequence[Piece],
    data: Dataset,
    log: Log,
    progress: Any = ProgressLine,
) -> None:
    """Distil the descendants of a job's blocks and write them to the work folder."""
    recipe = work.recipe
    pruned = {}
    criterion, fitted = CRITERIA[recipe.criterion], bool(recipe.joint_epochs)
    for piece, x in features(pieces, data.train.x[: _fitted_images(pieces, len(data.train))]):
        if piece.name in names:
            keras.utils.set_random_seed(recipe.seed)  # of dropout: the same however blocks are divided into jobs
            pruned[piece.name] = descendants(piece.model, recipe.sparsities, criterion, x, fitted)
    checkpoint = work.checkpoint(f"job{number}")
    errors = distill(
        pieces,
        {name: [student for _, student in found] for name, found in pruned.items()},
        data,
        recipe.distill_epochs,
        recipe.batch_size,
        recipe.learning_rate,
        patience=recipe.patience,
        seed=recipe.seed,
        mixed_precision=recipe.mixed_precision,
        checkpoint=checkpoint,
        log=log,
        progress=progress,
    )
    for name, found in pruned.items():
        arrays = {"errors": np.array(errors[name])}
        for i, (removed, student) in enumerate(found):
            arrays[f"{i}/removed"] = removed
            arrays.update({f"{i}/{k}": w for k, w in enumerate(student.get_weights())})
        work.write(name, arrays)
    checkpoint.discard()


def _log_folder(tensorboard: str | None, number: int) -> str | None:
    """Each job's own, so that one writer at a time writes to a folder."""
    return str(Path(tensorboard) / f"job{number}") if tensorboard else None


def _fitted_images(pieces: Sequence[Piece], images: int) -> int:
    """How many images channels are chosen and weights are refitted on."""
    largest: int = max(math.prod(t.shape[1:]) for p in pieces for t in (*p.model.inputs, *p.model.outputs))
    return min(images, _FITTED_IMAGES, max(16, _FITTED_BYTES // (4 * largest)))


def _run_all(work: BuildState, numbers: Sequence[int], images: int, processes: int, tensorboard: str | None) -> None:
    """Run jobs in processes of their own, so many at a time; the first that fails ends all."""
    steps = work.recipe.distill_epochs * steps_per_epoch(images, work.recipe.batch_size)
    running: list[subprocess.Popen[str]] = []
    ending = threading.Event()
    label = f"distilling, {processes} jobs at a time"
    with ProgressLine(label, steps * len(numbers)) as progress, ThreadPoolExecutor(processes) as pool:

        def serve(number: int) -> None:
            if ending.is_set():
                return
            process = _start(work, number, processes, tensorboard)
            running.append(process)
            if ending.is_set():
                process.kill()
            assert process.stdout is not None
            for _ in process.stdout:
                progress.step()
            if process.wait():
                ending.set()
                raise _failure(work.path / f"job{number}.log", process.returncode)

        jobs = [pool.submit(serve, number) for number in numbers]
        try:
            for job in as_completed(jobs):
                job.result()
        finally:
            ending.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.kill()


def _failure(log: Path, status: int) -> ModelError:
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    reason = f"killed by signal {-status}" if status < 0 else lines[-1] if lines else f"exit status {status}"
    return ModelError(
        f"a training job failed: {reason}; {log} says more; what is finished is kept, the same command goes on"
    )


def _start(work: BuildState, number: int, processes: int, tensorboard: str | None) -> subprocess.Popen[str]:
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    environment = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
    arguments = (str(work.path), str(number), tensorboard or "")
    with (work.path / f"job{number}.log").open("w") as log:
        return start_module(
            "legodnn.blocks.training.jobs",
            *arguments,
            environment=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


class _Lines:
    """ProgressLine for the process that started this one: a line a step."""

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        self._done = done

    def step(self, note: str = "") -> None:
        print("step", flush=True)

    def __enter__(self) -> _Lines:
        print("step\n" * self._done, end="", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        return


def _main(folder: str, number: str, tensorboard: str = "") -> int:
    work = BuildState.of(Path(folder))
    try:
        data, model = data_and_model(work.recipe, ProgressLine)
        read_original(work, model)
        pieces = extract(model, work.recipe.max_blocks, work.recipe.min_share)
        names = read_jobs(work, pieces)[int(number)]
        run_jobs(work, int(number), names, pieces, data, scalars_to(_log_folder(tensorboard, int(number))), _Lines)
    except LegoError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


def read_original(work: BuildState, model: keras.Model) -> bool:
    """Give the model the weights it was trained to in this build; False if it was not yet."""
    arrays = work.read("original")
    if arrays is None:
        return False
    assign(model.weights, [arrays[str(i)] for i in range(len(model.weights))])
    return True


if __name__ == "__main__":
    status = _main(*sys.argv[1:4])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python's own end has been seen to wait for TensorFlow's threads for ever
