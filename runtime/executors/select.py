"""The choice of an executor, and opening a store with it.

The best executor that works here is chosen automatically; an argument or the environment variable LEGODNN_EXECUTOR
chooses another. What implements executors is imported when it is first needed, so that planning loads none of it.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from legodnn.errors import ConfigError, DependencyError, PackingError
from legodnn.printable import shown
from legodnn.runtime.executors.base import Choice, ExecutorKind, log
from legodnn.store import Store

if TYPE_CHECKING:
    from legodnn.runtime.executors.capi_executor import CApiExecutor
    from legodnn.runtime.executors.interpreter import InterpreterExecutor

EXECUTOR_VARIABLE = "LEGODNN_EXECUTOR"


def executor_kind(kind: str | None = None) -> ExecutorKind:
    """Return the executor that stores are opened with: the one asked for, or else the best one that works here.

    Args:
        kind: 'capi', 'interpreter' or 'auto'; what LEGODNN_EXECUTOR says if None, and 'auto' if that is not set.

    Raises:
        ConfigError: there is no such executor.
        DependencyError: the C API was asked for, and cannot be used here.
    """
    from legodnn.runtime.executors import litert_capi

    asked = (os.environ.get(EXECUTOR_VARIABLE) or "auto") if kind is None else kind
    if not isinstance(asked, str) or asked not in ("auto", "capi", "interpreter"):
        where = f"{EXECUTOR_VARIABLE}: " if kind is None else ""
        raise ConfigError(f"{where}no executor {shown(asked)}; it is one of auto, capi or interpreter")
    problem = None if asked == "interpreter" else litert_capi.capi_problem()
    if problem and asked == "capi":
        remedy = f"unset {EXECUTOR_VARIABLE}" if kind is None else "ask for 'auto'"
        raise DependencyError(f"LiteRT's C API cannot be used: {problem}; {remedy} to run without it")
    return "interpreter" if asked == "interpreter" or problem else "capi"


def check_capi(how: str) -> None:
    """Raise ConfigError unless stores are run through LiteRT's C API here, which alone runs models in some ways.

    Args:
        how: the way, for the message.
    """
    if executor_kind() != "capi":
        raise ConfigError(f"models are {how} by LiteRT's C API alone; `legodnn doctor` says why it is not used here")


def executor_name(kind: str | None = None) -> str:
    """Return what fingerprints call the executor: package, version, and the way it is called.

    Args:
        kind: as for `executor_kind`, whose errors this raises as well.
    """
    from legodnn.runtime.executors import interpreter, litert_capi

    return litert_capi.capi_name() if executor_kind(kind) == "capi" else interpreter.interpreter_name()


def open_executor(store: Store, kind: str | None = None) -> CApiExecutor | InterpreterExecutor:
    """Open an executor for a store. If that has not been done on this device, the store is first tried out and packed.

    Where packed weights cannot be kept (on a full disk, say), the Interpreter runs the store, with a warning.

    Args:
        store: the store.
        kind: as for `executor_kind`.

    Raises:
        StoreError: a file is damaged, not what the manifest says, or ended the process that tried it out.
        ExecutionError: the store could not be tried out, or memory is short.
        ConfigError: there is no such executor, or LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
        DependencyError: what the executor needs is not installed.
    """
    try:
        return open_as_named(store, kind)
    except PackingError as e:
        log.warning("%s runs without packed weights, slower to switch and in more memory: %s", store.name, e)
    return open_as_named(store, "interpreter")


def open_as_named(store: Store, kind: str | None = None) -> CApiExecutor | InterpreterExecutor:
    """Open a store with the executor that `executor_name` names, and in no other way: what is measured is of that one.

    Arguments and errors are those of `open_executor`, and a PackingError where packed weights cannot be kept.
    """
    from legodnn.runtime.executors import interpreter, trial

    if executor_kind(kind) == "capi":
        from legodnn.runtime.executors.capi_executor import CApiExecutor

        return CApiExecutor(store)
    trial.ensure_tried(store, interpreter.interpreter_name())
    return interpreter.InterpreterExecutor(store)


def prepare(store: Store, kind: str | None = None) -> None:
    """Do what may take long and is needed once on a device: try a store out, and pack its weights.

    Arguments and errors are those of `open_executor`.
    """
    from legodnn.runtime.executors import interpreter, trial

    try:
        prepare_packed(store, kind)
    except PackingError:  # `open_executor` warns of it
        trial.ensure_tried(store, interpreter.interpreter_name())


def prepare_packed(store: Store, kind: str | None = None, compact: bool = False) -> None:
    """Pack a store's weights, or those of compact models, unless that has been done on this device.

    Arguments and errors are those of `open_executor`, and a PackingError where the Interpreter is to run the store, or
    the weights cannot be packed or kept.
    """
    if executor_kind(kind) != "capi":
        raise PackingError("the Interpreter runs it, which runs no models streamed or compact")
    from legodnn.runtime.executors import weight_cache

    if not weight_cache.is_made(store, compact=compact):
        weight_cache.open_packed(store, compact=compact).close()


def warm_up(store: Store, kind: str | None = None) -> None:
    """Open a store, run its smallest options on zeros, and close it.

    Afterwards this process holds the library's own code and memory pools, which count as no model's memory.
    Arguments and errors are those of `open_executor`.
    """
    with closing(open_executor(store, kind)) as executor:
        smallest = ((s, min(s.options, key=lambda option: option.bytes)) for s in store.manifest.segments)
        composition = executor.compose(tuple(Choice(s.name, option.name, 1) for s, option in smallest))
        composition.run({spec.name: spec.zeros() for spec in store.manifest.inputs})
