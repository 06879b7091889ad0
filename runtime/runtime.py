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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import Self

from legodnn.errors import InputError, SuspendedError
from legodnn.plan import ModelPlan, Plan
from legodnn.profile import Profile
from legodnn.runtime.device import fingerprint, process_memory_bytes, release_freed_memory
from legodnn.runtime.interpreter import Array
from legodnn.runtime.scheduler import Scheduler
from legodnn.runtime.switcher import Choice, Composition, choices, switched, to_load, try_out
from legodnn.runtime.tables import ModelTable
from legodnn.store import Store
from legodnn.workload import Budget, Workload, load_workload


@dataclass(frozen=True)
class Switch:
    """What the last change of plan did.

    Attributes:
        loaded: the choices whose files were opened, by model.
        plan_ms: time to find the plan.
        switch_ms: time to load the new segments and put them in place.
    """

    loaded: Mapping[str, tuple[Choice, ...]]
    plan_ms: float
    switch_ms: float


class _Model:
    """One model's place in the runtime: inference and replacing the composition exclude each other."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.composition: Composition | None = None
        self.lock = threading.Lock()


class Runtime:
    """Several models, each composed of blocks as the plan for the current budget says.

    Attributes:
        workload: what was asked for.
        scheduler: finds plans; may be asked for others than the running one.
        last_switch: what the last change of plan did.
        on_inference: if set, is told of each inference what the model ran and how many milliseconds it took.
    """

    def __init__(self, workload: Workload, budget: Budget | None = None) -> None:
        """Open the workload's stores and profiles, plan, and load.

        Args:
            workload: the models.
            budget: the first budget; the workload's own if None.

        Raises:
            StoreError, ProfileError: a store or profile is damaged, or does not fit the other or this device.
            InfeasibleError: no combination of blocks holds the budget.
        """
        self.workload = workload
        self._models: dict[str, _Model] = {}
        tables = []
        for entry in workload.models:
            store, profile = Store(entry.store), Profile.load(entry.profile_path)
            profile.check_store(store)
            profile.check_device(fingerprint())
            self._models[entry.name] = _Model(store)
            tables.append(ModelTable.from_workload(entry, store, profile))
        self.scheduler = Scheduler(tables, workload.switch_charge)
        budget = budget or workload.budget
        # Planned and tried out before the base is taken: what planner and library hold is no model's memory.
        self.scheduler.plan(budget)
        for model in self._models.values():
            try_out(model.store)
        release_freed_memory()
        self._base_memory_bytes = process_memory_bytes()
        self._changing = threading.Lock()
        self._plan: Plan | None = None
        self._slowdown: Mapping[str, float] = {}
        self._closed = False
        self.on_inference: Callable[[ModelPlan, float], None] | None = None
        self.last_switch = Switch({}, 0.0, 0.0)
        self.budget = budget

    @classmethod
    def open(cls, paths: Sequence[str | Path], budget: Budget | None = None) -> Self:
        """A runtime for one workload file or several store folders (see `legodnn.workload.load_workload`)."""
        return cls(load_workload(paths), budget)

    @property
    def plan(self) -> Plan:
        """The running plan."""
        if self._plan is None:
            raise InputError("this runtime is closed; open a new one")
        return self._plan

    @property
    def memory_bytes(self) -> int:
        """Measured memory of the models: what this process grew by since the runtime had everything but them.

        Whatever else the application allocates meanwhile counts too; what it has freed is given back first.
        """
        release_freed_memory()
        return max(0, process_memory_bytes() - self._base_memory_bytes)

    @property
    def budget(self) -> Budget:
        """The budget of the running plan. Setting it re-plans and switches; if that fails nothing changes."""
        return self.plan.budget

    @budget.setter
    def budget(self, budget: Budget) -> None:
        self.replan(budget, self._slowdown)

    def replan(self, budget: Budget, slowdown: Mapping[str, float]) -> None:
        """Set the budget, and by model how many times slower it runs than profiled; if that fails nothing changes."""
        with self._changing:
            if self._closed:
                raise InputError("this runtime is closed; open a new one")
            start = time.perf_counter()
            plan = self.scheduler.plan(budget, running=self._plan, slowdown=slowdown)
            planned = time.perf_counter()
            loaded = self._switch_to(plan)
            done = time.perf_counter()
            self._plan, self._slowdown = plan, slowdown
            self.last_switch = Switch(loaded, (planned - start) * 1e3, (done - planned) * 1e3)

    def _switch_to(self, plan: Plan) -> dict[str, tuple[Choice, ...]]:
        """Load everything new, then put all new compositions in place; raises before anything is replaced."""
        new: dict[str, Composition | None] = {}
        loaded: dict[str, tuple[Choice, ...]] = {}
        for name, model in self._models.items():
            if plan[name].suspended:
                new[name] = None
                continue
            wanted = choices(model.store, plan[name])
            loaded[name] = to_load(model.composition, wanted)
            new[name] = switched(model.store, model.composition, wanted)
        for name, model in self._models.items():
            with model.lock:
                model.composition = new[name]
        new.clear()
        # Unloaded segments leave holes that the C library would keep: the limit is on what the process holds.
        release_freed_memory()
        return loaded

    def infer(self, model: str, x: Array | Mapping[str, Array]) -> Array | dict[str, Array]:
        """Run one inference.

        Args:
            model: its name in the workload.
            x: float32 array of the model's input shape, without a batch dimension; for a model with several
                inputs, arrays by input name.

        Returns:
            The output array, without a batch dimension; by output name if there are several.

        Raises:
            InputError: unknown model, wrong shape or dtype.
            SuspendedError: the plan has no room for this model at the moment.
        """
        entry = self._entry(model)
        inputs = _checked(entry.store, model, x)
        with entry.lock:
            if entry.composition is None:
                if self._closed:
                    raise InputError("this runtime is closed; open a new one")
                raise SuspendedError(
                    f"{model!r} is suspended under the current budget; give it more room and try again"
                )
            plan, start = self.plan[model], time.perf_counter()
            outputs = entry.composition.run(inputs)
            latency_ms = (time.perf_counter() - start) * 1e3
        if self.on_inference is not None:
            self.on_inference(plan, latency_ms)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _entry(self, model: str) -> _Model:
        if model not in self._models:
            raise InputError(f"no model {model!r} in this runtime; it has {', '.join(self._models)}")
        return self._models[model]

    def close(self) -> None:
        """Let go of all segments; inferences that run are waited for."""
        with self._changing:
            self._closed, self._plan = True, None
            for model in self._models.values():
                with model.lock:
                    model.composition = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked(store: Store, model: str, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    specs = store.manifest.inputs
    given = x if isinstance(x, Mapping) else {specs[0].name: x}
    if set(given) != {s.name for s in specs}:
        raise InputError(f"{model!r} takes the inputs {', '.join(s.name for s in specs)}; got {', '.join(given)}")
    for spec in specs:
        array = given[spec.name]
        if not isinstance(array, np.ndarray) or array.shape != spec.shape or array.dtype != spec.dtype:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(
                f"{model!r} takes a {spec.dtype} array of shape {spec.shape} as {spec.name!r}, got {found}; "
                "scale pixels as the store's manifest says (legodnn inspect STORE)"
            )
    return dict(given)
