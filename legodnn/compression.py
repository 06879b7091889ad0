"""What a whole model is compressed to: the recipe of `legodnn compress`, which is read without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from legodnn.errors import ModelError, StoreError
from legodnn.manifest import Precision
from legodnn.recipe import Recipe, RoundTo, StrategyName, with_tuples
from legodnn.schema import MOST_INT, Many, explain

# What a target is a share of.
CostMeasure = Literal["macs", "parameters", "bytes"]
# The strategies that measure widths: the names in blocks.pruning.searches.SEARCHES.
MEASURING: tuple[StrategyName, ...] = ("exact", "amc", "agmc", "metapruning", "pr_darts")
# Fields of a recipe that say how an original is trained, and blocks are cut, trained and measured: not done here.
_OF_BLOCKS = (
    "train_epochs",
    "sparsities",
    "joint_epochs",
    "mixed_precision",
    "max_blocks",
    "min_share",
    "samples",
)
# Fields that say how a pruned model is fine-tuned.
_OF_TUNING = ("augment", "batch_size", "learning_rate", "patience")


class CompressionRecipe(Recipe):
    """Everything that compressed models depend on: a recipe whose descendants are whole models.

    Fields that nothing here depends on (`train_epochs`, `sparsities`, `max_blocks` and others) are refused.

    Attributes:
        measure: what the targets are shares of.
        shares: what each compressed model may cost, as shares of the original.
        strategy: which channels go, see `Recipe`.
        judged_by: what a search measures: the error of the `outputs` on training images, or the metric on `labels`.
        distill_epochs: passes over the training images that a pruned model is fine-tuned for.
        augment: how images are varied in fine-tuning, see `Recipe`.
        searched_images: training images on which widths are measured and weights are refitted.
    """

    measure: CostMeasure = "macs"
    shares: Many[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1, max_length=100)
    strategy: StrategyName = "exact"
    judged_by: Literal["outputs", "labels"] = "outputs"
    distill_epochs: Annotated[int, Field(ge=0, le=MOST_INT)] = 10
    joint_epochs: Annotated[int, Field(ge=0, le=MOST_INT)] = 0
    round_to: RoundTo = 1
    searched_images: Annotated[int, Field(gt=1, le=MOST_INT)] = 250

    @model_validator(mode="after")
    def _augments_something(self) -> Self:
        fields = type(self).model_fields
        tuning = [name for name in _OF_TUNING if getattr(self, name) != fields[name].default]
        if tuning and not self.distill_epochs:
            raise ValueError(f"{' and '.join(tuning)} is for fine-tuning, of which 0 epochs leave none")
        return self

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        fields = type(self).model_fields
        if of_blocks := [name for name in _OF_BLOCKS if getattr(self, name) != fields[name].default]:
            raise ValueError(f"a whole model is compressed without {', '.join(of_blocks)}; leave it out, or use build")
        if sorted(set(self.shares), reverse=True) != list(self.shares):
            raise ValueError("shares must fall from the largest model to the smallest, each given once")
        if self.judged_by == "labels" and self.strategy not in MEASURING:
            raise ValueError(f"{self.strategy} measures no widths that labels could judge; name {', '.join(MEASURING)}")
        return self


def check_compressed_file(path: Path, precision: Precision) -> None:
    """Check that a compressed model of this precision can be written to a path.

    Raises:
        StoreError: something is there already.
        ModelError: no model is written under such a name, or not of this precision.
    """
    if path.exists():
        raise StoreError(f"{path} exists; remove it or name another file: results are never overwritten")
    if path.suffix not in (".tflite", ".keras"):
        raise ModelError(f"cannot write a model to {path}: its name must end in .tflite or .keras")
    if path.suffix == ".keras" and precision != "float32":
        raise ModelError(f"a .keras file holds float32 weights; for {precision} name a .tflite file")


def compression_recipe(**fields: Any) -> CompressionRecipe:
    """Return a recipe of these fields, which may hold lists in place of tuples.

    Raises:
        ModelError: it makes no sense.
    """
    try:
        return CompressionRecipe.model_validate(with_tuples(fields))
    except ValidationError as e:
        raise ModelError(f"the model cannot be compressed like this: {explain(e)}") from None
