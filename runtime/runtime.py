"""The object that an application talks to: several models under one budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from typing_extensions import Self

from legodnn.arrays import AnyArray
from legodnn.errors import InfeasibleError, InputError, WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.plan import Infeasible, ModelPlan, Plan, checked_plan
from legodnn.printable import shown
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.open_models import as_packed_here, load_library, open_measured_stores, open_models
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.table_checks import check_by_model
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.runtime.running_model import Inference, changes_to
from legodnn.runtime.switch import Switch
from legodnn.store import Store
from legodnn.turn import turn
from legodnn.workload import Budget, Workload, checked_budget, load_workload


class Runtime:
    """Several models, each composed of blocks as the plan for the current budget says.

    Methods may be called from many threads at once, also while the budget changes: an inference that runs ends on the
    blocks that it started with. When a budget or a plan cannot be applied, setting it raises an error and everything
    stays as it was.

    Attributes:
        workload: the models, as they were asked for.
        stores: their stores, by name; `stores[name].manifest` says what a model takes and gives.
        scheduler: finds plans. It may be asked for plans under other budgets, which changes nothing here.
        last_switch: what the last change of plan did.
        on_inference: called after each inference, in its thread, with what the model ran and its milliseconds; or None.
            Set it before a governor starts, which puts itself here and goes on calling it.
        base_memory_bytes: what the process held before the models were opened.
        own_budget: the application's own budget where a governor made another of it, and set this; else None.

    Example:

        with Runtime.open(["stores/vgg16", "stores/resnet18"], Budget(latency_ms=1000.0)) as runtime:
            scores = runtime.infer("vgg16", image)
            runtime.budget = Budget(memory_bytes=runtime.plan.memory_bytes)  # plans again, and switches blocks
    """

    def __init__(
        self, workload: Workload, budget: Budget | None = None, executor: str | None = None, isolated: bool = False
    ) -> None:
        """Open the workload's stores and profiles, make a plan, and load what it chooses.

        Where `legodnn profile` has not done it yet, a store is first tried out and its weights are packed, for seconds.

        Args:
            workload: the models.
            budget: the first budget; the workload's own if None.
            executor: 'capi' or 'interpreter'; if None, what LEGODNN_EXECUTOR says, or else the best that works here.
            isolated: run each model in a process of its own, so that a crash loses one request and nothing else.

        Raises:
            StoreError: a store is damaged, or would end or hang the process.
            ProfileError: a profile is damaged, or was measured on another store, device or executor.
            WorkloadError: the workload or the budget makes no sense.
            ConfigError: there is no such executor, or LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
            InfeasibleError: no combination of blocks holds the budget.
            ExecutionError: memory, address space or file descriptors are short.
            DependencyError: no TensorFlow Lite runtime is installed, or not the one that was asked for.
        """
        if not isinstance(workload, Workload):
            raise WorkloadError(f"a runtime is opened with a legodnn.Workload, not {type(workload).__name__}")
        self.workload: Workload = workload
        self._life = Lifetime("this runtime")
        budget = workload.budget if budget is None else checked_budget(budget)
        here, measured = as_packed_here(workload, open_measured_stores(workload, executor), executor)
        self.stores: dict[str, Store] = {name: store for name, (store, _) in measured.items()}
        tables = workload_tables(here, [*measured.values()], isolated)
        self.scheduler: Scheduler = Scheduler(tables, workload.switch_charge)
        self.scheduler.plan(budget)  # before the base is measured: what this and the library hold is no model's memory
        load_library(measured, executor, isolated)
        release_freed_memory()
        self.base_memory_bytes: int = process_memory_bytes()
        self._changing = threading.RLock()
        self._plan: Plan | None = None
        self.own_budget: Budget | None = None
        self._slowdown: Mapping[str, float] = {}
        self._tail: Mapping[str, float] = {}
        self.on_inference: Callable[[ModelPlan, float], None] | None = None
        self.last_switch: Switch = Switch({}, 0.0, 0.0)
        self._models = open_models(here, measured, executor, isolated)
        try:
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
        """Open a runtime for one workload file, or for the folders of stores.

        Args:
            paths: one TOML file, or folders of stores (see `legodnn.workload.load_workload`).
            budget, executor, isolated: as for `Runtime`, whose errors this raises as well.

        Raises:
            WorkloadError: the file is damaged, or there is nothing at a path.
        """
        return cls(load_workload(paths), budget, executor, isolated)

    @property
    def plan(self) -> Plan:
        """The running plan. Setting it switches to a plan that was made elsewhere; if that fails nothing changes.

        Raises:
            ClosedError: this runtime has been closed, or was opened before this process was forked off.
            WorkloadError: (when set) the plan is for other models, stores or thread counts than those profiled here.
            StoreError, ExecutionError: (when set) a block cannot be loaded.

        Example:

            runtime.plan = runtime.scheduler.plan(Budget(memory_bytes=40_000_000))
        """
        self._life.check()
        assert self._plan is not None, "an open runtime has a plan"
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._life.check()
        if sorted(m.name for m in checked_plan(plan).models) != sorted(self._models):
            raise WorkloadError(
                f"this plan is for {', '.join(m.name for m in plan.models)}; this runtime has {', '.join(self._models)}"
            )
        with turn(self._changing, "this runtime"):
            self._life.check()
            for name, model in self._models.items():
                model.check(plan[name])
            self._go_to(plan, time.perf_counter())

    @property
    def resting(self) -> tuple[str, ...]:
        """Models that run nothing: the plan suspends them, or they could not be put back after a switch that failed."""
        return tuple(m.name for m in self.plan.models if m.suspended or self._models[m.name].lost)

    @property
    def memory_bytes(self) -> int:
        """Measured memory of the models in bytes: what this process holds more than before they were opened.

        Whatever else the application has allocated since then counts too; memory that it has freed is first given back
        to the system. Of isolated models, that of their processes is added, which are asked between two inferences.

        Raises:
            ClosedError: as for `plan`.
            ExecutionError: the process of an isolated model ended; it was started again.
        """
        self._life.check()
        release_freed_memory()
        elsewhere = sum(model.executor.elsewhere_bytes() for model in self._models.values())
        return max(0, process_memory_bytes() - self.base_memory_bytes) + elsewhere

    @property
    def budget(self) -> Budget:
        """The budget of the running plan. Setting it makes a plan and switches to it; if that fails nothing changes.

        Raises:
            ClosedError: as for `plan`.
            InfeasibleError: (when set) no combination of blocks holds the budget; its `report` says what would.
            WorkloadError: (when set) it is no budget, or names models that are not here.
            StoreError, ExecutionError: (when set) a block cannot be loaded.

        Example:

            runtime.budget = Budget(memory_bytes=40_000_000, latency_ms={"vgg16": 15.0})
        """
        return self.plan.budget

    @budget.setter
    def budget(self, budget: Budget) -> None:
        self.replan(budget, self._slowdown, tail=self._tail)

    def replan(
        self,
        budget: Budget,
        slowdown: Mapping[str, float],
        nearest: bool = False,
        tail: Mapping[str, float] | None = None,
    ) -> Infeasible | None:
        """Set the budget and how much slower than profiled models run now; on errors nothing changes.

        Args:
            budget: the limits.
            slowdown: by model, its latency now divided by its profiled latency; 1 for models that are not named.
            nearest: where no plan holds the budget, switch to the plan that comes nearest instead of raising.
            tail: by model, how many times longer than planned its slowest inferences take, see `Scheduler.plan`.

        Returns:
            None if the plan that now runs holds the budget; else why no plan does, and the report's nearest plan runs.

        Raises:
            InfeasibleError: no plan holds the budget, and the nearest plan was not asked for or does not exist.
            ClosedError, WorkloadError, StoreError, ExecutionError: as when `budget` is set.

        Example:

            print(runtime.replan(Budget(latency_ms=1000.0), {"vgg16": 1.5}, nearest=True) or "the budget holds")
        """
        self._life.check()
        budget = checked_budget(budget)
        for factors in (slowdown, tail := {} if tail is None else tail):
            check_by_model(factors)
        with turn(self._changing, "this runtime"):
            running, start, why = self.plan, time.perf_counter(), None
            try:
                plan = self.scheduler.plan(budget, running=running, slowdown=slowdown, tail=tail)
            except InfeasibleError as e:
                if not nearest or e.report.nearest is None:
                    raise
                why, plan = e.report, e.report.nearest
            self._go_to(plan, start)
            self._slowdown, self._tail = dict(slowdown), dict(tail)
            return why

    def _go_to(self, plan: Plan, start: float) -> None:
        """Switch to a plan; if that fails everything is put back. `start` is when the search for the plan began."""
        planned = time.perf_counter()
        for model in self._models.values():
            model.check_free()  # refused before anything is changed
        changes = changes_to(plan, self._models)
        with ExitStack() as put_back:  # it holds before each step what undoes it: Ctrl-C may come anywhere
            if (running := self._plan) is not None:
                put_back.callback(setattr, self, "_plan", running)
                for name, model in self._models.items():
                    put_back.callback(model.claim, running[name])
            for change in changes:
                model = self._models[change.model]
                if running is not None:
                    put_back.callback(model.restore, change.before, running[change.model])
                model.change(change.after, plan[change.model], change.beside)
            for name, model in self._models.items():
                model.claim(plan[name])
            self._plan, self.own_budget = plan, None
            put_back.pop_all()
        end = time.perf_counter()
        self.last_switch = Switch({c.model: c.new for c in changes}, (planned - start) * 1e3, (end - planned) * 1e3)

    def infer(self, model: str, x: AnyArray | Mapping[str, AnyArray]) -> AnyArray | dict[str, AnyArray]:
        """Run one inference and return its output.

        Args:
            model: the model's name in the workload.
            x: an array of the model's input shape without a batch dimension, such as (height, width, channels), and of
                its type, float32 in stores that were built; without NaN or infinity; for several inputs, arrays by
                name. `legodnn.images.load` makes one of a picture, as `stores[model].manifest.inputs[0]` says.

        Returns:
            The output array, without a batch dimension; for several outputs, arrays by name. They are the caller's.

        Raises:
            InputError: unknown model, wrong shape or dtype, NaN or infinity.
            ClosedError: as for `plan`.
            SuspendedError: the plan has no room for this model at the moment.
            ExecutionError: the inference failed while it ran; the next one may succeed.
        """
        outputs = self.run(model, x).outputs
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run(self, model: str, x: AnyArray | Mapping[str, AnyArray], *, observed: bool = True) -> Inference:
        """Run one inference as `infer` does (so are its errors); return its outputs, what ran and how long it took.

        `observed=False` is for one that says nothing of how long inferences take: `on_inference` is not told of it.

        Example:

            print(f"{runtime.run('vgg16', image).latency_ms:.2f} ms")
        """
        self._life.check()
        if not isinstance(model, str) or model not in self._models:
            raise InputError(f"no model {shown(model)} in this runtime; it has {', '.join(self._models)}")
        inference = self._models[model].infer(x)
        if observed and (told := self.on_inference) is not None:  # read once: a governor may reset it meanwhile
            told(inference.plan, inference.latency_ms)
        return inference

    def check_free(self) -> None:
        """Raise ExecutionError if this is a signal handler that has interrupted what uses this runtime."""
        turn(self._changing, "this runtime")
        for model in self._models.values():
            model.check_free()

    def close(self) -> None:
        """Wait for inferences that run, and give back everything. Once is enough; in a forked process nothing happens.

        Raises:
            ExecutionError: this is a signal handler that has interrupted what uses the runtime, which stays open.
        """
        if not self._life.lasts():
            return
        self.check_free()  # refused before anything is closed: it can be closed later then
        if self._life.end():
            with turn(self._changing, "this runtime"), ExitStack() as models:
                for model in self._models.values():
                    models.callback(model.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
