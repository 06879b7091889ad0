"""Opening the models of a workload: their stores and profiles, and an executor for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from legodnn.profile import OptionKey, OptionProfile, Profile
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.base import Executor
from legodnn.runtime.executors.select import executor_name, open_executor, prepare, warm_up
from legodnn.runtime.running_model import RunningModel
from legodnn.store import Store
from legodnn.workload import Workload

MeasuredStores = Mapping[str, tuple[Store, Profile]]


def open_measured_stores(workload: Workload, executor: str | None) -> MeasuredStores:
    """Open the store and the profile of every model of a workload.

    Args:
        workload: the models.
        executor: what is to run them, as for `executor_kind`.

    Returns:
        The stores and profiles by the models' names, in the workload's order.

    Raises:
        StoreError: a store is damaged.
        ProfileError: a profile is damaged, or was measured on another store, device or executor.
        ConfigError, DependencyError: there is no such executor, or it is not installed.
    """
    device, opened = fingerprint(executor_name(executor)), {}
    for entry in workload.models:
        store, profile = Store(entry.store), Profile.load(entry.profile_path)
        profile.check_store(store)
        profile.check_device(device)
        opened[entry.name] = store, profile
    return opened


def load_library(measured: MeasuredStores, executor: str | None, isolated: bool) -> None:
    """Load what models are run by, and let it take the memory that it keeps, which is no model's.

    Arguments and errors are those of `open_models`.
    """
    if isolated:  # their processes do the rest for themselves
        import legodnn.runtime.executors.isolated  # noqa: F401
    else:
        for store, _ in measured.values():
            warm_up(store, executor)


def open_models(
    workload: Workload, measured: MeasuredStores, executor: str | None, isolated: bool
) -> dict[str, RunningModel]:
    """Open an executor for every model; none of them runs anything yet. If one cannot be opened, all are closed.

    Args:
        workload: the models.
        measured: their stores and profiles by name.
        executor: as for `executor_kind`.
        isolated: whether each model is to run in a process of its own.

    Raises:
        StoreError, ExecutionError, ConfigError, DependencyError: as `open_executor`.
    """
    models = {}
    with ExitStack() as opened:
        for entry in workload.models:
            name, (store, profile) = entry.name, measured[entry.name]
            sizes, compact = _sizes(profile.options), profile.compact
            if compact:  # now, and not when a plan has the model compact, perhaps because memory is short
                prepare(store, executor, compact=True)
            threads = set.intersection(*({entry.threads for entry in o.latency} for o in profile.options))
            models[name] = RunningModel(
                name,
                store,
                sizes,
                _open_executor(store, executor, isolated),
                threads,
                profile.streamed if entry.streaming else None,
                _sizes(compact.options) if compact else None,
            )
            opened.callback(models[name].close)
        opened.pop_all()
    return models


def _sizes(options: Iterable[OptionProfile]) -> dict[OptionKey, int]:
    return {(o.segment, o.option): o.memory_bytes for o in options}


def _open_executor(store: Store, kind: str | None, isolated: bool) -> Executor:
    if not isolated:
        return open_executor(store, kind)
    # Imported here because few runtimes need it, and it brings sockets and everything that starts processes.
    from legodnn.runtime.executors.isolated import IsolatedExecutor

    return IsolatedExecutor(store, kind)
