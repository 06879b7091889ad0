"""What runs segments, and which of them is chosen.

An executor holds one store's options and composes them: `LinkedExecutor` through LiteRT's C API (`linked`), or
`InterpreterExecutor` through the public `Interpreter` (`interpreter`). Both give the same results; profiles name the
one they were measured with. The choice is automatic, and can be made by argument or LEGODNN_EXECUTOR.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.console import shown
from legodnn.errors import DependencyError, WorkloadError
from legodnn.runtime.lifetime import Lifetime
from legodnn.store import Store

if TYPE_CHECKING:
    from legodnn.runtime.interpreter import InterpreterExecutor
    from legodnn.runtime.linked import LinkedExecutor

Array = NDArray[np.float32]
Kind = Literal["capi", "interpreter"]
VARIABLE = "LEGODNN_EXECUTOR"
MOST_THREADS = 256  # more than such devices have cores; with some 100,000 LiteRT ends the process
log = logging.getLogger("legodnn.runtime")


@dataclass(frozen=True)
class Choice:
    """What one segment is to run."""

    segment: str
    option: str
    threads: int


class Runnable(Protocol):
    """A model that can be run. Not safe for use by two threads at once."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The model's outputs by name. Arrays have the shapes of the manifest, without the batch dimension.

        Raises:
            ExecutionError: it failed while it ran.
            ClosedError: its executor has been closed, or belongs to another process.
        """
        ...


@dataclass(frozen=True, eq=False)
class Composition:
    """One model, composed in this process. The compositions of one executor must not run at the same time.

    Attributes:
        choices: one for each segment, in topological order.
        steps: what runs each segment, from tensors to tensors.
        tensors: every input and interface tensor by name, with the batch dimension; shared with other compositions.
        outputs: names of the model's outputs.
        life: of the executor.
    """

    choices: tuple[Choice, ...]
    steps: Sequence[Callable[[], None]]
    tensors: Mapping[str, Array]
    outputs: Sequence[str]
    life: Lifetime

    def put(self, inputs: Mapping[str, Array]) -> None:
        """Set the inputs; running the steps may overwrite them."""
        for name, value in inputs.items():
            self.tensors[name][0] = value

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runnable.run`."""
        self.life.check()
        self.put(inputs)
        for step in self.steps:
            step()
        return {name: self.tensors[name][0].copy() for name in self.outputs}


class Executor(Protocol):
    """One store, of which any options can be composed.

    Used by one thread at a time, in the process that opened it; ClosedError otherwise, and when it has been closed.
    What is dropped without being closed lets go of everything as well.
    """

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Those of the choices for which `compose` would take memory now, before anything runs."""
        ...

    def compose(self, choices: tuple[Choice, ...]) -> Runnable:
        """Load what is not loaded and compose it; earlier compositions stay as they are.

        Args:
            choices: one for each segment, in topological order, all with one thread count (see `check_choices`).

        Raises:
            StoreError: a file is damaged, or not what the manifest says.
            WorkloadError: that is no composition of this store.
            ExecutionError: memory or other means are short.
        """
        ...

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of everything else. Only the last composition of these choices may be run again."""
        ...

    def elsewhere_bytes(self) -> int:
        """Memory of the models that is not in this process."""
        ...

    def close(self) -> None:
        """Give back everything, unless that has been done; nothing can be run again."""
        ...


def executor_kind(kind: str | None = None) -> Kind:
    """The executor that stores are opened with: the one asked for, by argument or environment, or the best there is.

    Raises:
        WorkloadError: no such executor.
        DependencyError: the C API was asked for, and cannot be used here.
    """
    from legodnn.runtime import capi

    asked = (os.environ.get(VARIABLE) or "auto") if kind is None else kind
    if not isinstance(asked, str) or asked not in ("auto", "capi", "interpreter"):
        raise WorkloadError(f"no executor {shown(asked)}; {VARIABLE} takes auto, capi or interpreter")
    problem = None if asked == "interpreter" else capi.problem()
    if problem and asked == "capi":
        raise DependencyError(f"LiteRT's C API cannot be used: {problem}; unset {VARIABLE} to run without it")
    return "interpreter" if asked == "interpreter" or problem else "capi"


def executor_name(kind: str | None = None) -> str:
    """What fingerprints call the executor: package, version, and the way it is called."""
    from legodnn.runtime import capi, interpreter

    return capi.name() if executor_kind(kind) == "capi" else interpreter.name()


def open_executor(store: Store, kind: str | None = None) -> LinkedExecutor | InterpreterExecutor:
    """An executor for a store. Tries the store out, and packs its weights, if that has not been done on this device.

    Where packed weights cannot be kept (a full disk, say), the store is run by the Interpreter, with a warning.

    Raises:
        StoreError: a file is damaged, not what the manifest says, or ended the process that tried it out.
        ExecutionError: it could not be tried out.
        WorkloadError, DependencyError: see `executor_kind`.
    """
    from legodnn.runtime import packed
    from legodnn.runtime.interpreter import InterpreterExecutor

    if executor_kind(kind) == "capi":
        from legodnn.runtime.linked import LinkedExecutor

        try:
            return LinkedExecutor(store)
        except packed.PackingError as e:
            log.warning("%s runs without packed weights, slower to switch: %s", store.name, e)
    packed.see_tried(store)
    return InterpreterExecutor(store)


def prepare(store: Store, kind: str | None = None) -> None:
    """Do what may take long and has to be done but once on a device: try a store out, and pack its weights.

    Raises:
        As `open_executor`.
    """
    from legodnn.runtime import packed

    if executor_kind(kind) == "capi":
        try:
            if not packed.is_made(store):
                packed.open_packed(store).close()
            return
        except packed.PackingError:  # `open_executor` says so
            pass
    packed.see_tried(store)


def check_choices(store: Store, choices: Sequence[Choice]) -> None:
    """WorkloadError unless these are one option for each segment of a store, in order, with one usable thread count."""
    segments = [s.name for s in store.manifest.segments]
    if not all(isinstance(c, Choice) for c in choices) or [c.segment for c in choices] != segments:
        raise WorkloadError(
            f"a composition of {store.name!r} is one choice for each of {', '.join(segments)}, in order"
        )
    threads = {c.threads for c in choices}
    if len(threads) > 1 or not all(type(n) is int and 1 <= n <= MOST_THREADS for n in threads):
        counts = ", ".join(map(shown, threads))
        raise WorkloadError(
            f"all segments of {store.name!r} run on one number of threads, 1 to {MOST_THREADS}; got {counts}"
        )


def compositions(store: Store, threads: int = 1) -> list[tuple[Choice, ...]]:
    """As many compositions of a store as its widest block has options, in which every option is at least once."""
    segments = store.manifest.segments
    widest = max(len(s.options) for s in segments)
    return [tuple(Choice(s.name, s.options[i % len(s.options)].name, threads) for s in segments) for i in range(widest)]


def try_out(store: Store, kind: str | None = None) -> None:
    """Open a store, run its smallest options on zeros, and let it go.

    The process then holds the library's own code and pools, which are no model's memory.
    """
    with closing(open_executor(store, kind)) as executor:
        smallest = ((s, min(s.options, key=lambda option: option.bytes)) for s in store.manifest.segments)
        composition = executor.compose(tuple(Choice(s.name, option.name, 1) for s, option in smallest))
        composition.run({spec.name: np.zeros(spec.shape, np.float32) for spec in store.manifest.inputs})
