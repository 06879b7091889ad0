"""Cutting a model into segments: the common blocks, which get descendants, and fixed pieces between them.

The rule, made so that it gives the blocks of the LegoDNN paper (Han et al., MobiCom 2021): 5 in VGG16, its stages
between poolings, and 8 in ResNet-18, its residual blocks.

1. The model is cut wherever a single tensor carries everything (`graph.live_after`). Between two such cuts stands
   either a single call or a *branched* piece (fork to join), which is not divided, unless it works at more than two
   resolutions (1x1 aside), as an encoder-decoder does: then its longest-lived tensors are let pass by, as few as
   needed, and it is cut wherever a single other tensor carries the rest.
2. A branched piece opens a block; what follows it without weights of its own making channels (activation, batch
   norm, pooling) belongs to it.
3. Other single calls form a block as long as they work at one resolution: a pooling or up-sampling closes it, a
   strided convolution opens the next.
4. What comes from the first call without spatial axes on (flatten, global pooling, classifier) is fixed.
5. Where no channel can be removed without touching the interface (one convolution between two poolings), two
   such neighbours that have inner channels together become one block; what is left is fixed (such as a stem with
   one convolution).
6. While there are more than `max_blocks`, the two neighbours with the least work together become one block. A block
   that holds less than `min_share` of the model's multiply-accumulates is joined to its smaller neighbour. Where no
   two blocks are neighbours, the smallest is fixed instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import keras

from legodnn.blocks.channels import analyse
from legodnn.blocks.graph import Call, Tensor, alone, as_list, calls, functional, live_after, macs, submodel
from legodnn.errors import ModelError


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of a Keras model.

    Attributes:
        name: 'stem', 'block1', 'fixed1', 'head', ...
        kind: 'block' gets descendants, 'fixed' does not.
        model: the piece as a Functional model, sharing its layers with the whole model.
        inputs: names of the tensors it reads, in the order of the model's inputs: the whole model's inputs by their
            names, others by the segment that writes them.
        outputs: names of the tensors it writes: the segment's name, or NAME.0, NAME.1, ... if there are several.
        calls: names of the layers in it.
    """

    name: str
    kind: Literal["block", "fixed"]
    model: keras.Model
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[str, ...]

    def run(self, tensors: dict[str, Any], model: keras.Model | None = None, training: bool = False) -> list[Any]:
        """Outputs of the piece, or of another `model` in its place, for the tensors it reads."""
        values = [tensors[name] for name in self.inputs]
        return as_list((model or self.model)(alone(values), training=training))


def compose(
    pieces: Sequence[Piece], inputs: Mapping[str, Any], models: Mapping[str, keras.Model] | None = None
) -> dict[str, Any]:
    """Run pieces one after another, in inference mode.

    Args:
        pieces: all segments of a model.
        inputs: the model's inputs by name, each of shape (n, ...).
        models: by segment name, what runs in place of the original.

    Returns:
        Every interface tensor by name.
    """
    tensors = dict(inputs)
    for piece in pieces:
        model = (models or {}).get(piece.name)
        tensors.update(zip(piece.outputs, piece.run(tensors, model), strict=True))
    return tensors


@dataclass
class _Draft:
    calls: list[Call]
    block: bool
    spatial: bool = True
    branched: bool = False
    work: int = 0


def extract(model: keras.Model, max_blocks: int = 16, min_share: float = 0.01) -> list[Piece]:
    """Cut a model into segments in topological order.

    Args:
        model: a Functional or Sequential Keras model; nested models are opened, shared layers stay shared.
        max_blocks: at most this many blocks; neighbours are joined until it holds.
        min_share: the least share of the model's multiply-accumulates a block must hold.

    Raises:
        ModelError: the model has no graph, an input of unknown shape, or no block at all.
    """
    model = functional(model)
    for t in model.inputs:
        if None in t.shape[1:]:
            raise ModelError(f"model {model.name!r} has input shape {t.shape}; give keras.Input a fixed shape")
    if max_blocks < 1:
        raise ModelError(f"max_blocks must be at least 1, got {max_blocks}")
    cutter = _Cutter(model)
    drafts = _drafts(cutter.atoms())
    drafts = _prunable(drafts, cutter)
    for d in drafts:
        d.work = macs(cutter.submodel(d.calls))
    total = sum(d.work for d in drafts)
    drafts = _join_fixed(_limit(drafts, max_blocks, min_share * total))
    if not any(d.block for d in drafts):
        share = f" and that holds {min_share:g} of its multiply-accumulates" if min_share else ""
        raise ModelError(f"model {model.name!r} has no block whose inner channels could be removed{share}")
    return _pieces(drafts, cutter)


class _Cutter:
    """A model's calls in order, and what crosses from one run of calls to others."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.order = calls(model)
        self._place = {id(call): i for i, call in enumerate(self.order)}
        self._last_use = {id(t): i for i, call in enumerate(self.order) for t in call.inputs}
        self._last_use.update((id(t), len(self.order)) for t in model.outputs)
        self._live = live_after(self.order, model.inputs)

    def atoms(self) -> list[list[Call]]:
        """Rule 1: runs of calls that are not divided further."""
        return self._divide(self.order, set(), always=True)

    def _divide(self, run: list[Call], passing: set[int], always: bool = False) -> list[list[Call]]:
        if not always and (len(run) == 1 or len(_scales(run)) <= 2):
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

    def _cut(self, run: list[Call], passing: set[int]) -> list[list[Call]]:
        """A run cut wherever a single tensor, those in `passing` aside, is live, and the last call has written it."""
        parts: list[list[Call]] = [[]]
        for call in run:
            parts[-1].append(call)
            live = [t for t in self._live[self._place[id(call)]] if id(t) not in passing]
            if len(live) == 1 and live[0] is call.outputs[0]:
                parts.append([])
        return [part for part in parts if part]

    def _inside(self, run: list[Call], passing: set[int]) -> list[Tensor]:
        """Tensors that are live inside a run, longer than to the next call."""
        found = {id(t): t for call in run[:-1] for t in self._live[self._place[id(call)]]}
        return [t for key, t in found.items() if key not in passing and self._span(t) > 1]

    def _span(self, tensor: Tensor) -> int:
        """How many calls long a tensor lives."""
        written = next((i for i, c in enumerate(self.order) if any(t is tensor for t in c.outputs)), -1)
        return self._last_use[id(tensor)] - written

    def inputs(self, run: Sequence[Call]) -> list[Tensor]:
        """The tensors that a run reads from outside, in the order of first use."""
        inner = {id(t) for c in run for t in c.outputs}
        return list({id(t): t for c in run for t in c.inputs if id(t) not in inner}.values())

    def outputs(self, run: Sequence[Call]) -> list[Tensor]:
        """The tensors of a run that others read, or that are outputs of the model."""
        end = self._place[id(run[-1])]
        return [t for c in run for t in c.outputs if self._last_use.get(id(t), -1) > end]

    def submodel(self, run: Sequence[Call], name: str = "piece") -> keras.Model:
        """A run of calls as a model of its own."""
        return submodel(self.inputs(run), self.outputs(run), name)


def _drafts(atoms: Sequence[list[Call]]) -> list[_Draft]:
    """Rules 2 to 4."""
    drafts: list[_Draft] = []
    closed = True
    spatial = len(atoms[0][0].inputs[0].shape) > 2
    for i, atom in enumerate(atoms):
        if spatial and len(atom[-1].outputs[0].shape) == 2:
            head = [call for rest in atoms[i:] for call in rest]
            return [*drafts, _Draft(head, block=False, spatial=False)]
        branched, maker = len(atom) > 1, hasattr(atom[0].operation, "kernel")
        resized = len(_scales([*atom[:1], *atom[-1:]])) > 1
        after_branch = bool(drafts) and drafts[-1].branched
        if branched or (maker and (after_branch or closed or resized)) or not drafts:
            drafts.append(_Draft(list(atom), block=True, branched=branched))
        else:
            drafts[-1].calls.extend(atom)
        closed = not maker and not branched and (resized or closed)
    return drafts


def _prunable(drafts: Sequence[_Draft], cutter: _Cutter) -> list[_Draft]:
    """Rule 5."""
    found: list[_Draft] = []
    for d in drafts:
        d.block = d.block and bool(analyse(cutter.submodel(d.calls)).groups)
        last = found[-1] if found else None
        if last and last.spatial and d.spatial and not last.block and not d.block:
            together = last.calls + d.calls
            if analyse(cutter.submodel(together)).groups:
                found[-1] = _Draft(together, block=True)
                continue
        found.append(d)
    return found


def _limit(drafts: list[_Draft], max_blocks: int, least_work: float) -> list[_Draft]:
    """Rule 6: join or fix until there are at most `max_blocks`, each with at least `least_work`."""
    drafts = list(drafts)
    while any(d.block for d in drafts):
        smallest = min((d for d in drafts if d.block), key=lambda d: d.work)
        small = smallest.work < least_work
        if not small and sum(d.block for d in drafts) <= max_blocks:
            break
        pairs = [(a.work + b.work, i) for i, (a, b) in enumerate(pairwise(drafts)) if a.block and b.block]
        if small:
            pairs = [(work, i) for work, i in pairs if smallest in (drafts[i], drafts[i + 1])]
        if pairs:
            work, i = min(pairs)
            drafts[i : i + 2] = [_Draft(drafts[i].calls + drafts[i + 1].calls, block=True, work=work)]
        else:  # it has no neighbour to join
            smallest.block = False
    return drafts


def _join_fixed(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Neighbouring fixed pieces become one."""
    joined: list[_Draft] = []
    for d in drafts:
        if joined and not d.block and not joined[-1].block:
            joined[-1].calls.extend(d.calls)
        else:
            joined.append(d)
    return joined


def _pieces(drafts: Sequence[_Draft], cutter: _Cutter) -> list[Piece]:
    pieces: list[Piece] = []
    names = {id(t): str(t.name) for t in cutter.model.inputs}
    for d, name in zip(drafts, _names(drafts), strict=True):
        kind: Literal["block", "fixed"] = "block" if d.block else "fixed"
        inputs, outputs = cutter.inputs(d.calls), cutter.outputs(d.calls)
        for i, t in enumerate(outputs):
            names[id(t)] = name if len(outputs) == 1 else f"{name}.{i}"
        model = submodel(inputs, outputs, name)
        read, written = (tuple(names[id(t)] for t in tensors) for tensors in (inputs, outputs))
        pieces.append(Piece(name, kind, model, read, written, tuple(c.name for c in d.calls)))
    return pieces


def _names(drafts: Sequence[_Draft]) -> list[str]:
    """block1, block2, ... and stem, fixed1, ..., head."""
    names: list[str] = []
    for i, d in enumerate(drafts):
        number = 1 + sum(
            d.block == before.block for before in drafts[1 if not d.block and not drafts[0].block else 0 : i]
        )
        edge = {0: "stem", len(drafts) - 1: "head"}.get(i)
        names.append(f"block{number}" if d.block else edge or f"fixed{number}")
    return names


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1])


def _scales(run: Sequence[Call]) -> set[int]:
    """The scales, in powers of two, that a run of calls works at; 1x1 (squeeze-and-excite) does not count."""
    found = {_resolution(t) for call in run for t in (*call.inputs, *call.outputs)}
    sides = [max(r) for r in found if r and max(r) > 1]
    return {round(math.log2(max(sides) / side)) for side in sides}
