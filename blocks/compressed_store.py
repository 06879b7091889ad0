"""A store of one block whose options are whole compressed models: what is usual elsewhere, for the scheduler here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from legodnn.blocks.accuracy.evaluation import evaluate
from legodnn.blocks.accuracy.kept_measurements import KeptMeasurements
from legodnn.blocks.accuracy.loss_fit import Fit
from legodnn.blocks.accuracy.option_chain import OptionChain, Stage
from legodnn.blocks.accuracy.sampling import single_swaps
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.compression import whole_piece
from legodnn.blocks.compression_stage import check_begun_with, fine_tune_refitted, group_widths, refitted_model
from legodnn.blocks.cutting.extract import output_names
from legodnn.blocks.evaluation_stage import measurements_file
from legodnn.blocks.export.convert import check_convertible
from legodnn.blocks.export.options import export_options
from legodnn.blocks.importing.opening import in_float32
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.kept_channels import kept_channels
from legodnn.blocks.manifest import store_manifest
from legodnn.blocks.pipeline import log_left_out, write_store
from legodnn.blocks.pruning.allocation import Target, check_reachable, pose
from legodnn.blocks.pruning.draw_widths import GroupWidth
from legodnn.blocks.quantised_source import log_dequantisation
from legodnn.blocks.source import open_source
from legodnn.compression import CompressionRecipe
from legodnn.errors import ModelError
from legodnn.manifest import AccuracyModel, Link
from legodnn.progress import Progress, no_progress
from legodnn.store import Store, check_new_store


def compress_to_store(
    recipe: CompressionRecipe, path: str | Path, progress: Progress = no_progress, allow_chance: bool = False
) -> Store:
    """Compress a model to each of the recipe's shares, and write original and results as the options of one block.

    An option's sparsity is the share of the channels that were removed, of all that can be.

    Args:
        recipe: what is compressed, and to what.
        path: the store's folder, which must not exist.
        progress: shows the steps.
        allow_chance: go on, with a warning, if the original is no better than chance on the validation images.

    Raises:
        StoreError: something is at `path` already, or unfinished work there is of something else.
        TargetError: a target cannot be met.
        ModelError: the model cannot be opened, pruned or exported, or two results are the same.
        DataError: the data cannot be used, labels are needed and absent, or the original is at chance level.
    """
    path = Path(path)
    check_new_store(path)
    with in_float32():
        source = open_source(recipe, progress)
        source.check(source.rate(), allow_chance)
        pieces = [whole_piece(source.model)]
        # What would fail at the end fails before hours of training.
        check_reachable(pose(source.model, Target(recipe.measure, recipe.shares[-1])))
        check_convertible(pieces[0])
        log_dequantisation(recipe, source, LocalProcesses(1))
        with BuildState(path, recipe) as work:
            check_begun_with(work, recipe, source)
            # All are pruned before one is fine-tuned, which takes hours: then it is known whether they differ.
            made = [refitted_model(work, recipe, source, share, progress) for share in recipe.shares]
            lost = shares_lost([group_widths(source.model, pruned.removed) for pruned in made], work.path)
            for pruned in made:
                fine_tune_refitted(work, recipe, source, pruned, progress)
            work.recipe = recipe = recipe.model_copy(update={"sparsities": lost})
            kept = {"model": kept_channels(pieces[0], [pruned.removed for pruned in made])}
            students = {"model": [pruned.student for pruned in made]}
            before = work.left_out({})
            options, left_out = export_options(
                work, source.data, pieces, students, kept, before, LocalProcesses(1), progress
            )
            work.leave_out(left_out)
            log_left_out(left_out)
            chain = OptionChain(
                [Stage(p.inputs, p.outputs, [o.runner for o in options[p.name]]) for p in pieces], output_names(pieces)
            )
            known = KeptMeasurements(measurements_file(work, source.metric))
            every = single_swaps(chain.sizes)
            missing = [c for c in every if c not in known]
            for composition, measured in evaluate(
                chain, missing, source.val, source.metric, "measuring accuracy", progress=progress
            ):
                known[composition] = measured
            accuracy, fit = measured_accuracy([known[c].metric for c in every], source.metric_name, source.described)
            manifest = store_manifest(recipe, source, pieces, options, accuracy, fit, left_out, kept)
            write_store(path, work, manifest)
            work.remove()
    return Store(path)


def measured_accuracy(metrics: Sequence[float], name: str, data: str) -> tuple[AccuracyModel, Fit]:
    """Return the accuracy model of a single block, which says of each option what was measured.

    An option that is better than the original counts as good as the original.

    Args:
        metrics: of each option, the original's first.
        name: the metric's.
        data: what was measured on.
    """
    best = metrics[0]
    losses = [max(0.0, best - metric) for metric in metrics]
    most = max(max(losses), 1e-3)
    link = Link(x=(0.0, most), y=(best, best - most))
    return AccuracyModel(metric=name, data=data, original=best, link=link, error=0.0, samples=0), Fit(
        [losses], [[]], link
    )


def shares_lost(made: Sequence[Sequence[GroupWidth]], work: Path) -> tuple[float, ...]:
    """Return which share of the channels each model has lost.

    Args:
        made: the widths of each model.
        work: the work folder that holds them, which other targets cannot go on from; for the message.

    Raises:
        ModelError: a model has lost nothing, or as much as another one.
    """
    found = tuple(round(1 - sum(g.kept for g in groups) / sum(g.full for g in groups), 4) for groups in made)
    if len(set(found)) < len(found) or min(found) <= 0:
        raise ModelError(
            f"the models lost {', '.join(f'{s:.2%}' for s in found)} of the channels, which must be something and "
            f"differ: give targets that lie further apart, and remove {work}"
        )
    return found
