"""The whole offline stage: a recipe in, a store out. It can be killed at any moment; the same call goes on (`work`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from legodnn.blocks.accuracy.chance import Standing, check_clear, outputs_of, standing
from legodnn.blocks.accuracy.compositions import (
    MeasuredComposition,
    OptionChain,
    Stage,
    draw_compositions,
    measure,
    measurement_report,
)
from legodnn.blocks.accuracy.loss_fit import OptionNumbers
from legodnn.blocks.accuracy.metrics import Metric, distilled_heads, metric_of
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece, extract, output_names
from legodnn.blocks.estimate import build_seconds, seconds_per_image
from legodnn.blocks.export.options import convert_all, levels, mark_dominated
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.importing.labels import check_classes
from legodnn.blocks.importing.models import data_and_model, makes_classifier
from legodnn.blocks.importing.opening import in_float32
from legodnn.blocks.manifest import manifest_of
from legodnn.blocks.rehearsal import check_undivided, rehearse
from legodnn.blocks.training.job_processes import train_descendants
from legodnn.blocks.training.joint import train_jointly
from legodnn.blocks.training.original import train_original
from legodnn.blocks.training.scalars import scalars_to
from legodnn.blocks.training.trained_weights import Students, read_joint, read_original, write_joint, write_original
from legodnn.console import ProgressLine, say
from legodnn.errors import StoreError, WriteError
from legodnn.files import new_folder, write_atomic
from legodnn.manifest import MANIFEST, Manifest
from legodnn.recipe import Recipe
from legodnn.schema import to_json
from legodnn.store import Store
from legodnn.units import duration

_UNDIVIDED_IMAGES = 256
_KEEP_EVERY_S = 30.0


def build(
    recipe: Recipe, path: str | Path, jobs: int = 1, tensorboard: str | None = None, allow_chance: bool = False
) -> Store:
    """Train, cut, prune, distil, quantise and export one model.

    Args:
        recipe: what to build.
        path: the store's folder; it must not exist, and appears whole at the end or not at all. Until then what is
            finished lies in NAME.work beside it; if this process dies, the same call goes on from there.
        jobs: processes that train at a time; the store is the same but for the last bits of its weights, since sums
            depend on the number of threads that each process gets.
        tensorboard: a folder for logs of training.
        allow_chance: go on, with a warning, if the original is no better than chance on the validation images.

    Raises:
        StoreError: something is at `path` already, another build is under way, or files cannot be written.
        ModelError: the model cannot be cut, pruned or exported.
        DataError: the data cannot be used, the metric cannot tell good outputs from bad ones, or the original is at
            chance level.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; remove it or choose another folder: a store is never changed in place")
    with in_float32():
        data, model = data_and_model(recipe)
        check_classes(model, data, recipe.metric)
        pieces = extract(model, recipe.max_blocks, recipe.min_share)
        try:
            return _build(recipe, path, data, model, pieces, jobs, tensorboard, allow_chance)
        except (OSError, WriteError) as e:
            told = f"cannot write {e.filename or path}: {e.strerror or e}" if isinstance(e, OSError) else str(e)
            raise WriteError(f"{told}, and run the same command again: it goes on where it was") from e


def _build(
    recipe: Recipe,
    path: Path,
    data: Dataset,
    model: keras.Model,
    pieces: Sequence[Piece],
    jobs: int,
    tensorboard: str | None,
    allow_chance: bool,
) -> Store:
    classifier = makes_classifier(recipe.model)
    metric = metric_of(recipe.metric, data, model, classifier)
    heads = distilled_heads(recipe.metric, data, model, classifier)
    val = data.val.first(recipe.evaluated_images)
    described = f"{data.name}, {len(val)} validation images" + ("" if val.y is not None else " without labels")
    left_out = rehearse(recipe, data, model, pieces, metric.__name__, described)
    found = standing(metric, outputs_of(model, val.x), val)
    if not recipe.train_epochs:
        _tell(found, metric, model, described, allow_chance)
    with BuildState(path, recipe) as work:
        left_out = work.left_out(left_out)
        if recipe.train_epochs:
            if not read_original(work, model):
                _train_original(work, model, data, tensorboard)
            _tell(standing(metric, outputs_of(model, val.x), val), metric, model, described, allow_chance)
        _announce(left_out)
        if work.fresh:
            image_s = seconds_per_image(model, data.train.x, recipe.batch_size)
            total = build_seconds(recipe, pieces, len(data.train), len(val), image_s)
            print(f"the build takes about {duration(total)} from here, less where blocks learn fast", file=sys.stderr)
        descendants = train_descendants(work, pieces, data, jobs, tensorboard, ProgressLine)
        _train_jointly(work, pieces, descendants, data, heads)
        manifest = _export(work, data, model, pieces, descendants, metric, val, described, left_out)
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


def _tell(found: Standing, metric: Metric, model: keras.Model, described: str, allow_chance: bool) -> None:
    """Say how good the original is, before anything is made of it; DataError if that is no better than chance."""
    name = metric.__name__
    warning = check_clear(found, name, model.name, described, allow_chance)
    print(
        warning or f"{model.name}: {name} {found.original:.3f} on {described}; without looking {found.chance:.3f}",
        file=sys.stderr,
    )


def _announce(left_out: Mapping[str, str]) -> None:
    """A line for each block and reason."""
    together: dict[tuple[str, str], list[str]] = {}
    for place, reason in left_out.items():
        block, _, option = place.partition("/")
        together.setdefault((block, reason), []).append(option)
    for (block, reason), options in together.items():
        print(f"{block}: left out {', '.join(options)}: {reason}", file=sys.stderr)


def _train_original(work: BuildState, model: keras.Model, data: Dataset, tensorboard: str | None) -> None:
    recipe, checkpoint = work.recipe, work.checkpoint("original")
    train_original(
        model,
        data,
        recipe.train_epochs,
        recipe.batch_size,
        seed=recipe.seed,
        checkpoint=checkpoint,
        log=scalars_to(tensorboard),
        progress=ProgressLine,
    )
    write_original(work, model)
    checkpoint.discard()


def _train_jointly(
    work: BuildState, pieces: Sequence[Piece], descendants: Students, data: Dataset, heads: Sequence[Head]
) -> None:
    """Train descendants in random compositions, in place, as far as that is not done already."""
    recipe = work.recipe
    if not recipe.joint_epochs or read_joint(work, descendants):
        return
    checkpoint = work.checkpoint("joint")
    train_jointly(
        pieces,
        descendants,
        data,
        recipe.joint_epochs,
        recipe.batch_size,
        recipe.seed,
        heads=heads,
        checkpoint=checkpoint,
        progress=ProgressLine,
    )
    write_joint(work, descendants)
    checkpoint.discard()


def _export(
    work: BuildState,
    data: Dataset,
    model: keras.Model,
    pieces: Sequence[Piece],
    descendants: Students,
    metric: Metric,
    val: Split,
    described: str,
    left_out: dict[str, str],
) -> Manifest:
    """Write every option's file into the work folder, measure accuracy, and return the manifest."""
    recipe, known = work.recipe, dict(left_out)
    exported = convert_all(work, data, pieces, descendants, left_out)
    work.leave_out(left_out)
    _announce({place: reason for place, reason in left_out.items() if place not in known})
    stages = [Stage(p.inputs, p.outputs, [e.runner for e in exported[p.name]]) for p in pieces]
    chain = OptionChain(stages, output_names(pieces))
    check_undivided(chain, model, val.x[:_UNDIVIDED_IMAGES])
    evaluated = _Evaluated(work)
    uniform = levels(recipe, [exported[p.name] for p in pieces])
    costs = [np.array([e.costs for e in exported[p.name]], np.float64) for p in pieces]
    accuracy, fit = measure(
        chain, val, described, recipe.samples, recipe.seed, metric, evaluated, uniform.values(), costs
    )
    say(
        measurement_report(uniform, evaluated, draw_compositions(chain.sizes, recipe.samples, recipe.seed), accuracy),
        file=sys.stderr,
    )
    options = {
        piece.name: mark_dominated(
            [e.described(piece.name, loss) for e, loss in zip(exported[piece.name], losses, strict=True)], mean
        )
        for piece, losses, mean in zip(pieces, fit.losses, fit.mean_losses, strict=True)
    }
    interactions = {piece.name: rows for piece, rows in zip(pieces, fit.interactions, strict=True)}
    return manifest_of(recipe, data, pieces, options, interactions, accuracy, left_out)


class _Evaluated(dict[OptionNumbers, MeasuredComposition]):
    """What compositions were measured to be worth, kept in the work folder as it grows."""

    def __init__(self, work: BuildState) -> None:
        super().__init__()
        self._file = work.path / "evaluated.json"
        self._kept = time.monotonic()
        if self._file.exists():
            for composition, found in json.loads(self._file.read_text(encoding="utf-8")):
                super().__setitem__(tuple(composition), MeasuredComposition(*found))

    def __setitem__(self, composition: OptionNumbers, found: MeasuredComposition) -> None:
        super().__setitem__(composition, found)
        if time.monotonic() - self._kept > _KEEP_EVERY_S:
            write_atomic(self._file, json.dumps([[list(c), list(m)] for c, m in self.items()]))
            self._kept = time.monotonic()
