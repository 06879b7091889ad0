"""One model in a runtime: its executor, the blocks that it runs now, and changing them while inference goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from legodnn.arrays import AnyArray
from legodnn.checked_inputs import check_inputs
from legodnn.errors import ClosedError, SuspendedError, WorkloadError
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.executors.base import Executor, Runnable
from legodnn.runtime.switch import Choices, ModelChange, in_order, planned_choices
from legodnn.store import Store
from legodnn.streamed import StreamedModel
from legodnn.turn import turn


@dataclass(frozen=True, eq=False)
class Inference:
    """The result of one inference.

    Attributes:
        outputs: arrays by output name, without a batch dimension, of the types that the manifest says.
        plan: the options that the model ran, and with how many threads.
        latency_ms: how long it took to check the inputs and to run, without the time that it waited for other
            inferences of the same model.
    """

    outputs: dict[str, AnyArray]
    plan: ModelPlan
    latency_ms: float


class RunningModel:
    """A model that can be run by several threads while its blocks are changed by another.

    One inference runs at a time, and what runs is replaced between two of them. New blocks are loaded while inference
    goes on, unless there is no memory for the old and the new ones together.

    Attributes:
        name: what the model is called.
        store: its store.
        executor: loads and runs the options of the store.
        lost: why it runs nothing although the plan has it: it could not be put back after a failed switch. Else "".
    """

    def __init__(
        self,
        name: str,
        store: Store,
        sizes: Mapping[tuple[str, str], int],
        executor: Executor,
        threads: Collection[int] = (1,),
        streamed: StreamedModel | None = None,
        compact_sizes: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Make a model that runs nothing yet.

        Args:
            name: what the model is called in messages.
            store: its store.
            sizes: measured memory in bytes of each (segment, option).
            executor: an executor of that store; it is closed when the model is closed.
            threads: the thread counts that the options were measured with.
            streamed: what was measured of the model when it is streamed; None if it may not be.
            compact_sizes: as `sizes`, where the model is compact; None if that was not measured.
        """
        self.name, self.store, self.executor = name, store, executor
        self._sizes, self._compact_sizes, self._threads = sizes, compact_sizes, threads
        self._streamed_threads = [n for n in threads if streamed and n in streamed.threads]
        self._floor = None if streamed is None else streamed.floor_bytes
        self._weights = {(o.segment, o.option): o.weights_bytes for o in streamed.options} if streamed else {}
        self._closed = False
        self._lock = threading.RLock()
        self._running: tuple[Runnable, Choices, ModelPlan] | None = None
        self.lost = ""

    @property
    def choices(self) -> Choices:
        """The choices that the model runs now, one for each segment; empty while it is suspended."""
        return self._running[1] if self._running else ()

    def bytes(self, choices: Choices) -> int:
        """Return the memory in bytes that choices take together, as it was measured."""
        if choices and choices[0].streamed:
            return (self._floor or 0) + max(self._weights[c.segment, c.option] for c in choices)
        compact = self._compact_sizes or {}
        return sum((compact if c.compact else self._sizes)[c.segment, c.option] for c in choices)

    def check(self, plan: ModelPlan) -> None:
        """Raise WorkloadError unless a plan is for this model's store, and chooses what was measured."""
        blocks = sorted(b.name for b in self.store.manifest.blocks)
        if not plan.suspended and sorted(plan.options) != blocks:
            raise WorkloadError(f"this plan was not made for the store of {self.name!r}; make one with `legodnn plan`")
        for choice in planned_choices(self.store, plan):
            if choice.streamed and self._floor is None:
                raise WorkloadError(
                    f"the plan streams {self.name!r}, which its workload does not allow; say streaming = true there"
                )
            if choice.compact and self._compact_sizes is None:
                raise WorkloadError(
                    f"the plan has {self.name!r} compact, which its profile did not measure; `legodnn profile "
                    "--compact` does"
                )
            known = self._streamed_threads if choice.streamed else self._threads
            if choice.threads not in known:
                raise WorkloadError(
                    f"the plan runs {self.name!r}{' streamed' if choice.streamed else ''} with {choice.threads} "
                    f"threads; it was profiled so with {', '.join(map(str, sorted(known)))}; `legodnn profile "
                    "--threads` measures others"
                )
            if (choice.segment, choice.option) not in self._sizes:
                raise WorkloadError(
                    f"the plan gives {self.name}/{choice.segment} the option {choice.option!r}, which its profile does "
                    "not have; make a plan with `legodnn plan`, or measure again with `legodnn profile`"
                )

    def infer(self, x: AnyArray | Mapping[str, AnyArray]) -> Inference:
        """Run one inference.

        Args:
            x: one array, or arrays by input name, without a batch dimension.

        Raises:
            InputError: the model does not take this (see `check_inputs`).
            SuspendedError: the model runs nothing at the moment.
            ClosedError: the model has been closed.
            ExecutionError: the inference failed; only this request is lost.
        """
        began = time.perf_counter()
        inputs = check_inputs(self.store, self.name, x)
        checked = time.perf_counter()
        with turn(self._lock, repr(self.name)):
            if self._closed:
                raise ClosedError(f"{self.name!r} belongs to a runtime that is closed; open a new one")
            if self._running is None:
                if self.lost:
                    raise SuspendedError(f"{self.name!r} {self.lost}")
                raise SuspendedError(
                    f"{self.name!r} is suspended under the current budget; give it more room and try again"
                )
            composition, _, plan = self._running
            start = time.perf_counter()
            outputs = composition.run(inputs)
            return Inference(outputs, plan, (time.perf_counter() - start + checked - began) * 1e3)

    def check_free(self) -> None:
        """Raise ExecutionError if this is a signal handler that has interrupted what uses the model."""
        turn(self._lock, repr(self.name))

    def change(self, after: Choices, plan: ModelPlan, beside: bool = True) -> None:
        """Run other choices from now on. An inference that runs ends on the old ones; if this fails they stay.

        Args:
            after: one choice for each segment, as `switch.planned_choices` returns them; empty to suspend the model.
            plan: the plan that they were made for, which inferences report.
            beside: load the new choices before the old ones are let go (see `switch.ModelChange`).

        Raises:
            StoreError: a file is damaged.
            ExecutionError: memory or other means are short.
        """
        new = self._composed(after, plan) if beside else None
        with turn(self._lock, repr(self.name)):
            before, planned = self._running[1:] if self._running else ((), plan)
            try:
                self._running = new  # nothing holds what ran any more: the executor can give its memory back
                del new
                if not beside:
                    self.executor.retain(after)  # what of it runs already
                    self._running = self._composed(after, plan)
                self.executor.retain(after)  # before the new ones first run, and take their working memory
                self.lost = ""
            except BaseException:
                self._restore(before, planned)
                raise

    def claim(self, plan: ModelPlan) -> None:
        """Have inferences report another plan, which chooses what runs already."""
        with turn(self._lock, repr(self.name)):
            if self._running:
                self._running = (*self._running[:2], plan)

    def _composed(self, choices: Choices, plan: ModelPlan) -> tuple[Runnable, Choices, ModelPlan] | None:
        return (self.executor.compose(choices), choices, plan) if choices else None

    def restore(self, before: Choices, plan: ModelPlan) -> None:
        """Run again what ran before a change, as `change` does. If even that fails the model is suspended.

        `infer` then says why. Nothing is raised, because the error that made it necessary is to be told.
        """
        with turn(self._lock, repr(self.name)):
            self._restore(before, plan)

    def _restore(self, before: Choices, plan: ModelPlan) -> None:
        lost, self.lost = self.lost, "was not put back after a switch that failed; set a plan or a budget again"
        self._running = None
        try:
            self.executor.retain(before)
            self._running = self._composed(before, plan)
            self.lost = lost
        except Exception as e:  # a MemoryError, say
            self.lost = f"cannot be loaded any more: {e if str(e) else type(e).__name__}"

    def close(self) -> None:
        """Wait for an inference that runs, and give back everything."""
        with turn(self._lock, repr(self.name)):
            self._running, self._closed = None, True
            self.executor.close()


def changes_to(plan: Plan, models: Mapping[str, RunningModel]) -> list[ModelChange]:
    """Return what a plan changes of running models, by name, in the order in which it is to be done."""
    changes = []
    for name, model in models.items():
        before, after = model.choices, planned_choices(model.store, plan[name])
        if before != after:
            growth = model.bytes(after) - model.bytes(before)
            changes.append(ModelChange(name, before, after, growth, model.bytes(model.executor.to_load(after))))
    used = sum(model.bytes(model.choices) for model in models.values())
    return in_order(changes, used, plan.budget.memory_bytes)
