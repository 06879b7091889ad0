"""Running the jobs of a build: one after another in this process, or several at a time in processes of their own."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.job import run_job
from legodnn.blocks.training.partition import jobs_of
from legodnn.blocks.training.trained_weights import Students, read_descendants
from legodnn.errors import ModelError
from legodnn.processes import start_module
from legodnn.progress import Progress, no_progress


def train_descendants(
    work: BuildState,
    pieces: Sequence[Piece],
    data: Dataset,
    processes: int,
    tensorboard: str | None = None,
    progress: Progress = no_progress,
) -> Students:
    """Prune and distil the descendants of every block that are not in the work folder yet.

    Args:
        work: the work folder, with the recipe, the original and earlier results.
        pieces: the segments of the original, in order.
        data: supplies the images.
        processes: jobs at a time. With one, jobs run in this process.
        tensorboard: a folder for logs.
        progress: is told of every step.

    Returns:
        The descendants of every block, by block name.

    Raises:
        ModelError: training diverged, or a process failed.
        StoreError: a file in the work folder is damaged.
    """
    jobs = jobs_of(work, pieces, processes)
    done = read_descendants(work, pieces)
    left = [number for number, blocks in enumerate(jobs) if not all(name in done for name in blocks)]
    if not left:
        return done
    if processes == 1 or len(left) < 2:
        for number in left:
            run_job(work, number, jobs[number], pieces, data, tensorboard, progress)
    else:
        _run_all(work, left, len(data.train), processes, tensorboard, progress)
    return read_descendants(work, pieces)


def _run_all(
    work: BuildState, numbers: Sequence[int], images: int, processes: int, tensorboard: str | None, progress: Progress
) -> None:
    """Run jobs in processes of their own, at most `processes` at a time; the first that fails ends all."""
    steps = work.recipe.distill_epochs * Batches(images, work.recipe.batch_size, work.recipe.seed).per_epoch
    running: list[subprocess.Popen[str]] = []
    ending = threading.Event()
    label = f"distilling, {processes} jobs at a time"
    with progress(label, steps * len(numbers)) as task, ThreadPoolExecutor(processes) as pool:

        def serve(number: int) -> None:
            """Run one job from its start to its end, and count its steps."""
            if ending.is_set():
                return
            process = _start(work, number, processes, tensorboard)
            running.append(process)
            if ending.is_set():
                process.kill()
            assert process.stdout is not None
            for _ in process.stdout:
                task.step()
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
    """Return the error for a job that ended with this status, with the last line of its log as the reason."""
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    reason = f"killed by signal {-status}" if status < 0 else lines[-1] if lines else f"exit status {status}"
    return ModelError(
        f"a training job failed: {reason}; {log} says more; what is finished is kept, the same command goes on"
    )


def _start(work: BuildState, number: int, processes: int, tensorboard: str | None) -> subprocess.Popen[str]:
    """Start a job; its steps come on stdout, everything else goes to its log in the work folder."""
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    environment = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
    arguments = (str(work.path), str(number), tensorboard or "")
    with (work.path / f"job{number}.log").open("w") as log:
        return start_module(
            "legodnn.blocks.training.job",
            *arguments,
            environment=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
