"""Where a model can be cut at all: rule 1 of `extract`, and what a run of calls reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import keras

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.graph import LayerCall, Tensor, calls, live_after, submodel

_LONG = 100  # calls in a branched piece, from which on it is divided


class Division:
    """A model's calls in order, and what crosses from one run of calls to others.

    Attributes:
        model: the model, a Functional one without nested models.
        order: its calls in topological order.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.order = calls(model)
        self._place = {id(call): i for i, call in enumerate(self.order)}
        self._last_use = {id(t): i for i, call in enumerate(self.order) for t in call.inputs}
        self._last_use.update((id(t), len(self.order)) for t in model.outputs)
        self._live = live_after(self.order, model.inputs)

    def atoms(self) -> list[list[LayerCall]]:
        """Runs of calls, one after another, that are not divided further."""
        return self._divide(self.order, set(), always=True)

    def _divide(self, run: list[LayerCall], passing: set[int], always: bool = False) -> list[list[LayerCall]]:
        if not always and (len(run) == 1 or (scales(run) <= 2 and len(run) < _LONG)):
            return [run]
        for _ in range(len(run)):
            parts = self._cut(run, passing)
            if len(parts) > 1:
                return [atom for part in parts for atom in self._divide(part, passing)]
            longest = max(self._inside(run, passing), key=self._span, default=None)
            if longest is None:
                return [run]
            passing = passing | {id(longest)}
        return [run]

    def _cut(self, run: list[LayerCall], passing: set[int]) -> list[list[LayerCall]]:
        """A run cut wherever a single tensor, those in `passing` aside, is live, and the last call has written it."""
        parts: list[list[LayerCall]] = [[]]
        for call in run:
            parts[-1].append(call)
            known = self._live[self._place[id(call)]]
            live = [t for t in known if id(t) not in passing]
            if len(live) == 1 and live[0] is call.outputs[0] and all(map(_can_pass, known)):
                parts.append([])
        return [part for part in parts if part]

    def _inside(self, run: list[LayerCall], passing: set[int]) -> list[Tensor]:
        """Tensors that are live inside a run, longer than to the next call."""
        found = {id(t): t for call in run[:-1] for t in self._live[self._place[id(call)]]}
        return [t for key, t in found.items() if key not in passing and self._span(t) > 1]

    def _span(self, tensor: Tensor) -> int:
        """How many calls long a tensor lives."""
        written = next((i for i, c in enumerate(self.order) if any(t is tensor for t in c.outputs)), -1)
        return self._last_use[id(tensor)] - written

    def inputs(self, run: Sequence[LayerCall]) -> list[Tensor]:
        """The tensors that a run reads from outside, in the order of first use."""
        inner = {id(t) for c in run for t in c.outputs}
        return list({id(t): t for c in run for t in c.inputs if id(t) not in inner}.values())

    def outputs(self, run: Sequence[LayerCall]) -> list[Tensor]:
        """The tensors of a run that others read, or that are outputs of the model."""
        end = self._place[id(run[-1])]
        return [t for c in run for t in c.outputs if self._last_use.get(id(t), -1) > end]

    def submodel(self, run: Sequence[LayerCall], name: str = "piece") -> keras.Model:
        """A run of calls as a model of its own."""
        return submodel(self.inputs(run), self.outputs(run), name)

    def removable(self, run: Sequence[LayerCall]) -> int:
        """How many classes of channels can be removed from a run of calls that is a piece of its own."""
        return sum(len(group.classes) for group in analyse(self.submodel(run)).groups)


def _can_pass(tensor: Tensor) -> bool:
    """Whether segments can exchange a tensor: floats without a mask of time steps."""
    return tensor.dtype == "float32" and getattr(tensor, "_keras_mask", None) is None


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1])


def scales(run: Sequence[LayerCall]) -> int:
    """How many resolutions a run of calls works at; 1x1 (squeeze-and-excite) does not count.

    What padding and unpadded convolutions add or take away, less than a third, makes no other resolution.
    """
    found = {_resolution(t) for call in run for t in (*call.inputs, *call.outputs)}
    sides = sorted({max(r) for r in found if r and max(r) > 1})
    return 1 + sum(larger >= 1.5 * smaller for smaller, larger in pairwise(sides))
