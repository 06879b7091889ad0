"""Opening the models of a workload: their stores and profiles, and an executor for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from legodnn.errors import PackingError
from legodnn.profile import OptionKey, OptionProfile, Profile
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.base import Executor, log
from legodnn.runtime.executors.select import executor_name, open_executor, prepare_compact, warm_up
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


def with_compact_where_packed(measured: MeasuredStores, executor: str | None) -> MeasuredStores:
    """Pack the weights of compact models, now and not when a plan has one compact, perhaps because memory is short.

    Arguments and errors are those of `open_models`.

    Returns:
        The stores and profiles. Those of models that cannot be compact here say nothing of it, so that no plan has them
        so.
    """
    found = {}
    for name, (store, profile) in measured.items():
        if profile.compact:
            try:
                prepare_compact(store, executor)
            except PackingError as e:
                log.warning("%s is never compact, though its profile has that measured: %s", name, e)
                profile = profile.model_copy(update={"compact": None})
        found[name] = store, profile
    return found


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
