"""What a build starts from: the data and the model that a recipe names, and the metric that fits both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legodnn.blocks.accuracy.chance import Rating, check_above_chance, outputs_of, rate_original
from legodnn.blocks.accuracy.metrics import Metric, distilled_heads, metric_of
from legodnn.blocks.accuracy.task_metrics import check_task_labels, reading_of
from legodnn.blocks.export.convert import check_backend
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.importing.labels import check_classes
from legodnn.blocks.importing.models import data_and_model, makes_classifier
from legodnn.progress import Progress, no_progress
from legodnn.readings import Reading
from legodnn.recipe import Recipe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class BuildSource:
    """Data, original and metric of one build.

    Attributes:
        data: images and labels.
        model: the original, as one flat graph in float32.
        metric: rates the outputs of compositions.
        heads: how training compares each output with the original's.
        reading: how outputs become objects: the recipe's, or the one that the heads mean; None where they mean none.
        val: the validation images that compositions are measured on.
        described: what `val` is, for messages and the manifest.
    """

    data: Dataset
    model: keras.Model
    metric: Metric
    heads: Sequence[Head]
    reading: Reading | None
    val: Split
    described: str

    @property
    def metric_name(self) -> str:
        """The metric's name, for messages and the manifest."""
        return str(self.metric.__name__)

    def rate(self) -> Rating:
        """Return the metric of the original as it is now, and of outputs that ignore the image.

        Raises:
            DataError: the metric does not give a number, or it gives the same one whatever the outputs are.
        """
        return rate_original(self.metric, outputs_of(self.model, self.val.x), self.val)

    def check(self, rating: Rating, allow_chance: bool) -> None:
        """Log the rating of the original, and raise DataError if it is at chance level and that is not allowed."""
        check_above_chance(rating, self.metric_name, self.model.name, self.described, allow_chance)


def open_source(recipe: Recipe, progress: Progress = no_progress) -> BuildSource:
    """Open the data and the model of a recipe, and find the metric and the meaning of the model's outputs.

    Args:
        recipe: what is to be built.
        progress: shows the images that are read.

    Raises:
        ConfigError: Keras runs on another backend than TensorFlow, which exports what is built.
        ModelError: the model cannot be opened.
        DataError: the data cannot be used, does not fit the model, or there is no such metric.
    """
    check_backend()
    data, model = data_and_model(recipe, progress)
    check_classes(model, data, recipe.metric)
    shapes = [tuple(output.shape[1:]) for output in model.outputs]
    check_task_labels(recipe.reading, data, shapes)
    heads = distilled_heads(recipe.metric, data, model, makes_classifier(recipe.model), recipe.reading)
    reading = recipe.reading or reading_of(heads, shapes, len(data.labels))
    val = data.val.first(recipe.evaluated_images)
    return BuildSource(
        data=data,
        model=model,
        metric=metric_of(recipe.metric, data.val, heads, reading),
        heads=heads,
        reading=reading,
        val=val,
        described=f"{data.name}, {len(val)} validation images" + ("" if val.y is not None else " without labels"),
    )
