"""Places where a model can be cut (rule 1 of `common_blocks`), and the tensors that a run of calls reads and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import keras

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.graph import LayerCall, Tensor, calls, live_after, submodel

_LONG = 100  # a branched run of this many calls is divided, whatever resolutions it works at


class Division:
    """A model's calls in order, and the tensors that pass from one run of calls to later ones.

    A *run* is a list of calls that follow one another in topological order.

    Attributes:
        model: the model, a Functional one without nested models.
        order: its calls in topological order.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.order = calls(model)
        self._place = {id(call): i for i, call in enumerate(self.order)}
        self._written = dict.fromkeys(map(id, model.inputs), -1)
        self._written.update((id(t), i) for i, call in enumerate(self.order) for t in call.outputs)
        self._last_use = {id(t): i for i, call in enumerate(self.order) for t in call.inputs}
        self._last_use.update((id(t), len(self.order)) for t in model.outputs)
        self._live = live_after(self.order, model.inputs)
        self._rows = _rows(self.order)

    def atoms(self) -> list[list[LayerCall]]:
        """Return the shortest runs that rule 1 cuts the model into: single calls and branched runs, in order."""
        return self._divide(self.order, set(), always=True)

    def _divide(self, run: list[LayerCall], skips: set[int], always: bool = False) -> list[list[LayerCall]]:
        """Cut a run wherever one tensor carries everything, tensors in `skips` (by `id()`) apart.

        Where there is no such place, one tensor after another joins the skips, until there is one.
        """
        if not always and (len(run) == 1 or (resolutions(run) <= 2 and len(run) < _LONG)):
            return [run]
        for _ in range(len(run)):
            parts = self._cut(run, skips)
            if len(parts) > 1:
                return [atom for part in parts for atom in self._divide(part, skips)]
            skip = max(self._inside(run, skips), key=lambda t: self._opens(run, skips, t), default=None)
            if skip is None:
                return [run]
            skips = skips | {id(skip)}
        return [run]

    def _opens(self, run: list[LayerCall], skips: set[int], tensor: Tensor) -> tuple[int, int]:
        """Return what a tensor does for a run if it joins the skips; the larger, the better.

        That is the number of parts with a kernel in them, and then how long it lives. Both count kernels alone: what
        the converter folds away, such as batch norms, does not change where a model is cut.
        """
        parts = self._cut(run, skips | {id(tensor)})
        return sum(any(map(has_kernel, part)) for part in parts), self._lifetime(tensor)

    def _cut(self, run: list[LayerCall], skips: set[int]) -> list[list[LayerCall]]:
        """Cut a run behind every call whose output is the only live tensor, those in `skips` apart."""
        parts: list[list[LayerCall]] = [[]]
        for call in run:
            parts[-1].append(call)
            crossing = self._live[self._place[id(call)]]
            live = [t for t in crossing if id(t) not in skips]
            if len(live) == 1 and live[0] is call.outputs[0] and all(map(self._can_cross, crossing)):
                parts.append([])
        return [part for part in parts if part]

    def _can_cross(self, tensor: Tensor) -> bool:
        """Whether a tensor can pass between segments: it holds floats, one row for each image, without a mask."""
        plain = tensor.dtype == "float32" and getattr(tensor, "_keras_mask", None) is None
        return plain and self._rows.get(id(tensor), 1) == 1

    def _inside(self, run: list[LayerCall], skips: set[int]) -> list[Tensor]:
        """Return the tensors that are live inside a run, and longer than to the next call."""
        found = {id(t): t for call in run[:-1] for t in self._live[self._place[id(call)]]}
        return [t for key, t in found.items() if key not in skips and self._last_use[key] > self._written[key] + 1]

    def _lifetime(self, tensor: Tensor) -> int:
        """Return the number of kernels from the call that writes a tensor to the last one that reads it."""
        between = self.order[self._written[id(tensor)] + 1 : self._last_use[id(tensor)] + 1]
        return sum(map(has_kernel, between))

    def inputs(self, run: Sequence[LayerCall]) -> list[Tensor]:
        """Return the tensors that a run reads from outside, in the order of first use."""
        inner = {id(t) for c in run for t in c.outputs}
        return list({id(t): t for c in run for t in c.inputs if id(t) not in inner}.values())

    def outputs(self, run: Sequence[LayerCall]) -> list[Tensor]:
        """Return the tensors of a run that later calls read, or that are outputs of the model."""
        end = self._place[id(run[-1])]
        return [t for c in run for t in c.outputs if self._last_use.get(id(t), -1) > end]

    def submodel(self, run: Sequence[LayerCall], name: str = "piece") -> keras.Model:
        """Return a run of calls as a model of its own, which shares its layers with the whole model."""
        return submodel(self.inputs(run), self.outputs(run), name)

    def removable(self, run: Sequence[LayerCall]) -> int:
        """Return how many sets of coupled channels could be removed from a run if it were a segment of its own."""
        return sum(len(group.coupled) for group in analyse(self.submodel(run)).groups)


def has_kernel(call: LayerCall) -> bool:
    """Whether a call multiplies by weights, as convolutions and dense layers do."""
    return hasattr(call.operation, "kernel") or hasattr(call.operation, "depthwise_kernel")


def _rows(order: Sequence[LayerCall]) -> dict[int, Fraction]:
    """Return how many rows of each tensor belong to an image, by its `id()`.

    They are several where a reshape makes rows of frames or of windows, as `ops.reshape(x, (-1, 16, 16, 3))` does of
    clips.
    """
    rows: dict[int, Fraction] = {}
    for call in order:
        count = max((rows.get(id(t), Fraction(1)) for t in call.inputs), default=Fraction(1))
        sizes = [t.shape[1:] for t in (*call.inputs[:1], *call.outputs[:1])]
        if call.kind == "Reshape" and None not in (*sizes[0], *sizes[1]):
            count *= Fraction(math.prod(sizes[0]), max(1, math.prod(sizes[1])))
        rows.update((id(t), count) for t in call.outputs)
    return rows


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1])


def resolutions(run: Sequence[LayerCall]) -> int:
    """Return how many resolutions a run of calls works at; 1x1 (squeeze-and-excite) does not count.

    Sides that differ by less than a factor of 1.5, as after padding or an unpadded convolution, count as one.
    """
    found = {_resolution(t) for call in run for t in (*call.inputs, *call.outputs)}
    sides = sorted({max(r) for r in found if r and max(r) > 1})
    return 1 + sum(larger >= 1.5 * smaller for smaller, larger in pairwise(sides))
