"""The evaluation of a build: the exported files are measured in compositions, and the accuracy model is fitted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from legodnn.blocks.accuracy.accuracy_model import Evaluated, measure
from legodnn.blocks.accuracy.kept_measurements import KeptMeasurements
from legodnn.blocks.accuracy.loss_fit import Fit
from legodnn.blocks.accuracy.measurement_report import measurement_report
from legodnn.blocks.accuracy.metrics import Metric
from legodnn.blocks.accuracy.option_chain import OptionChain, Stage
from legodnn.blocks.accuracy.sampling import draw_compositions
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.evaluation_job import evaluate_by, evaluation_work
from legodnn.blocks.export.options import ExportedOptions, uniform_compositions
from legodnn.blocks.importing.source_digest import function_digest
from legodnn.blocks.jobs.job import Workers
from legodnn.blocks.source import BuildSource
from legodnn.blocks.undivided import check_undivided
from legodnn.manifest import AccuracyModel
from legodnn.progress import Progress, no_progress

log = logging.getLogger("legodnn.blocks")

_UNDIVIDED_IMAGES = 256  # validation images on which the composed originals are compared with the undivided model


def evaluate_options(
    work: BuildState,
    source: BuildSource,
    pieces: Sequence[Piece],
    options: ExportedOptions,
    workers: Workers,
    progress: Progress = no_progress,
) -> tuple[AccuracyModel, Fit]:
    """Measure compositions of the exported files, fit the accuracy model to them, and log a table of both.

    Args:
        work: the work folder, where measurements are kept.
        source: the original, and the images and the metric to measure with.
        pieces: the segments.
        options: the exported options of every segment, the original first.
        workers: measure, where they divide work; otherwise this process does.
        progress: shows what is being measured.

    Raises:
        ModelError: the composed originals compute something else than the undivided model.
    """
    recipe = work.recipe
    stages = [Stage(p.inputs, p.outputs, [o.runner for o in options[p.name]]) for p in pieces]
    chain = OptionChain(stages, output_names(pieces))
    originals = [options[p.name][0].runner for p in pieces]
    check_undivided(pieces, originals, source.model, source.val.first(_UNDIVIDED_IMAGES).x)
    known = KeptMeasurements(measurements_file(work, source.metric))
    uniform = uniform_compositions(recipe, [options[p.name] for p in pieces])
    costs = [np.array([o.costs for o in options[p.name]], np.float64) for p in pieces]
    with _measuring(work, source, pieces, options, workers, progress) as evaluated:
        accuracy, fit = measure(
            chain,
            source.val,
            source.described,
            recipe.samples,
            recipe.seed,
            source.metric,
            known,
            uniform.values(),
            costs,
            evaluated,
            progress,
        )
    sample = draw_compositions(chain.sizes, recipe.samples, recipe.seed)
    log.info(measurement_report(uniform, known, sample, accuracy))
    return accuracy, fit


def measurements_file(work: BuildState, metric: Metric) -> Path:
    """Return where measurements by a metric are kept; one of the user's own whose code has changed measures anew.

    Args:
        work: the work folder.
        metric: what measures.
    """
    return work.path / f"evaluated-{function_digest(metric)}.json"


@contextmanager
def _measuring(
    work: BuildState,
    source: BuildSource,
    pieces: Sequence[Piece],
    options: ExportedOptions,
    workers: Workers,
    progress: Progress,
) -> Iterator[Evaluated | None]:
    """Yield what has compositions measured by workers; None if they do not divide work."""
    if not workers.divides:
        yield None
        return
    common = evaluation_work(source, work.recipe.metric, pieces, options, workers.threads)
    with workers.team(common) as team:
        yield lambda compositions, label: evaluate_by(team, workers.at_once, compositions, label, progress)
