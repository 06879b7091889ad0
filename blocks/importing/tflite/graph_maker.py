"""What is the same of every file whose operators become layers, `.tflite` and ONNX: names, shared layers, both ends."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import keras
from keras import layers

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import Tensor, submodel
from legodnn.blocks.importing.tflite.call import FileInput
from legodnn.blocks.importing.tflite.names import unique_names, valid_name
from legodnn.blocks.importing.tflite.values import GraphValue, settled
from legodnn.errors import ModelError

_Place = TypeVar("_Place")


class GraphMaker:
    """The graph of one file as far as it has been made.

    Attributes:
        names: those that layers have.
    """

    def __init__(self, input_shape: Shape | None, inputs: int) -> None:
        """Make a graph of nothing yet.

        Args:
            input_shape: the shape of the file's one input, without the number of images, where the user gives it.
            inputs: how many inputs the file has.
        """
        self.names: set[str] = set()
        self._layers: dict[Any, Any] = {}
        self._input_shape, self._inputs = input_shape, inputs

    def free(self, name: str) -> str:
        """Return a valid name that no layer has yet."""
        base = free = valid_name(name)
        number = 1
        while free in self.names:
            number += 1
            free = f"{base}_{number}"
        self.names.add(free)
        return free

    def layer_of(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return the layer that was made for a key, or else make it."""
        if key not in self._layers:
            self._layers[key] = make()
        return self._layers[key]

    def fixed_shape(self, name: str, shape: tuple[int | None, ...], example: str) -> Shape:
        """Return the shape of an input for one image, with the sizes that the user gives where the file leaves them.

        Args:
            name: the input.
            shape: its sizes in the file; None where one is not fixed.
            example: how such sizes are given.

        Raises:
            ModelError: sizes are missing, or do not fit.
        """
        if self._input_shape is not None and self._inputs > 1:
            raise ModelError("an input shape is given, and it has several inputs; leave the shape out")
        if self._input_shape is not None:
            given = (1, *self._input_shape)
            if len(given) != len(shape) or any(d not in (None, g) for d, g in zip(shape[1:], given[1:], strict=True)):
                raise ModelError(
                    f"input {name!r} has shape {shape}, which {self._input_shape} does not fit; give one "
                    "with its fixed sizes, without the first"
                )
            shape = given
        if not shape or shape[0] not in (1, None):
            raise ModelError(f"input {name!r} has shape {shape}; its first size must be 1, the number of images")
        known = [1, *(d for d in shape[1:] if d is not None)]
        if len(known) < len(shape):
            raise ModelError(
                f"input {name!r} has shape {shape}, which fixes not all sizes: give them with --input-shape "
                f"(input_shape in a recipe), such as {example}"
            )
        return tuple(known)

    def model(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, FileInput]]) -> keras.Model:
        """Return the model that computes values.

        Args:
            name: the model's.
            inputs: what it is computed from.
            outputs: what each value is called in the file, and the value.

        Raises:
            ModelError: a value does not depend on an input.
        """
        tensors: list[Tensor] = []
        for output, found in outputs:
            if not isinstance(found, GraphValue):
                raise ModelError(f"output {output!r} is not computed from an input")
            tensor = settled(found, self.free(f"{output}_turned")).tensor
            if any(tensor is other for other in (*inputs, *tensors)):
                tensor = layers.Identity(name=self.free(f"{output}_again"))(tensor)
            tensors.append(tensor)
        made = submodel(inputs, tensors, valid_name(name))
        made.output_names = unique_names([valid_name(output) for output, _ in outputs])
        return made


def named_place(places: Mapping[str, _Place], name: str) -> _Place:
    """Return the place of a computed tensor at which the user ends a model.

    Args:
        places: by the names that the user may give; what was computed last is the last.
        name: what the user gave.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in places:
        near = difflib.get_close_matches(name, places, 3)
        hint = f"; near to it: {', '.join(near)}" if near else f"; the last is {list(places)[-1]}" if places else ""
        raise ModelError(f"there is no computed tensor {name!r} to cut at{hint}")
    return places[name]
