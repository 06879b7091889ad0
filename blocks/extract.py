"""Cutting a model into segments: the common blocks, which get descendants, and fixed pieces between them.

The rule, made so that it gives the blocks of the LegoDNN paper (Han et al., MobiCom 2021): 5 in VGG16, its stages
between poolings, and 8 in ResNet-18, its residual blocks.

1. The model is cut wherever a single tensor carries everything (`graph.live_after`). Between two such cuts stands
   either a single call or a *branched* piece (fork to join), which is never divided.
2. A branched piece opens a block; what follows it without weights of its own making channels (activation, batch
   norm, pooling) belongs to it.
3. Other single calls form a block as long as they work at one resolution: a pooling closes it, a strided
   convolution opens the next.
4. What comes from the first call without spatial axes on (flatten, global pooling, classifier) is fixed.
5. A block in which no channel can be removed without touching its interface is fixed (such as a stem with one
   convolution), and so is one that holds less than `min_share` of the model's multiply-accumulates.
6. While there are more than `max_blocks`, the two neighbours with the least work together become one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import keras

from legodnn.blocks.channels import analyse
from legodnn.blocks.graph import Call, Tensor, calls, functional, live_after, macs, submodel
from legodnn.errors import ModelError


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of a Keras model.

    Attributes:
        name: 'stem', 'block1', 'fixed1', 'head', ...: also the name of the tensor it writes.
        kind: 'block' gets descendants, 'fixed' does not.
        model: the piece as a Functional model, sharing its layers with the whole model.
        calls: names of the layers in it.
    """

    name: str
    kind: Literal["block", "fixed"]
    model: keras.Model
    calls: tuple[str, ...]


@dataclass
class _Draft:
    calls: list[Call]
    block: bool
    branched: bool = False
    work: int = 0


def extract(model: keras.Model, max_blocks: int = 16, min_share: float = 0.01) -> list[Piece]:
    """Cut a model into segments in topological order.

    Args:
        model: a Functional or Sequential Keras model with one input and one output.
        max_blocks: at most this many blocks; neighbours are joined until it holds.
        min_share: the least share of the model's multiply-accumulates a block must hold.

    Raises:
        ModelError: the model has no graph, several inputs or outputs, or no block at all.
    """
    model = functional(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        found = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise ModelError(f"model {model.name!r} has {found}; one of each is supported")
    if None in model.inputs[0].shape[1:]:
        raise ModelError(
            f"model {model.name!r} has input shape {model.inputs[0].shape}; give keras.Input a fixed shape"
        )
    if max_blocks < 1:
        raise ModelError(f"max_blocks must be at least 1, got {max_blocks}")
    drafts = _drafts(_atoms(model))
    for d in drafts:
        d.work = macs(_submodel(d.calls))
    total = sum(d.work for d in drafts)
    for d in drafts:
        d.block = d.block and d.work >= min_share * total and bool(analyse(_submodel(d.calls)).groups)
    drafts = _join_fixed(_limit(drafts, max_blocks))
    if not any(d.block for d in drafts):
        share = f" and that holds {min_share:g} of its multiply-accumulates" if min_share else ""
        raise ModelError(f"model {model.name!r} has no block whose inner channels could be removed{share}")
    return _pieces(drafts)


def _atoms(model: keras.Model) -> list[list[Call]]:
    """Runs of calls between cuts where a single tensor is live."""
    order = calls(model)
    atoms: list[list[Call]] = [[]]
    for call, live in zip(order, live_after(model, order), strict=True):
        atoms[-1].append(call)
        if len(live) == 1 and live[0] is call.outputs[0]:
            atoms.append([])
    return [a for a in atoms if a]


def _drafts(atoms: Sequence[list[Call]]) -> list[_Draft]:
    """Rules 2 to 4."""
    drafts: list[_Draft] = []
    closed = True
    spatial = len(atoms[0][0].inputs[0].shape) > 2
    for i, atom in enumerate(atoms):
        if spatial and len(atom[-1].outputs[0].shape) == 2:
            head = [call for rest in atoms[i:] for call in rest]
            return [*drafts, _Draft(head, block=False)]
        branched, maker = len(atom) > 1, hasattr(atom[0].operation, "kernel")
        shrinks = _resolution(atom[-1].outputs[0]) != _resolution(atom[0].inputs[0])
        after_branch = bool(drafts) and drafts[-1].branched
        if branched or (maker and (after_branch or closed or shrinks)) or not drafts:
            drafts.append(_Draft(list(atom), block=True, branched=branched))
        else:
            drafts[-1].calls.extend(atom)
        closed = shrinks and not maker and not branched
    return drafts


def _limit(drafts: list[_Draft], max_blocks: int) -> list[_Draft]:
    """Rule 6."""
    drafts = list(drafts)
    while sum(d.block for d in drafts) > max_blocks:
        pairs = [(a.work + b.work, i) for i, (a, b) in enumerate(pairwise(drafts)) if a.block and b.block]
        if pairs:
            work, i = min(pairs)
            drafts[i : i + 2] = [_Draft(drafts[i].calls + drafts[i + 1].calls, block=True, work=work)]
        else:  # no two blocks are neighbours: the one with the least work is fixed instead
            min((d for d in drafts if d.block), key=lambda d: d.work).block = False
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


def _pieces(drafts: Sequence[_Draft]) -> list[Piece]:
    pieces: list[Piece] = []
    blocks = fixed = 0
    for i, d in enumerate(drafts):
        if d.block:
            blocks += 1
            name = f"block{blocks}"
        elif i == 0:
            name = "stem"
        elif i == len(drafts) - 1:
            name = "head"
        else:
            fixed += 1
            name = f"fixed{fixed}"
        kind: Literal["block", "fixed"] = "block" if d.block else "fixed"
        pieces.append(Piece(name, kind, _submodel(d.calls, name), tuple(c.name for c in d.calls)))
    return pieces


def _submodel(piece: Sequence[Call], name: str = "piece") -> keras.Model:
    inner = {id(t) for c in piece for t in c.outputs}
    inputs: list[Tensor] = []
    for t in (t for c in piece for t in c.inputs):
        if id(t) not in inner and not any(t is known for known in inputs):
            inputs.append(t)
    return submodel(inputs, [piece[-1].outputs[0]], name)


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1])
