"""Compression of a whole model: its channels are pruned to a target, what remains is refitted and fine-tuned.

As in a build, what is finished is kept in a work folder, OUT.work beside the result: the process can be killed at any
moment, and the same call goes on where it was. Ctrl-C during a search ends the search, and the best widths so far are
taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.accuracy.metrics import labels_tell_heads
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.conversion_job import convert_safely
from legodnn.blocks.export.convert import CHECKED_IMAGES, Runner, check_converted, check_convertible, convert
from legodnn.blocks.export.latency import latencies_ms
from legodnn.blocks.export.options import evaluation_batch
from legodnn.blocks.importing.checks import check_shapes, check_weights
from legodnn.blocks.importing.data import input_arrays
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import as_given, in_float32
from legodnn.blocks.importing.source_digest import function_digest, source_digests
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.pruning.allocation import PruningProblem, Target, pose
from legodnn.blocks.pruning.draw_widths import GroupWidth
from legodnn.blocks.pruning.masked import outputs_by_widths
from legodnn.blocks.pruning.reconstruct import refit
from legodnn.blocks.pruning.regimes import Descendant
from legodnn.blocks.pruning.rounding import rounded
from legodnn.blocks.pruning.searches import SEARCHES, searched_widths
from legodnn.blocks.pruning.strategies import descendants, strategy_of
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import Widths
from legodnn.blocks.quantised_source import log_dequantisation
from legodnn.blocks.source import BuildSource, open_source
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.blocks.training.tuning import tune_on
from legodnn.blocks.training.variables import assign
from legodnn.blocks.training.variation import varied_inputs
from legodnn.compression import CompressionRecipe, check_compressed_file
from legodnn.errors import DataError, ModelError, StoreError
from legodnn.files import write_atomic
from legodnn.manifest import Precision
from legodnn.progress import Progress, no_progress

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelFigures:
    """What a model has and takes: latency on one thread of this machine, as a TensorFlow Lite file of `bytes`."""

    metric: float
    macs: int
    parameters: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True)
class Compressed:
    """A compressed model: its widths, and figures of it and of the original.

    Attributes:
        path: the file that was written.
        metric: name of the metric.
        data: what it was measured on.
        groups: the widths.
        before, after: figures of the original in float32 and of the compressed model.
    """

    path: Path
    metric: str
    data: str
    groups: tuple[GroupWidth, ...]
    before: ModelFigures
    after: ModelFigures


def compress(
    recipe: CompressionRecipe,
    path: str | Path,
    precision: Precision = "float32",
    progress: Progress = no_progress,
    allow_chance: bool = False,
) -> Compressed:
    """Prune, refit and fine-tune a model, and write it to a file.

    Args:
        recipe: what is compressed, and to what; its first share counts.
        path: a `.tflite` or a `.keras` file, which must not exist.
        precision: of a `.tflite` file; those of the recipe are of a store.
        progress: shows the steps.
        allow_chance: go on, with a warning, if the original is no better than chance on the validation images.

    Raises:
        StoreError: something is at `path` already, or unfinished work there is of something else.
        TargetError: the target cannot be met.
        ModelError: the model cannot be opened, pruned or exported.
        DataError: the data cannot be used, labels are needed and absent, or the original is at chance level.
    """
    path = Path(path)
    check_compressed_file(path, precision)
    with in_float32():
        source = open_source(recipe, progress)
        source.check(source.rate(), allow_chance)
        log_dequantisation(recipe, source, LocalProcesses(1))
        piece = whole_piece(source.model)
        check_convertible(piece)  # before hours of training
        with BuildState(path, recipe) as work:
            check_begun_with(work, recipe, source)
            student, removed = pruned_model(work, recipe, source, recipe.shares[0], progress)
            batch = evaluation_batch([piece])
            train = source.data.train
            # A file for many images is calibrated on full runs, which few images fill by standing there again.
            rows = np.arange(max(min(recipe.calibration_images, len(train)), batch)) % len(train)
            features = input_arrays(train.x[rows])
            one, many = convert_safely(LocalProcesses(1), student, (1, batch), precision, features)
            files = [convert(source.model), one]
            if precision == "float32":
                check_converted(files[1], student, [x[:CHECKED_IMAGES] for x in features], f"{path}")
            times = latencies_ms(files, [x[:1] for x in features])
            metrics = _metrics(source, student, many if precision != "float32" else None)
            each = zip(metrics, (source.model, student), files, times, strict=True)
            before, after = (ModelFigures(metric, macs(m), m.count_params(), len(f), ms) for metric, m, f, ms in each)
            _write(path, as_given(source.model, student), files[1], work)
            work.remove()
    groups = group_widths(source.model, removed)
    return Compressed(path, source.metric_name, source.described, groups, before, after)


def check_begun_with(work: BuildState, recipe: CompressionRecipe, source: BuildSource) -> None:
    """Refuse a work folder that was begun with another model or other data, or whose widths another metric judged.

    Args:
        work: the work folder.
        recipe: what is compressed. The code of a metric of the user's own counts where it judges widths.
        source: the original and the data.

    Raises:
        StoreError: the folder is of something else, or damaged.
    """
    judges = recipe.judged_by == "labels" and recipe.metric is not None and ":" in recipe.metric
    digests = {"metric": function_digest(source.metric)} if judges else {}
    work.check_source({**source_digests(source.model, source.data), **digests})


def whole_piece(model: keras.Model) -> Piece:
    """Return a whole model as its only segment, a block named `model`."""
    check_shapes(model)
    check_weights(model)
    several = len(model.outputs) > 1
    outputs = tuple(f"model.{i}" if several else "model" for i in range(len(model.outputs)))
    inputs = tuple(str(t.name) for t in model.inputs)
    if {*inputs} & {*outputs}:
        raise ModelError(f"input {inputs[0]!r} has the name of an output; give keras.Input another name")
    names = tuple(layer.name for layer in model.layers)
    return Piece("model", "block", model, inputs, outputs, names, tuple(enumerate(outputs)))


def pruned_model(
    work: BuildState, recipe: CompressionRecipe, source: BuildSource, share: float, progress: Progress = no_progress
) -> tuple[keras.Model, IdArray]:
    """Return the model pruned to a share of its cost, refitted and fine-tuned, and the IDs of the channels that went.

    Args and errors are those of `refitted_model`, whose result is fine-tuned here.
    """
    student, removed, tuned = refitted_model(work, recipe, source, share, progress)
    if not tuned:
        name = _kept_as(recipe, share)
        checkpoint = work.checkpoint(name)
        fine_tune(
            source.model,
            student,
            source.data,
            recipe.distill_epochs,
            recipe.batch_size,
            recipe.learning_rate,
            heads=source.heads,
            labelled=labels_tell_heads(recipe.metric, recipe.reading),
            patience=recipe.patience,
            seed=recipe.seed,
            augment=recipe.augment,
            checkpoint=checkpoint,
            progress=progress,
        )
        work.write(name, {"removed": removed, "weights": student.get_weights(), "tuned": np.array(True)})
        checkpoint.discard()
    return student, removed


def _kept_as(recipe: CompressionRecipe, share: float) -> str:
    """Return the name under which a work folder keeps the model that is pruned to a share."""
    return f"{recipe.measure}{share:g}"


def refitted_model(
    work: BuildState, recipe: CompressionRecipe, source: BuildSource, share: float, progress: Progress = no_progress
) -> tuple[keras.Model, IdArray, bool]:
    """Return the model pruned to a share of its cost and refitted, the channels that went, and whether it is tuned too.

    Args:
        work: the work folder, where it is kept once it is finished, and every step on the way.
        recipe: what is compressed.
        source: the original and the data.
        share: what may be left of the cost.
        progress: shows the steps.

    Raises:
        ConfigError: inputs are to be varied that are no images.
        TargetError: the target cannot be met.
        DataError: labels are needed and absent.
        StoreError: the work folder is damaged.
    """
    model, data = source.model, source.data
    varied_inputs(data.train.x[:1], recipe.augment, [0])  # refuses what fine-tuning could not vary
    name, x = _kept_as(recipe, share), input_arrays(data.train.x[: recipe.searched_images])
    channels = analyse(model)
    saved = work.read(name)
    if saved is None:
        removed, student = _pruned(work, recipe, source, x, share, progress)
        saved = {"removed": removed, "weights": student.get_weights(), "tuned": np.array(False)}
        work.write(name, saved)
    other = f"{work.path / name}.npz is of another model; remove {work.path} and start again"
    try:
        removed, tuned = saved["removed"].astype(np.int64), bool(saved["tuned"])
        if not np.isin(removed, np.arange(channels.count)).all():
            raise LookupError
    except (LookupError, TypeError, ValueError, AttributeError):
        raise StoreError(other) from None
    student = remove(model, channels, removed)
    try:
        assign(student.weights, saved["weights"])
    except (LookupError, TypeError, ValueError, AttributeError):
        raise StoreError(other) from None
    return student, removed, tuned


def group_widths(model: keras.Model, removed: IdArray) -> tuple[GroupWidth, ...]:
    """Return how much of each group of a model's channels stays when these channels go."""
    widths = []
    for group in analyse(model).groups:
        kept = sum(not np.isin(ids, removed).any() for ids in group.coupled)
        widths.append(GroupWidth(tuple(dict.fromkeys(group.makers)), len(group.coupled), kept))
    return tuple(widths)


def _pruned(
    work: BuildState, recipe: CompressionRecipe, source: BuildSource, x: list[Array], share: float, progress: Progress
) -> Descendant:
    """Return the channels that the recipe's strategy removes, and the model without them, not fine-tuned yet."""
    model, target = source.model, Target(recipe.measure, share)
    strategy = strategy_of(recipe.strategy, recipe.seed)
    if recipe.strategy not in SEARCHES:
        tune = tune_on(model, x, seed=recipe.seed)
        (found,) = descendants(model, [target], strategy, x, True, tune, round_to=recipe.round_to, seed=recipe.seed)
        return found
    problem = pose(model, target, strategy.criterion, x, seed=recipe.seed, progress=progress)
    loss = _metric_loss(problem, source) if recipe.judged_by == "labels" else None
    widths = searched_widths(problem, SEARCHES[recipe.strategy], loss, work.path / "measured.json")
    widths = rounded(problem, widths, recipe.round_to)
    removed, student = problem.removed(widths), problem.pruned(widths)
    refit(model, student, problem.channels, removed, x)
    return removed, student


def _metric_loss(problem: PruningProblem, source: BuildSource) -> Callable[[Widths], float]:
    """Return the loss of widths by the metric on the labels of the sample inputs: what is missing to the original's."""
    labels = source.data.train.first(len(problem.x[0])).y
    if labels is None:
        raise DataError(
            f"{source.data.name} has no labels to judge a pruned model by; leave out --judged-by labels: the error of "
            "outputs needs none"
        )
    outputs = outputs_by_widths(problem)
    whole = source.metric(outputs(problem.full), labels)
    return lambda widths: whole - source.metric(outputs(widths), labels)


def _metrics(source: BuildSource, student: keras.Model, file: bytes | None) -> tuple[float, float]:
    """Return the metric of the original and of the compressed model, or of its file, on the validation images."""
    original = outputs_of(source.model, source.val.x)
    labels = original if source.val.y is None else source.val.y
    found = outputs_of(student, source.val.x) if file is None else Runner(file)(*input_arrays(source.val.x[:]))
    return source.metric(original, labels), source.metric(found, labels)


def _write(path: Path, student: keras.Model, content: bytes, work: BuildState) -> None:
    """Write the result; a `.keras` file is saved in the work folder first. StoreError if something is there by now."""
    if path.exists():
        raise StoreError(f"{path} has appeared in the meantime; remove it and run the same command again")
    if path.suffix == ".tflite":
        write_atomic(path, content)
        return
    temporary = work.path / "result.keras"
    student.save(temporary)
    write_atomic(path, temporary.read_bytes())
