"""Every option of every segment as a file: converted, checked, and described for the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.convert import Runner, check_converted, convert
from legodnn.blocks.export.isolated_conversion import Apart
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import calls, macs
from legodnn.console import ProgressLine
from legodnn.errors import ModelError
from legodnn.files import sha256_bytes, write_atomic
from legodnn.manifest import Option, Precision
from legodnn.recipe import Recipe

# Compositions are evaluated by twins of the files that take several images at a time: as many as keep the largest
# tensor in this size, for all twins stay loaded, and each holds a few such tensors.
_MOST_IMAGES, _TENSOR_BYTES = 32, 8_000_000
_CHECKED_IMAGES = 4


@dataclass(frozen=True, eq=False)
class Exported:
    """One option of one segment, as its file and ready to be evaluated on many images."""

    sparsity: float
    precision: Precision
    params: int
    macs: int
    file: Path
    runner: Runner

    @property
    def name(self) -> str:
        """Unique among the segment's options."""
        return option_name(self.sparsity, self.precision)

    @property
    def costs(self) -> tuple[float, float]:
        """Bytes of the file, and work: multiply-accumulates, of which int8 does some two in the time of one."""
        return float(self.file.stat().st_size), self.macs / (2 if self.precision == "int8" else 1)

    def described(self, segment: str, loss: float) -> Option:
        """The option as the manifest has it."""
        content = self.file.read_bytes()
        return Option(
            name=self.name,
            sparsity=self.sparsity,
            precision=self.precision,
            file=file_of(segment, self.name),
            sha256=sha256_bytes(content),
            bytes=len(content),
            params=self.params,
            macs=self.macs,
            loss=loss,
        )


def option_name(sparsity: float, precision: Precision) -> str:
    """Such as s0.4, s0.4-int8."""
    return f"s{sparsity:g}" + ("" if precision == "float32" else f"-{precision}")


def asked(recipe: Recipe, piece: Piece) -> list[tuple[float, Precision]]:
    """Sparsity and precision of every option that a segment is to have, the original first."""
    if piece.kind == "fixed":
        return [(0.0, "float32")]
    return [(sparsity, precision) for precision in recipe.precisions for sparsity in (0.0, *recipe.sparsities)]


def file_of(segment: str, option: str) -> str:
    """Where a store has the file of an option."""
    return f"{segment}/{option}.tflite"


def convert_all(
    work: BuildState,
    data: Dataset,
    pieces: Sequence[Piece],
    descendants: Mapping[str, Sequence[keras.Model]],
    left_out: dict[str, str],
) -> dict[str, list[Exported]]:
    """Every option of every piece; float32 ones are checked against their Keras twins on real features.

    Args:
        work: where files are written, and are if they are there.
        data: supplies the images.
        pieces: the segments.
        descendants: of every block, in the order of the recipe's sparsities.
        left_out: options that are not tried, and why, by 'segment/option'; what cannot be converted is added.

    Raises:
        ModelError: an original cannot be converted to float32.
    """
    recipe = work.recipe
    exported: dict[str, list[Exported]] = {}
    batch = evaluation_batch(pieces)
    calibration = np.arange(max(min(recipe.calibration_images, len(data.train)), batch)) % len(data.train)
    tensors = {pieces[0].inputs[0]: data.train.x[calibration]}
    with ProgressLine("exporting", sum(len(asked(recipe, p)) for p in pieces)) as progress, Apart() as apart:
        for piece in pieces:
            features = [tensors[name] for name in piece.inputs]
            models = dict(zip((0.0, *recipe.sparsities), (piece.model, *descendants.get(piece.name, ())), strict=False))
            exported[piece.name] = []
            for sparsity, precision in asked(recipe, piece):
                name = option_name(sparsity, precision)
                progress.step(f"{piece.name} {name}")
                if f"{piece.name}/{name}" in left_out:
                    continue
                try:
                    option = _convert(work, apart, piece, models[sparsity], sparsity, precision, features, batch)
                    exported[piece.name].append(option)
                except ModelError as e:
                    if name == option_name(0.0, "float32"):
                        raise
                    left_out[f"{piece.name}/{name}"] = str(e)
            outputs = exported[piece.name][0].runner(*features)
            tensors.update(zip(piece.outputs, outputs, strict=True))
    return exported


def evaluation_batch(pieces: Sequence[Piece]) -> int:
    """How many images at a time compositions are evaluated on."""
    tensors = (t for piece in pieces for call in calls(piece.model) for t in call.outputs)
    largest = max(4 * int(math.prod(t.shape[1:])) for t in tensors)
    return max(1, min(_MOST_IMAGES, _TENSOR_BYTES // largest))


def convert_apart(
    apart: Apart, model: keras.Model, batch: int, precision: Precision, features: Sequence[np.ndarray]
) -> bytes:
    """A file's content: what can end the process that converts it is converted in another one."""
    if precision == "int8":
        return apart.convert(model, batch, precision, features)
    return convert(model, batch, precision, features)


def _convert(
    work: BuildState,
    apart: Apart,
    piece: Piece,
    model: keras.Model,
    sparsity: float,
    precision: Precision,
    features: Sequence[np.ndarray],
    batch: int,
) -> Exported:
    """One option, from the work folder if it is there."""
    name = option_name(sparsity, precision)
    files = [work.path / "files" / piece.name / f"{name}{suffix}.tflite" for suffix in ("", ".many")]
    for file, images in zip(files, (1, batch), strict=True):
        if not file.exists():
            content = convert_apart(apart, model, images, precision, features)
            if precision == "float32" and file == files[0]:
                check_converted(content, model, [x[:_CHECKED_IMAGES] for x in features], f"{piece.name}, option {name}")
            write_atomic(file, content)
    runner = Runner(files[1].read_bytes())
    return Exported(sparsity, precision, model.count_params(), macs(model), files[0], runner)


def levels(recipe: Recipe, exported: Sequence[Sequence[Exported]]) -> dict[str, tuple[int, ...]]:
    """For each option's name the composition of it in every segment that has it; the others run its float32 twin, or
    the original."""
    places = [{option.name: i for i, option in enumerate(options)} for options in exported]
    found = {}
    for precision in recipe.precisions:
        for sparsity in (0.0, *recipe.sparsities):
            name, twin = option_name(sparsity, precision), option_name(sparsity, "float32")
            if any(name in place for place in places):
                found[name] = tuple(place.get(name, place.get(twin, 0)) for place in places)
    return found


def mark_dominated(options: Sequence[Option], losses: Sequence[float]) -> tuple[Option, ...]:
    """The options, those marked that hardly a plan needs: another one is no larger, no slower and no less accurate.

    Without having been measured on a device, an option counts as no slower than another if it has no more
    multiply-accumulates, and computes in int8 if the other does. Of two equals the later one is marked, of all the
    original never.

    Args:
        options: of one segment, the original first.
        losses: of each, in the mean over its neighbours' options.
    """

    def covers(i: int, j: int) -> bool:
        a, b = options[i], options[j]
        slower = a.macs > b.macs or (b.precision == "int8" and a.precision != "int8")
        return a.bytes <= b.bytes and not slower and losses[i] <= losses[j]

    def dominated(j: int) -> bool:
        return j > 0 and any(covers(i, j) and (i < j or not covers(j, i)) for i in range(len(options)) if i != j)

    return tuple(o.model_copy(update={"dominated": dominated(j)}) for j, o in enumerate(options))
