"""Differentiable search for widths, after PR-DARTS (Mousavi et al., DASS: Differentiable Architecture Search for Sparse
Neural Networks, TECS 2023).

Every group has architecture parameters, one for each of a few widths; their softmax is the probability of the width. A
channel is read as often as it is kept, which makes the pruned network's loss, and the expected cost too, differentiable
in these parameters. They descend on validation images, the weights of a copy of the block on training images, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from legodnn.arrays import Array, Floats
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.difference import fitted_error, relative_error
from legodnn.blocks.pruning.allocation import PruningProblem
from legodnn.blocks.pruning.cost_tables import CostTables, cost_tables
from legodnn.blocks.pruning.masked import keep_mask, read_means, recalibrated, run_masked, sample_arrays, targets_of
from legodnn.blocks.pruning.reconstruct import split_images
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.progress import Progress, no_progress

# The loss of a network in which each group has its widths with these probabilities, each of shape (levels,).
SoftLoss = Callable[[Sequence[Any]], Any]

_LEVELS = 9
_RATE = 0.05  # Adam's, for architecture parameters
_WEIGHTS_RATE, _BATCH, _VALIDATION = 1e-4, 32, 128
_STEEPEST = 20.0  # factor of the share by which the expected cost exceeds the limit, at the end


def width_levels(search: WidthSearch) -> CostTables:
    """Return the widths that are chosen from, evenly spaced from the least to the full one, and what they cost."""
    levels = [np.unique(np.maximum(1, np.round(np.linspace(0, n, _LEVELS)))).astype(np.int64) for n in search.full]
    return cost_tables(search.cost, levels)


def descend(
    search: WidthSearch,
    tables: CostTables,
    soft_loss: SoftLoss,
    between: Callable[[int, Sequence[Floats]], None] | None = None,
    progress: Progress = no_progress,
    steps: int = 300,
) -> None:
    """Let the architecture parameters descend, and measure the widths that they stand for now and then.

    Args:
        search: what is searched for.
        tables: what `width_levels(search)` returned.
        soft_loss: see `SoftLoss`.
        between: is called after every step with its number and the probabilities; it may train weights.
        progress: shows the steps.
        steps: how many.
    """
    parameters = [keras.Variable(np.zeros(len(level), np.float32)) for level in tables.levels]
    optimizer = keras.optimizers.Adam(_RATE)
    optimizer.build(parameters)
    scale = max(search.measure(search.uniform), 1e-12)

    def step(steepness: Any) -> Any:
        with tf.GradientTape() as tape:
            chances = [ops.softmax(p.value) for p in parameters]
            excess = ops.relu(expected_cost(tables, chances) / search.limit - 1)
            loss = soft_loss(chances) / scale + steepness * excess
        optimizer.apply(tape.gradient(loss, [p.value for p in parameters]), parameters)
        return loss

    run = tf.function(step, autograph=False)
    with progress("descending on widths", steps) as task:
        for number in range(steps):
            loss = float(run(tf.constant(_STEEPEST * (number + 1) / steps, tf.float32)))
            chances = [np.asarray(ops.softmax(p.value), np.float64) for p in parameters]
            if number % 10 == 9 or number == steps - 1:
                kept = np.array([c @ level for c, level in zip(chances, tables.levels, strict=True)])
                search.measure(search.fitted(kept / search.full))
            if between:
                between(number, chances)
            task.step(f"loss {loss:.4g}")


def expected_cost(tables: CostTables, chances: Sequence[Any]) -> Any:
    """Return the mean cost when every group draws its level by itself with these probabilities."""
    total = tables.whole + sum(
        ops.sum(c * each.astype(np.float32)) for c, each in zip(chances, tables.alone, strict=True)
    )
    for (g, h), table in tables.together.items():
        total += ops.sum(chances[g][:, None] * table.astype(np.float32) * chances[h])
    return total


def soft_block(
    problem: PruningProblem, tables: CostTables, seed: int = 0
) -> tuple[SoftLoss, Callable[[int, Sequence[Floats]], None]]:
    """Return the loss of a block with probabilities on validation images, and what trains its copy between steps.

    The loss is the fitted error of the outputs. A fifth of the sample inputs are the validation images.

    Args:
        problem: the block, with sample inputs.
        tables: the levels of its groups.
        seed: determines the batches.
    """
    rng, inputs = np.random.default_rng(seed), sample_arrays(problem)
    targets, means = targets_of(problem), read_means(problem.block, problem.channels, [x[:250] for x in inputs])
    copy = remove(problem.block, problem.channels, np.empty(0, np.int64))
    channels = analyse(copy)  # it numbers the channels as in the block
    masks = _masks(problem, tables)
    (seen, held_out), (wanted_seen, wanted) = split_images(inputs), split_images(targets)
    optimizer = keras.optimizers.Adam(_WEIGHTS_RATE)
    optimizer.build(copy.trainable_variables)

    def outputs(xs: Any, chances: Sequence[Any]) -> list[Any]:
        keep = ops.matmul(ops.concatenate([*chances, ops.ones(1)]), masks)
        return run_masked(copy, channels, xs, keep, recalibrated, means)

    def train(xs: Any, ys: Any, chances: Sequence[Any]) -> None:
        with tf.GradientTape() as tape:
            loss = relative_error(outputs(xs, chances), ys)
        gradients = tape.gradient(loss, [v.value for v in copy.trainable_variables])
        optimizer.apply(gradients, copy.trainable_variables)

    run = tf.function(train, autograph=False)

    def between(_: int, chances: Sequence[Floats]) -> None:
        rows = rng.integers(len(seen[0]), size=_BATCH)
        xs, ys = ([tf.constant(a[rows]) for a in arrays] for arrays in (seen, wanted_seen))
        run(xs, ys, [tf.constant(c, tf.float32) for c in chances])

    first, right = ([tf.constant(a[:_VALIDATION]) for a in arrays] for arrays in (held_out, wanted))
    return (lambda chances: fitted_error(outputs(first, chances), right)), between


def _masks(problem: PruningProblem, tables: CostTables) -> Array:
    """Return the mask of every level of every group, one below the other, and of the channels that always stay."""
    rows, always = list[Array](), np.ones(problem.channels.count, np.float32)
    for number, (group, level) in enumerate(zip(problem.channels.groups, tables.levels, strict=True)):
        members = np.concatenate(group.coupled)
        always[members] = 0
        for width in level:
            widths = problem.full.copy()
            widths[number] = width
            row = np.zeros(problem.channels.count, np.float32)
            row[members] = keep_mask(problem, widths)[members]
            rows.append(row)
    return np.stack([*rows, always])
