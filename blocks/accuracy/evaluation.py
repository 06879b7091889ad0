"""Measuring compositions: the metric of each on the validation images, and how far its outputs are from the original's.

In a store the options of the chain are the exported files, so that what a plan promises is what a device runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.metrics import Metric
from legodnn.blocks.accuracy.option_chain import OptionChain, OptionNumbers
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.difference import relative_error
from legodnn.errors import DataError
from legodnn.progress import Progress, no_progress
from legodnn.schema import MOST_METRIC

# Images are taken through all compositions in batches. The features of a batch at every segment are kept, so a batch
# holds fewer images where those of one image are large.
_BATCH, _FEATURE_BYTES = 250, 500_000_000
_GROUP = 32  # compositions whose outputs for all images are kept at a time


class MeasuredComposition(NamedTuple):
    """What was measured of a composition: its metric, and the squared error of its outputs, see `relative_error`.

    Values that are NaN or infinite say nothing: they count as the mean of the original's.
    """

    metric: float
    error: float


def evaluate(
    chain: OptionChain,
    compositions: Iterable[OptionNumbers],
    split: Split,
    metric: Metric,
    label: str = "evaluating compositions",
    original: Sequence[Array] | None = None,
    progress: Progress = no_progress,
) -> Iterator[tuple[OptionNumbers, MeasuredComposition]]:
    """Measure compositions in sorted order, so that those with equal first segments follow one another and share work.

    Args:
        chain: the segments.
        compositions: option numbers, one for each segment.
        split: inputs, and labels; without labels (None) the metric compares with the original's outputs.
        metric: see `legodnn.blocks.accuracy.metrics`.
        label: what progress is shown under.
        original: the outputs of the originals, if they are known already; see `original_outputs`.
        progress: shows the batches that are done.

    Yields:
        Each composition with its measurement, in groups, as soon as the group is done. A caller that keeps them can be
        interrupted and later go on with the rest.

    Raises:
        DataError: the metric does not give a finite number.
    """
    todo = sorted(set(compositions))
    if not todo:
        return
    batches = _batches(chain, split)
    with progress(label, (len(todo) + (original is None)) * len(batches)) as task:

        def outputs_of(group: Sequence[OptionNumbers]) -> Iterator[list[Array]]:
            parts: list[list[list[Array]]] = [[] for _ in group]
            for batch in batches:
                for part, outputs in zip(parts, chain.walk(group, batch()), strict=True):
                    part.append(outputs)
                    task.step()
            return ([np.concatenate(column) for column in zip(*part, strict=True)] for part in parts)

        if original is None:
            original = next(outputs_of([(0,) * len(chain.stages)]))
        original = _finite(original, original)
        labels = original if split.y is None else split.y
        for start in range(0, len(todo), _GROUP):
            group = todo[start : start + _GROUP]
            for composition, given in zip(group, outputs_of(group), strict=True):
                outputs = _finite(given, original)
                found = metric(outputs, labels)
                if not math.isfinite(found):
                    raise DataError(
                        f"metric {getattr(metric, '__name__', '')} gave {found} for composition {composition}, not a "
                        "number; it must give one for any outputs"
                    )
                # R squared has no lower bound, but a store has one for metrics, and all values there are useless alike.
                yield (
                    composition,
                    MeasuredComposition(max(found, -MOST_METRIC), float(relative_error(outputs, original))),
                )


def original_outputs(chain: OptionChain, split: Split) -> list[Array]:
    """Return the outputs of the originals for all images."""
    parts = [next(chain.walk([(0,) * len(chain.stages)], batch())) for batch in _batches(chain, split)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _finite(outputs: Sequence[Array], original: Sequence[Array]) -> list[Array]:
    """Return outputs with the mean of the original's in place of NaN and infinity."""

    def finite(found: Array, of: Array) -> Array:
        good = np.isfinite(found)
        return found if good.all() else np.where(good, found, np.mean(of, where=np.isfinite(of), dtype=np.float32))

    return [finite(*pair) for pair in zip(outputs, original, strict=True)]


def _batches(chain: OptionChain, split: Split) -> list[Callable[[], dict[str, Array]]]:
    """Return functions that each read a batch of the inputs, by name."""
    inputs = chain.inputs(split.x)
    count = len(next(iter(inputs.values())))
    size = min(_BATCH, max(1, _FEATURE_BYTES // chain.feature_bytes({k: v[:1] for k, v in inputs.items()})))

    def batch(start: int) -> dict[str, Array]:
        return {k: v[start : start + size] for k, v in inputs.items()}

    return [functools.partial(batch, start) for start in range(0, count, size)]
