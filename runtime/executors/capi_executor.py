"""An executor for one store through LiteRT's C API: the options of a composition are joined to one model
(`linked_model`), whose packed weights are mapped from the cache (`weight_cache`).

Composing joins and compiles the options that the composition has, and no others. That takes a millisecond or a few,
because weights are only mapped: the kernel brings them in from the page cache when they are first used. `retain` closes
the models of other compositions, and with them goes all that their options took.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from legodnn.arrays import AnyArray
from legodnn.errors import ExecutionError
from legodnn.lifetime import Lifetime
from legodnn.runtime.device.memory import release_freed_memory
from legodnn.runtime.executors import address_space, linked_model, litert_capi, tensor_pool
from legodnn.runtime.executors.base import Choice, ComposedModel, check_choices
from legodnn.runtime.executors.linked_front import Front, joined_front, separate_front
from legodnn.runtime.executors.packed_places import spans_of
from legodnn.runtime.executors.weight_cache import PackedWeights, open_packed
from legodnn.store import Store

_compiling = threading.RLock()  # of all executors: LiteRT maps packed weights meanwhile, and does not tell where
_mapped: weakref.WeakSet[linked_model.MappedModel] = weakref.WeakSet()  # whose packed weights are mapped


def _renew_lock() -> None:
    """After a fork, forget a thread that compiled at that moment: it is not there any more to let go."""
    global _compiling
    _compiling = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


class CApiExecutor:
    """Runs a store through LiteRT's C API. Fulfils `Executor`."""

    def __init__(self, store: Store) -> None:
        """Open a store.

        Raises:
            StoreError: a file is damaged or not what the manifest says.
            PackingError: packed weights cannot be made or kept.
            ExecutionError: memory, address space or file descriptors are short.
            ConfigError: LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
        """
        self._store, self._life = store, Lifetime(f"the executor of {store.name!r}")
        with ExitStack() as opened:
            self._packed = {False: open_packed(store)}  # for models that are compact (True), from the first one on
            opened.callback(self._packed[False].close)
            try:
                self._files = linked_model.MappedFiles(store)
            except OSError as e:
                raise ExecutionError(f"{store.name!r} cannot be opened: {e.strerror or e}") from None
            opened.callback(self._files.close)
            self._opened = opened.pop_all()
        options = enumerate(linked_model.linked_options(store))
        self._numbers = {(segment.name, option.name): number for number, (segment, option) in options}
        self._joined: weakref.WeakValueDictionary[tuple[Choice, ...], litert_capi.CApiModel] = (
            weakref.WeakValueDictionary()
        )
        self._ends = _Tensors()  # the inputs and outputs of joined models
        self._separate: dict[frozenset[Choice], litert_capi.CApiModel] = {}
        self._pool = _Tensors()  # these and all tensors between segments

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return nothing (see `Executor.to_load`): weights take memory only when they are used."""
        self._life.check()
        return ()

    def compose(self, choices: tuple[Choice, ...]) -> ComposedModel:
        """Compose a model that runs in one step (see `Executor.compose`). It is closed when nothing refers to it."""
        self._life.check()
        check_choices(self._store, choices)
        if choices[0].streamed:
            return self.compose_steps(dict(zip(choices, self.streamed_steps(choices), strict=True)))
        numbers, manifest = [self._number(c) for c in choices], self._store.manifest
        model = self._joined.get(choices)
        if model is None:
            self._ends.fill(lambda: tensor_pool.allocate_ends(manifest))
            packed = self._packed_for(choices)
            model = self._compiled(packed, joined_front(packed.graphs, numbers, manifest), choices[0])
            self._joined[choices] = model
        inputs, outputs = self._ends.of(manifest.read_inputs), self._ends.of(manifest.outputs)
        step = model.call(0, inputs, outputs)
        return ComposedModel(choices, [step], self._ends.arrays, manifest.outputs, self._life)

    def load(self, choices: Collection[Choice]) -> Mapping[Choice, Callable[[], None]]:
        """Load any choices, all alike in how they run; return functions that run each of them by itself.

        The functions run from tensors to tensors of the models that `compose_steps` makes. Errors are those of
        `compose`.
        """
        self._life.check()
        wanted = {self._number(c): c for c in choices}
        key, numbers = frozenset(choices), sorted(wanted)
        if key not in self._separate:
            self._pool.fill(lambda: tensor_pool.allocate_pool(self._store.manifest))
            packed = self._packed_for(choices)
            self._separate[key] = self._compiled(packed, separate_front(packed.graphs, numbers), next(iter(choices)))
        segments = {s.name: s for s in self._store.manifest.segments}
        steps: dict[Choice, Callable[[], None]] = {}
        for signature, number in enumerate(numbers):
            segment = segments[wanted[number].segment]
            inputs, outputs = self._pool.of(segment.inputs), self._pool.of(segment.outputs)
            steps[wanted[number]] = self._separate[key].call(signature, inputs, outputs)
        return steps

    def streamed_steps(self, choices: tuple[Choice, ...]) -> list[StreamedStep]:
        """Load a composition whose weights are in memory only while they are used; return what runs each segment."""
        runs = self.load(choices)
        content = self._separate[frozenset(choices)].content
        assert isinstance(content, linked_model.MappedModel), "which _compiled gave it"
        return [StreamedStep(runs[choice], content.drop_weights) for choice in choices]

    def compose_steps(self, steps: Mapping[Choice, Callable[[], None]]) -> ComposedModel:
        """Compose a model of loaded choices, one for each segment in topological order, that run one after another.

        Args:
            steps: the choices, with what `load` returned for them.
        """
        self._life.check()
        check_choices(self._store, tuple(steps))
        arrays, outputs = self._pool.arrays, self._store.manifest.outputs
        return ComposedModel(tuple(steps), list(steps.values()), arrays, outputs, self._life)

    def _number(self, choice: Choice) -> int:
        """Return the number of a choice's option in the order of `linked_options`. StoreError if there is none."""
        if (choice.segment, choice.option) not in self._numbers:
            next(s for s in self._store.manifest.segments if s.name == choice.segment).option(choice.option)
        return self._numbers[choice.segment, choice.option]

    def _packed_for(self, choices: Collection[Choice]) -> PackedWeights:
        """Return the packed weights that choices run with, which are opened now if they are the first compact ones."""
        (compact,) = {c.compact for c in choices}
        if compact not in self._packed:
            self._packed[compact] = open_packed(self._store, compact)
            self._opened.callback(self._packed[compact].close)
        return self._packed[compact]

    def _compiled(self, packed: PackedWeights, front: Front, like: Choice) -> litert_capi.CApiModel:
        """Compile the model that a front describes, to run like a choice."""
        with ExitStack() as unless_compiled:
            try:
                mapped = linked_model.MappedModel(self._files, packed.head, front)
                unless_compiled.callback(mapped.close)
                with _compiling:
                    others = [model.packed[0] for model in _mapped if model.packed]
                    place = address_space.next_place(packed.weights)
                    model = litert_capi.CApiModel(
                        mapped.address, mapped.size, like.threads, packed.weights, like.compact, content=mapped
                    )
                    mapped.packed = address_space.mapping_of(packed.weights, place, others)
                    _mapped.add(mapped)
            except OSError as e:  # no address space left, say
                raise ExecutionError(f"{self._store.name!r} cannot be composed: {e.strerror or e}") from None
            unless_compiled.pop_all()
        if mapped.packed:
            spans = spans_of(packed.places, front.buffers, front.joined)
            address_space.expect_reads(*mapped.packed, spans)
        mapped.drop_read()  # compiling reads descriptions, and some weights that are packed elsewhere
        return model

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices (see `Executor.retain`)."""
        self._life.check()
        kept = set(choices)
        for packed in self._packed.values():
            packed.graphs.drop_read()
        for joined in [c for c in self._joined if not kept.issuperset(c)]:
            if model := self._joined.pop(joined, None):
                model.close()
        for separate in [c for c in self._separate if not c <= kept]:
            self._separate.pop(separate).close()
        # Tensors that the next model of these choices needs stay. Let go, they would leave a hole in what it allocates.
        streamed = {c.streamed for c in kept}
        if not self._joined and False not in streamed:
            self._ends = _Tensors()
        if not self._separate and True not in streamed:
            self._pool = _Tensors()
        release_freed_memory()  # also that of models that nothing referred to any more

    def elsewhere_bytes(self) -> int:
        """Return the memory of models outside this process (see `Executor.elsewhere_bytes`)."""
        self._life.check()
        return 0

    def close(self) -> None:
        """Give back everything (see `Executor.close`)."""
        if not self._life.end():
            return
        for model in (*self._joined.values(), *self._separate.values()):
            model.close()
        self._joined.clear()
        self._separate.clear()
        self._ends, self._pool = _Tensors(), _Tensors()
        self._opened.close()


@dataclass(frozen=True)
class StreamedStep:
    """Runs one segment of a streamed model, and gives back its weights, which the kernel brings in again when needed.

    Attributes:
        run: runs the segment.
        drop: gives back all weights of the model that have been read.
    """

    run: Callable[[], None]
    drop: Callable[[], None]

    def __call__(self) -> None:
        """Do both."""
        self.run()
        self.drop()


class _Tensors:
    """Tensors that models read and write, by name, each with its handle; there are none at first."""

    def __init__(self) -> None:
        self.arrays: dict[str, AnyArray] = {}
        self._handles: dict[str, litert_capi.CApiTensor] = {}

    def fill(self, allocate: Callable[[], dict[str, AnyArray]]) -> None:
        """Allocate them, unless that has been done."""
        if not self.arrays:
            arrays = allocate()
            self._handles = {name: litert_capi.CApiTensor(array) for name, array in arrays.items()}
            self.arrays = arrays

    def of(self, names: Collection[str]) -> list[litert_capi.CApiTensor]:
        """Return the handles of some tensors."""
        return [self._handles[name] for name in names]
