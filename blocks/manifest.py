"""The manifest of a store, made of what was built and measured.

Before anything is trained it is made of placeholders too, so that what the schema of manifests would refuse in the end
is refused at the beginning.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata

from pydantic import ValidationError

import legodnn
from legodnn.arrays import Shape
from legodnn.blocks.accuracy.loss_fit import Fit
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.export.options import ExportedOptions, mark_dominated
from legodnn.blocks.export.wanted_options import option_file, option_name, option_place, wanted_options
from legodnn.blocks.importing.data import Dataset, by_name
from legodnn.blocks.kept_channels import KeptChannels
from legodnn.blocks.source import BuildSource
from legodnn.errors import ModelError
from legodnn.manifest import (
    AccuracyModel,
    BuildInfo,
    InputSpec,
    Link,
    Manifest,
    ModelInfo,
    Option,
    Precision,
    Segment,
    TensorSpec,
    task_of,
)
from legodnn.recipe import Recipe
from legodnn.schema import explain
from legodnn.units import utc_now


def store_manifest(
    recipe: Recipe,
    source: BuildSource,
    pieces: Sequence[Piece],
    exported: ExportedOptions,
    accuracy: AccuracyModel,
    fit: Fit,
    left_out: Mapping[str, str],
    kept: Mapping[str, KeptChannels],
) -> Manifest:
    """Return the manifest of a store.

    Args:
        recipe: what was built.
        source: the data set that was built on, and how outputs become objects.
        pieces: the segments of the model.
        exported: the exported options of every segment, the original first.
        accuracy: the accuracy model.
        fit: the losses of all options, and the interactions of neighbours.
        left_out: why options are not there, by 'segment/option'.
        kept: what the sparsities leave of every block.

    Raises:
        ModelError: the manifest would not be valid.
    """
    options = {
        piece.name: mark_dominated(
            [o.described(piece.name, loss) for o, loss in zip(exported[piece.name], losses, strict=True)], mean
        )
        for piece, losses, mean in zip(pieces, fit.losses, fit.mean_losses, strict=True)
    }
    interactions = {piece.name: rows for piece, rows in zip(pieces, fit.interactions, strict=True)}
    return _manifest(recipe, source, pieces, options, interactions, accuracy, left_out, kept)


def _manifest(
    recipe: Recipe,
    source: BuildSource,
    pieces: Sequence[Piece],
    options: Mapping[str, Sequence[Option]],
    interactions: Mapping[str, Sequence[Sequence[float]]],
    accuracy: AccuracyModel,
    left_out: Mapping[str, str],
    kept: Mapping[str, KeptChannels] = {},
) -> Manifest:
    data, reading = source.data, source.reading
    written = [(name, t) for p in pieces for name, t in zip(p.outputs, p.model.outputs, strict=True)]
    with _valid(recipe):
        return Manifest(
            model=ModelInfo(
                name=recipe.name,
                task=reading.task if reading else task_of(accuracy.metric),
                labels=data.labels,
                reading=reading,
            ),
            inputs=_input_specs(pieces, data),
            outputs=output_names(pieces),
            tensors=tuple(TensorSpec(name=name, shape=tuple(t.shape[1:])) for name, t in written),
            segments=tuple(
                Segment(
                    name=piece.name,
                    kind="block" if len(options[piece.name]) > 1 else "fixed",
                    inputs=piece.inputs,
                    outputs=piece.outputs,
                    options=tuple(options[piece.name]),
                    interaction=tuple(tuple(row) for row in interactions[piece.name]),
                )
                for piece in pieces
            ),
            accuracy=accuracy,
            built=_build_info(recipe, left_out, kept),
        )


def _input_specs(pieces: Sequence[Piece], data: Dataset) -> tuple[InputSpec, ...]:
    """Return how a device makes the model's inputs: images as the data set does, others of numbers as they are."""
    inputs = by_name(data.train.x, pieces[0].inputs[0])
    return tuple(_input_spec(name, x.shape[1:], data) for name, x in inputs.items())


def _input_spec(name: str, shape: Shape, data: Dataset) -> InputSpec:
    if len(shape) != 3:
        return InputSpec(name=name, shape=shape, layout="plain")
    scaling = data.scaling
    return InputSpec(
        name=name,
        shape=shape,
        fit=data.fit,
        fill=data.fill,
        range=scaling.range,
        mean=scaling.mean,
        std=scaling.std,
    )


def check_manifest(recipe: Recipe, source: BuildSource, pieces: Sequence[Piece], left_out: Mapping[str, str]) -> None:
    """Check that the manifest at the end of a build will be valid, whatever is measured.

    Args:
        recipe, source, pieces, left_out: see `store_manifest`.

    Raises:
        ModelError: the manifest would not be valid.
    """

    def placeholder(piece: Piece, sparsity: float, precision: Precision) -> Option:
        name = option_name(sparsity, precision)
        file, digest = option_file(piece.name, name), "0" * 64
        return Option(
            name=name, sparsity=sparsity, precision=precision, file=file, sha256=digest, bytes=1, params=0, macs=0
        )

    wanted = wanted_options(recipe, pieces)
    with _valid(recipe):
        options = {
            piece.name: [
                placeholder(piece, sparsity, precision)
                for sparsity, precision in wanted[piece.name]
                if option_place(piece.name, sparsity, precision) not in left_out
            ]
            for piece in pieces
        }
        link = Link(x=(0.0, 1.0), y=(1.0, 0.0))
        accuracy = AccuracyModel(
            metric=source.metric_name,
            data=source.described,
            original=1.0,
            link=link,
            error=0.0,
            samples=recipe.samples,
        )
    _manifest(recipe, source, pieces, options, {piece.name: () for piece in pieces}, accuracy, left_out)


@contextmanager
def _valid(recipe: Recipe) -> Iterator[None]:
    """Raise what the schema refuses as a ModelError."""
    try:
        yield
    except ValidationError as e:
        raise ModelError(f"a store of {recipe.model} would not be valid: {explain(e)}") from None


def _build_info(recipe: Recipe, left_out: Mapping[str, str], kept: Mapping[str, KeptChannels]) -> BuildInfo:
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    return BuildInfo(
        created=utc_now(),
        versions={"legodnn": legodnn.__version__, "python": platform.python_version(), **versions},
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
        left_out=dict(left_out),
        channels={
            option_place(block, sparsity, "float32"): layers
            for block, found in kept.items()
            for sparsity, layers in found.by_sparsity(recipe.sparsities).items()
        },
    )
