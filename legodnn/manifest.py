"""The schema of a store's `manifest.json`: one model as segments with their options, and how it was built.

docs/store.md documents the format, which Python and Java read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from legodnn.errors import StoreError
from legodnn.readings import Reading
from legodnn.schema import (
    LEAST_KNOT,
    MOST_BYTES,
    MOST_COUNT,
    MOST_KNOTS,
    MOST_LABELS,
    MOST_METRIC,
    MOST_OPTIONS,
    MOST_SEGMENTS,
    MOST_TENSORS,
    Count,
    Loss,
    Many,
    MetricValue,
    Name,
    Schema,
    Text,
)
from legodnn.tensor_spec import Dim
from legodnn.tensor_spec import InputSpec as InputSpec
from legodnn.tensor_spec import TensorSpec as TensorSpec

STORE_VERSION = "legodnn.store/1"
MANIFEST = "manifest.json"

Names = Annotated[Many[Name], Field(min_length=1, max_length=MOST_TENSORS)]
Precision = Literal["float32", "float16", "int8"]


class Option(Schema):
    """One variant of a segment: one `.tflite` file.

    Attributes:
        name: unique in the segment.
        sparsity: the share of channels that was to be removed; rounding (`legodnn.blocks.pruning.rounding`) may have
            removed a little more or less. 0 for none.
        precision: the number format of the weights; int8 computes in int8 too. Inputs and outputs are of the same types
            in all options.
        file: the path of the `.tflite`, relative to the store.
        sha256: the hash of the file, in hexadecimal.
        bytes: the size of the file.
        params: the number of parameters.
        macs: multiply-accumulates of one inference.
        loss: what choosing this option adds to the sum that `AccuracyModel.link` takes; 0 for the original.
        dominated: whether another option is no larger, no slower (as far as that can be told without a device) and, on
            average over the options of its neighbours, no less accurate.
    """

    name: Name
    sparsity: float = Field(ge=0, lt=1)
    precision: Precision = "float32"
    file: Name
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: Annotated[int, Field(gt=0, le=MOST_BYTES)]
    params: Count
    macs: Count
    loss: Loss = 0.0
    dominated: bool = False

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file or "\0" in file:
            raise ValueError("must be a relative path inside the store")
        return file


class Segment(Schema):
    """A piece of the model that is loaded as one: a `block` has several options, a `fixed` piece exactly one.

    `interaction` is the loss that an option of this block and one of the block before add together, beyond the losses
    of their own. It has a row for each option of the block before, and a column for each option of this one; it is
    empty where there is no interaction, as for the first block.
    """

    name: Name
    kind: Literal["block", "fixed"]
    inputs: Names
    outputs: Names
    options: Many[Option] = Field(min_length=1, max_length=MOST_OPTIONS)
    interaction: Many[Annotated[Many[Loss], Field(max_length=MOST_OPTIONS)]] = Field(
        default=(), max_length=MOST_OPTIONS
    )

    @model_validator(mode="after")
    def _options_make_sense(self) -> Self:
        names = [o.name for o in self.options]
        if len(set(names)) != len(names):
            raise ValueError(f"segment {self.name} has two options of the same name")
        if self.kind == "fixed" and len(self.options) > 1:
            raise ValueError(f"fixed segment {self.name} has more than one option")
        if self.options[0].sparsity:
            raise ValueError(f"segment {self.name} lacks its original, which comes first and has sparsity 0")
        return self

    @property
    def original(self) -> Option:
        """The first option: unpruned and in float32 where a model was built, the most accurate of whole files."""
        return self.options[0]

    def option(self, name: str) -> Option:
        """Return the option of this name.

        Raises:
            StoreError: there is none.
        """
        for option in self.options:
            if option.name == name:
                return option
        raise StoreError(
            f"segment {self.name} has no option {name!r}; it has {', '.join(o.name for o in self.options)}"
        )


def interaction_problem(interaction: Sequence[Sequence[float]], before: int, options: int) -> str | None:
    """Return what is wrong with the shape of `Segment.interaction`, or None.

    Args:
        interaction: a row for each option of the block before, a column for each option of the segment; or empty.
        before: the number of options of the block before; 0 if there is none, or the segment is fixed.
        options: the number of options of the segment.
    """
    if not interaction or [len(row) for row in interaction] == [options] * before:
        return None
    return "interaction must have a row for each option of the block before and a column for each option"


class Link(Schema):
    """A piecewise linear, non-increasing function from the summed loss to the metric; it is constant outside its knots.

    The knots are the points (x[i], y[i]), with x increasing.
    """

    x: Many[Loss] = Field(min_length=2, max_length=MOST_KNOTS)
    y: Many[MetricValue] = Field(min_length=2, max_length=MOST_KNOTS)

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError("x and y differ in length")
        if any(b <= a or b - a < LEAST_KNOT for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError(f"x must increase, by at least {LEAST_KNOT:g} each time")
        if any(b > a for a, b in zip(self.y, self.y[1:], strict=False)):
            raise ValueError("y must not increase")
        return self


class AccuracyModel(Schema):
    """How to predict a composition's metric: `link(sum of the chosen options' losses and their interactions)`.

    Attributes:
        metric: the name of the metric; larger is better.
        data: the name of the data set that everything here was measured on.
        original: the metric of the undivided model.
        link: the function from the summed loss to the metric.
        error: the mean absolute error of the predictions of random compositions, each made by a fit to others.
        samples: the number of these random compositions.
        plan_error: for compositions that plans are likely to choose, the error that nine in ten predictions keep to.
        plan_samples: the number of these likely compositions; 0 if none was measured.
    """

    metric: Name
    data: Text
    original: MetricValue
    link: Link
    error: float = Field(ge=0, le=MOST_METRIC)
    samples: Count
    plan_error: float = Field(default=0.0, ge=0, le=MOST_METRIC)
    plan_samples: Count = 0


class ModelInfo(Schema):
    """What the model is for.

    Attributes:
        name: the model's name.
        task: classification, action, segmentation, detection, pose, anomaly, or other.
        labels: the names of classes, in the order of their numbers.
        reading: how outputs become objects (`legodnn.tasks.decode`); None where that is not known.
    """

    name: Name
    task: Name
    labels: Many[Text] = Field(default=(), max_length=MOST_LABELS)
    reading: Reading | None = None


def task_of(metric: str) -> str:
    """Return the task of a model whose accuracy is measured by this metric, for `ModelInfo`."""
    tasks = {**dict.fromkeys(("top1", "top5", "binary_accuracy"), "classification"), "mean_iou": "segmentation"}
    return tasks.get(metric, "other")


class BuildInfo(Schema):
    """How the store was made: when, with which versions of packages, from which seed and recipe.

    `left_out` says why an option that the recipe asks for is missing; its keys are 'segment/option'. `channels` says
    how many output channels layers have that can lose some, by the layer's name; its keys are 'segment/option' for the
    float32 options of blocks, whose other precisions have as many.
    """

    created: Text
    versions: dict[Text, Text]
    seed: int = Field(ge=-MOST_COUNT, le=MOST_COUNT)
    recipe: dict[str, Any]
    left_out: dict[Text, Text] = Field(default={})
    channels: dict[Text, dict[Text, Dim]] = Field(default={})


class Manifest(Schema):
    """The content of manifest.json."""

    schema_: Literal["legodnn.store/1"] = Field(default="legodnn.store/1", alias="schema")
    model: ModelInfo
    inputs: Many[InputSpec] = Field(min_length=1, max_length=MOST_TENSORS)
    outputs: Names
    tensors: Many[TensorSpec] = Field(max_length=MOST_TENSORS)
    segments: Many[Segment] = Field(min_length=1, max_length=MOST_SEGMENTS)
    accuracy: AccuracyModel
    built: BuildInfo

    @model_validator(mode="after")
    def _graph_makes_sense(self) -> Self:
        names = [s.name for s in self.segments]
        if len(set(names)) != len(names):
            raise ValueError("two segments have the same name")
        ready = {i.name for i in self.inputs}
        if len(ready) < len(self.inputs) or len(set(self.outputs)) < len(self.outputs):
            raise ValueError("two inputs or two outputs have the same name")
        for segment in self.segments:
            if missing := set(segment.inputs) - ready:
                raise ValueError(f"segment {segment.name} reads {missing.pop()!r}, which no earlier segment writes")
            if again := set(segment.outputs) & ready:
                raise ValueError(f"segment {segment.name} writes {again.pop()!r} again")
            ready |= set(segment.outputs)
        if missing := set(self.outputs) - ready:
            raise ValueError(f"no segment writes the output {missing.pop()!r}")
        before = 0
        for segment in self.segments:
            block = segment.kind == "block"
            if problem := interaction_problem(segment.interaction, before * block, len(segment.options)):
                raise ValueError(f"segment {segment.name}: {problem}")
            before = len(segment.options) if block else before
        described = [t.name for t in self.tensors]
        if sorted(described) != sorted(ready - {i.name for i in self.inputs}):
            raise ValueError("`tensors` must describe exactly the tensors that segments write")
        if reading := self.model.reading:
            shapes = [self.specs[name].shape for name in self.outputs]
            if problem := reading.problem(shapes, len(self.model.labels)):
                raise ValueError(f"the model's outputs cannot be read as it says: {problem}")
        return self

    @property
    def blocks(self) -> tuple[Segment, ...]:
        """The segments that have options to choose from, in topological order."""
        return tuple(s for s in self.segments if s.kind == "block")

    @property
    def compositions(self) -> int:
        """The number of models that the options give: one option for every block, in every combination."""
        return math.prod(len(b.options) for b in self.blocks)

    @cached_property
    def specs(self) -> dict[str, TensorSpec]:
        """Every model input and every tensor that segments write, by name."""
        return {t.name: t for t in (*self.inputs, *self.tensors)}

    @cached_property
    def read_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that a segment reads; a model may take others, and make nothing of them."""
        read = {name for segment in self.segments for name in segment.inputs}
        return tuple(spec.name for spec in self.inputs if spec.name in read)

    @property
    def ends(self) -> tuple[TensorSpec, ...]:
        """The tensors that pass between an application and the model: its inputs, then its outputs."""
        return (*self.inputs, *(self.specs[name] for name in self.outputs))
