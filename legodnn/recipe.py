"""The recipe: everything that a store depends on, and nothing else. The store's manifest holds it.

`legodnn build --recipe` reads it from a TOML file. Only `model` and `name` are required, and the command line can give
both:

    model = "MobileNetV2"              # of keras.applications
    data = "images:photos"
    image_size = 96
    input_range = [-1.0, 1.0]
    train_epochs = 30
    sparsities = [0.25, 0.5, 0.75]
    precisions = ["float32", "int8"]
    strategy = "thinet"

Settings that do not change the result (number of processes, logs) are arguments of `legodnn.blocks.build`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.readings import Reading
from legodnn.schema import MOST_INT, MOST_LOSS, MOST_PATH, MOST_SEGMENTS, Many, Schema, explain
from legodnn.tensor_spec import ImageFit, PixelNumber
from legodnn.toml import read_toml
from legodnn.widths_table import WidthSteps

# Longest side of an image, and most channels.
_MOST_PIXELS = 16_384
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RecipePlace = Annotated[str, Field(max_length=MOST_PATH)]
# A number whose multiples kernels like, or the steps that were measured on a device.
RoundTo = Annotated[int, Field(ge=1, le=MOST_INT)] | WidthSteps
Variation = Literal["flips", "shifts"]
StrategyName = Literal[
    "random",
    "l1",
    "l2",
    "batch_norm_scale",
    "geometric_median",
    "reconstruction",
    "global_l1",
    "gradual_l1",
    "taylor",
    "gradual_taylor",
    "slimming",
    "thinet",
    "soft_clusters",
    "exact",
    "amc",
    "agmc",
    "metapruning",
    "pr_darts",
]


class Recipe(Schema):
    """Everything that a store depends on.

    Attributes:
        model: the model to build from, see `legodnn.blocks.importing.models.open_model`.
        name: the model's name in the store.
        data: the data set, see `legodnn.blocks.importing.data_sources.load_data`.
        width: channel multiplier of a zoo model.
        image_size: height and width in pixels that digits and image folders are scaled to. None stands for the size
            that the model takes, and for 32 where the model is made for the data (zoo and keras.applications).
        input_range, input_mean, input_std: how pixels become the model's input: they are scaled from 0..255 to the
            range, then the mean is subtracted, then the result is divided by std. Mean and std have one value for each
            channel or one for all. If one of the three is given, the others default to (0, 1), 0 and 1. If none is, the
            data set decides ((0, 1) for digits and image folders), and a model whose input holds whole numbers (uint8)
            gets pixels as they are.
        input_fit, input_fill: how image files of other proportions are brought to the model's size: `stretch`, `crop`
            or `letterbox` with margins of that value (see `legodnn.images`).
        weights: a file of trained weights, or 'imagenet' for a model of keras.applications.
        cut_at: for `.tflite` and ONNX files and SavedModels: tensors at which the model ends; the rest is left out.
        input_shape: the input's shape, without the number of images, where a file or function does not fix it.
        custom: for a Keras file: modules with the layers and functions that it names; they are imported.
        train_epochs: epochs of ordinary training before anything else; 0 for a model that is trained already.
        sparsities: shares of the inner channels of a block that its descendants lose. The original (0) is always there.
        precisions: the precisions of every option. float32 is always there; the others are quantised after training.
        strategy: how descendants are pruned, a name in `legodnn.blocks.pruning.strategies.STRATEGIES`.
        round_to: what numbers of kept channels are rounded to, see `legodnn.blocks.pruning.rounding`: the multiples of
            a number, where a layer has at least four times as many channels (1 for no rounding), or the steps of a
            device, which `legodnn build --widths-table` reads from a table. Sparsities that come to the same channels
            of a block are one option of it.
        distill_epochs: the most epochs of block-wise distillation.
        joint_epochs: epochs of training in random compositions after that. 0 is the training of the paper: pruning and
            block-wise distillation alone. Otherwise the weights of descendants are also refitted before distillation,
            see `legodnn.blocks.pruning.reconstruct`.
        augment: how images are varied in that training: `flips` (left and right), `shifts` (by up to an eighth of
            height and width), both or none. The original gives the targets for what descendants get, so labels need
            nothing; but what comes out must still be an image of the kind that devices will see.
        patience: a descendant is done after this many epochs in which its error on the validation images has not fallen
            by 1 %.
        learning_rate: Adam's learning rate in distillation, which decays by a cosine to 1 %.
        mixed_precision: compute in bfloat16 in block-wise distillation, where weights stay float32; training of the
            original and in compositions is in float32 all the same. Refused where there is no GPU.
        batch_size: images in a training step; in training in compositions, where each takes two paths, half as many.
        max_blocks, min_share: see `legodnn.blocks.cutting.extract.extract`.
        metric: what accuracy means: `top1`, `top5`, `binary_accuracy`, `mean_iou`, `r2`, or `module:function`, see
            `legodnn.blocks.accuracy.metrics`. None stands for the metric that fits labels and outputs, and without
            labels for agreement with the original.
        reading: what outputs hold, see `legodnn.readings`: boxes around anchors, heat maps of key points, and so on. It
            decides on the metric and on the form of labels (`legodnn.blocks.accuracy.task_metrics`), and the store has
            it, so that devices can decode and draw what was found. Scores of classes need none.
        samples: number of random compositions that are evaluated to fit and test the accuracy model. Up to half as many
            come on top, which plans are likely to choose.
        evaluated_images: the most validation images that compositions are evaluated on.
        calibration_images: training images that int8 options are calibrated on.
        seed: of everything random.
    """

    model: RecipePlace
    name: str
    data: RecipePlace = "digits"
    width: Annotated[float, Field(gt=0, le=1000)] = 1.0
    image_size: Annotated[int, Field(ge=8, le=_MOST_PIXELS)] | None = None
    input_range: tuple[PixelNumber, PixelNumber] | None = None
    input_mean: tuple[PixelNumber, ...] | None = Field(default=None, max_length=_MOST_PIXELS)
    input_std: tuple[Annotated[float, Field(ge=1e-9, le=1e9)], ...] | None = Field(
        default=None, max_length=_MOST_PIXELS
    )
    input_fit: ImageFit = "stretch"
    input_fill: Annotated[int, Field(ge=0, le=255)] = 0
    weights: RecipePlace | None = None
    cut_at: Many[RecipePlace] = Field(default=(), max_length=100)
    input_shape: tuple[Annotated[int, Field(ge=1, le=_MOST_PIXELS)], ...] | None = Field(default=None, max_length=5)
    custom: Many[RecipePlace] = Field(default=(), max_length=100)
    train_epochs: Annotated[int, Field(ge=0, le=MOST_INT)] = 0
    sparsities: Many[Annotated[float, Field(gt=0, lt=1)]] = Field(default=(0.2, 0.4, 0.6, 0.8, 0.9), max_length=100)
    precisions: Many[Precision] = Field(default=("float32", "float16", "int8"), max_length=3)
    strategy: StrategyName = "taylor"
    round_to: RoundTo = 8
    distill_epochs: Annotated[int, Field(gt=0, le=MOST_INT)] = 10
    joint_epochs: Annotated[int, Field(ge=0, le=MOST_INT)] = 12
    augment: Many[Variation] = Field(default=(), max_length=2)
    patience: Annotated[int, Field(gt=0, le=MOST_INT)] = 3
    learning_rate: Annotated[float, Field(gt=0, le=MOST_LOSS)] = 1e-3
    mixed_precision: bool = False
    batch_size: Annotated[int, Field(gt=0, le=MOST_INT)] = 64
    max_blocks: Annotated[int, Field(gt=0, le=MOST_SEGMENTS)] | None = None
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    metric: RecipePlace | None = None
    reading: Reading | None = None
    samples: Annotated[int, Field(ge=6, le=MOST_INT)] = 120
    evaluated_images: Annotated[int, Field(ge=10, le=MOST_INT)] = 2000
    calibration_images: Annotated[int, Field(gt=0, le=MOST_INT)] = 128
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a name has at most 64 letters, digits, . _ and -, and begins with a letter or digit")
        return value

    @field_validator("sparsities")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or sorted(set(value)) != list(value):
            raise ValueError("sparsities must increase and be at least one")
        if len({f"{sparsity:g}" for sparsity in value}) < len(value):
            raise ValueError("sparsities must differ in their first six digits, which name their options")
        return value

    @field_validator("precisions")
    @classmethod
    def _float32_first(cls, value: tuple[Precision, ...]) -> tuple[Precision, ...]:
        if value[:1] != ("float32",) or len(set(value)) < len(value):
            raise ValueError("precisions must start with float32, each given once")
        return value

    @field_validator("augment")
    @classmethod
    def _varies_once(cls, value: tuple[Variation, ...]) -> tuple[Variation, ...]:
        if len(set(value)) < len(value):
            raise ValueError("augment must name each variation once")
        return value

    @model_validator(mode="after")
    def _augments_something(self) -> Self:
        if self.augment and not self.joint_epochs:
            raise ValueError("augment is for training in compositions, of which joint_epochs = 0 leaves none")
        return self

    @model_validator(mode="after")
    def _range_increases(self) -> Self:
        if self.input_range and not self.input_range[0] < self.input_range[1]:
            raise ValueError("input_range must increase")
        return self

    @model_validator(mode="after")
    def _fills_margins(self) -> Self:
        if self.input_fill and self.input_fit != "letterbox":
            raise ValueError(
                f'only a letterbox has margins to fill with {self.input_fill}; say input_fit = "letterbox", or leave '
                "input_fill out"
            )
        return self


def resolve(file: str | Path | None, default_name: str, **given: Any) -> Recipe:
    """Return a recipe of the fields that are given, and for other fields of a TOML file.

    Args:
        file: the TOML file; None if there is none.
        default_name: the model's name if neither the file nor a field names it.
        given: fields of the recipe, which take the place of those in the file.

    Raises:
        ModelError: the file cannot be read, or the recipe makes no sense.
    """
    document: dict[str, Any] = {}
    if file is not None:
        document = read_toml(Path(file), ModelError, "docs/build.md shows a recipe")
    document = {"name": default_name, **document, **given}
    where = f"{file}: " if file is not None else ""
    if "model" not in document:
        raise ModelError(f"{where}no model is named: give MODEL, or `model` in a recipe")
    try:
        return Recipe.model_validate(with_tuples(document))
    except (ValidationError, TypeError) as e:
        reason = explain(e, Recipe.model_fields) if isinstance(e, ValidationError) else str(e)
        raise ModelError(f"{where}the recipe makes no sense: {reason}") from None


def with_tuples(value: Any) -> Any:
    """Return a value of a TOML document or flag with tuples in place of lists, as recipes have them."""
    if isinstance(value, dict):
        return {key: with_tuples(below) for key, below in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value
