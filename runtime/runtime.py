"""The object an application talks to: several models under one budget.

    runtime = Runtime.open(["stores/vgg16", "stores/resnet18"], Budget(memory_bytes=4_000_000))
    logits = runtime.infer("vgg16", image)
    runtime.budget = Budget(memory_bytes=2_000_000)     # re-plans and switches the blocks that change

`infer` may be called from many threads, also while the budget changes: an inference that runs ends on the
composition it started with. If a new budget cannot be held or a block cannot be loaded, the setter raises and
everything stays as it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Self

from legodnn.arrays import Array
from legodnn.errors import InfeasibleError, InputError, WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.plan import Infeasible, ModelPlan, Plan
from legodnn.printable import shown
from legodnn.profile import Profile
from legodnn.runtime import switch
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Executor
from legodnn.runtime.executors.select import executor_kind, executor_name, open_executor, warm_up
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.runtime.running_model import Inference, RunningModel, checked
from legodnn.runtime.switch import Choices, ModelChange
from legodnn.store import Store
from legodnn.workload import Budget, Workload, load_workload


@dataclass(frozen=True)
class Switch:
    """What the last change of plan did.

    Attributes:
        loaded: the choices that did not run before, by model.
        plan_ms: time to find the plan.
        switch_ms: time until all models run it.
    """

    loaded: Mapping[str, Choices]
    plan_ms: float
    switch_ms: float


class Runtime:
    """Several models, each composed of blocks as the plan for the current budget says.

    Attributes:
        workload: what was asked for.
        scheduler: finds plans; may be asked for others than the running one.
        last_switch: what the last change of plan did.
        on_inference: if set, is told of each inference what the model ran and how many milliseconds it took.
    """

    def __init__(
        self, workload: Workload, budget: Budget | None = None, executor: str | None = None, isolated: bool = False
    ) -> None:
        """Open the workload's stores and profiles, plan, and load.

        Args:
            workload: the models.
            budget: the first budget; the workload's own if None.
            executor: 'capi' or 'interpreter'; the best there is if None (see `legodnn.runtime.executors.base`).
            isolated: each model in a process of its own (see `legodnn.runtime.executors.isolated`).

        Raises:
            StoreError, ProfileError: a store or profile is damaged, or does not fit the other or this device.
            WorkloadError: the workload or the budget makes no sense.
            ConfigError: there is no such executor, or LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
            InfeasibleError: no combination of blocks holds the budget.
            ExecutionError: memory or other means are short.
        """
        if not isinstance(workload, Workload):
            raise WorkloadError(f"a runtime is opened with a legodnn.Workload, not {type(workload).__name__}")
        executor_kind(executor)
        self.workload, self._life = workload, Lifetime("this runtime")
        budget = workload.budget if budget is None else _budget(budget)
        profiles: dict[str, tuple[Store, Profile]] = {}
        for entry in workload.models:
            store, profile = Store(entry.store), Profile.load(entry.profile_path)
            profile.check_store(store)
            profile.check_device(fingerprint(executor_name(executor)))
            profiles[entry.name] = store, profile
        self.scheduler = Scheduler(workload_tables(workload, list(profiles.values())), workload.switch_charge)
        # Planned and tried out before the base is taken: what planner and library hold is no model's memory.
        self.scheduler.plan(budget)
        if not isolated:
            for store, _ in profiles.values():
                warm_up(store, executor)
        release_freed_memory()
        self._base_memory_bytes = process_memory_bytes()
        self._changing = threading.Lock()
        self._plan: Plan | None = None
        self._slowdown: Mapping[str, float] = {}
        self.on_inference: Callable[[ModelPlan, float], None] | None = None
        self._models: dict[str, RunningModel] = {}
        self.last_switch = Switch({}, 0.0, 0.0)
        try:
            for name, (store, profile) in profiles.items():
                opened = _open_executor(store, executor, isolated)
                sizes = {(o.segment, o.option): o.memory_bytes for o in profile.options}
                threads = set.intersection(*({entry.threads for entry in o.latency} for o in profile.options))
                self._models[name] = RunningModel(name, store, sizes, opened, threads)
            self._go_to(self.scheduler.plan(budget), time.perf_counter())
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        paths: Sequence[str | Path],
        budget: Budget | None = None,
        executor: str | None = None,
        isolated: bool = False,
    ) -> Self:
        """A runtime for one workload file or several store folders (see `legodnn.workload.load_workload`)."""
        return cls(load_workload(paths), budget, executor, isolated)

    @property
    def plan(self) -> Plan:
        """The running plan. Setting it switches to a plan made elsewhere; if that fails nothing changes.

        ClosedError if this runtime has been closed, or was opened before this process was forked off.
        """
        self._life.check()
        assert self._plan is not None, "an open runtime has a plan"
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._life.check()
        if not isinstance(plan, Plan):
            raise WorkloadError(f"a plan is a legodnn.Plan, not {type(plan).__name__}")
        if sorted(m.name for m in plan.models) != sorted(self._models):
            raise WorkloadError(
                f"this plan is for {', '.join(m.name for m in plan.models)}; this runtime has {', '.join(self._models)}"
            )
        with self._changing:
            self._life.check()
            for name, model in self._models.items():
                planned, blocks = plan[name], sorted(b.name for b in model.store.manifest.blocks)
                if not planned.suspended and sorted(planned.options) != blocks:
                    raise WorkloadError(
                        f"this plan was not made for the store of {name!r}; make one with `legodnn plan`"
                    )
                model.check(switch.choices(model.store, planned))
            self._go_to(plan, time.perf_counter())

    @property
    def memory_bytes(self) -> int:
        """Measured memory of the models: what this process grew by since the runtime had everything but them.

        See `device.memory.process_memory_bytes`. Whatever else the application allocates meanwhile counts too;
        what it has freed is given back first. Isolated models' processes are added.
        ClosedError if this runtime has been closed, or was opened before this process was forked off.
        """
        self._life.check()
        release_freed_memory()
        elsewhere = sum(model.executor.elsewhere_bytes() for model in self._models.values())
        return max(0, process_memory_bytes() - self._base_memory_bytes) + elsewhere

    @property
    def budget(self) -> Budget:
        """The budget of the running plan. Setting it re-plans and switches; if that fails nothing changes."""
        return self.plan.budget

    @budget.setter
    def budget(self, budget: Budget) -> None:
        self.replan(budget, self._slowdown)

    def replan(self, budget: Budget, slowdown: Mapping[str, float], nearest: bool = False) -> Infeasible | None:
        """Set the budget, and by model how many times slower it runs than profiled; if that fails nothing changes.

        Args:
            budget: the limits.
            slowdown: by model, latency over what was profiled; as profiled for models not named.
            nearest: where no plan holds the budget, go to the plan that comes nearest instead of raising.

        Returns:
            None if the plan that now runs holds the budget, else the report of why none does, whose nearest plan runs.

        Raises:
            InfeasibleError: nothing holds the budget, and the nearest plan was not asked for or there is none.
        """
        self._life.check()
        budget = _budget(budget)
        if not isinstance(slowdown, Mapping):
            raise WorkloadError(
                f"slow-downs are numbers by model, such as {{'faces': 1.5}}, not {type(slowdown).__name__}"
            )
        with self._changing:
            running, start, why = self.plan, time.perf_counter(), None
            try:
                plan = self.scheduler.plan(budget, running=running, slowdown=slowdown)
            except InfeasibleError as e:
                if not nearest or e.report.nearest is None:
                    raise
                why, plan = e.report, e.report.nearest
            self._go_to(plan, start)
            self._slowdown = slowdown
            return why

    def _go_to(self, plan: Plan, start: float) -> None:
        """Switch to a plan that was sought since `start`; if that fails everything is put back."""
        planned = time.perf_counter()
        changes = self._changes(plan)
        done: list[ModelChange] = []
        try:
            for change in changes:
                self._models[change.model].change(change.after, plan[change.model], change.beside)
                done.append(change)
        except BaseException:
            if (running := self._plan) is not None:
                for change in reversed(done):
                    self._models[change.model].change(change.before, running[change.model], change.beside)
            raise
        for name, model in self._models.items():
            model.claim(plan[name])
        self._plan = plan
        end = time.perf_counter()
        self.last_switch = Switch({c.model: c.new for c in changes}, (planned - start) * 1e3, (end - planned) * 1e3)

    def _changes(self, plan: Plan) -> list[ModelChange]:
        """What a plan changes, in the order in which it is done."""
        changes = []
        for name, model in self._models.items():
            before, after = model.choices, switch.choices(model.store, plan[name])
            if before != after:
                growth = model.bytes(after) - model.bytes(before)
                changes.append(ModelChange(name, before, after, growth, model.bytes(model.executor.to_load(after))))
        used = sum(model.bytes(model.choices) for model in self._models.values())
        return switch.in_order(changes, used, plan.budget.memory_bytes)

    def infer(self, model: str, x: Array | Mapping[str, Array]) -> Array | dict[str, Array]:
        """Run one inference.

        Args:
            model: its name in the workload.
            x: float32 array of the model's input shape, without a batch dimension, without NaN or infinity; for a
                model with several inputs, arrays by input name.

        Returns:
            The output array, without a batch dimension; by output name if there are several.

        Raises:
            InputError: unknown model, wrong shape or dtype, NaN.
            ClosedError: this runtime has been closed, or was opened before this process was forked off.
            SuspendedError: the plan has no room for this model at the moment.
            ExecutionError: it failed while it ran; the next may well do.
        """
        outputs = self.run(model, x).outputs
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run(self, model: str, x: Array | Mapping[str, Array]) -> Inference:
        """Like `infer`; the answer says also what ran and how long."""
        self._life.check()
        if not isinstance(model, str) or model not in self._models:
            raise InputError(f"no model {shown(model)} in this runtime; it has {', '.join(self._models)}")
        running = self._models[model]
        inference = running.infer(checked(running.store, model, x))
        if (told := self.on_inference) is not None:  # looked at once: a governor may end meanwhile
            told(inference.plan, inference.latency_ms)
        return inference

    def close(self) -> None:
        """Let go of all segments, unless that has been done; inferences that run are waited for.

        In a process that was forked off nothing happens: it is the first process's to do.
        """
        if self._life.end():
            with self._changing, ExitStack() as models:
                for model in self._models.values():
                    models.callback(model.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_executor(store: Store, kind: str | None, isolated: bool) -> Executor:
    """Open an executor for a store, in this process or in one of its own."""
    if not isolated:
        return open_executor(store, kind)
    from legodnn.runtime.executors.isolated import IsolatedExecutor  # with sockets and all; most runtimes need none

    return IsolatedExecutor(store, kind)


def _budget(budget: Budget) -> Budget:
    """WorkloadError unless it is one."""
    if not isinstance(budget, Budget):
        raise WorkloadError(f"a budget is a legodnn.Budget, not {type(budget).__name__}; Budget() sets no limits")
    return budget
