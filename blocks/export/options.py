"""The options of every segment: their names, and their files, which are converted, checked and described."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.convert import CHECKED_IMAGES, Runner, check_converted, convert
from legodnn.blocks.export.isolated_conversion import IsolatedConverter
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import calls, macs
from legodnn.blocks.kept_channels import read_kept
from legodnn.errors import ModelError
from legodnn.files import sha256_bytes, write_atomic
from legodnn.manifest import Option, Precision
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Recipe

# Compositions are evaluated with second files of the same options, which run several images at a time. All of them stay
# loaded, and each holds a few of its largest tensors, so the number of images is limited by the size of such a tensor.
_MOST_IMAGES, _TENSOR_BYTES = 32, 8_000_000


@dataclass(frozen=True, eq=False)
class Exported:
    """One option of one segment that has been exported.

    Attributes:
        sparsity, precision: which option it is.
        params: number of its weights.
        macs: multiply-accumulates for one image.
        file: its `.tflite` file in the work folder.
        runner: computes its outputs for many images.
    """

    sparsity: float
    precision: Precision
    params: int
    macs: int
    file: Path
    runner: Runner

    @property
    def name(self) -> str:
        """The option's name, unique in its segment."""
        return option_name(self.sparsity, self.precision)

    @property
    def costs(self) -> tuple[float, float]:
        """The size of the file in bytes, and the work in float32 multiply-accumulates, of which int8 takes half."""
        return float(self.file.stat().st_size), self.macs / (2 if self.precision == "int8" else 1)

    def described(self, segment: str, loss: float) -> Option:
        """Return the option as an entry of the manifest, for this segment and with this loss of accuracy."""
        content = self.file.read_bytes()
        return Option(
            name=self.name,
            sparsity=self.sparsity,
            precision=self.precision,
            file=option_file(segment, self.name),
            sha256=sha256_bytes(content),
            bytes=len(content),
            params=self.params,
            macs=self.macs,
            loss=loss,
        )


ExportedOptions = Mapping[str, Sequence[Exported]]  # by segment, the original first


def option_name(sparsity: float, precision: Precision) -> str:
    """Return the name of an option.

    >>> option_name(0.4, "float32"), option_name(0.4, "int8")
    ('s0.4', 's0.4-int8')
    """
    return f"s{sparsity:g}" + ("" if precision == "float32" else f"-{precision}")


def wanted_options(recipe: Recipe, piece: Piece) -> list[tuple[float, Precision]]:
    """Return sparsity and precision of every option that a segment should have by the recipe, the original first."""
    if piece.kind == "fixed":
        return [(0.0, "float32")]
    return [(sparsity, precision) for precision in recipe.precisions for sparsity in (0.0, *recipe.sparsities)]


def option_file(segment: str, option: str) -> str:
    """Return the path of an option's file, relative to the store's folder."""
    return f"{segment}/{option}.tflite"


def export_options(
    work: BuildState,
    data: Dataset,
    pieces: Sequence[Piece],
    descendants: Mapping[str, Sequence[keras.Model]],
    left_out: Mapping[str, str],
    progress: Progress = no_progress,
) -> tuple[dict[str, list[Exported]], dict[str, str]]:
    """Convert every option of every segment; float32 files are compared with their Keras models on real features.

    Args:
        work: the work folder, which files are written to; files that are there already are taken.
        data: supplies the images.
        pieces: the segments.
        descendants: of every block, in the order of the sparsities that have one of their own.
        left_out: options that are not tried, with the reason, by 'segment/option'.
        progress: shows the options that are done.

    Returns:
        The options of every segment, the original first; and `left_out` together with the options that are the same as
        others, and those that turned out not to be convertible.

    Raises:
        ModelError: an original cannot be converted to float32.
    """
    recipe, left_out = work.recipe, dict(left_out)
    exported: dict[str, list[Exported]] = {}
    batch = evaluation_batch(pieces)
    calibration = np.arange(max(min(recipe.calibration_images, len(data.train)), batch)) % len(data.train)
    tensors = {pieces[0].inputs[0]: data.train.x[calibration]}
    count = sum(len(wanted_options(recipe, p)) for p in pieces)
    with progress("exporting", count) as task, IsolatedConverter() as isolated:
        for piece in pieces:
            features = [tensors[name] for name in piece.inputs]
            models = {0.0: piece.model}
            if piece.kind == "block":
                kept = read_kept(work, piece.name)
                trained = [recipe.sparsities[i] for i in kept.trained]
                models |= zip(trained, descendants[piece.name], strict=True)
                for sparsity, reason in kept.left_out(recipe.sparsities).items():
                    names = (option_name(sparsity, precision) for precision in recipe.precisions)
                    left_out |= {f"{piece.name}/{name}": reason for name in names}
            exported[piece.name] = []
            for sparsity, precision in wanted_options(recipe, piece):
                name = option_name(sparsity, precision)
                task.step(f"{piece.name} {name}")
                if f"{piece.name}/{name}" in left_out:
                    continue
                try:
                    option = _exported(work, isolated, piece, models[sparsity], sparsity, precision, features, batch)
                    exported[piece.name].append(option)
                except ModelError as e:
                    if name == option_name(0.0, "float32"):
                        raise
                    left_out[f"{piece.name}/{name}"] = str(e)
            outputs = exported[piece.name][0].runner(*features)
            tensors.update(zip(piece.outputs, outputs, strict=True))
    return exported, left_out


def evaluation_batch(pieces: Sequence[Piece]) -> int:
    """Return how many images at a time compositions are evaluated on."""
    tensors = (t for piece in pieces for call in calls(piece.model) for t in call.outputs)
    largest = max(4 * int(math.prod(t.shape[1:])) for t in tensors)
    return max(1, min(_MOST_IMAGES, _TENSOR_BYTES // largest))


def convert_safely(
    isolated: IsolatedConverter, model: keras.Model, batch: int, precision: Precision, features: Sequence[np.ndarray]
) -> bytes:
    """Return the content of a model's file; int8 files, whose conversion may crash, are converted in another process.

    Args:
        isolated: converts in another process.
        model, batch, precision: see `export.convert.convert`.
        features: the model's inputs to calibrate int8 on.

    Raises:
        ModelError: the model cannot be converted.
    """
    if precision == "int8":
        return isolated.convert(model, batch, precision, features)
    return convert(model, batch, precision, features)


def _exported(
    work: BuildState,
    isolated: IsolatedConverter,
    piece: Piece,
    model: keras.Model,
    sparsity: float,
    precision: Precision,
    features: Sequence[np.ndarray],
    batch: int,
) -> Exported:
    """Return one option, of the files in the work folder; they are made if they are not there."""
    name = option_name(sparsity, precision)
    files = [work.path / "files" / piece.name / f"{name}{suffix}.tflite" for suffix in ("", ".many")]
    for file, images in zip(files, (1, batch), strict=True):
        if not file.exists():
            content = convert_safely(isolated, model, images, precision, features)
            if precision == "float32" and file == files[0]:
                check_converted(content, model, [x[:CHECKED_IMAGES] for x in features], f"{piece.name}, option {name}")
            write_atomic(file, content)
    runner = Runner(files[1].read_bytes())
    return Exported(sparsity, precision, model.count_params(), macs(model), files[0], runner)


def uniform_compositions(recipe: Recipe, exported: Sequence[Sequence[Exported]]) -> dict[str, tuple[int, ...]]:
    """Return by an option's name the composition in which every segment runs that option.

    A segment that does not have it runs the one of the next smaller sparsity that it has, which is the same where
    several sparsities came to the same channels; or the float32 option where it has none in this precision.
    """
    places = [{option.name: i for i, option in enumerate(options)} for options in exported]
    found = {}
    for precision in recipe.precisions:
        for number, sparsity in enumerate((0.0, *recipe.sparsities)):
            name = option_name(sparsity, precision)
            down = (sparsity, *recipe.sparsities[: number - 1][::-1], 0.0)[: number + 1]
            wanted = [option_name(s, p) for p in (precision, "float32") for s in down]
            if any(name in place for place in places):
                found[name] = tuple(next(place[n] for n in wanted if n in place) for place in places)
    return found


def mark_dominated(options: Sequence[Option], losses: Sequence[float]) -> tuple[Option, ...]:
    """Return the options, those marked as dominated beside which another one is no larger, slower or less accurate.

    Speed is not known before a device measures it. Here an option counts as no slower than another if it has no more
    multiply-accumulates, and computes in int8 if the other does. Of two equal options the later one is marked. The
    original is never marked.

    Args:
        options: of one segment, the original first.
        losses: the loss of each option, interactions included as their mean over the neighbours' options.
    """

    def covers(i: int, j: int) -> bool:
        a, b = options[i], options[j]
        slower = a.macs > b.macs or (b.precision == "int8" and a.precision != "int8")
        return a.bytes <= b.bytes and not slower and losses[i] <= losses[j]

    def dominated(j: int) -> bool:
        return j > 0 and any(covers(i, j) and (i < j or not covers(j, i)) for i in range(len(options)) if i != j)

    return tuple(o.model_copy(update={"dominated": dominated(j)}) for j, o in enumerate(options))
