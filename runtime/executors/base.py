"""The contract of executors. An executor loads the options of one store, composes models of them, and runs those.

`capi_executor` fulfils it through LiteRT's C API, `interpreter` through the public `Interpreter`, and `isolated` in a
process of its own. All give the same results. A profile names the executor that it was measured with, and holds for no
other. `select` chooses one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from legodnn.arrays import AnyArray
from legodnn.errors import WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.printable import shown
from legodnn.store import Store

ExecutorKind = Literal["capi", "interpreter"]
MOST_THREADS = 256  # more than such devices have cores; LiteRT ends the process if it is given some 100,000
log = logging.getLogger("legodnn.runtime")


@dataclass(frozen=True)
class Choice:
    """The option that one segment is to run, and how: with how many threads; streamed, with its weights in memory only
    then; or compact, with the addresses that its convolutions read made anew each time, and not kept."""

    segment: str
    option: str
    threads: int
    streamed: bool = False
    compact: bool = False


class Runnable(Protocol):
    """A model that can be run, by one thread at a time."""

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the model once; return its outputs by name.

        Args:
            inputs: arrays by name, in the shapes and types of the manifest; they have no batch dimension.

        Returns:
            New arrays, in the shapes and types of the manifest.

        Raises:
            ExecutionError: the inference failed while it ran.
            ClosedError: the executor has been closed, or belongs to another process.
        """
        ...


@dataclass(frozen=True, eq=False)
class ComposedModel:
    """A model that was composed in this process. Only one model of an executor may run at a time.

    Attributes:
        choices: one for each segment, in topological order.
        steps: functions that run the model, one after another, from tensors to tensors: one function for each segment,
            or one for all of them.
        tensors: by name, with a batch dimension of 1: every input and output, and the tensors between steps. The models
            that the executor composes share them.
        outputs: names of the model's outputs.
        life: the lifetime of the executor.
    """

    choices: tuple[Choice, ...]
    steps: Sequence[Callable[[], None]]
    tensors: Mapping[str, AnyArray]
    outputs: Sequence[str]
    life: Lifetime

    def put(self, inputs: Mapping[str, AnyArray]) -> None:
        """Copy inputs to their tensors. Running the steps may overwrite those."""
        for name, value in inputs.items():
            self.tensors[name][0] = value

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the model once (see `Runnable.run`)."""
        self.life.check()
        self.put(inputs)
        for step in self.steps:
            step()
        return {name: self.tensors[name][0, ...].copy() for name in self.outputs}  # arrays also of no axes


class Executor(Protocol):
    """What loads and composes the options of one store.

    It is used by one thread at a time. Every method but `close` raises ClosedError once it has been closed, and in a
    process that was forked off the one that opened it. An executor that is dropped without being closed gives back
    everything as well.
    """

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return those of the choices for which `compose` would take memory at once, before anything runs."""
        ...

    def compose(self, choices: tuple[Choice, ...]) -> Runnable:
        """Load those of the choices that are not loaded, and compose a model of all.

        Models that were composed earlier stay as long as something refers to them and `retain` keeps their choices.

        Args:
            choices: one for each segment, in topological order, all with one thread count (see `check_choices`).

        Raises:
            StoreError: a file is damaged, or not what the manifest says.
            WorkloadError: the choices are no composition of this store.
            ExecutionError: memory, address space or file descriptors are short.
        """
        ...

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices. Only models of these choices alone may be run again.

        Choices that are to be composed next may be among them.
        """
        ...

    def elsewhere_bytes(self) -> int:
        """Return the bytes of memory that the models take outside this process."""
        ...

    def close(self) -> None:
        """Give back everything, unless that has been done. No model of this executor can be run again."""
        ...


def check_choices(store: Store, choices: Sequence[Choice]) -> None:
    """Raise WorkloadError unless choices make up one model of a store.

    There must be one for each segment, in topological order, and one thread count, 1 to `MOST_THREADS`, for all.
    """
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
    if len({c.streamed for c in choices}) > 1:
        raise WorkloadError(f"either all segments of {store.name!r} are streamed, or none is")
    if len({c.compact for c in choices}) > 1:
        raise WorkloadError(f"either all segments of {store.name!r} are compact, or none is")
    if choices and choices[0].streamed and choices[0].compact:
        raise WorkloadError(f"{store.name!r} is either streamed or compact, not both")


def covering_compositions(store: Store, threads: int = 1) -> list[tuple[Choice, ...]]:
    """Return compositions of a store in which every option occurs at least once.

    There are as many as the segment with the most options has options.
    """
    options = [(s.name, [o.name for o in s.options]) for s in store.manifest.segments]
    most = max(len(names) for _, names in options)
    return [tuple(Choice(segment, names[i % len(names)], threads) for segment, names in options) for i in range(most)]
