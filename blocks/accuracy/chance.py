"""Whether a metric tells a model from useless ones, tried before anything is trained.

Useless are outputs that belong to other images, and outputs that are the same for every image. A metric that rates
them as it rates the original's cannot guide a choice between compositions; an original that is rated no better than
they are has nothing that descendants could keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.metrics import Metric
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.heads import MEASURES
from legodnn.errors import DataError
from legodnn.pixels import PixelArrays
from legodnn.schema import MOST_METRIC

_BATCH, _SHUFFLES = 64, 20
# Outputs of more images than fit into this are not looked at: shuffles are of large masks too.
_BYTES = 50_000_000
_CLEAR = 3.0  # standard deviations of shuffled outputs


@dataclass(frozen=True)
class Standing:
    """What the metric says of the original, and the most that it says of useless outputs.

    `chance` is the most of what the mean output, or the mean label, gives for every image, and of what outputs of other
    images give: the mean over shuffles and three standard deviations more.
    """

    original: float
    chance: float

    @property
    def clear(self) -> bool:
        """Whether the original is better than chance."""
        return self.original > self.chance + 1e-9


def outputs_of(model: keras.Model, x: PixelArrays) -> list[Array]:
    """A model's outputs for any number of images, a batch at a time."""
    parts = [as_list(model.predict_on_batch(x[i : i + _BATCH])) for i in range(0, len(x), _BATCH)]
    return [np.concatenate([np.asarray(y) for y in column]) for column in zip(*parts, strict=True)]


def standing(metric: Metric, outputs: Sequence[Array], split: Split, seed: int = 0) -> Standing:
    """Rate a model's outputs and useless ones.

    Args:
        metric: see `metrics`.
        outputs: of the model for the images of `split`.
        split: supplies the labels; without, the outputs stand in for them.
        seed: of shuffles and noise.

    Raises:
        DataError: the metric does not give a number, or the same one whatever the outputs are.
    """
    size = sum(output[:1].nbytes for output in outputs)
    count = max(10, min(len(outputs[0]), _BYTES // max(1, size)))
    outputs = [output[:count] for output in outputs]
    labels: Any = outputs if split.y is None else split.first(count).y
    rng = np.random.default_rng(seed)
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
    return Standing(original, max(*constants, float(np.mean(shuffled) + _CLEAR * np.std(shuffled))))


def _constant(outputs: Sequence[Array], of: Sequence[Any]) -> list[Array]:
    """For every image the mean of these outputs or labels; of the outputs, where labels are not of their size."""
    sources = [np.reshape(y, o.shape) if np.size(y) == o.size else o for o, y in zip(outputs, of, strict=True)]
    means = [np.asarray(source, np.float64).mean(axis=0) for source in sources]
    return [np.broadcast_to(mean, o.shape).astype(o.dtype) for o, mean in zip(outputs, means, strict=True)]


def check_clear(found: Standing, metric: str, model: str, described: str, allowed: bool) -> str | None:
    """A warning if the original is at chance level and that is allowed; None if it is better.

    Raises:
        DataError: it is at chance level, and that is not allowed.
    """
    if found.clear:
        return None
    problem = (
        f"{model} itself is at chance level: its {metric} is {found.original:.3f} on {described}, and outputs that "
        f"ignore the image reach {found.chance:.3f}"
    )
    if allowed:
        return f"warning: {problem}"
    raise DataError(
        f"{problem}; look at weights, labels and input_range, train it (train_epochs), or name a metric that fits "
        "(metric, --metric); to build all the same: --allow-chance"
    )
