"""What a store says of itself: its manifest, made of what was built.

Made once at the end, of what was measured, and once before anything is trained, of placeholders: what the schema of
manifests would refuse is refused then.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata

from pydantic import ValidationError

import legodnn
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.export.options import asked, file_of, option_name
from legodnn.blocks.importing.data import Dataset
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
)
from legodnn.recipe import Recipe
from legodnn.schema import explain

_TASKS = {"top1": "classification", "binary_accuracy": "classification", "mean_iou": "segmentation"}


def manifest_of(
    recipe: Recipe,
    data: Dataset,
    pieces: Sequence[Piece],
    options: Mapping[str, Sequence[Option]],
    interactions: Mapping[str, Sequence[Sequence[float]]],
    accuracy: AccuracyModel,
    left_out: Mapping[str, str],
) -> Manifest:
    """The manifest of a store.

    Args:
        recipe: what was built.
        data: of the images.
        pieces: the segments of the model.
        options: of every segment, by its name.
        interactions: of every segment with the block before it.
        accuracy: the accuracy model.
        left_out: why options are not there, by 'segment/option'.

    Raises:
        ModelError: it would not be a manifest.
    """
    written = [(name, t) for p in pieces for name, t in zip(p.outputs, p.model.outputs, strict=True)]
    with _valid(recipe):
        return Manifest(
            model=ModelInfo(name=recipe.name, task=_TASKS.get(accuracy.metric, "other"), labels=data.labels),
            inputs=(input_spec(pieces[0].inputs[0], data),),
            outputs=output_names(pieces),
            tensors=tuple(TensorSpec(name=name, shape=tuple(t.shape[1:])) for name, t in written),
            segments=tuple(
                Segment(
                    name=piece.name,
                    kind=piece.kind,
                    inputs=piece.inputs,
                    outputs=piece.outputs,
                    options=tuple(options[piece.name]),
                    interaction=tuple(tuple(row) for row in interactions[piece.name]),
                )
                for piece in pieces
            ),
            accuracy=accuracy,
            built=_build_info(recipe, left_out),
        )


def input_spec(name: str, data: Dataset) -> InputSpec:
    """What a device must know to make the model's input as the data set does."""
    scaling = data.scaling
    return InputSpec(name=name, shape=data.image_shape, range=scaling.range, mean=scaling.mean, std=scaling.std)


def check_manifest(
    recipe: Recipe, data: Dataset, pieces: Sequence[Piece], metric: str, described: str, left_out: Mapping[str, str]
) -> None:
    """Raise ModelError if the manifest at the end would not be valid, whatever is measured.

    Args:
        recipe, data, pieces, left_out: see `manifest_of`.
        metric: the metric's name.
        described: what it is measured on.
    """

    def placeholder(piece: Piece, sparsity: float, precision: Precision) -> Option:
        name = option_name(sparsity, precision)
        file, digest = file_of(piece.name, name), "0" * 64
        return Option(
            name=name, sparsity=sparsity, precision=precision, file=file, sha256=digest, bytes=1, params=0, macs=0
        )

    with _valid(recipe):
        options = {
            piece.name: [
                placeholder(piece, sparsity, precision)
                for sparsity, precision in asked(recipe, piece)
                if f"{piece.name}/{option_name(sparsity, precision)}" not in left_out
            ]
            for piece in pieces
        }
        link = Link(x=(0.0, 1.0), y=(1.0, 0.0))
        accuracy = AccuracyModel(
            metric=metric, data=described, original=1.0, link=link, error=0.0, samples=recipe.samples
        )
    manifest_of(recipe, data, pieces, options, {piece.name: () for piece in pieces}, accuracy, left_out)


@contextmanager
def _valid(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except ValidationError as e:
        raise ModelError(f"a store of {recipe.model} would not be valid: {explain(e)}") from None


def _build_info(recipe: Recipe, left_out: Mapping[str, str]) -> BuildInfo:
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    return BuildInfo(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        versions={"legodnn": legodnn.__version__, "python": platform.python_version(), **versions},
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
        left_out=dict(left_out),
    )
