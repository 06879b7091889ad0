"""Checks, before anything is trained, that the metric tells the original's outputs from useless ones.

Useless outputs are those of other images, and outputs that are the same for every image. A metric that gives them the
same value as the original's outputs cannot guide a choice between compositions. An original that is rated no better
than useless outputs has learnt nothing that descendants could keep.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.metrics import Metric
from legodnn.blocks.importing.data import ModelInputs, Split
from legodnn.blocks.importing.graph import as_list
from legodnn.errors import DataError
from legodnn.label_kinds import MEASURES
from legodnn.schema import MOST_METRIC

log = logging.getLogger("legodnn.blocks")

_BATCH, _SHUFFLES = 64, 20
# Only as many images are rated as have outputs of this size together: each shuffle copies them, and masks are large.
_BYTES = 50_000_000
_DEVIATIONS = 3.0  # an original above chance is better than shuffled outputs by so many standard deviations


@dataclass(frozen=True)
class Rating:
    """The metric of the original, and the best metric of outputs that ignore the image.

    Attributes:
        original: the metric of the original's outputs.
        chance: the largest of three values: the metric of the mean output, of the mean label, and of outputs in random
            order (their mean over shuffles, and three standard deviations more).
    """

    original: float
    chance: float

    @property
    def above_chance(self) -> bool:
        """Whether the original is better than outputs that ignore the image."""
        return self.original > self.chance + 1e-9


def outputs_of(model: keras.Model, x: ModelInputs) -> list[Array]:
    """Return a model's outputs for any number of inputs, each of shape (n, ...), computed a batch at a time."""
    parts = [as_list(model.predict_on_batch(x[i : i + _BATCH])) for i in range(0, len(x), _BATCH)]
    return [np.concatenate([np.asarray(y) for y in column]) for column in zip(*parts, strict=True)]


def rate_original(metric: Metric, outputs: Sequence[Array], split: Split) -> Rating:
    """Return the metric of a model's outputs and of useless ones.

    Args:
        metric: see `legodnn.blocks.accuracy.metrics`.
        outputs: the model's outputs for the images of `split`.
        split: has the labels; without labels the outputs stand in for them.

    Raises:
        DataError: the metric does not give a number, or it gives the same one whatever the outputs are.
    """
    size = sum(output[:1].nbytes for output in outputs)
    count = max(10, min(len(outputs[0]), _BYTES // max(1, size)))
    outputs = [output[:count] for output in outputs]
    labels: Any = outputs if split.y is None else split.first(count).y
    rng = np.random.default_rng(0)
    name = getattr(metric, "__name__", "metric")

    def rated(found: Sequence[Array]) -> float:
        value = float(metric(found, labels))
        if not math.isfinite(value) or value > MOST_METRIC:
            raise DataError(
                f"metric {name} gave {value}, not a number of at most {MOST_METRIC:g}; it must give one for any outputs"
            )
        return value

    original = rated(outputs)
    constants = [rated(_constant(outputs, outputs)), rated(_constant(outputs, as_list(labels)))]
    shuffled = [rated([o[order] for o in outputs]) for order in (rng.permutation(count) for _ in range(_SHUFFLES))]
    noise = rated([rng.normal(o.mean(), o.std() + 1e-3, o.shape).astype(o.dtype) for o in outputs])
    if all(value == original for value in (*constants, noise, *shuffled)):
        raise DataError(
            f"metric {name} is {original:.3f} whatever the outputs are: for the original's, for those of other images, "
            f"for a constant and for noise; name another one (metric, --metric): {', '.join(MEASURES)} or "
            "module:function"
        )
    return Rating(original, max(*constants, float(np.mean(shuffled) + _DEVIATIONS * np.std(shuffled))))


def _constant(outputs: Sequence[Array], of: Sequence[Any]) -> list[Array]:
    """Return outputs that are the same for every image.

    Args:
        outputs: the model's outputs, whose shapes the result has.
        of: outputs or labels to take the mean of. Where these do not have as many values as the output, the mean of the
            output is taken.
    """
    pairs = zip(outputs, of if len(of) == len(outputs) else outputs, strict=True)  # boxes are labels of several outputs
    sources = [np.reshape(y, o.shape) if np.size(y) == o.size else o for o, y in pairs]
    means = [np.asarray(source, np.float64).mean(axis=0) for source in sources]
    return [np.broadcast_to(mean, o.shape).astype(o.dtype) for o, mean in zip(outputs, means, strict=True)]


def check_above_chance(rating: Rating, metric: str, model: str, described: str, allow_chance: bool) -> None:
    """Log how good the original is, and refuse one that is no better than outputs that ignore the image.

    Args:
        rating: see `rate_original`.
        metric: the metric's name.
        model: the model's name.
        described: what the rating was measured on.
        allow_chance: log a warning instead of refusing the original.

    Raises:
        DataError: the original is at chance level, and that is not allowed.
    """
    if rating.above_chance:
        log.info(f"{model}: {metric} {rating.original:.3f} on {described}; without looking {rating.chance:.3f}")
        return
    problem = (
        f"{model} itself is at chance level: its {metric} is {rating.original:.3f} on {described}, and outputs that "
        f"ignore the image reach {rating.chance:.3f}"
    )
    if not allow_chance:
        raise DataError(
            f"{problem}; look at weights, labels and input_range, train it (train_epochs), or name a metric that fits "
            "(metric, --metric); to go on all the same: --allow-chance"
        )
    log.warning(problem)
