"""Memory for the tensors between segments: one pool for each model, in which tensors that are never needed at the same
time share a place.

Arrays are what segments read and write directly, so they are aligned and padded as XNNPACK wants them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from legodnn.arrays import Array
from legodnn.errors import ExecutionError
from legodnn.manifest import Manifest
from legodnn.units import size

ALIGNMENT = 64
_PADDING = 128  # kernels read, and ignore, a few bytes past the end of a tensor


def allocate_pool(manifest: Manifest) -> dict[str, Array]:
    """An array for every input and interface tensor, with the batch dimension; ExecutionError if memory is short."""
    sizes = {name: math.prod(spec.shape) * 4 for name, spec in manifest.specs.items()}
    places, total = pool_layout(lifetimes(manifest), sizes)
    try:
        memory = np.zeros(total + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError, OverflowError):  # the last two where it exceeds all address space
        raise ExecutionError(f"no memory is left for {size(total)} of tensors between segments") from None
    start = -memory.ctypes.data % ALIGNMENT
    return {
        name: memory[start + places[name] :][: sizes[name]].view(np.float32).reshape(1, *spec.shape)
        for name, spec in manifest.specs.items()
    }


def lifetimes(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """For every tensor the numbers of the segments that write it (-1: the caller) and that read it last."""
    last = {name: len(manifest.segments) for name in manifest.outputs}
    for i, segment in enumerate(manifest.segments):
        for name in segment.inputs:
            last[name] = max(i, last.get(name, i))
    born = {spec.name: -1 for spec in manifest.inputs}
    born.update({name: i for i, segment in enumerate(manifest.segments) for name in segment.outputs})
    return {name: (first, last.get(name, first)) for name, first in born.items()}


def pool_layout(lives: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Where each tensor lies, and how much memory all take: the largest first, each at the lowest free place.

    Args:
        lives: first and last moment of each tensor, both included.
        sizes: in bytes.

    Returns:
        Offsets in bytes, multiples of `ALIGNMENT`; and the size of the whole.
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
