"""The whole offline stage: a recipe in, a store out. It can be killed at any moment; the same call goes on (`work`)."""

from __future__ import annotations

import datetime
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

import legodnn
from legodnn.blocks import joint
from legodnn.blocks.accuracy import Chain, Composition, Measured, Stage, draw, measure, report
from legodnn.blocks.data import Dataset, data_of
from legodnn.blocks.export import Runner, check, check_convertible, convert
from legodnn.blocks.extract import Piece, extract, output_names
from legodnn.blocks.graph import as_list, macs
from legodnn.blocks.jobs import Students, read_original, train
from legodnn.blocks.metrics import metric_of, top1
from legodnn.blocks.models import model_of
from legodnn.blocks.prune import descendant
from legodnn.blocks.recipe import Recipe
from legodnn.blocks.training import assign, check_labels, gives_probabilities, scalars_to, train_original, values
from legodnn.blocks.work import Checkpoint, Work
from legodnn.console import Progress
from legodnn.errors import ModelError, StoreError
from legodnn.files import new_folder, sha256_bytes, write_atomic
from legodnn.schema import to_json
from legodnn.store import (
    MANIFEST,
    BuildInfo,
    InputSpec,
    Manifest,
    ModelInfo,
    Option,
    Precision,
    Segment,
    Store,
    TensorSpec,
)

_EVALUATION_BATCH = 32
_CHECKED_IMAGES, _UNDIVIDED_IMAGES = 4, 256
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
    data = data_of(recipe)
    model = model_of(recipe, data)
    pieces = extract(model, recipe.max_blocks, recipe.min_share)
    _check_early(recipe, data, model, pieces)
    with Work(path, recipe) as work:
        if recipe.train_epochs and not read_original(work, model):
            checkpoint = Checkpoint(work, "original")
            log = scalars_to(tensorboard)
            train_original(
                model, data, recipe.train_epochs, recipe.batch_size, seed=recipe.seed, checkpoint=checkpoint, log=log
            )
            work.write("original", {str(i): w for i, w in enumerate(values(model.weights))})
            checkpoint.discard()
        descendants = train(work, pieces, data, jobs, tensorboard)
        scores = metric_of(recipe.metric, data, model) is top1 and not gives_probabilities(model)
        _train_jointly(work, pieces, descendants, data, soft_targets=scores)
        manifest = _export(work, data, model, pieces, descendants)
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
    metric_of(recipe.metric, data, model)
    blocks = [p for p in pieces if p.kind == "block"]
    with Progress("checking", len(pieces) + len(blocks)) as progress:
        for piece in pieces:
            check_convertible(piece)
            progress.step(piece.name)
        for piece in blocks:
            convert(descendant(piece.model, recipe.sparsities[-1]))
            progress.step(piece.name)


def _train_jointly(
    work: Work, pieces: Sequence[Piece], descendants: Students, data: Dataset, soft_targets: bool
) -> None:
    """Train descendants in random compositions, in place, as far as that is not done already."""
    recipe = work.recipe
    if not recipe.joint_epochs:
        return
    models = [model for options in descendants.values() for model in options]
    variables = [v for model in models for v in model.weights]
    if done := work.read("joint"):
        assign(variables, [done[str(i)] for i in range(len(variables))])
        return
    checkpoint = Checkpoint(work, "joint", every_s=0)
    start = None
    if state := checkpoint.read():
        weights, optimizer = (
            [state[f"{kind}{i}"] for i in range(sum(key.startswith(kind) for key in state))] for kind in ("w", "o")
        )
        start = joint.State(int(state["epoch"]), weights, optimizer)

    def keep(state: joint.State) -> None:
        arrays = {"epoch": np.array(state.epoch)}
        for kind, found in (("w", state.weights), ("o", state.optimizer)):
            arrays.update({f"{kind}{i}": value for i, value in enumerate(found)})
        checkpoint.write(arrays)

    joint.train(
        pieces,
        descendants,
        data,
        recipe.joint_epochs,
        recipe.batch_size,
        recipe.seed,
        recipe.learning_rate,
        soft_targets,
        on_epoch=keep,
        start=start,
    )
    work.write("joint", {str(i): w for i, w in enumerate(values(variables))})
    checkpoint.discard()


@dataclass(frozen=True, eq=False)
class _Exported:
    """One option of one piece, as its file and ready to be evaluated on many images."""

    sparsity: float
    precision: Precision
    params: int
    macs: int
    file: Path
    runner: Runner

    @property
    def name(self) -> str:
        return option_name(self.sparsity, self.precision)


def option_name(sparsity: float, precision: Precision) -> str:
    """Such as s0.4, s0.4-int8."""
    return f"s{sparsity:g}" + ("" if precision == "float32" else f"-{precision}")


def _export(work: Work, data: Dataset, model: keras.Model, pieces: Sequence[Piece], descendants: Students) -> Manifest:
    """Write every option's file into the work folder, measure accuracy, and return the manifest."""
    recipe = work.recipe
    metric = metric_of(recipe.metric, data, model)
    exported = _convert_all(work, data, pieces, descendants)
    stages = [Stage(p.inputs, p.outputs, [e.runner for e in exported[p.name]]) for p in pieces]
    chain, val = Chain(stages, output_names(pieces)), data.val.first(recipe.evaluated_images)
    _check_undivided(chain, model, val.x)
    evaluated = _Evaluated(work)
    described = f"{data.name}, {len(val)} validation images" + ("" if val.y is not None else " without labels")
    accuracy, losses = measure(chain, val, described, recipe.samples, recipe.seed, metric, evaluated)
    levels = [option_name(s, p) for p in recipe.precisions for s in (0.0, *recipe.sparsities)]
    sample = draw(chain.sizes, recipe.samples, recipe.seed)
    print(report(chain.sizes, levels, evaluated, sample, accuracy), file=sys.stderr)
    segments = []
    for piece, costs in zip(pieces, losses, strict=True):
        options = [_option(piece, e, loss) for e, loss in zip(exported[piece.name], costs, strict=True)]
        segments.append(
            Segment(
                name=piece.name,
                kind=piece.kind,
                inputs=piece.inputs,
                outputs=piece.outputs,
                options=mark_dominated(options),
            )
        )
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


def _convert_all(
    work: Work, data: Dataset, pieces: Sequence[Piece], descendants: Students
) -> dict[str, list[_Exported]]:
    """Every option of every piece; float32 ones are checked against their Keras twins on real features."""
    recipe = work.recipe
    exported: dict[str, list[_Exported]] = {}
    calibration = data.train.x[: max(recipe.calibration_images, _EVALUATION_BATCH)]
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
                    option = _convert(work, piece, variant, sparsity, precision, features)
                    exported[piece.name].append(option)
                    progress.step(f"{piece.name} {option.name}")
            outputs = exported[piece.name][0].runner(*features)
            tensors.update(zip(piece.outputs, outputs, strict=True))
    return exported


def _convert(
    work: Work,
    piece: Piece,
    model: keras.Model,
    sparsity: float,
    precision: Precision,
    features: Sequence[np.ndarray],
) -> _Exported:
    """One option, from the work folder if it is there."""
    name = option_name(sparsity, precision)
    files = [work.path / "files" / piece.name / f"{name}{batch}.tflite" for batch in ("", f".{_EVALUATION_BATCH}")]
    for file, batch in zip(files, (1, _EVALUATION_BATCH), strict=True):
        if not file.exists():
            content = convert(model, batch, precision, features)
            if precision == "float32" and batch == 1:
                check(content, model, [x[:_CHECKED_IMAGES] for x in features], f"{piece.name}, option {name}")
            write_atomic(file, content)
    runner = Runner(files[1].read_bytes())
    return _Exported(sparsity, precision, model.count_params(), macs(model), files[0], runner)


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


def _option(piece: Piece, option: _Exported, loss: float) -> Option:
    content = option.file.read_bytes()
    return Option(
        name=option.name,
        sparsity=option.sparsity,
        precision=option.precision,
        file=f"{piece.name}/{option.name}.tflite",
        sha256=sha256_bytes(content),
        bytes=len(content),
        params=option.params,
        macs=option.macs,
        loss=loss,
    )


def mark_dominated(options: Sequence[Option]) -> tuple[Option, ...]:
    """The options, those marked that no device needs: another one is no larger, no slower and no less accurate.

    Without having been measured on a device, an option counts as no slower than another if it has no more
    multiply-accumulates, and computes in int8 if the other does. Of two equals the later one is marked, of all the
    original never.
    """

    def covers(a: Option, b: Option) -> bool:
        slower = a.macs > b.macs or (b.precision == "int8" and a.precision != "int8")
        return a.bytes <= b.bytes and not slower and a.loss <= b.loss

    def dominated(i: int, b: Option) -> bool:
        return b != options[0] and any(
            covers(a, b) and (j < i or not covers(b, a)) for j, a in enumerate(options) if j != i
        )

    return tuple(o.model_copy(update={"dominated": dominated(i, o)}) for i, o in enumerate(options))


def _build_info(recipe: Recipe) -> BuildInfo:
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    return BuildInfo(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        versions={"legodnn": legodnn.__version__, "python": platform.python_version(), **versions},
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
    )
