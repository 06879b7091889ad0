"""The contract of executors: what loads the options of one store, composes them, and runs compositions.

`capi_executor` fulfils it through LiteRT's C API, `interpreter` through the public `Interpreter`, and `isolated` in a
process of its own. All give the same results; a profile names the executor that it was measured with. `select` chooses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from legodnn.arrays import Array
from legodnn.errors import WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.printable import shown
from legodnn.store import Store

ExecutorKind = Literal["capi", "interpreter"]
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
class ComposedModel:
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
        """Run the model once (see `Runnable.run`)."""
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
