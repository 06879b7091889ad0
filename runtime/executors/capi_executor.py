"""An executor for one store through LiteRT's C API: all options are linked into one model (`linked_model`), their
packed weights are mapped from the cache (`weight_cache`), and the tensors between segments lie in one pool
(`tensor_pool`).

Everything is loaded when a store is opened. That takes a millisecond, because weights are only mapped: they take no
memory until their segment first runs, when the kernel brings them in from the page cache. Composing a model is choosing
signatures. `retain` gives back the memory of weights that no composition uses any more.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack

from legodnn.errors import ExecutionError
from legodnn.lifetime import Lifetime
from legodnn.runtime.device.memory import release_freed_memory
from legodnn.runtime.executors import linked_model, litert_capi, mapped_pages, tensor_pool
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
                self._mapped = linked_model.MappedModel(store, self._packed.head)
            except OSError as e:
                raise ExecutionError(f"{store.name!r} cannot be opened: {e.strerror or e}") from None
            opened.callback(self._mapped.close)
            self._tensors = tensor_pool.allocate_pool(store.manifest)
            self._handles = {name: litert_capi.CApiTensor(array) for name, array in self._tensors.items()}
            self._opened = opened.pop_all()
        self._signatures = {(s.name, o.name): i for i, (s, o) in enumerate(linked_model.linked_options(store))}
        self._models: dict[int, _Loaded] = {}
        self._retired: list[_Loaded] = []

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return nothing (see `Executor.to_load`): weights take memory only when they are used."""
        self._life.check()
        return ()

    def compose(self, choices: tuple[Choice, ...]) -> ComposedModel:
        """Load what is missing and compose a model (see `Executor.compose`)."""
        self._life.check()
        check_choices(self._store, choices)
        threads = choices[0].threads
        loaded = self._models.get(threads)
        if loaded is None or not loaded.weights or len(loaded.dropped - set(choices)) > len(choices):
            # A compiled model keeps what dropped options needed besides weights, and their weights too where it is not
            # known where those are mapped. A new model begins without.
            new = self._load(threads)
            if loaded is not None:
                self._retired.append(loaded)
            loaded = self._models[threads] = new
        steps = []
        for segment, choice in zip(self._store.manifest.segments, choices, strict=True):
            signature = self._signatures[segment.name, segment.option(choice.option).name]
            inputs, outputs = ([self._handles[n] for n in names] for names in (segment.inputs, segment.outputs))
            steps.append(loaded.model.call(signature, inputs, outputs))
        loaded.live |= set(choices)
        loaded.dropped -= set(choices)
        return ComposedModel(choices, steps, self._tensors, self._store.manifest.outputs, self._life)

    def _load(self, threads: int) -> _Loaded:
        """Compile the linked model for a number of threads, and find out where its packed weights were mapped."""
        model = None
        try:
            before = mapped_pages.mapped_spans(self._packed.weights)
            mapped = self._mapped
            model = litert_capi.CApiModel(mapped.address, mapped.size, threads, self._packed.weights, content=mapped)
            return _Loaded(model, mapped_pages.mapped_spans(self._packed.weights) - before)
        except OSError as e:  # no file descriptors left, say
            if model:
                model.close()
            raise ExecutionError(f"{self._store.name!r} cannot be composed: {e.strerror or e}") from None

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices (see `Executor.retain`)."""
        self._life.check()
        kept = {c.threads for c in choices}
        unused = [*self._retired, *(m for threads, m in self._models.items() if threads not in kept)]
        for loaded in unused:
            loaded.model.close()
        if unused:
            release_freed_memory()
        self._retired.clear()
        self._models = {threads: m for threads, m in self._models.items() if threads in kept}
        for loaded in self._models.values():
            loaded.dropped |= loaded.live - set(choices)
            loaded.live &= set(choices)
            # All pages are dropped, because the kernel brings in up to 2 MB around what is read. Those in use return
            # with the next inference, from the page cache.
            for span in loaded.weights:
                mapped_pages.drop_pages(span)

    def elsewhere_bytes(self) -> int:
        """Return the memory of models outside this process (see `Executor.elsewhere_bytes`)."""
        self._life.check()
        return 0

    def close(self) -> None:
        """Give back everything (see `Executor.close`)."""
        if not self._life.end():
            return
        for loaded in (*self._retired, *self._models.values()):
            loaded.model.close()
        self._retired.clear()
        self._models.clear()
        self._handles.clear()
        self._tensors.clear()
        self._opened.close()


class _Loaded:
    """A compiled model.

    Attributes:
        model: the model.
        weights: where its packed weights are mapped; empty if that is not known.
        live: the choices that were composed of it and may still be run.
        dropped: the choices that were composed of it and were then let go.
    """

    def __init__(self, model: litert_capi.CApiModel, weights: set[mapped_pages.Span]) -> None:
        self.model, self.weights = model, weights
        self.live: set[Choice] = set()
        self.dropped: set[Choice] = set()
