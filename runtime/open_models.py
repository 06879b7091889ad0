"""Opening the models of a workload: their stores and profiles, and an executor for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from legodnn.errors import PackingError
from legodnn.profile import OptionKey, OptionProfile, Profile
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.base import Executor, log
from legodnn.runtime.executors.select import executor_name, open_executor, prepare_packed, warm_up
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


def as_packed_here(
    workload: Workload, measured: MeasuredStores, executor: str | None
) -> tuple[Workload, MeasuredStores]:
    """Leave out ways of running that need packed weights where those cannot be kept, so that no plan chooses them.

    Weights are packed now, and not when a plan first needs them, perhaps because memory is short.
    Arguments and errors are those of `open_models`.

    Returns:
        The workload, without leave to stream models that cannot be streamed here; and the stores and profiles, which
        say nothing of being compact for models that cannot be compact here.
    """
    models, found = [], {}
    for entry in workload.models:
        store, profile = measured[entry.name]
        if entry.streaming and (problem := _packing_problem(store, executor)):
            log.warning("%s is never streamed, though its workload allows that: %s", entry.name, problem)
            entry = entry.model_copy(update={"streaming": False})
        if profile.compact and (problem := _packing_problem(store, executor, compact=True)):
            log.warning("%s is never compact, though its profile has that measured: %s", entry.name, problem)
            profile = profile.model_copy(update={"compact": None})
        models.append(entry)
        found[entry.name] = store, profile
    return workload.model_copy(update={"models": tuple(models)}), found


def _packing_problem(store: Store, executor: str | None, compact: bool = False) -> str:
    """Pack a store's weights, unless that has been done, and those of compact models if they are meant.

    Returns:
        Why models cannot run with them; "" where they can.
    """
    try:
        prepare_packed(store, executor)
        if compact:
            prepare_packed(store, executor, compact=True)
    except PackingError as e:
        return str(e)
    return ""


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
