"""Cutting a model into segments: the common blocks, which get descendants, and fixed pieces between them.

The rule, made so that it gives the blocks of the LegoDNN paper (Han et al., MobiCom 2021): 5 in VGG16, its stages
between poolings, and 8 in ResNet-18, its residual blocks.

1. The model is cut wherever a single tensor carries everything (`graph.live_after`). Between two such cuts stands
   either a single call or a *branched* piece (fork to join), which is not divided, unless it works at more than two
   resolutions (1x1 aside), as an encoder-decoder does, or has a hundred calls, as where every cell reads the two
   before it (NASNet): then its longest-lived tensors are let pass by, as few as needed, and it is cut wherever a
   single other tensor carries the rest.
2. A branched piece opens a block; what follows it without weights of its own making channels (activation, batch
   norm, pooling) belongs to it. A gate, which multiplies a tensor by something computed from it (squeeze-and-excite,
   swish), counts as a single call.
3. Single calls form a block as long as they work at one resolution: a pooling or up-sampling closes it, a strided
   convolution opens the next. A block stays open, however, until it has channels that can be removed without touching
   the interface: single convolutions between poolings come two by two, and the strided depthwise convolution of an
   inverted residual stays with what expands and projects around it.
4. What comes from the last change to tensors without spatial axes on (flatten, global pooling, classifier) is fixed.
5. A piece without removable channels joins the piece before or after it if that sets channels free that neither had
   alone. What is left is fixed (such as a stem with one convolution, whose channels a residual carries on).
6. While there are more than `max_blocks`, the two neighbours with the least work together become one block. A block
   that holds less than `min_share` of the model's multiply-accumulates is joined to its smaller neighbour. Where no
   two blocks are neighbours, the smallest is fixed instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import keras

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.division import Division, scales
from legodnn.blocks.importing.graph import (
    LayerCall,
    alone,
    as_list,
    check_shapes,
    check_weights,
    macs,
    run_calls,
    submodel,
)
from legodnn.blocks.importing.layer_copies import blank_copy, has_state
from legodnn.blocks.importing.opening import functional, same_function, samples
from legodnn.errors import ModelError

_REASONS = 6  # at most as many are listed why there is no block


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of a Keras model.

    Attributes:
        name: 'stem', 'block1', 'fixed1', 'head', ...
        kind: 'block' gets descendants, 'fixed' does not.
        model: the piece as a Functional model, sharing its layers with the whole model.
        inputs: names of the tensors it reads, in the order of the model's inputs: the whole model's inputs by their
            names, others by the segment that writes them.
        outputs: names of the tensors it writes: the segment's name, or NAME.0, NAME.1, ... if there are several; those
            that are among several outputs of the whole model have the names that it gives them.
        calls: names of the layers in it.
        finals: which of the whole model's outputs it writes: (number of the output, name of the tensor).
    """

    name: str
    kind: Literal["block", "fixed"]
    model: keras.Model
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[str, ...]
    finals: tuple[tuple[int, str], ...] = ()

    def run(self, tensors: dict[str, Any], model: keras.Model | None = None) -> list[Any]:
        """Outputs of the piece, or of another `model` in its place, for the tensors it reads, in inference mode."""
        values = [tensors[name] for name in self.inputs]
        return as_list((model or self.model)(alone(values), training=False))


def output_names(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Names of the tensors that are the whole model's outputs, in its order."""
    return tuple(name for _, name in sorted(final for piece in pieces for final in piece.finals))


def compose_pieces(
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


def check_composed(model: keras.Model, pieces: Sequence[Piece]) -> None:
    """Run all pieces on sample inputs, as a device does.

    Raises:
        ModelError: a layer gives another shape in inference than the graph has, or the composed pieces are another
            function than the model.
    """
    xs = samples(model)
    tensors = dict(zip((str(t.name) for t in model.inputs), xs, strict=True))
    for piece in pieces:
        outputs = run_calls(piece.model, [tensors[name] for name in piece.inputs], training=False)
        tensors.update(zip(piece.outputs, (keras.ops.convert_to_numpy(y) for y in outputs), strict=True))
    if not same_function([tensors[name] for name in output_names(pieces)], as_list(model(alone(xs), training=False))):
        raise ModelError(f"the segments of {model.name!r}, one after another, are another function than the model")


@dataclass
class _Draft:
    calls: list[LayerCall]
    block: bool
    spatial: bool = True
    branched: bool = False
    free: int = 0
    work: int = 0


def extract(model: keras.Model, max_blocks: int = 16, min_share: float = 0.01) -> list[Piece]:
    """Cut a model into segments in topological order.

    Args:
        model: a Functional or Sequential Keras model; nested models are opened, shared layers stay shared.
        max_blocks: at most this many blocks; neighbours are joined until it holds.
        min_share: the least share of the model's multiply-accumulates a block must hold.

    Raises:
        ModelError: the model has no graph, a tensor of unknown shape, weights that are not finite, an output that
            no layer computes or that is given twice, a layer in a block that cannot be copied, or no block at all.
    """
    if max_blocks < 1:
        raise ModelError(f"max_blocks must be at least 1, got {max_blocks}")
    model = functional(model)
    check_shapes(model)
    check_weights(model)
    division = Division(model)
    drafts = _prunable(_drafts(division.atoms(), division), division)
    for d in drafts:
        d.work = macs(division.submodel(d.calls))
    total = sum(d.work for d in drafts)
    largest = max((d for d in drafts if d.block), key=lambda d: d.work, default=None)
    drafts = _join_fixed(_limit(drafts, max_blocks, min_share * total))
    if not any(d.block for d in drafts):
        share = f" and that holds {min_share:g} of its multiply-accumulates" if min_share else ""
        why = _why_fixed(division) if largest is None else _too_small(largest, total)
        raise ModelError(f"model {model.name!r} has no block whose inner channels could be removed{share}: {why}")
    for call in (call for d in drafts if d.block for call in d.calls if has_state(call.operation)):
        blank_copy(call.operation, {})  # descendants need copies
    return _pieces(drafts, division)


def _too_small(draft: _Draft, total: int) -> str:
    share, first, last = draft.work / max(total, 1), draft.calls[0].name, draft.calls[-1].name
    return f"the largest candidate, {first} to {last}, holds {share:.2g} of them; lower min_share"


def _why_fixed(division: Division) -> str:
    """What keeps the channels of each layer, for a model in which nothing can be removed."""
    channels = analyse(division.model)
    reasons = {name: "its channels leave its segment" for name in channels.made} | channels.kept_whole
    listed = [f"{name}: {why}" for name, why in reasons.items()]
    more = [f"and {len(listed) - _REASONS} more"] if len(listed) > _REASONS else []
    return "; ".join([*listed[:_REASONS], *more]) or "no layer in it makes channels, as convolutions and Dense do"


def _drafts(atoms: Sequence[list[LayerCall]], division: Division) -> list[_Draft]:
    """Rules 2 to 4."""
    drafts: list[_Draft] = []
    closed, head = True, _head(atoms)
    for atom in atoms[:head]:
        branched, maker = len(atom) > 1 and not _is_gate(atom), _has_kernel(atom[0])
        resized = scales([*atom[:1], *atom[-1:]]) > 1
        last = drafts[-1] if drafts else None
        ends = last and (last.branched or ((closed or resized) and division.removable(last.calls)))
        if last and not branched and not (maker and ends):
            last.calls.extend(atom)
        else:
            drafts.append(_Draft(list(atom), block=True, branched=branched))
        closed = not maker and not branched and (resized or closed)
    if head < len(atoms):
        drafts.append(_Draft([call for atom in atoms[head:] for call in atom], block=False, spatial=False))
    return drafts


def _head(atoms: Sequence[list[LayerCall]]) -> int:
    """Number of the atom that begins rule 4's last stretch without spatial axes; all stay if there never were any."""
    flat = [len(atom[-1].outputs[0].shape) <= 2 for atom in atoms]
    if len(atoms[0][0].inputs[0].shape) <= 2 and all(flat):
        return len(atoms)
    return next((i + 1 for i in reversed(range(len(atoms))) if not flat[i]), 0)


def _has_kernel(call: LayerCall) -> bool:
    return hasattr(call.operation, "kernel") or hasattr(call.operation, "depthwise_kernel")


def _is_gate(atom: Sequence[LayerCall]) -> bool:
    """Whether a branched piece ends by multiplying its own input."""
    return atom[-1].kind == "Multiply" and any(t is atom[0].inputs[0] for t in atom[-1].inputs)


def _prunable(drafts: Sequence[_Draft], division: Division) -> list[_Draft]:
    """Rule 5."""
    found: list[_Draft] = []
    for d in drafts:
        free = division.removable(d.calls) if d.block else 0
        d = replace(d, free=free, block=free > 0)
        last = found[-1] if found else None
        if last and last.spatial and d.spatial and 0 in (last.free, d.free):
            together = last.calls + d.calls
            if (free := division.removable(together)) > last.free + d.free:
                found[-1] = _Draft(together, block=True, free=free)
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


def _pieces(drafts: Sequence[_Draft], division: Division) -> list[Piece]:
    pieces: list[Piece] = []
    names = _tensor_names(drafts, division)
    for d, name in zip(drafts, _names(drafts), strict=True):
        kind: Literal["block", "fixed"] = "block" if d.block else "fixed"
        inputs, outputs = division.inputs(d.calls), division.outputs(d.calls)
        model = submodel(inputs, outputs, name)
        read, written = (tuple(names[id(t)] for t in tensors) for tensors in (inputs, outputs))
        finals = tuple(
            (number, names[id(t)])
            for number, t in enumerate(division.model.outputs)
            if any(t is output for output in outputs)
        )
        pieces.append(Piece(name, kind, model, read, written, tuple(c.name for c in d.calls), finals))
    return pieces


def _tensor_names(drafts: Sequence[_Draft], division: Division) -> dict[int, str]:
    """Names of a model's inputs and of all tensors that its segments write, by their id()."""
    model = division.model
    inputs, written = {id(t): str(t.name) for t in model.inputs}, dict[int, str]()
    for d, name in zip(drafts, _names(drafts), strict=True):
        outputs = division.outputs(d.calls)
        for i, t in enumerate(outputs):
            written[id(t)] = name if len(outputs) == 1 else f"{name}.{i}"
            if written[id(t)] in inputs.values():
                raise ModelError(f"input {written[id(t)]!r} has the name of a segment; give keras.Input another name")
    if len(model.outputs) > 1:
        given = zip(model.outputs, model.output_names, strict=True)
        named = written | {id(t): str(name) for t, name in given if _is_users(str(name), t)}
        if len({*named.values(), *inputs.values()}) == len(named) + len(inputs):
            written = named
    return inputs | written


def _is_users(name: str, output: Any) -> bool:
    """Whether an output's name is no automatic one (dense_3), which changes from run to run, and fit for a store."""
    automatic = re.sub(r"_\d+$", "", name).replace("_", "") == type(output._keras_history.operation).__name__.lower()
    return not automatic and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name) is not None


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
