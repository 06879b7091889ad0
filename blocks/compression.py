"""Compression of a whole model: its channels are pruned to a target, what remains is refitted and fine-tuned.

As in a build, what is finished is kept in a work folder, OUT.work beside the result: the process can be killed at any
moment, and the same call goes on where it was. Ctrl-C during a search ends the search, and the best widths so far are
taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.compression_stage import check_begun_with, fine_tune_refitted, group_widths, refitted_model
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.conversion_job import convert_safely
from legodnn.blocks.export.convert import CHECKED_IMAGES, Runner, check_converted, check_convertible, convert
from legodnn.blocks.export.latency import latencies_ms
from legodnn.blocks.export.options import evaluation_batch
from legodnn.blocks.importing.checks import check_shapes, check_weights
from legodnn.blocks.importing.data import input_arrays
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.importing.opening import as_given, in_float32
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.pruning.draw_widths import GroupWidth
from legodnn.blocks.quantised_source import log_dequantisation
from legodnn.blocks.source import BuildSource, open_source
from legodnn.compression import CompressionRecipe, check_compressed_file
from legodnn.errors import ModelError, StoreError
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
            pruned = refitted_model(work, recipe, source, recipe.shares[0], progress)
            fine_tune_refitted(work, recipe, source, pruned, progress)
            student = pruned.student
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
    groups = group_widths(source.model, pruned.removed)
    return Compressed(path, source.metric_name, source.described, groups, before, after)


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
