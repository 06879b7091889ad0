"""How much the options of a store can save on a device, and saying so where that is little.

What a model takes whatever runs (activations, the library's own memory, calls between segments) is in every option's
figures, so a small model has little to give up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legodnn.manifest import Manifest
from legodnn.profile import OptionProfile, Profile
from legodnn.store import Store
from legodnn.units import size

# Shares of memory and latency below which plans hardly differ, and weights (0.8 MB in float32) that are little beside
# what a model takes anyway.
_LITTLE = 0.15
FEW_PARAMETERS = 200_000


@dataclass(frozen=True)
class Savings:
    """What the originals of a store take on a device, and the least that its options could take instead.

    Attributes:
        memory_bytes: of the originals, and the least.
        latency_ms: likewise, at the first thread count of the profile.
    """

    memory_bytes: tuple[int, int]
    latency_ms: tuple[float, float]


def savings(store: Store, profile: Profile) -> Savings:
    """Return what the options of a store can save, by its profile, which must be of this store."""
    measured = {(o.segment, o.option): o for o in profile.options}
    segments = store.manifest.segments
    originals = [measured[s.name, s.original.name] for s in segments]
    options = [[measured[key] for o in s.options if (key := (s.name, o.name)) in measured] for s in segments]
    overhead = profile.overhead_ms.get(profile.options[0].latency[0].threads, 0.0)
    most_ms, least_ms = (
        overhead + sum(min(o.latency[0].median_ms for o in of) for of in each)
        for each in ([[o] for o in originals], options)
    )
    most_bytes, least_bytes = _least_bytes([[o] for o in originals]), _least_bytes(options)
    return Savings((most_bytes, least_bytes), (most_ms, least_ms))


def _least_bytes(options: Sequence[Sequence[OptionProfile]]) -> int:
    """The least memory of a composition of these options by segment; the workspace that they share counts once."""
    found = [[o.own_and_workspace for o in of] for of in options]
    needed = max(min(workspace for _, workspace in of) for of in found)
    return min(
        most + sum(min(own for own, workspace in of if workspace <= most) for of in found)
        for most in {workspace for of in found for _, workspace in of}
        if most >= needed
    )


def little_to_save(store: Store, profile: Profile) -> str | None:
    """Return a line that says that plans of a store hardly differ on this device; None if they do, or there is one."""
    if not store.manifest.blocks:
        return None
    found = savings(store, profile)
    (bytes_most, bytes_least), (ms_most, ms_least) = found.memory_bytes, found.latency_ms
    parts = []
    if bytes_least > (1 - _LITTLE) * bytes_most:
        parts.append(f"memory from {size(bytes_most)} to {size(bytes_least)}")
    if ms_least > (1 - _LITTLE) * ms_most:
        parts.append(f"latency from {ms_most:.3g} to {ms_least:.3g} ms")
    if not parts:
        return None
    return (
        f"{store.name} has little to give up: its options take {' and '.join(parts)}; as one whole file it may "
        "take less (legodnn pack)"
    )


def small_model(params: int, name: str) -> str | None:
    """Return a line that says that a model has few weights, so that removing some saves little; None if it has many."""
    if params >= FEW_PARAMETERS:
        return None
    return (
        f"{name} is small: its {params:,} parameters take {size(4 * params)} in float32, and no option takes less of "
        "what else it needs on a device (activations, the runtime)"
    )


def original_params(manifest: Manifest) -> int:
    """Return the number of parameters of a store's original."""
    return sum(segment.original.params for segment in manifest.segments)
