"""The tensors that models take and give: their shapes and types, and how inputs are made from pixels.

They are a part of a store's manifest (see `legodnn.manifest`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from legodnn.arrays import Array
from legodnn.errors import InputError
from legodnn.pixels import Scaling
from legodnn.schema import MOST_ELEMENTS, MOST_INT, MOST_RANK, Many, Name, Schema

ElementType = Literal["float32", "uint8", "int8", "int32", "int64"]
Layout = Literal["HWC", "plain"]
ImageFit = Literal["stretch", "crop", "letterbox"]
Dim = Annotated[int, Field(gt=0, le=MOST_INT)]
PixelNumber = Annotated[float, Field(ge=-1e9, le=1e9)]  # in the values that a model takes for pixels


class TensorSpec(Schema):
    """A tensor that segments pass on. `shape` leaves out the batch dimension, which is always 1 in a store's files.

    In stores that are built every tensor between segments is float32. Whole files may take and give other types, and
    post-processing may give them. Where `scale` is not 0, an element q of uint8 or int8 stands for the number
    (q - zero_point) * scale; else elements are numbers themselves.
    """

    name: Name
    shape: Many[Dim] = Field(max_length=MOST_RANK)
    dtype: ElementType = "float32"
    scale: float = Field(default=0.0, ge=0, le=1e30)
    zero_point: int = Field(default=0, ge=-128, le=255)

    @field_validator("shape")
    @classmethod
    def _fits(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if math.prod(shape) > MOST_ELEMENTS:
            raise ValueError(f"must be of at most {MOST_ELEMENTS} elements in all")
        return shape

    @model_validator(mode="after")
    def _quantised(self) -> Self:
        if self.dtype not in ("uint8", "int8"):
            if self.scale or self.zero_point:
                raise ValueError(f"{self.name}: {self.dtype} has no scale and no zero point")
        elif not np.iinfo(self.dtype).min <= self.zero_point <= np.iinfo(self.dtype).max:
            raise ValueError(f"{self.name}: {self.zero_point} is no {self.dtype}")
        return self

    @property
    def bytes(self) -> int:
        """The bytes that its elements take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def zeros(self) -> NDArray[Any]:
        """Return an array of this shape and type, with all elements zero."""
        return np.zeros(self.shape, self.dtype)

    def from_numbers(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return numbers as elements of this type: rounded to the nearest that there is, where it is no float.

        Raises:
            InputError: there is NaN or infinity, which no whole number stands for. As float32 they stay, and
                `check_inputs` refuses them.
        """
        if self.dtype == "float32":
            with np.errstate(over="ignore"):
                return np.asarray(numbers, np.float32, order="C")  # unlike ascontiguousarray, also of no axes
        if not np.isfinite(numbers).all():
            raise InputError(f"{self.name!r} got NaN or infinity; check what it was made from")
        limits = np.iinfo(self.dtype)
        elements = np.clip(np.rint(numbers / (self.scale or 1.0)) + self.zero_point, limits.min, limits.max)
        return np.asarray(elements.astype(self.dtype), order="C")

    def to_numbers(self, elements: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers that elements of this type stand for."""
        if not self.scale:
            return elements
        numbers: Array = (elements.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        return numbers


class InputSpec(TensorSpec):
    """A model input, and how to make it from pixels: scale 0..255 to `range`, subtract `mean`, divide by `std`.

    `mean` and `std` have one value for each channel, or one for all of them; where one is empty, its step is left out.
    `layout` is HWC for pictures; `plain` inputs are arrays of numbers that no image file makes. `resize` and `fit` say
    how image files become pixels of this shape (see `legodnn.images`); `fill` is the value, 0 to 255, of the margins of
    a letterbox.
    """

    layout: Layout = "HWC"
    resize: Literal["bilinear-antialias"] = "bilinear-antialias"
    fit: ImageFit = "stretch"
    fill: int = Field(default=0, ge=0, le=255)
    range: tuple[PixelNumber, PixelNumber] = (0.0, 1.0)
    mean: Many[PixelNumber] = ()
    std: Many[Annotated[float, Field(ge=1e-9, le=1e9)]] = ()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if problem := self.scaling.problem((self.shape or (0,))[-1]):
            raise ValueError(f"{self.name}: {problem}")
        return self

    @property
    def scaling(self) -> Scaling:
        """How pixels become the numbers of this input."""
        return Scaling(self.range, self.mean, self.std)

    def from_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the input that pixels, 0 to 255, shape (..., channels), make: scaled, and of this type."""
        return self.from_numbers(self.scaling(pixels))

    def to_pixels(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the pixels that an input of this type was made of, shape (..., channels); see `from_pixels`."""
        return self.scaling.pixels(self.to_numbers(x))
