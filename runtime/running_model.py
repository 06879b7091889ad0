"""One model in a runtime: its executor, what it runs now, and going to something else while inference goes on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Array
from legodnn.errors import ClosedError, InputError, LegoError, SuspendedError, WorkloadError
from legodnn.plan import ModelPlan
from legodnn.printable import shown
from legodnn.runtime.executors.base import Executor, Runnable
from legodnn.runtime.switch import Choices
from legodnn.store import Store


@dataclass(frozen=True, eq=False)
class Inference:
    """What one inference gave.

    Attributes:
        outputs: arrays by name, without a batch dimension.
        plan: what the model ran.
        latency_ms: how long it ran, without waiting for another inference of the same model.
    """

    outputs: dict[str, Array]
    plan: ModelPlan
    latency_ms: float


class RunningModel:
    """Inference and replacing the composition exclude each other; loading goes on beside inference where it may."""

    def __init__(
        self,
        name: str,
        store: Store,
        sizes: Mapping[tuple[str, str], int],
        executor: Executor,
        threads: Collection[int] = (1,),
    ) -> None:
        """A model that runs nothing yet.

        Args:
            name: what it is called in messages.
            store: its store.
            sizes: memory in bytes of each (segment, option).
            executor: of the store; it is closed with the model.
            threads: thread counts that its options were measured with.
        """
        self.name, self.store, self.executor = name, store, executor
        self._sizes, self._threads = sizes, threads
        self._closed = False
        self._lock = threading.Lock()
        self._running: tuple[Runnable, Choices, ModelPlan] | None = None
        self._reason = "has not been started"

    @property
    def choices(self) -> Choices:
        """What it runs; empty while it is suspended."""
        return self._running[1] if self._running else ()

    def bytes(self, choices: Choices) -> int:
        """Memory of choices."""
        return sum(self._sizes[c.segment, c.option] for c in choices)

    def check(self, choices: Choices) -> None:
        """WorkloadError unless all of these were measured."""
        for choice in choices:
            if choice.threads not in self._threads:
                raise WorkloadError(
                    f"the plan runs {self.name!r} with {choice.threads} threads; it was profiled with "
                    f"{', '.join(map(str, sorted(self._threads)))}; `legodnn profile --threads` measures others"
                )
            if (choice.segment, choice.option) not in self._sizes:
                raise WorkloadError(
                    f"the plan gives {self.name}/{choice.segment} the option {choice.option!r}, which its profile does "
                    "not have; make a plan with `legodnn plan`, or measure again with `legodnn profile`"
                )

    def infer(self, inputs: Mapping[str, Array]) -> Inference:
        """Run an inference on inputs that were checked.

        Raises:
            SuspendedError: it runs nothing at the moment.
            ClosedError: it has been closed.
            ExecutionError: it failed; only this request is lost.
        """
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self.name!r} belongs to a runtime that is closed; open a new one")
            if self._running is None:
                raise SuspendedError(f"{self.name!r} {self._reason}")
            composition, _, plan = self._running
            start = time.perf_counter()
            outputs = composition.run(inputs)
            return Inference(outputs, plan, (time.perf_counter() - start) * 1e3)

    def change(self, after: Choices, plan: ModelPlan, beside: bool = True) -> None:
        """Go to other choices, made for `plan`; inferences that run end on the old ones.

        If it fails the old ones run on.

        Args:
            after: as `switcher.choices` gives them; empty to suspend it.
            plan: what inferences claim to have run.
            beside: see `switcher.Change`.
        """
        if beside:
            new = self._composed(after, plan)
            with self._lock:
                self._running = new
        else:
            with self._lock:
                old, self._running = self._running, None
                before = old[1] if old else ()
                try:
                    self.executor.retain(set(before) & set(after))
                    self._running = self._composed(after, plan)
                except BaseException:
                    self._restore(before, old)
                    raise
        self._reason = "is suspended under the current budget; give it more room and try again"
        self.executor.retain(after)

    def claim(self, plan: ModelPlan) -> None:
        """Inferences from now on run for this plan, which chooses what runs already."""
        with self._lock:
            if self._running:
                self._running = (*self._running[:2], plan)

    def _composed(self, choices: Choices, plan: ModelPlan) -> tuple[Runnable, Choices, ModelPlan] | None:
        return (self.executor.compose(choices), choices, plan) if choices else None

    def _restore(self, before: Choices, old: tuple[Runnable, Choices, ModelPlan] | None) -> None:
        """Load again what had been let go; if not even that can be done the model stands still and says why."""
        if old:
            try:
                self._running = self._composed(before, old[2])
            except LegoError as e:
                self._reason = f"cannot be loaded any more: {e}"

    def close(self) -> None:
        """Let go of everything; an inference that runs is waited for."""
        with self._lock:
            self._running, self._closed = None, True
            self.executor.close()


def checked(store: Store, model: str, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    """An inference's inputs by name; InputError unless they are finite, and of the shapes and types the model takes.

    NaN is refused because a network may well turn it into an ordinary answer: ReLU makes zeros of it. A masked array is
    refused because what its mask hides would be computed with.
    """
    specs = store.manifest.inputs
    given = x if isinstance(x, dict) else dict(x) if isinstance(x, Mapping) else {specs[0].name: x}
    if given.keys() != {s.name for s in specs}:
        got = ", ".join(map(shown, given)) or "none"
        raise InputError(f"{model!r} takes the inputs {', '.join(s.name for s in specs)}; got {got}")
    for spec in specs:
        array = given[spec.name]
        if isinstance(array, np.ma.MaskedArray):
            raise InputError(f"{model!r} got a masked array as {spec.name!r}; fill what is masked: x.filled(value)")
        if not isinstance(array, np.ndarray) or array.shape != spec.shape or array.dtype != np.float32:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(
                f"{model!r} takes a {spec.dtype} array of shape {spec.shape} as {spec.name!r}, got {found}; "
                "scale pixels as the store's manifest says (legodnn inspect STORE)"
            )
        # Squares of finite numbers may overflow, but a sum of them that is finite has finite summands; and it is one
        # call, where after an inference, with caches full of weights, each costs microseconds.
        if not (math.isfinite(np.vdot(array, array)) or np.isfinite(array).all()):
            raise InputError(f"{model!r} got NaN or infinity in {spec.name!r}; check what the picture was made from")
    return given
