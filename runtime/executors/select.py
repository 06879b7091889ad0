"""The choice of an executor, and opening a store with it.

The best executor that works here is chosen automatically; an argument or the environment variable LEGODNN_EXECUTOR
chooses another.
"""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np

from legodnn.errors import DependencyError, WorkloadError
from legodnn.printable import shown
from legodnn.runtime.executors import interpreter, litert_capi, weight_cache
from legodnn.runtime.executors.base import Choice, ExecutorKind, log
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.store import Store

EXECUTOR_VARIABLE = "LEGODNN_EXECUTOR"


def executor_kind(kind: str | None = None) -> ExecutorKind:
    """The executor that stores are opened with: the one asked for, by argument or environment, or the best there is.

    Raises:
        WorkloadError: no such executor.
        DependencyError: the C API was asked for, and cannot be used here.
    """

    asked = (os.environ.get(EXECUTOR_VARIABLE) or "auto") if kind is None else kind
    if not isinstance(asked, str) or asked not in ("auto", "capi", "interpreter"):
        raise WorkloadError(f"no executor {shown(asked)}; {EXECUTOR_VARIABLE} takes auto, capi or interpreter")
    problem = None if asked == "interpreter" else litert_capi.capi_problem()
    if problem and asked == "capi":
        raise DependencyError(f"LiteRT's C API cannot be used: {problem}; unset {EXECUTOR_VARIABLE} to run without it")
    return "interpreter" if asked == "interpreter" or problem else "capi"


def executor_name(kind: str | None = None) -> str:
    """What fingerprints call the executor: package, version, and the way it is called."""

    return litert_capi.capi_name() if executor_kind(kind) == "capi" else interpreter.interpreter_name()


def open_executor(store: Store, kind: str | None = None) -> CApiExecutor | InterpreterExecutor:
    """An executor for a store. Tries the store out, and packs its weights, if that has not been done on this device.

    Where packed weights cannot be kept (a full disk, say), the store is run by the Interpreter, with a warning.

    Raises:
        StoreError: a file is damaged, not what the manifest says, or ended the process that tried it out.
        ExecutionError: it could not be tried out.
        WorkloadError, DependencyError: see `executor_kind`.
    """

    if executor_kind(kind) == "capi":
        try:
            return CApiExecutor(store)
        except weight_cache.PackingError as e:
            log.warning("%s runs without packed weights, slower to switch: %s", store.name, e)
    weight_cache.see_tried(store)
    return InterpreterExecutor(store)


def prepare(store: Store, kind: str | None = None) -> None:
    """Do what may take long and has to be done but once on a device: try a store out, and pack its weights.

    Raises:
        As `open_executor`.
    """

    if executor_kind(kind) == "capi":
        try:
            if not weight_cache.is_made(store):
                weight_cache.open_packed(store).close()
            return
        except weight_cache.PackingError:  # `open_executor` says so
            pass
    weight_cache.see_tried(store)


def covering_compositions(store: Store, threads: int = 1) -> list[tuple[Choice, ...]]:
    """As many compositions of a store as its widest block has options, in which every option is at least once."""
    segments = store.manifest.segments
    widest = max(len(s.options) for s in segments)
    return [tuple(Choice(s.name, s.options[i % len(s.options)].name, threads) for s in segments) for i in range(widest)]


def try_out(store: Store, kind: str | None = None) -> None:
    """Open a store, run its smallest options on zeros, and let it go.

    The process then holds the library's own code and pools, which are no model's memory.
    """
    with closing(open_executor(store, kind)) as executor:
        smallest = ((s, min(s.options, key=lambda option: option.bytes)) for s in store.manifest.segments)
        composition = executor.compose(tuple(Choice(s.name, option.name, 1) for s, option in smallest))
        composition.run({spec.name: np.zeros(spec.shape, np.float32) for spec in store.manifest.inputs})
