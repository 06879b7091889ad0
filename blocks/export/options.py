"""The options of every segment as files, which are converted, checked and described."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.conversion_job import CONVERSIONS, conversion_job, converted_files
from legodnn.blocks.export.convert import CHECKED_IMAGES, Runner, check_converted, convert
from legodnn.blocks.export.ranges import Range
from legodnn.blocks.export.wanted_options import option_file, option_name, option_place, wanted_options
from legodnn.blocks.importing.data import Dataset, by_name
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.jobs.job import Job, Workers
from legodnn.blocks.kept_channels import KeptChannels
from legodnn.errors import ModelError
from legodnn.files import sha256_bytes, write_atomic
from legodnn.manifest import Option, Precision
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Recipe

# Compositions are evaluated with second files of the same options, which run several images at a time. All of them stay
# loaded, and each holds a few of its largest tensors, so the number of images is limited by the size of such a tensor.
_MOST_IMAGES, _TENSOR_BYTES = 32, 8_000_000


def option_costs(size: int, macs: int, precision: Precision) -> tuple[float, float]:
    """Return the bytes of an option's file, and its work in float32 multiply-accumulates, of which int8 takes half."""
    return float(size), macs / (2 if precision == "int8" else 1)


@dataclass(frozen=True, eq=False)
class Exported:
    """One option of one segment that has been exported.

    Attributes:
        sparsity, precision: which option it is.
        params: number of its weights.
        macs: multiply-accumulates for one image.
        file: its `.tflite` file in the work folder.
        many: the file of the same option for many images at a time.
        runner: computes its outputs for many images.
    """

    sparsity: float
    precision: Precision
    params: int
    macs: int
    file: Path
    many: Path
    runner: Runner

    @property
    def name(self) -> str:
        """The option's name, unique in its segment."""
        return option_name(self.sparsity, self.precision)

    @property
    def costs(self) -> tuple[float, float]:
        """What plans pay for it, see `option_costs`."""
        return option_costs(self.file.stat().st_size, self.macs, self.precision)

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


def export_options(
    work: BuildState,
    data: Dataset,
    pieces: Sequence[Piece],
    descendants: Mapping[str, Sequence[keras.Model]],
    kept: Mapping[str, KeptChannels],
    left_out: Mapping[str, str],
    workers: Workers,
    progress: Progress = no_progress,
) -> tuple[dict[str, list[Exported]], dict[str, str]]:
    """Convert every option of every segment; float32 files are compared with their Keras models on real features.

    Args:
        work: the work folder, which files are written to; files that are there already are taken.
        data: supplies the images.
        pieces: the segments.
        descendants: of every block, in the order of the sparsities that have one of their own.
        kept: what the sparsities leave of every block.
        left_out: options that are not tried, with the reason, by 'segment/option'.
        workers: convert to int8, which may crash; and in all precisions where they divide work.
        progress: shows the options that are done.

    Returns:
        The options of every segment, the original first; and `left_out` together with the options that are the same as
        others, and those that turned out not to be convertible.

    Raises:
        ModelError: an original cannot be converted to float32.
    """
    recipe, left_out = work.recipe, {**left_out, **_shared_options(work.recipe, kept)}
    batch = evaluation_batch(pieces)
    calibration = np.arange(max(min(recipe.calibration_images, len(data.train)), batch)) % len(data.train)
    tensors = by_name(data.train.x[calibration], pieces[0].inputs[0])
    models = {(p.name, 0.0): p.model for p in pieces}
    for block, of_block in kept.items():
        models |= {(block, recipe.sparsities[i]): m for i, m in zip(of_block.trained, descendants[block], strict=True)}
    asked = wanted_options(recipe, pieces)
    met = {name for p in pieces if any(kind == "int8" for _, kind in asked[p.name]) for name in p.inputs}
    wanted = [
        _Wanted(work, piece, models[piece.name, sparsity], sparsity, precision, tensors, batch, met)
        for piece in pieces
        for sparsity, precision in asked[piece.name]
        if option_place(piece.name, sparsity, precision) not in left_out
    ]
    exported: dict[str, Exported] = {}
    by_job: dict[str, _Wanted] = {}
    with progress("exporting", len(wanted)) as task, workers.team(CONVERSIONS) as team:

        def finish(option: _Wanted) -> None:
            exported[option.place] = option.exported()
            task.step(f"{option.piece.name} {option.name}")

        def finish_or_leave_out(option: _Wanted, contents: Callable[[], Sequence[bytes]]) -> None:
            try:
                option.write(contents())
                finish(option)
            except ModelError as e:
                left_out[option.place] = str(e)
                task.step(f"{option.piece.name} {option.name}")

        def conversions() -> Iterator[Job]:
            """Take or convert options here, except for those that are jobs, by turns, so that both go on together."""
            place = {piece.name: number for number, piece in enumerate(pieces)}
            for option in sorted(wanted, key=lambda o: (place[o.piece.name], o.sparsity)):
                if option.is_original:
                    if not option.there:
                        option.write(option.converted())
                    finish(option)
                    outputs = exported[option.place].runner(*option.features)
                    tensors.update(zip(option.piece.outputs, outputs, strict=True))
                elif option.there:
                    finish(option)
                elif workers.divides or option.precision == "int8":
                    job = option.conversion()
                    by_job[job.name] = option
                    yield job
                else:
                    finish_or_leave_out(option, option.converted)

        for job, outcome in team.run(conversions()):
            finish_or_leave_out(by_job.pop(job.name), functools.partial(converted_files, outcome))
    made = [option for option in wanted if option.place in exported]
    return {p.name: [exported[option.place] for option in made if option.piece is p] for p in pieces}, left_out


def _shared_options(recipe: Recipe, kept: Mapping[str, KeptChannels]) -> dict[str, str]:
    """Return by 'segment/option' why options are not there that would be the same as others."""
    return {
        option_place(block, sparsity, precision): reason
        for block, of_block in kept.items()
        for sparsity, reason in of_block.left_out(recipe.sparsities).items()
        for precision in recipe.precisions
    }


@dataclass(frozen=True, eq=False)
class _Wanted:
    """An option that is to be exported, to files in the work folder: for one image, and for many."""

    work: BuildState
    piece: Piece
    model: keras.Model
    sparsity: float
    precision: Precision
    tensors: Mapping[str, np.ndarray]  # of the original by name: int8 is calibrated on them, float32 is checked
    batch: int
    met: Collection[str]  # tensors that segments in int8 read

    @property
    def name(self) -> str:
        return option_name(self.sparsity, self.precision)

    @property
    def place(self) -> str:
        return option_place(self.piece.name, self.sparsity, self.precision)

    @property
    def told(self) -> str:
        """What messages call it: block1 to int8, or block1 s0.5 to int8."""
        return f"{self.piece.name}{f' s{self.sparsity:g}' if self.sparsity else ''} to {self.precision}"

    @property
    def is_original(self) -> bool:
        """Whether it is the segment as it was, whose outputs later segments read."""
        return self.sparsity == 0 and self.precision == "float32"

    @property
    def features(self) -> list[np.ndarray]:
        """What the segment reads."""
        return [self.tensors[name] for name in self.piece.inputs]

    @property
    def batches(self) -> tuple[int, int]:
        return 1, self.batch

    @property
    def files(self) -> list[Path]:
        folder = self.work.path / "files" / self.piece.name
        return [folder / f"{self.name}.tflite", folder / f"{self.name}.many.tflite"]

    @property
    def there(self) -> bool:
        return all(file.exists() for file in self.files)

    @property
    def output_ranges(self) -> list[Range | None]:
        """The ranges that the original's outputs have, where segments in int8 read them: so they meet in whole numbers,
        and a runtime need not make floats of them (see `legodnn.runtime.executors.linked_front`)."""
        if self.precision != "int8":
            return []
        return [_range(self.tensors[name]) if name in self.met else None for name in self.piece.outputs]

    def converted(self) -> list[bytes]:
        return [
            convert(self.model, images, self.precision, self.features, self.output_ranges) for images in self.batches
        ]

    def conversion(self) -> Job:
        """The job of converting it."""
        return conversion_job(self.told, self.model, self.batches, self.precision, self.features, self.output_ranges)

    def write(self, contents: Sequence[bytes]) -> None:
        """Write the files; in float32 the first is compared with the Keras model before."""
        if self.precision == "float32":
            some = [x[:CHECKED_IMAGES] for x in self.features]
            check_converted(contents[0], self.model, some, f"{self.piece.name}, option {self.name}")
        for file, content in zip(self.files, contents, strict=True):
            write_atomic(file, content)

    def exported(self) -> Exported:
        one, many = self.files
        runner = Runner(many.read_bytes())
        return Exported(self.sparsity, self.precision, self.model.count_params(), macs(self.model), one, many, runner)


def _range(x: np.ndarray) -> Range | None:
    """Return the range of some values; None if they are all the same."""
    least, greatest = float(x.min()), float(x.max())
    return (least, greatest) if least < greatest else None


def evaluation_batch(pieces: Sequence[Piece]) -> int:
    """Return how many images at a time compositions are evaluated on."""
    tensors = (t for piece in pieces for call in calls(piece.model) for t in call.outputs)
    largest = max(4 * int(math.prod(t.shape[1:])) for t in tensors)
    return max(1, min(_MOST_IMAGES, _TENSOR_BYTES // largest))


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
