"""How long it takes to pack a store's weights, which happens once on each device, when the store is first opened; and
opening stores to be measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from legodnn.errors import PackingError
from legodnn.profiler.profiling_state import StageState
from legodnn.runtime.executors.select import EXECUTOR_VARIABLE, executor_kind, open_as_named
from legodnn.runtime.executors.weight_cache import is_packed
from legodnn.store import Store

if TYPE_CHECKING:
    from legodnn.runtime.executors.capi_executor import CApiExecutor
    from legodnn.runtime.executors.interpreter import InterpreterExecutor

_KEY = "ms"


def measure_packing(store: Store, stage: StageState | None = None) -> float | None:
    """Pack the weights of a store by opening it, and measure what the first opening takes longer than a second one.

    Args:
        store: the store.
        stage: holds milliseconds under "ms", if packing has been measured before.

    Returns:
        Milliseconds, or None if the weights were packed already, or the executor packs none.

    Raises:
        PackingError: the weights cannot be packed (see `open_measured`).
    """
    stage = stage or StageState()
    if _KEY in stage.done:
        return float(stage.done[_KEY])
    if executor_kind() != "capi" or is_packed(store):
        return None
    first = _opening_s(store)
    took_ms = max(0.0, first - _opening_s(store)) * 1e3
    stage.save({_KEY: np.array(took_ms)})
    return took_ms


def open_measured(store: Store) -> CApiExecutor | InterpreterExecutor:
    """Open a store with the executor that its profile names.

    Runtimes fall back to another one where weights cannot be packed. What was measured of that would be taken for this
    one's, with several times the memory.

    Raises:
        PackingError: the weights cannot be packed.
        LegoError: as `select.open_executor`.
    """
    try:
        return open_as_named(store)
    except PackingError as e:
        raise PackingError(
            f"{store.name!r} cannot be measured as LiteRT's C API runs it ({e}); mend that, or measure it for the "
            f"Interpreter by {EXECUTOR_VARIABLE}=interpreter"
        ) from None


def _opening_s(store: Store) -> float:
    start = time.monotonic()
    open_measured(store).close()
    return time.monotonic() - start
