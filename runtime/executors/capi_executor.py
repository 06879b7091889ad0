"""An executor for one store through LiteRT's C API: the options of a composition are linked into one model
(`linked_model`), their packed weights are mapped from the cache (`weight_cache`), and the tensors between segments lie
in one pool (`tensor_pool`).

Composing links and compiles the options that the composition has, and no others. That takes a millisecond or a
few, because weights are only mapped: the kernel brings them in from the page cache when their segment first runs.
`retain` closes the models of other compositions, and with them goes all that their options took.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack

from legodnn.arrays import AnyArray
from legodnn.errors import ExecutionError
from legodnn.lifetime import Lifetime
from legodnn.runtime.device.memory import release_freed_memory
from legodnn.runtime.executors import linked_model, litert_capi, tensor_pool
from legodnn.runtime.executors.base import Choice, ComposedModel, check_choices
from legodnn.runtime.executors.weight_cache import open_packed
from legodnn.store import Store


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
            self._packed = open_packed(store)
            opened.callback(self._packed.close)
            try:
                self._files = linked_model.MappedFiles(store)
            except OSError as e:
                raise ExecutionError(f"{store.name!r} cannot be opened: {e.strerror or e}") from None
            opened.callback(self._files.close)
            self._opened = opened.pop_all()
        options = enumerate(linked_model.linked_options(store))
        self._numbers = {(segment.name, option.name): number for number, (segment, option) in options}
        self._models: dict[frozenset[Choice], litert_capi.CApiModel] = {}
        # Every input and interface tensor by name, and its handle; there are none while no model is loaded.
        self._tensors: dict[str, AnyArray] = {}
        self._handles: dict[str, litert_capi.CApiTensor] = {}

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return nothing (see `Executor.to_load`): weights take memory only when they are used."""
        self._life.check()
        return ()

    def compose(self, choices: tuple[Choice, ...]) -> ComposedModel:
        """Load the choices, unless they are loaded, and compose a model (see `Executor.compose`)."""
        self._life.check()
        check_choices(self._store, choices)
        steps = self.load(choices)
        return ComposedModel(
            choices, [steps[c] for c in choices], self._tensors, self._store.manifest.outputs, self._life
        )

    def load(self, choices: Collection[Choice]) -> dict[Choice, Callable[[], None]]:
        """Load any choices as one model, all with one thread count; return functions that run them.

        The functions run from tensors to tensors of the models that `compose` makes. Errors are those of `compose`.
        """
        self._life.check()
        segments = {s.name: s for s in self._store.manifest.segments}
        wanted = {self._numbers[c.segment, segments[c.segment].option(c.option).name]: c for c in choices}
        key, numbers = frozenset(choices), sorted(wanted)
        if key not in self._models:
            (threads,) = {c.threads for c in choices}
            self._models[key] = self._compiled(numbers, threads)
        steps: dict[Choice, Callable[[], None]] = {}
        for signature, number in enumerate(numbers):
            segment = segments[wanted[number].segment]
            inputs, outputs = ([self._handles[n] for n in names] for names in (segment.inputs, segment.outputs))
            steps[wanted[number]] = self._models[key].call(signature, inputs, outputs)
        return steps

    def _compiled(self, numbers: list[int], threads: int) -> litert_capi.CApiModel:
        """Link options, given by their numbers in ascending order, and compile them for a number of threads."""
        if not self._tensors:
            tensors = tensor_pool.allocate_pool(self._store.manifest)
            self._handles = {name: litert_capi.CApiTensor(array) for name, array in tensors.items()}
            self._tensors = tensors
        with ExitStack() as unless_compiled:
            try:
                mapped = linked_model.MappedModel(self._files, self._packed.head, numbers)
                unless_compiled.callback(mapped.close)
                model = litert_capi.CApiModel(
                    mapped.address, mapped.size, threads, self._packed.weights, content=mapped
                )
            except OSError as e:  # no address space left, say
                raise ExecutionError(f"{self._store.name!r} cannot be composed: {e.strerror or e}") from None
            unless_compiled.pop_all()
        mapped.drop_files()  # compiling reads some weights that are packed elsewhere
        return model

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices (see `Executor.retain`)."""
        self._life.check()
        unused = [loaded for loaded in self._models if not loaded <= set(choices)]
        for loaded in unused:
            self._models.pop(loaded).close()
        if not self._models:
            self._handles, self._tensors = {}, {}
        if unused:
            release_freed_memory()

    def elsewhere_bytes(self) -> int:
        """Return the memory of models outside this process (see `Executor.elsewhere_bytes`)."""
        self._life.check()
        return 0

    def close(self) -> None:
        """Give back everything (see `Executor.close`)."""
        if not self._life.end():
            return
        for model in self._models.values():
            model.close()
        self._models.clear()
        self._handles, self._tensors = {}, {}
        self._opened.close()
