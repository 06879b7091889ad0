"""How long it takes to pack a store's weights, which happens once on each device, when the store is first opened."""

from __future__ import annotations

import time

import numpy as np

from legodnn.profiler.profiling_state import StageState
from legodnn.runtime.executors.select import executor_kind, open_executor
from legodnn.runtime.executors.weight_cache import is_packed
from legodnn.store import Store

_KEY = "ms"


def measure_packing(store: Store, stage: StageState | None = None) -> float | None:
    """Pack the weights of a store by opening it, and measure what the first opening takes longer than a second one.

    Args:
        store: the store.
        stage: holds milliseconds under "ms", if packing has been measured before.

    Returns:
        Milliseconds, or None if the weights were packed already, or the executor cannot pack them.
    """
    stage = stage or StageState()
    if _KEY in stage.done:
        return float(stage.done[_KEY])
    if executor_kind() != "capi" or is_packed(store):
        return None
    first = _opening_s(store)
    took_ms = max(0.0, first - _opening_s(store)) * 1e3
    if not is_packed(store):
        return None
    stage.save({_KEY: np.array(took_ms)})
    return took_ms


def _opening_s(store: Store) -> float:
    start = time.monotonic()
    open_executor(store).close()
    return time.monotonic() - start
