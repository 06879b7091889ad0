"""A model as a chain of segments with options, which computes the outputs of any composition.

What an option is made of does not matter here: a `.tflite` file, a Keras model, or a plain function in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from legodnn.arrays import Array
from legodnn.blocks.importing.data import by_name

OptionNumbers = tuple[int, ...]  # a composition: one option number for each segment, 0 for the original


@dataclass(frozen=True, eq=False)
class Stage:
    """One segment: the names of the tensors it reads and writes, and its options, the original first.

    An option is called with the arrays that it reads, each of shape (n, ...), and returns the list of those it writes.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Sequence[Callable[..., list[Array]]]

    def run(self, option: int, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return `tensors` together with the tensors that this option writes."""
        written = self.options[option](*(tensors[name] for name in self.inputs))
        return {**tensors, **dict(zip(self.outputs, written, strict=True))}


@dataclass(frozen=True, eq=False)
class OptionChain:
    """The segments of one model in topological order.

    Attributes:
        stages: the segments.
        outputs: names of the tensors that are the model's outputs; None stands for those that the last segment writes.
    """

    stages: Sequence[Stage]
    outputs: tuple[str, ...] | None = None

    @property
    def sizes(self) -> list[int]:
        """The number of options of each segment."""
        return [len(stage.options) for stage in self.stages]

    def inputs(self, x: Any) -> dict[str, Array]:
        """Return the model's inputs by name, given an array (for a model with one input) or arrays by name."""
        return by_name(x, self.stages[0].inputs[0])

    def feature_bytes(self, x: Any) -> int:
        """Return the size in bytes of the inputs `x` and all tensors between segments that they lead to."""
        tensors: Mapping[str, Array] = self.inputs(x)
        for stage in self.stages:
            tensors = stage.run(0, tensors)
        return sum(t.nbytes for t in tensors.values())

    def walk(self, compositions: Iterable[OptionNumbers], x: Any) -> Iterator[list[Array]]:
        """Yield the outputs of each composition for inputs `x`.

        The first segments that a composition has in common with the one before it are not run again.
        """
        known: list[Mapping[str, Array]] = [self.inputs(x)]
        before: OptionNumbers = ()
        for composition in compositions:
            pairs = zip(before, composition, strict=False)
            shared = next((i for i, (a, b) in enumerate(pairs) if a != b), len(before))
            del known[shared + 1 :]
            for stage, option in zip(self.stages[shared:], composition[shared:], strict=True):
                known.append(stage.run(option, known[-1]))
            before = composition
            yield [known[-1][name] for name in self.outputs or self.stages[-1].outputs]
