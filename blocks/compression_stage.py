"""Pruning of a whole model to a target, and fine-tuning of what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.metrics import labels_tell_heads
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.importing.data import input_arrays
from legodnn.blocks.importing.source_digest import function_digest, source_digests
from legodnn.blocks.pruning.allocation import PruningProblem, Target, pose
from legodnn.blocks.pruning.draw_widths import GroupWidth
from legodnn.blocks.pruning.masked import outputs_by_widths
from legodnn.blocks.pruning.reconstruct import refit
from legodnn.blocks.pruning.regimes import Descendant
from legodnn.blocks.pruning.rounding import rounded
from legodnn.blocks.pruning.searches import SEARCHES, searched_widths
from legodnn.blocks.pruning.strategies import descendants, strategy_of
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import Widths
from legodnn.blocks.source import BuildSource
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.blocks.training.tuning import tune_on
from legodnn.blocks.training.variables import assign
from legodnn.blocks.training.variation import varied_inputs
from legodnn.compression import CompressionRecipe
from legodnn.errors import DataError, StoreError
from legodnn.progress import Progress, no_progress

if TYPE_CHECKING:
    import keras


class PrunedModel(NamedTuple):
    """A model that is pruned to a share of its cost.

    Attributes:
        name: under which the work folder keeps it.
        student: the model.
        removed: the IDs of the channels that went.
        tuned: whether it has been fine-tuned.
    """

    name: str
    student: keras.Model
    removed: IdArray
    tuned: bool


def check_begun_with(work: BuildState, recipe: CompressionRecipe, source: BuildSource) -> None:
    """Refuse a work folder that was begun with another model or other data, or whose widths another metric judged.

    Args:
        work: the work folder.
        recipe: what is compressed. The code of a metric of the user's own counts where it judges widths.
        source: the original and the data.

    Raises:
        StoreError: the folder is of something else, or damaged.
    """
    judges = recipe.judged_by == "labels" and recipe.metric is not None and ":" in recipe.metric
    digests = {"metric": function_digest(source.metric)} if judges else {}
    work.check_source({**source_digests(source.model, source.data), **digests})


def refitted_model(
    work: BuildState, recipe: CompressionRecipe, source: BuildSource, share: float, progress: Progress = no_progress
) -> PrunedModel:
    """Return the model pruned to a share of its cost and refitted, and fine-tuned where the work folder has it so.

    Args:
        work: the work folder, where it is kept once it is finished, and every step on the way.
        recipe: what is compressed.
        source: the original and the data.
        share: what may be left of the cost.
        progress: shows the steps.

    Raises:
        ConfigError: inputs are to be varied that are no images.
        TargetError: the target cannot be met.
        DataError: labels are needed and absent.
        StoreError: the work folder is damaged.
    """
    model, data = source.model, source.data
    varied_inputs(data.train.x[:1], recipe.augment, [0])  # refuses what fine-tuning could not vary
    name, x = f"{recipe.measure}{share:g}", input_arrays(data.train.x[: recipe.searched_images])
    channels = analyse(model)
    saved = work.read(name)
    if saved is None:
        removed, student = _pruned(work, recipe, source, x, share, progress)
        saved = {"removed": removed, "weights": student.get_weights(), "tuned": np.array(False)}
        work.write(name, saved)
    other = f"{work.path / name}.npz is of another model; remove {work.path} and start again"
    try:
        removed, tuned = saved["removed"].astype(np.int64), bool(saved["tuned"])
        if not np.isin(removed, np.arange(channels.count)).all():
            raise LookupError
    except (LookupError, TypeError, ValueError, AttributeError):
        raise StoreError(other) from None
    student = remove(model, channels, removed)
    try:
        assign(student.weights, saved["weights"])
    except (LookupError, TypeError, ValueError, AttributeError):
        raise StoreError(other) from None
    return PrunedModel(name, student, removed, tuned)


def fine_tune_refitted(
    work: BuildState,
    recipe: CompressionRecipe,
    source: BuildSource,
    pruned: PrunedModel,
    progress: Progress = no_progress,
) -> None:
    """Fine-tune what `refitted_model` returned, in place, unless that has been done; arguments are those there."""
    if pruned.tuned:
        return
    checkpoint = work.checkpoint(pruned.name)
    fine_tune(
        source.model,
        pruned.student,
        source.data,
        recipe.distill_epochs,
        recipe.batch_size,
        recipe.learning_rate,
        heads=source.heads,
        labelled=labels_tell_heads(recipe.metric, recipe.reading),
        patience=recipe.patience,
        seed=recipe.seed,
        augment=recipe.augment,
        checkpoint=checkpoint,
        progress=progress,
    )
    weights = pruned.student.get_weights()
    work.write(pruned.name, {"removed": pruned.removed, "weights": weights, "tuned": np.array(True)})
    checkpoint.discard()


def group_widths(model: keras.Model, removed: IdArray) -> tuple[GroupWidth, ...]:
    """Return how much of each group of a model's channels stays when these channels go."""
    widths = []
    for group in analyse(model).groups:
        kept = sum(not np.isin(ids, removed).any() for ids in group.coupled)
        widths.append(GroupWidth(tuple(dict.fromkeys(group.makers)), len(group.coupled), kept))
    return tuple(widths)


def _pruned(
    work: BuildState, recipe: CompressionRecipe, source: BuildSource, x: list[Array], share: float, progress: Progress
) -> Descendant:
    """Return the channels that the recipe's strategy removes, and the model without them, not fine-tuned yet."""
    model, target = source.model, Target(recipe.measure, share)
    strategy = strategy_of(recipe.strategy, recipe.seed)
    if recipe.strategy not in SEARCHES:
        tune = tune_on(model, x, seed=recipe.seed)
        (found,) = descendants(model, [target], strategy, x, True, tune, round_to=recipe.round_to, seed=recipe.seed)
        return found
    problem = pose(model, target, strategy.criterion, x, seed=recipe.seed, progress=progress)
    loss = _metric_loss(problem, source) if recipe.judged_by == "labels" else None
    widths = searched_widths(problem, SEARCHES[recipe.strategy], loss, work.path / "measured.json")
    widths = rounded(problem, widths, recipe.round_to)
    removed, student = problem.removed(widths), problem.pruned(widths)
    refit(model, student, problem.channels, removed, x)
    return removed, student


def _metric_loss(problem: PruningProblem, source: BuildSource) -> Callable[[Widths], float]:
    """Return the loss of widths by the metric on the labels of the sample inputs: what is missing to the original's."""
    labels = source.data.train.first(len(problem.x[0])).y
    if labels is None:
        raise DataError(
            f"{source.data.name} has no labels to judge a pruned model by; leave out --judged-by labels: the error of "
            "outputs needs none"
        )
    outputs = outputs_by_widths(problem)
    whole = source.metric(outputs(problem.full), labels)
    return lambda widths: whole - source.metric(outputs(widths), labels)
