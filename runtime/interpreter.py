"""The public TensorFlow Lite `Interpreter`, from whichever package brings it, and an executor made of such.

Packages are tried in this order: ai-edge-litert, tflite-runtime, tensorflow. Nothing is imported until the first
interpreter is opened, so planning needs none of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.console import native_stderr_silenced
from legodnn.errors import DependencyError, ExecutionError, StoreError
from legodnn.runtime import buffers
from legodnn.runtime.device import release_freed_memory
from legodnn.runtime.executor import Array, Choice, Composition, log
from legodnn.store import Store, TensorSpec

_PACKAGES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tensorflow", "tensorflow.lite"),
)


_greeted = False


@functools.cache
def _backend() -> tuple[Any, str]:
    broken = []
    for package, module in _PACKAGES:
        try:
            found = importlib.import_module(module).Interpreter
        except ImportError as e:  # not installed, or something that it stands on is not there or does not fit
            if not (isinstance(e, ModuleNotFoundError) and e.name and module.startswith(e.name)):
                broken.append(f"{package} is installed but cannot be imported: {str(e).splitlines()[0]}")
            continue
        for line in broken:
            log.warning("%s; %s serves instead", line, package)
        return found, f"{package} {_version(package, module)}"
    if broken:
        raise DependencyError("; ".join(broken))
    raise DependencyError("no TensorFlow Lite runtime is installed; pip install ai-edge-litert (or tflite-runtime)")


def _version(package: str, module: str) -> str:
    """Of a package that was imported; packages may come under other names, such as tensorflow-cpu."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(module.partition(".")[0]), "__version__", "unknown"))


def name() -> str:
    """Package and version of the interpreter in use, such as 'ai-edge-litert 2.3.0'."""
    return _backend()[1]


def open_interpreter(threads: int = 1, **source: Any) -> Any:
    """An `Interpreter` with its tensors allocated; `source` is `model_path=` or `model_content=`."""
    global _greeted
    # The first interpreter of a process announces its delegate on stderr.
    with contextlib.nullcontext() if _greeted else native_stderr_silenced():
        _greeted = True
        interpreter = _backend()[0](num_threads=threads, **source)
        interpreter.allocate_tensors()
    return interpreter


class InterpreterExecutor:
    """See `Executor`: an `Interpreter` for each choice, which packs its weights whenever it is loaded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tensors = buffers.allocate(store.manifest)
        self._loaded: dict[Choice, Callable[[], None]] = {}

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """See `Executor.to_load`."""
        return tuple(c for c in choices if c not in self._loaded)

    def compose(self, choices: tuple[Choice, ...]) -> Composition:
        """See `Executor.compose`."""
        new = {choice: self._load(choice) for choice in self.to_load(choices)}
        self._loaded.update(new)
        steps = [self._loaded[choice] for choice in choices]
        return Composition(choices, steps, self._tensors, self._store.manifest.outputs)

    def _load(self, choice: Choice) -> Callable[[], None]:
        segment = next(s for s in self._store.manifest.segments if s.name == choice.segment)
        file = self._store.verified_file(segment.option(choice.option))
        try:
            interpreter = open_interpreter(choice.threads, model_path=str(file))
        except (ValueError, RuntimeError, OSError) as e:
            raise StoreError(f"{file} cannot be loaded ({str(e).splitlines()[0]}); build the store again") from None
        specs = self._store.manifest.specs
        sources = self._bound(file, interpreter.get_input_details(), [specs[n] for n in segment.inputs])
        targets = self._bound(file, interpreter.get_output_details(), [specs[n] for n in segment.outputs])

        def step() -> None:
            for index, array in sources:
                interpreter.set_tensor(index, array)
            try:
                interpreter.invoke()
            except RuntimeError as e:
                raise ExecutionError(f"{file} failed while it ran: {str(e).splitlines()[0]}") from None
            for index, array in targets:
                array[...] = interpreter.get_tensor(index)

        return step

    def _bound(
        self, file: Path, details: Sequence[Mapping[str, Any]], specs: Sequence[TensorSpec]
    ) -> list[tuple[int, Array]]:
        """The file's tensors, by index, and the arrays that they are copied from or to."""
        found = [(tuple(int(d) for d in t["shape"]), np.dtype(t["dtype"]).name) for t in details]
        wanted = [((1, *spec.shape), spec.dtype) for spec in specs]
        if found != wanted:
            raise StoreError(f"{file} has tensors {found} where the manifest says {wanted}; build the store again")
        return [(int(t["index"]), self._tensors[spec.name]) for spec, t in zip(specs, details, strict=True)]

    def retain(self, choices: Collection[Choice]) -> None:
        """See `Executor.retain`."""
        before = len(self._loaded)
        self._loaded = {c: step for c, step in self._loaded.items() if c in choices}
        if len(self._loaded) < before:  # else the C library would keep the holes
            release_freed_memory()

    def elsewhere_bytes(self) -> int:
        """See `Executor.elsewhere_bytes`."""
        return 0

    def close(self) -> None:
        """See `Executor.close`."""
        self._loaded.clear()
