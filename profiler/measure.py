"""A store's profile: latency at each thread count, memory and load time of every option, and where that holds."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from legodnn.errors import ProfileError
from legodnn.profile import OptionProfile, Profile
from legodnn.profiler.latency import measure_latency
from legodnn.profiler.memory import measure_memory
from legodnn.runtime.device import fingerprint
from legodnn.store import Store


def profile_store(store: Store, threads: Sequence[int] = (1,), rounds: int = 50, processes: int = 3) -> Profile:
    """Measure every option of a store on this device.

    Args:
        store: the store.
        threads: thread counts to time.
        rounds: how often each option is timed at each thread count.
        processes: fresh processes in which memory is measured.

    Raises:
        ProfileError: thread counts or rounds make no sense, or a measuring process failed.
    """
    if not threads or min(threads) < 1 or len(set(threads)) != len(threads) or rounds < 1 or processes < 1:
        raise ProfileError("thread counts must be different and positive, and so must rounds and processes")
    latency = {count: measure_latency(store, count, rounds) for count in threads}
    memory = measure_memory(store, processes)
    options = tuple(
        OptionProfile(
            segment=s.name,
            option=o.name,
            memory_bytes=memory[s.name, o.name][0],
            load_ms=memory[s.name, o.name][1],
            latency=tuple(latency[count][s.name, o.name] for count in threads),
        )
        for s in store.manifest.segments
        for o in s.options
    )
    return Profile(
        store_id=store.id,
        model=store.name,
        device=fingerprint(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        options=options,
    )
