"""An executor for one store through LiteRT's C API: all options linked into one model (`linking`), their packed weights
mapped from the cache (`packed`), tensors in one pool (`buffers`).

Everything is loaded when it is opened, which takes a millisecond, for until a segment first runs, its weights take no
memory: the kernel reads them from the page cache. Composing is choosing signatures. What a composition no longer
uses is handed back by `retain`.
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
    """See `Executor`."""

    def __init__(self, store: Store) -> None:
        """Open a store.

        Raises:
            StoreError: a file is damaged or not what the manifest says.
            PackingError: packed weights cannot be made or kept.
            ExecutionError: memory or address space is short.
        """
        self._store, self._life = store, Lifetime(f"the executor of {store.name!r}")
        with ExitStack() as opened:
            self._packed = open_packed(store)
            opened.callback(self._packed.close)
            try:
                self._placed = linked_model.Placed(store, self._packed.head)
            except OSError as e:
                raise ExecutionError(f"{store.name!r} cannot be opened: {e.strerror or e}") from None
            opened.callback(self._placed.close)
            self._tensors = tensor_pool.allocate_pool(store.manifest)
            self._handles = {name: litert_capi.CApiTensor(array) for name, array in self._tensors.items()}
            self._opened = opened.pop_all()
        self._signatures = {(s.name, o.name): i for i, (s, o) in enumerate(linked_model.linked_options(store))}
        self._models: dict[int, _Loaded] = {}
        self._retired: list[_Loaded] = []

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """See `Executor.to_load`: weights take memory only when they are used."""
        self._life.check()
        return ()

    def compose(self, choices: tuple[Choice, ...]) -> ComposedModel:
        """See `Executor.compose`."""
        self._life.check()
        check_choices(self._store, choices)
        threads = choices[0].threads
        loaded = self._models.get(threads)
        if loaded is None or not loaded.weights or len(loaded.dropped - set(choices)) > len(choices):
            # What dropped options needed besides weights stays as long as the model, and weights too where it is not
            # known where they are mapped: a new one begins without.
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
        """A compiled model, and where its packed weights have been mapped."""
        model = None
        try:
            before = mapped_pages.mapped_spans(self._packed.weights)
            placed = self._placed
            model = litert_capi.CApiModel(placed.address, placed.size, threads, self._packed.weights, content=placed)
            return _Loaded(model, mapped_pages.mapped_spans(self._packed.weights) - before)
        except OSError as e:  # no file descriptors left, say
            if model:
                model.close()
            raise ExecutionError(f"{self._store.name!r} cannot be composed: {e.strerror or e}") from None

    def retain(self, choices: Collection[Choice]) -> None:
        """See `Executor.retain`."""
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
            # All of it, because the kernel brings in up to 2 MB around what is read; what is in use returns with the
            # next inference, from the page cache.
            for span in loaded.weights:
                mapped_pages.drop_pages(span)

    def elsewhere_bytes(self) -> int:
        """See `Executor.elsewhere_bytes`."""
        self._life.check()
        return 0

    def close(self) -> None:
        """See `Executor.close`."""
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
    """A compiled model, where its packed weights are mapped, and the choices composed of it: those that may yet be run
    and those that were dropped."""

    def __init__(self, model: litert_capi.CApiModel, weights: set[mapped_pages.Span]) -> None:
        self.model, self.weights = model, weights
        self.live: set[Choice] = set()
        self.dropped: set[Choice] = set()
