"""Every option of every segment as a file: converted, checked, and described for the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from legodnn.blocks.data import Dataset
from legodnn.blocks.export import Runner, check, convert
from legodnn.blocks.extract import Piece
from legodnn.blocks.graph import calls, macs
from legodnn.blocks.work import Work
from legodnn.console import Progress
from legodnn.files import sha256_bytes, write_atomic
from legodnn.store import Option, Precision

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
            file=f"{segment}/{self.name}.tflite",
            sha256=sha256_bytes(content),
            bytes=len(content),
            params=self.params,
            macs=self.macs,
            loss=loss,
        )


def option_name(sparsity: float, precision: Precision) -> str:
    """Such as s0.4, s0.4-int8."""
    return f"s{sparsity:g}" + ("" if precision == "float32" else f"-{precision}")


def convert_all(
    work: Work, data: Dataset, pieces: Sequence[Piece], descendants: Mapping[str, Sequence[keras.Model]]
) -> dict[str, list[Exported]]:
    """Every option of every piece; float32 ones are checked against their Keras twins on real features."""
    recipe = work.recipe
    exported: dict[str, list[Exported]] = {}
    batch = evaluation_batch(pieces)
    calibration = data.train.x[: max(recipe.calibration_images, batch)]
    tensors = {pieces[0].inputs[0]: calibration}
    options = len(recipe.sparsities) + 1
    total = sum(options * len(recipe.precisions) if p.kind == "block" else 1 for p in pieces)
    with Progress("exporting", total) as progress:
        for piece in pieces:
            features = [tensors[name] for name in piece.inputs]
            models = [piece.model, *descendants.get(piece.name, ())]
            exported[piece.name] = []
            for precision in recipe.precisions if piece.kind == "block" else recipe.precisions[:1]:
                for sparsity, variant in zip((0.0, *recipe.sparsities), models, strict=False):
                    option = _convert(work, piece, variant, sparsity, precision, features, batch)
                    exported[piece.name].append(option)
                    progress.step(f"{piece.name} {option.name}")
            outputs = exported[piece.name][0].runner(*features)
            tensors.update(zip(piece.outputs, outputs, strict=True))
    return exported


def evaluation_batch(pieces: Sequence[Piece]) -> int:
    """How many images at a time compositions are evaluated on."""
    tensors = (t for piece in pieces for call in calls(piece.model) for t in call.outputs)
    largest = max(4 * int(math.prod(t.shape[1:])) for t in tensors)
    return max(1, min(_MOST_IMAGES, _TENSOR_BYTES // largest))


def _convert(
    work: Work,
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
            content = convert(model, images, precision, features)
            if precision == "float32" and file == files[0]:
                check(content, model, [x[:_CHECKED_IMAGES] for x in features], f"{piece.name}, option {name}")
            write_atomic(file, content)
    runner = Runner(files[1].read_bytes())
    return Exported(sparsity, precision, model.count_params(), macs(model), files[0], runner)


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
