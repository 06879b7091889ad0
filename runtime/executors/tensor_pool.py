"""Memory for the tensors between segments: one pool for each model, in which tensors that are never needed at the same
time share a place.

Segments read and write the arrays directly, so these are aligned and padded as XNNPACK wants them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.errors import ExecutionError
from legodnn.manifest import Manifest, TensorSpec
from legodnn.units import size

ALIGNMENT = 64
_PADDING = 128  # kernels read, and ignore, a few bytes past the end of a tensor


def allocate_pool(manifest: Manifest) -> dict[str, AnyArray]:
    """Allocate an array for every input and interface tensor of a model, whose segments run one after another.

    Returns:
        Arrays of zeros by tensor name, with a batch dimension of 1.

    Raises:
        ExecutionError: memory is short.
    """
    return _allocate(manifest.specs, lifetimes(manifest))


def allocate_ends(manifest: Manifest) -> dict[str, AnyArray]:
    """Allocate an array for every input and output of a model that runs in one step.

    It returns and raises what `allocate_pool` does.
    """
    names = [*(spec.name for spec in manifest.inputs), *manifest.outputs]
    return _allocate({n: manifest.specs[n] for n in names}, dict.fromkeys(names, (0, 0)))


def _allocate(specs: Mapping[str, TensorSpec], lives: Mapping[str, tuple[int, int]]) -> dict[str, AnyArray]:
    """Allocate an array for every tensor, given when it is needed (see `pool_layout`)."""
    sizes = {name: spec.bytes for name, spec in specs.items()}
    places, total = pool_layout(lives, sizes)
    try:
        memory = np.zeros(total + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError, OverflowError):  # the last two for more than all address space
        raise ExecutionError(f"no memory is left for {size(total)} of tensors between segments") from None
    start = -memory.ctypes.data % ALIGNMENT
    return {
        name: memory[start + places[name] :][: sizes[name]].view(spec.dtype).reshape(1, *spec.shape)
        for name, spec in specs.items()
    }


def lifetimes(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """Return for every tensor the number of the segment that writes it, and of the one that reads it last.

    Segments are numbered in topological order. The caller, who writes inputs and reads outputs, is -1 and one more than
    the last segment.
    """
    last = {name: len(manifest.segments) for name in manifest.outputs}
    for i, segment in enumerate(manifest.segments):
        for name in segment.inputs:
            last[name] = max(i, last.get(name, i))
    born = {spec.name: -1 for spec in manifest.inputs}
    born.update({name: i for i, segment in enumerate(manifest.segments) for name in segment.outputs})
    return {name: (first, last.get(name, first)) for name, first in born.items()}


def pool_layout(lives: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Lay tensors out in memory: the largest first, each at the lowest place that is free during its lifetime.

    Args:
        lives: the first and the last moment at which each tensor is needed, as `lifetimes` returns them.
        sizes: the size of each tensor in bytes.

    Returns:
        The offset of each tensor in bytes, a multiple of `ALIGNMENT`; and the size of the whole in bytes.

    Example:

        >>> pool_layout({"a": (-1, 0), "b": (0, 1), "c": (1, 2)}, {"a": 64, "b": 64, "c": 64})
        ({'a': 0, 'b': 192, 'c': 0}, 384)
    """
    places: dict[str, int] = {}
    room = {name: -(-(count + _PADDING) // ALIGNMENT) * ALIGNMENT for name, count in sizes.items()}
    for name in sorted(sizes, key=lambda n: (-sizes[n], lives[n])):
        first, last = lives[name]
        taken = sorted(
            (places[other], places[other] + room[other])
            for other in places
            if lives[other][0] <= last and first <= lives[other][1]
        )
        place = 0
        for start, end in taken:
            if place + room[name] <= start:
                break
            place = max(place, end)
        places[name] = place
    return places, max((places[n] + room[n] for n in places), default=0)
