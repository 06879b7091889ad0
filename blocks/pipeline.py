"""The offline stage from a recipe to a store, as a sequence of stages that each take and return values.

What is finished is kept in a work folder (`build_state`), so the process can be killed at any moment: the same call
then goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.estimate import build_seconds, seconds_per_image
from legodnn.blocks.evaluation_stage import evaluate_options
from legodnn.blocks.export.options import export_options
from legodnn.blocks.importing.opening import in_float32
from legodnn.blocks.importing.source_digest import source_digests
from legodnn.blocks.jobs.workers import workers_of
from legodnn.blocks.kept_channels import read_kept
from legodnn.blocks.manifest import store_manifest
from legodnn.blocks.post_processing_segment import check_reads, cut_before, with_post_processing
from legodnn.blocks.quantised_source import log_dequantisation
from legodnn.blocks.rehearsal import rehearse
from legodnn.blocks.source import BuildSource, open_source
from legodnn.blocks.training.optimizer import check_mixed_precision
from legodnn.blocks.training.side_by_side import run_side_by_side
from legodnn.blocks.training_stage import train_or_restore_descendants, train_or_restore_original
from legodnn.errors import StoreError, WriteError
from legodnn.files import new_folder, write_atomic
from legodnn.manifest import MANIFEST, Manifest
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Recipe
from legodnn.schema import to_json
from legodnn.store import Store, check_new_store
from legodnn.units import duration

log = logging.getLogger("legodnn.blocks")


def build(
    recipe: Recipe,
    path: str | Path,
    jobs: int | None = None,
    tensorboard: str | None = None,
    allow_chance: bool = False,
    cluster: str | None = None,
    progress: Progress = no_progress,
) -> Store:
    """Train, cut, prune, distil, quantise and export one model.

    Args:
        recipe: what to build.
        path: the store's folder; it must not exist, and appears complete at the end or not at all. Until then finished
            work is kept in NAME.work beside it; if this process dies, the same call goes on from there.
        jobs: jobs that are done at a time: by so many processes of this machine (default: 1, which is this process), or
            by the cluster (default: as many as it has machines). The store is the same but for the last bits of its
            weights, because sums depend on the number of threads that each job gets.
        tensorboard: a folder for logs of training.
        allow_chance: go on, with a warning, if the original is no better than chance on the validation images.
        cluster: the address of a Ray cluster whose machines do the jobs, HOST:PORT, or 'auto' for the one that this
            machine is part of; see docs/cluster.md. None stands for this machine alone.
        progress: shows the progress of each stage; by default nothing is shown. Notes go to the logger
            `legodnn.blocks`.

    Returns:
        The store.

    Raises:
        ConfigError: mixed precision is wanted where it would be slower, the number of jobs makes no sense, or Keras
            runs on another backend than TensorFlow.
        StoreError: something is at `path` already, or another build is under way or unfinished there.
        WriteError: files cannot be written.
        ModelError: the model cannot be cut, pruned or exported.
        DataError: the data cannot be used, the metric cannot tell good outputs from bad ones, or the original is at
            chance level.
        WorkerError: the cluster cannot be reached or used, or a job's process or machine ended again and again.
        DependencyError: a package that is needed is not installed.
    """
    path = Path(path)
    check_new_store(path)
    run_side_by_side()
    if recipe.mixed_precision:
        check_mixed_precision()
    with workers_of(jobs, cluster) as workers, in_float32():
        opened, post = cut_before(recipe)
        source = open_source(opened, progress)
        check_reads(post, source.model)
        pieces = extract(source.model, recipe.max_blocks, recipe.min_share)
        with _resumable(path):
            left_out = rehearse(recipe, source, pieces, workers, progress)
            rating = source.rate()
            if not recipe.train_epochs:
                source.check(rating, allow_chance)
                log_dequantisation(opened, source, workers)
            with BuildState(path, recipe) as work:
                work.check_source(source_digests(source.model, source.data))
                left_out = work.left_out(left_out)
                if recipe.train_epochs:
                    train_or_restore_original(work, source, tensorboard, progress)
                    source.check(source.rate(), allow_chance)
                log_left_out(left_out)
                if work.fresh:
                    _log_estimate(recipe, source, pieces)
                descendants = train_or_restore_descendants(work, source, pieces, workers, tensorboard, progress)
                kept = {p.name: read_kept(work, p.name) for p in pieces if p.kind == "block"}
                options, found = export_options(
                    work, source.data, pieces, descendants, kept, left_out, workers, progress
                )
                work.leave_out(found)
                log_left_out({place: reason for place, reason in found.items() if place not in left_out})
                accuracy, fit = evaluate_options(work, source, pieces, options, workers, progress)
                manifest = store_manifest(recipe, source, pieces, options, accuracy, fit, found, kept)
                manifest = with_post_processing(manifest, post, work.path / "files")
                write_store(path, work, manifest)
                work.remove()
    return Store(path)


def write_store(path: Path, work: BuildState, manifest: Manifest) -> None:
    """Write the manifest and the files that it names to a new folder; StoreError if something is there by now."""
    try:
        with new_folder(path) as folder:
            for segment in manifest.segments:
                for option in segment.options:
                    write_atomic(folder / option.file, (work.path / "files" / option.file).read_bytes())
            write_atomic(folder / MANIFEST, to_json(manifest))
    except FileExistsError:
        raise StoreError(f"{path} has appeared in the meantime; remove it and run the same command again") from None


@contextmanager
def _resumable(path: Path) -> Iterator[None]:
    """Raise what cannot be written as a WriteError that says how to go on."""
    try:
        yield
    except (OSError, WriteError) as e:
        told = f"cannot write {e.filename or path}: {e.strerror or e}" if isinstance(e, OSError) else str(e)
        raise WriteError(f"{told}, and run the same command again: it goes on where it was") from e


def log_left_out(left_out: Mapping[str, str]) -> None:
    """Log a line for each block and reason, naming the options that are left out."""
    together: dict[tuple[str, str], list[str]] = {}
    for place, reason in left_out.items():
        block, _, option = place.partition("/")
        together.setdefault((block, reason), []).append(option)
    for (block, reason), options in together.items():
        log.info(f"{block}: left out {', '.join(options)}: {reason}")


def _log_estimate(recipe: Recipe, source: BuildSource, pieces: Sequence[Piece]) -> None:
    image_s = seconds_per_image(source.model, source.data.train.x, recipe.batch_size)
    total = build_seconds(recipe, pieces, len(source.data.train), len(source.val), image_s)
    log.info(f"the build takes about {duration(total)} from here, less where blocks learn fast")
