"""The rule that finds a model's common blocks: which calls form a segment, and which segments are blocks.

The rule gives the blocks of the LegoDNN paper (Han et al., MobiCom 2021): 5 in VGG16, its stages between poolings, and
8 in ResNet-18, its residual blocks. A VGG16 with hidden dense layers, as for ImageNet, has them as a sixth (rule 4).

1. The model is cut wherever one tensor carries everything (`graph.live_after`). Between two such cuts lies a single
   call or a *branched* run, from a fork to its join. A branched run is divided further only if it works at more than
   two resolutions (1x1 apart), as an encoder-decoder does, or has a hundred calls, as in NASNet, where every cell reads
   the two before it. Then tensors are taken as skip connections, those first beside which it can be cut into most
   parts, as few as needed, and the run is cut wherever a single other tensor carries the rest (`division`).
2. A branched run opens a block. Calls that follow it and have no kernel (activation, batch norm, pooling) belong to it,
   but for padding, which stays with what reads it: so no padded tensor crosses a cut, and the converter can fold the
   padding into the convolution. A gate, which multiplies a tensor by something computed from it (squeeze-and-excite,
   swish), counts as a single call, and so does a branched run without a kernel (a gated linear unit).
3. Single calls form a block as long as they work at one resolution: a pooling or an up-sampling closes the block, and a
   strided convolution opens the next. But a block stays open until it has channels that can be removed without
   touching its interface. So single convolutions between poolings are joined in pairs, and the strided depthwise
   convolution of an inverted residual stays with the convolutions that expand and project around it.
4. All calls from the last change to tensors without spatial axes on (flatten, global pooling, classifier) are the
   model's end. It is a block of its own if hidden layers in it have channels that can be removed and it holds
   `min_share` of the model's parameters, as VGG16's dense layers hold 89 % of them. Otherwise it is fixed.
5. A segment without removable channels joins the segment before or after it if that makes channels removable that
   neither had alone, as a last convolution joins the model's end. Otherwise it is fixed, such as a classifier of one
   layer.
6. While there are more than `max_blocks` blocks, the two neighbours with the fewest multiply-accumulates become one. A
   block before the end that holds less than `min_share` of the model's multiply-accumulates joins its smaller
   neighbour. Where no two blocks are neighbours, the smallest block becomes fixed instead. Unless the number is given,
   it depends on the model's size: a block takes a device some 30 KB of its own, which is much for a small model.
7. A fixed segment before a block joins it, unless it is large (`is_large`): such as a stem of one convolution, whose
   channels a residual carries on. By itself it would stay in float32, and write its large feature maps so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.division import Division, has_kernel, resolutions
from legodnn.blocks.importing.graph import LayerCall
from legodnn.blocks.importing.macs import macs
from legodnn.errors import ModelError

_PADDING = ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Pad")
_MOST_BLOCKS, _FEW_BLOCKS = 16, 3
_NUMBERS_IN_A_BLOCK = 120_000  # as int8, four times what a block takes by being one
# A fixed segment is large from this share of the model's parameters or multiply-accumulates on, if it has so many: less
# than 100 kB, or some microseconds, is not worth a choice of precisions.
_LARGE, _LEAST = 0.05, (25_000, 1_000_000)
_REASONS = 6  # how many layers, at most, the error for a model without a block lists


@dataclass
class Draft:
    """A segment in the making.

    Attributes:
        calls: what it computes, in topological order.
        block: whether it gets descendants; otherwise it is fixed.
        spatial: whether all of it comes before the model's end, see rule 4.
        branched: whether a branched run opened it.
        removable: how many sets of coupled channels can be removed from it.
        macs: its multiply-accumulates.
    """

    calls: list[LayerCall]
    block: bool
    spatial: bool = True
    branched: bool = False
    removable: int = 0
    macs: int = 0


def draft_segments(division: Division, max_blocks: int | None, min_share: float) -> list[Draft]:
    """Divide a model's calls into segments by the rules above, in topological order.

    Args:
        division: the model's calls.
        max_blocks: the largest number of blocks; None for `worthwhile_blocks`.
        min_share: the least share of the model's multiply-accumulates that a block must hold; of the model's
            parameters, where it is the model's end.

    Raises:
        ModelError: no segment is a block; the message says what keeps the channels.
    """
    drafts = _prunable(_opened(division, min_share), division)
    for d in drafts:
        d.macs = macs(division.submodel(d.calls))
    total = sum(d.macs for d in drafts)
    largest = max((d for d in drafts if d.block), key=lambda d: d.macs, default=None)
    most = worthwhile_blocks(division) if max_blocks is None else max_blocks
    drafts = _join_small(_join_fixed(_limit(drafts, most, min_share * total)), division)
    if not any(d.block for d in drafts):
        share = f" and that holds {min_share:g} of its multiply-accumulates" if min_share else ""
        why = _why_fixed(division) if largest is None else _too_small(largest, total)
        name = division.model.name
        raise ModelError(f"model {name!r} has no block whose inner channels could be removed{share}: {why}")
    return drafts


def is_large(part: tuple[int, int], whole: tuple[int, int]) -> bool:
    """Return whether a part of a model is worth a choice of precisions although it keeps its channels.

    Args:
        part: its parameters and multiply-accumulates.
        whole: those of the model.
    """
    return any(own >= max(least, _LARGE * all_) for own, all_, least in zip(part, whole, _LEAST, strict=True))


def worthwhile_blocks(division: Division) -> int:
    """Return how many blocks a model is worth being cut into: one for every 120,000 numbers that it holds, 3 to 16.

    What it holds are its parameters, and what goes into its widest layer and comes out.
    """
    widest = max(sum(math.prod(t.shape[1:]) for t in (*call.inputs, *call.outputs)) for call in division.order)
    worth: int = math.ceil((division.model.count_params() + widest) / _NUMBERS_IN_A_BLOCK)
    return min(_MOST_BLOCKS, max(_FEW_BLOCKS, worth))


def _too_small(draft: Draft, total: int) -> str:
    share, first, last = draft.macs / max(total, 1), draft.calls[0].name, draft.calls[-1].name
    return f"the largest candidate, {first} to {last}, holds {share:.2g} of them; lower min_share"


def _why_fixed(division: Division) -> str:
    """Return what keeps the channels of each layer, for a model from which none can be removed."""
    channels = analyse(division.model)
    reasons = {name: "its channels leave its segment" for name in channels.made} | channels.reasons
    listed = [f"{name}: {why}" for name, why in reasons.items()]
    more = [f"and {len(listed) - _REASONS} more"] if len(listed) > _REASONS else []
    why = "; ".join([*listed[:_REASONS], *more]) or "no layer in it makes channels, as convolutions and Dense do"
    if any(getattr(c.operation, "data_format", None) == "channels_first" for c in division.order):
        return f"{why}. Give the folder that model.export(FOLDER) makes: in it channels are brought to the last axis"
    if any(len(group.coupled) > 1 for group in channels.groups):
        return f"{why}. They can go where the whole model is one block: legodnn compress MODEL --targets 0.75,0.5"
    return why


def _opened(division: Division, min_share: float) -> list[Draft]:
    """Apply rules 2 to 4: decide where segments begin."""
    drafts: list[Draft] = []
    atoms = division.atoms()
    closed, head = True, _head(atoms)
    for atom in atoms[:head]:
        branched = len(atom) > 1 and any(map(has_kernel, atom)) and not _is_gate(atom)
        kernel = has_kernel(atom[0])
        resized = resolutions([*atom[:1], *atom[-1:]]) > 1
        last = drafts[-1] if drafts else None
        ends = last and (last.branched or ((closed or resized) and division.removable(last.calls)))
        if last and not branched and not (kernel and ends):
            last.calls.extend(atom)
        else:
            padding = _taken_padding(last.calls) if last else []
            drafts.append(Draft([*padding, *atom], block=True, branched=branched))
        closed = not kernel and not branched and (resized or closed)
    if head < len(atoms):
        end = [call for atom in atoms[head:] for call in atom]
        large = division.submodel(end).count_params() >= min_share * division.model.count_params()
        drafts.append(Draft(end, block=large, spatial=False))
    return drafts


def _taken_padding(calls: list[LayerCall]) -> list[LayerCall]:
    """Remove the padding from the end of a list of calls, and return it."""
    start = len(calls)
    while start > 1 and calls[start - 1].kind in _PADDING:
        start -= 1
    padding, calls[start:] = calls[start:], []
    return padding


def _head(atoms: Sequence[list[LayerCall]]) -> int:
    """Return the number of the first atom of the model's end; len(atoms) if no tensor ever had spatial axes."""
    flat = [len(atom[-1].outputs[0].shape) <= 2 for atom in atoms]
    if len(atoms[0][0].inputs[0].shape) <= 2 and all(flat):
        return len(atoms)
    return next((i + 1 for i in reversed(range(len(atoms))) if not flat[i]), 0)


def _is_gate(atom: Sequence[LayerCall]) -> bool:
    """Whether a branched run ends by multiplying its own input."""
    return atom[-1].kind == "Multiply" and any(t is atom[0].inputs[0] for t in atom[-1].inputs)


def _prunable(drafts: Sequence[Draft], division: Division) -> list[Draft]:
    """Apply rule 5: join segments without removable channels to a neighbour, or fix them."""
    found: list[Draft] = []
    for d in drafts:
        removable = division.removable(d.calls) if d.block else 0
        d = replace(d, removable=removable, block=removable > 0)
        last = found[-1] if found else None
        ends = last and not d.spatial and not last.removable
        if last and last.spatial and (ends or d.spatial) and 0 in (last.removable, d.removable):
            together = last.calls + d.calls
            if (removable := division.removable(together)) > last.removable + d.removable:
                found[-1] = Draft(together, block=True, removable=removable)
                continue
        found.append(d)
    return found


def _limit(drafts: list[Draft], max_blocks: int, least_macs: float) -> list[Draft]:
    """Apply rule 6: join or fix blocks until there are at most `max_blocks`, each with at least `least_macs`."""
    drafts = list(drafts)
    while any(d.block and d.spatial for d in drafts):
        smallest = min((d for d in drafts if d.block and d.spatial), key=lambda d: d.macs)
        small = smallest.macs < least_macs
        if not small and sum(d.block for d in drafts) <= max_blocks:
            break
        pairs = [(a.macs + b.macs, i) for i, (a, b) in enumerate(pairwise(drafts)) if a.block and b.block]
        if small:
            pairs = [(total, i) for total, i in pairs if smallest in (drafts[i], drafts[i + 1])]
        if pairs:
            total, i = min(pairs)
            a, b = drafts[i : i + 2]
            drafts[i : i + 2] = [Draft(a.calls + b.calls, block=True, spatial=b.spatial, macs=total)]
        else:  # it has no neighbour to join
            smallest.block = False
    return drafts


def _join_fixed(drafts: Sequence[Draft]) -> list[Draft]:
    """Make one segment of fixed neighbours."""
    joined: list[Draft] = []
    for d in drafts:
        if joined and not d.block and not joined[-1].block:
            joined[-1].calls.extend(d.calls)
        else:
            joined.append(d)
    return joined


def _join_small(drafts: Sequence[Draft], division: Division) -> list[Draft]:
    """Apply rule 7: make small fixed segments a part of the blocks behind them."""
    whole, joined = (division.model.count_params(), macs(division.model)), list[Draft]()
    for d in drafts:
        before = joined[-1] if joined else None
        if before and d.block and not before.block and not _is_large(before, division, whole):
            joined[-1] = replace(d, calls=before.calls + d.calls)
        else:
            joined.append(d)
    return joined


def _is_large(draft: Draft, division: Division, whole: tuple[int, int]) -> bool:
    part = division.submodel(draft.calls)
    return is_large((part.count_params(), macs(part)), whole)
