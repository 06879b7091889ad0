"""The whole offline stage: a recipe in, a store out. It can be killed at any moment; the same call goes on (`work`)."""

from __future__ import annotations

import datetime
import json
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

import legodnn
from legodnn.blocks import joint
from legodnn.blocks.accuracy import Chain, Composition, Measured, Stage, draw, measure, report
from legodnn.blocks.data import Dataset
from legodnn.blocks.export import check_convertible, convert
from legodnn.blocks.extract import Piece, check_composed, extract, output_names
from legodnn.blocks.graph import as_list
from legodnn.blocks.jobs import Students, read_original, train
from legodnn.blocks.metrics import Metric, metric_of, top1
from legodnn.blocks.models import data_and_model
from legodnn.blocks.opening import in_float32
from legodnn.blocks.options import convert_all, mark_dominated, option_name
from legodnn.blocks.prune import check_copy, descendant
from legodnn.blocks.recipe import Recipe
from legodnn.blocks.training import assign, check_labels, gives_probabilities, scalars_to, train_original, values
from legodnn.blocks.work import Work
from legodnn.console import Progress
from legodnn.errors import ModelError, StoreError
from legodnn.files import new_folder, write_atomic
from legodnn.schema import to_json
from legodnn.store import (
    MANIFEST,
    BuildInfo,
    InputSpec,
    Manifest,
    ModelInfo,
    Segment,
    Store,
    TensorSpec,
)

_UNDIVIDED_IMAGES = 256
_KEEP_EVERY_S = 30.0
_TASKS = {"top1": "classification", "mean_iou": "segmentation"}


def build(recipe: Recipe, path: str | Path, jobs: int = 1, tensorboard: str | None = None) -> Store:
    """Train, cut, prune, distil, quantise and export one model.

    Args:
        recipe: what to build.
        path: the store's folder; it must not exist, and appears whole at the end or not at all. Until then what is
            finished lies in NAME.work beside it; if this process dies, the same call goes on from there.
        jobs: processes that train at a time; the store is the same but for the last bits of its weights, since sums
            depend on the number of threads that each process gets.
        tensorboard: a folder for logs of training.

    Raises:
        StoreError: something is at `path` already, or another build is under way.
        ModelError: the model cannot be cut, pruned or exported.
        DataError: the data cannot be used.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; remove it or choose another folder: a store is never changed in place")
    with in_float32():
        return _build(recipe, path, jobs, tensorboard)


def _build(recipe: Recipe, path: Path, jobs: int, tensorboard: str | None) -> Store:
    data, model = data_and_model(recipe)
    pieces = extract(model, recipe.max_blocks, recipe.min_share)
    metric = metric_of(recipe.metric, data, model)
    _check_early(recipe, data, model, pieces)
    with Work(path, recipe) as work:
        if recipe.train_epochs and not read_original(work, model):
            checkpoint = work.checkpoint("original")
            log = scalars_to(tensorboard)
            train_original(
                model, data, recipe.train_epochs, recipe.batch_size, seed=recipe.seed, checkpoint=checkpoint, log=log
            )
            work.write("original", {str(i): w for i, w in enumerate(values(model.weights))})
            checkpoint.discard()
        descendants = train(work, pieces, data, jobs, tensorboard)
        scores = metric is top1 and not gives_probabilities(model)
        _train_jointly(work, pieces, descendants, data, scores)
        manifest = _export(work, data, model, pieces, descendants, metric)
        try:
            with new_folder(path) as folder:
                for segment in manifest.segments:
                    for option in segment.options:
                        write_atomic(folder / option.file, (work.path / "files" / option.file).read_bytes())
                write_atomic(folder / MANIFEST, to_json(manifest))
        except FileExistsError:
            raise StoreError(f"{path} has appeared in the meantime; remove it and run the same command again") from None
        work.remove()
    return Store(path)


def _check_early(recipe: Recipe, data: Dataset, model: keras.Model, pieces: Sequence[Piece]) -> None:
    """What would fail after hours of training fails now: labels, operators, cutting, pruning."""
    if recipe.train_epochs:
        check_labels(model, data)
    blocks = [p for p in pieces if p.kind == "block"]
    check_composed(model, pieces)
    with Progress("checking", len(pieces) + len(blocks)) as progress:
        for piece in pieces:
            check_convertible(piece)
            progress.step(piece.name)
        for piece in blocks:
            check_copy(piece.model)
            convert(descendant(piece.model, recipe.sparsities[-1]))
            progress.step(piece.name)


def _train_jointly(work: Work, pieces: Sequence[Piece], descendants: Students, data: Dataset, scores: bool) -> None:
    """Train descendants in random compositions, in place, as far as that is not done already."""
    recipe = work.recipe
    if not recipe.joint_epochs:
        return
    variables = [v for options in descendants.values() for model in options for v in model.weights]
    if done := work.read("joint"):
        assign(variables, [done[str(i)] for i in range(len(variables))])
        return
    checkpoint = work.checkpoint("joint")
    joint.train(
        pieces,
        descendants,
        data,
        recipe.joint_epochs,
        recipe.batch_size,
        recipe.seed,
        soft_targets=scores,
        checkpoint=checkpoint,
    )
    work.write("joint", {str(i): w for i, w in enumerate(values(variables))})
    checkpoint.discard()


def _export(
    work: Work, data: Dataset, model: keras.Model, pieces: Sequence[Piece], descendants: Students, metric: Metric
) -> Manifest:
    """Write every option's file into the work folder, measure accuracy, and return the manifest."""
    recipe = work.recipe
    exported = convert_all(work, data, pieces, descendants)
    stages = [Stage(p.inputs, p.outputs, [e.runner for e in exported[p.name]]) for p in pieces]
    chain, val = Chain(stages, output_names(pieces)), data.val.first(recipe.evaluated_images)
    _check_undivided(chain, model, val.x)
    evaluated = _Evaluated(work)
    described = f"{data.name}, {len(val)} validation images" + ("" if val.y is not None else " without labels")
    accuracy, fit = measure(chain, val, described, recipe.samples, recipe.seed, metric, evaluated)
    levels = [option_name(s, p) for p in recipe.precisions for s in (0.0, *recipe.sparsities)]
    sample = draw(chain.sizes, recipe.samples, recipe.seed)
    print(report(chain.sizes, levels, evaluated, sample, accuracy), file=sys.stderr)
    segments = [
        Segment(
            name=piece.name,
            kind=piece.kind,
            inputs=piece.inputs,
            outputs=piece.outputs,
            options=mark_dominated(
                [e.described(piece.name, loss) for e, loss in zip(exported[piece.name], losses, strict=True)], mean
            ),
            interaction=tuple(tuple(row) for row in interaction),
        )
        for piece, losses, mean, interaction in zip(pieces, fit.losses, fit.mean_losses, fit.interactions, strict=True)
    ]
    written = [(name, t) for p in pieces for name, t in zip(p.outputs, p.model.outputs, strict=True)]
    scaling = data.scaling
    spec = InputSpec(
        name=pieces[0].inputs[0],
        shape=data.image_shape,
        range=scaling.range,
        mean=scaling.mean,
        std=scaling.std,
    )
    return Manifest(
        model=ModelInfo(name=recipe.name, task=_TASKS.get(accuracy.metric, "other"), labels=data.labels),
        inputs=(spec,),
        outputs=output_names(pieces),
        tensors=tuple(TensorSpec(name=name, shape=tuple(t.shape[1:])) for name, t in written),
        segments=tuple(segments),
        accuracy=accuracy,
        built=_build_info(recipe),
    )


class _Evaluated(dict[Composition, Measured]):
    """What compositions were measured to be worth, kept in the work folder as it grows."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._file = work.path / "evaluated.json"
        self._kept = time.monotonic()
        if self._file.exists():
            for composition, found in json.loads(self._file.read_text(encoding="utf-8")):
                super().__setitem__(tuple(composition), Measured(*found))

    def __setitem__(self, composition: Composition, found: Measured) -> None:
        super().__setitem__(composition, found)
        if time.monotonic() - self._kept > _KEEP_EVERY_S:
            write_atomic(self._file, json.dumps([[list(c), list(m)] for c, m in self.items()]))
            self._kept = time.monotonic()


def _check_undivided(chain: Chain, model: keras.Model, x: np.ndarray) -> None:
    x = x[:_UNDIVIDED_IMAGES]
    composed = next(chain.walk([(0,) * len(chain.stages)], x))
    for found, whole in zip(composed, as_list(model.predict(x, verbose=0)), strict=True):
        difference = float(np.abs(found - whole).max() / max(1.0, float(np.abs(whole).max())))
        if not difference < 1e-4:
            raise ModelError(
                f"the composed originals differ from {model.name} by {difference:.2g}; the store was not written"
            )


def _build_info(recipe: Recipe) -> BuildInfo:
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    return BuildInfo(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        versions={"legodnn": legodnn.__version__, "python": platform.python_version(), **versions},
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
    )
