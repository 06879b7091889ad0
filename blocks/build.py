"""The whole offline stage: a recipe in, a store out."""

from __future__ import annotations

import datetime
import platform
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import keras
import numpy as np
from pydantic import Field, field_validator

import legodnn
from legodnn.blocks import zoo
from legodnn.blocks.accuracy import Chain, Composition, Measured, Stage, draw, measure, report
from legodnn.blocks.data import Dataset, load
from legodnn.blocks.distill import distill, gives_probabilities, train_original
from legodnn.blocks.export import Runner, check, convert
from legodnn.blocks.extract import Piece, extract
from legodnn.blocks.graph import functional, macs
from legodnn.blocks.joint import train
from legodnn.blocks.metrics import METRICS
from legodnn.blocks.prune import descendant
from legodnn.blocks.reconstruct import fitted_descendants
from legodnn.console import Progress
from legodnn.errors import DataError, ModelError, StoreError
from legodnn.files import new_folder, sha256_bytes, write_atomic
from legodnn.schema import Schema, to_json
from legodnn.store import (
    MANIFEST,
    BuildInfo,
    InputSpec,
    Manifest,
    ModelInfo,
    Option,
    Segment,
    Store,
    TensorSpec,
)

_EVALUATION_BATCH = 32
_CHECKED_IMAGES = 4
_FITTED_IMAGES = 500


class Recipe(Schema):
    """Everything a store depends on; it is kept in the store's manifest.

    Attributes:
        model: a name from the zoo, or the path of a `.keras` file.
        name: what the model is called in the store.
        data: see `legodnn.blocks.data.load`.
        width: channel multiplier of a zoo model.
        image_size: height and width that digits and image folders are scaled to.
        weights: `.npz` of weights for a zoo model, see `legodnn.blocks.zoo`.
        train_epochs: epochs of ordinary training before anything else; 0 for a model that is trained already.
        sparsities: of the descendants of each block; the original (0) is always there.
        distill_epochs: epochs of block-wise distillation.
        joint_epochs: epochs of training on random compositions afterwards, from refitted descendants; 0 for neither,
            which is the paper's own training.
        batch_size: images a training step.
        max_blocks, min_share: see `legodnn.blocks.extract.extract`.
        metric: what compositions are measured by, see `legodnn.blocks.metrics`.
        samples: random compositions evaluated to fit and test the accuracy model.
        evaluated_images: at most this many validation images are used for it.
        seed: of everything random.
    """

    model: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    data: str = "digits"
    width: Annotated[float, Field(gt=0)] = 1.0
    image_size: Annotated[int, Field(ge=8)] = 32
    weights: str | None = None
    train_epochs: Annotated[int, Field(ge=0)] = 0
    sparsities: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.2, 0.4, 0.6, 0.8, 0.9)
    distill_epochs: Annotated[int, Field(gt=0)] = 10
    joint_epochs: Annotated[int, Field(ge=0)] = 20
    batch_size: Annotated[int, Field(gt=0)] = 64
    max_blocks: Annotated[int, Field(gt=0)] = 16
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    metric: Literal["top1", "mean_iou", "r2"] = "top1"
    samples: Annotated[int, Field(ge=6)] = 48
    evaluated_images: Annotated[int, Field(ge=10)] = 2000
    seed: int = 0

    @field_validator("sparsities")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or sorted(set(value)) != list(value):
            raise ValueError("sparsities must increase and be at least one")
        if len({f"{sparsity:g}" for sparsity in value}) < len(value):
            raise ValueError("sparsities must differ in their first six digits, which name their options")
        return value


def build(recipe: Recipe, path: str | Path) -> Store:
    """Train, cut, prune, distil and export one model.

    Args:
        recipe: what to build.
        path: the store's folder; it must not exist, and appears whole at the end or not at all.

    Raises:
        StoreError: something is at `path` already.
        ModelError: the model cannot be cut, pruned or exported.
        DataError: the data cannot be used.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; remove it or choose another folder: a store is never changed in place")
    keras.utils.set_random_seed(recipe.seed)
    data = load(recipe.data, recipe.seed, recipe.image_size)
    model = load_model(recipe, data)
    pieces = extract(model, recipe.max_blocks, recipe.min_share)
    if recipe.train_epochs:
        train_original(model, data, recipe.train_epochs, recipe.batch_size)
    descendants = _train(recipe, model, pieces, data)
    try:
        with new_folder(path) as folder:
            write_atomic(folder / MANIFEST, to_json(_export(recipe, data, model, pieces, descendants, folder)))
    except FileExistsError:
        raise StoreError(f"{path} has appeared in the meantime; choose another folder and build again") from None
    return Store(path)


def _train(recipe: Recipe, model: keras.Model, pieces: Sequence[Piece], data: Dataset) -> dict[str, list[keras.Model]]:
    """Descendants of every block, trained block by block and then together."""
    if not recipe.joint_epochs:
        descendants = {p.name: [descendant(p.model, s) for s in recipe.sparsities] for p in pieces if p.kind == "block"}
        distill(pieces, descendants, data, recipe.distill_epochs, recipe.batch_size)
        return descendants
    descendants = fitted_descendants(pieces, recipe.sparsities, data.train.x[:_FITTED_IMAGES])
    distill(pieces, descendants, data, recipe.distill_epochs, recipe.batch_size)
    scores = recipe.metric == "top1" and not gives_probabilities(model)
    train(pieces, descendants, data, recipe.joint_epochs, recipe.batch_size, recipe.seed, soft_targets=scores)
    return descendants


def load_model(recipe: Recipe, data: Dataset) -> keras.Model:
    """The recipe's model, from the zoo or a `.keras` file, checked against the data."""
    if recipe.model in zoo.MODELS:
        model = zoo.MODELS[recipe.model](recipe.width, data.image_shape, len(data.labels))
        if recipe.weights:
            load_weights = zoo.load_vgg16_weights if recipe.model == "vgg16" else zoo.load_cifar_resnet_weights
            load_weights(model, recipe.weights)
        elif not recipe.train_epochs:
            raise ModelError(f"{recipe.model} has no weights: give a weights file or some train_epochs")
        return model
    model = functional(read_keras_file(recipe.model))
    inputs, outputs = ([tuple(t.shape) for t in tensors] for tensors in (model.inputs, model.outputs))
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0]) != 2:
        raise ModelError(
            f"{recipe.model} has inputs of shape {inputs} and outputs of shape {outputs}; a store can be built of a "
            "model that takes one image and gives one vector of class scores"
        )
    if inputs[0][1:] != data.image_shape:
        raise DataError(f"{recipe.model} takes images of shape {inputs[0][1:]}, {data.name} has {data.image_shape}")
    return model


def read_keras_file(path: str) -> keras.Model:
    """A model saved as `.keras`; code in the file is not run. ModelError if it cannot be read."""
    if not path.endswith(".keras"):
        raise ModelError(f"unknown model {path!r}; use a .keras file or one of {', '.join(zoo.MODELS)}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as e:
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(f"cannot load {path}: {reason}") from None
    return functional(model)


@dataclass(frozen=True, eq=False)
class _Exported:
    """One option of one piece, converted for the device and for evaluation."""

    sparsity: float
    model: keras.Model
    content: bytes
    runner: Runner

    @property
    def name(self) -> str:
        return f"s{self.sparsity:g}"


def _export(
    recipe: Recipe,
    data: Dataset,
    model: keras.Model,
    pieces: Sequence[Piece],
    descendants: Mapping[str, Sequence[keras.Model]],
    folder: Path,
) -> Manifest:
    """Write every option's file into the folder, measure accuracy, and return the manifest."""
    exported = _convert_all(recipe, data, pieces, descendants)
    stages = [Stage(p.inputs, p.outputs, [e.runner for e in exported[p.name]]) for p in pieces]
    chain, val = Chain(stages), data.val.first(recipe.evaluated_images)
    _check_undivided(chain, model, val.x)
    about, known = f"{data.name}, {len(val)} validation images", dict[Composition, Measured]()
    accuracy, losses = measure(chain, val, about, recipe.samples, recipe.seed, METRICS[recipe.metric], known)
    levels = ["s0", *(f"s{sparsity:g}" for sparsity in recipe.sparsities)]
    print(report(chain.sizes, levels, known, draw(chain.sizes, recipe.samples, recipe.seed), accuracy), file=sys.stderr)
    segments = [
        Segment(
            name=piece.name,
            kind=piece.kind,
            inputs=piece.inputs,
            outputs=piece.outputs,
            options=tuple(_write(folder, piece, e, loss) for e, loss in zip(exported[piece.name], costs, strict=True)),
        )
        for piece, costs in zip(pieces, losses, strict=True)
    ]
    written = [(name, t) for p in pieces for name, t in zip(p.outputs, p.model.outputs, strict=True)]
    name = pieces[0].inputs[0]
    return Manifest(
        model=ModelInfo(name=recipe.name, task="classification", labels=data.labels),
        inputs=(InputSpec(name=name, shape=data.image_shape, range=data.range, mean=data.mean, std=data.std),),
        outputs=pieces[-1].outputs,
        tensors=tuple(TensorSpec(name=name, shape=tuple(t.shape[1:])) for name, t in written),
        segments=tuple(segments),
        accuracy=accuracy,
        built=_build_info(recipe),
    )


def _convert_all(
    recipe: Recipe, data: Dataset, pieces: Sequence[Piece], descendants: Mapping[str, Sequence[keras.Model]]
) -> dict[str, list[_Exported]]:
    """Every option of every piece, each checked against its Keras twin on real features."""
    exported: dict[str, list[_Exported]] = {}
    tensors = {pieces[0].inputs[0]: data.val.x[:_CHECKED_IMAGES]}
    with Progress("exporting", len(pieces) + sum(len(d) for d in descendants.values())) as progress:
        for piece in pieces:
            pruned = zip(recipe.sparsities, descendants.get(piece.name, ()), strict=False)
            features, outputs = [tensors[name] for name in piece.inputs], None
            exported[piece.name] = []
            for sparsity, variant in [(0.0, piece.model), *pruned]:
                option = _Exported(sparsity, variant, convert(variant), Runner(convert(variant, _EVALUATION_BATCH)))
                found = check(option.content, variant, features, f"{piece.name}, option {option.name}")
                outputs = outputs or found  # the original comes first
                exported[piece.name].append(option)
                progress.step(piece.name)
            tensors.update(zip(piece.outputs, outputs or [], strict=True))
    return exported


def _check_undivided(chain: Chain, model: keras.Model, x: np.ndarray) -> None:
    composed = chain.output([0] * len(chain.stages), x)
    whole = model.predict(x, verbose=0)
    difference = float(np.abs(composed - whole).max() / max(1.0, float(np.abs(whole).max())))
    if not difference < 1e-4:
        raise ModelError(
            f"the composed originals differ from {model.name} by {difference:.2g}; the store was not written"
        )


def _write(folder: Path, piece: Piece, option: _Exported, loss: float) -> Option:
    file = f"{piece.name}/{option.name}.tflite"
    write_atomic(folder / file, option.content)
    return Option(
        name=option.name,
        sparsity=option.sparsity,
        file=file,
        sha256=sha256_bytes(option.content),
        bytes=len(option.content),
        params=option.model.count_params(),
        macs=macs(option.model),
        loss=loss,
    )


def _build_info(recipe: Recipe) -> BuildInfo:
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    return BuildInfo(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        versions={"legodnn": legodnn.__version__, "python": platform.python_version(), **versions},
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
    )
