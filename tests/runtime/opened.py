"""Runtimes and executors of every kind, for tests of how they are closed and what forked processes make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, InfeasibleError, Runtime, Store
from legodnn.profile import Profile, default_path
from legodnn.runtime.executors.base import Executor
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import executor_name, open_executor
from legodnn.workload import Workload, WorkloadModel

X = np.random.default_rng(0).random((12, 12, 1), np.float32)
KINDS = ["capi", "interpreter", "isolated"]


def workload(store: Store, kind: str, folder: Path) -> Workload:
    """Make a workload of one model, whose profile says that it was measured with this executor."""
    profile = Profile.load(default_path(store.path))
    name = executor_name("capi" if kind == "isolated" else kind)
    path = folder / f"{kind}.json"
    profile.model_copy(update={"device": profile.device.model_copy(update={"executor": name})}).save(path)
    return Workload(models=(WorkloadModel(name="tiny", store=str(store.path), profile=str(path)),))


def open_runtime(store: Store, kind: str, folder: Path) -> Runtime:
    isolated = kind == "isolated"
    return Runtime(workload(store, kind, folder), executor=None if isolated else kind, isolated=isolated)


def executor_of(store: Store, kind: str) -> Executor:
    return IsolatedExecutor(store) if kind == "isolated" else open_executor(store, kind)


def calls(runtime: Runtime, plan: Any) -> list[Callable[[], Any]]:
    """Return calls of everything that a runtime can be asked."""
    return [
        lambda: runtime.infer("tiny", X),
        lambda: runtime.run("tiny", X),
        lambda: runtime.plan,
        lambda: runtime.budget,
        lambda: runtime.memory_bytes,
        lambda: setattr(runtime, "plan", plan),
        lambda: setattr(runtime, "budget", Budget()),
        lambda: runtime.replan(Budget(), {}),
    ]


def least_memory(runtime: Runtime) -> int:
    """The memory of the smallest plan, as the infeasibility report names it."""
    with pytest.raises(InfeasibleError) as error:
        runtime.scheduler.plan(Budget(memory_bytes=1))
    return int(next(limit.needed for limit in error.value.report.limits if limit.needed))
