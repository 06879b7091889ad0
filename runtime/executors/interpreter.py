"""The public TensorFlow Lite `Interpreter`, from whichever package has it, and the executor that runs a store with it.

Packages are tried in this order: ai-edge-litert, tflite-runtime, tensorflow. Nothing is imported until the first
interpreter is opened, so planning needs none of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import sys
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.errors import DependencyError, ExecutionError, StoreError, WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.manifest import TensorSpec
from legodnn.native_stderr import native_stderr_silenced
from legodnn.runtime.device.memory import release_freed_memory
from legodnn.runtime.executors import address_space, tensor_pool
from legodnn.runtime.executors.base import Choice, ComposedModel, check_choices, log
from legodnn.store import Store

_PACKAGES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tensorflow", "tensorflow.lite"),
)


_greeted = False
_opened: weakref.WeakSet[Any] = weakref.WeakSet()


@functools.cache
def _backend() -> tuple[Any, str]:
    """Return the `Interpreter` class of the first package that can be loaded, and the package's name and version."""
    broken: list[str] = []
    for package, module in _PACKAGES:
        try:
            found = importlib.import_module(module).Interpreter
        except Exception as e:  # of whatever kind its libraries raise
            if not _absent(e, module):
                broken.append(f"{package} is installed but cannot be loaded: {_first_line(e)}")
            continue
        for problem in broken:
            log.warning("%s; %s is used instead", problem, package)
        return found, f"{package} {_version(package, module)}"
    if broken:
        raise DependencyError(f"{'; '.join(broken)}; install what it lacks, or another TensorFlow Lite runtime")
    raise DependencyError("no TensorFlow Lite runtime is installed; pip install ai-edge-litert (or tflite-runtime)")


def _absent(error: Exception, module: str) -> bool:
    """Whether an import failed because the package itself is not installed, and not something that it needs."""
    package = module.partition(".")[0]
    return isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package


def _version(package: str, module: str) -> str:
    """Return the version of a package that was imported; it may be installed as another, such as tensorflow-cpu."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(module.partition(".")[0]), "__version__", "of unknown version"))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def interpreter_name() -> str:
    """Return package and version of the interpreter in use, such as 'ai-edge-litert 2.3.0'."""
    return _backend()[1]


def open_interpreter(threads: int = 1, plain: bool = False, **source: Any) -> Any:
    """Open an `Interpreter` and allocate its tensors.

    Args:
        threads: the number of threads that it runs with.
        plain: use TensorFlow Lite's own kernels, without XNNPACK.
        source: `model_path=` or `model_content=`, as the class takes them.

    Raises:
        DependencyError: no package that has an `Interpreter` is installed.
        ValueError, RuntimeError: the library refuses the model.
    """
    global _greeted
    # The first interpreter of a process announces its delegate on stderr.
    with contextlib.nullcontext() if _greeted else native_stderr_silenced():
        _greeted = True
        kind = _backend()[0]
        if plain:
            kernels = sys.modules[kind.__module__].OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            source["experimental_op_resolver_type"] = kernels
        interpreter = kind(num_threads=threads, **source)
        interpreter.allocate_tensors()
    _opened.add(interpreter)
    return interpreter


def _abandon() -> None:
    """After a fork, keep interpreters for ever: destroying one would wait for threads that this process lacks."""
    for interpreter in list(_opened):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(interpreter))


os.register_at_fork(after_in_child=_abandon)


class InterpreterExecutor:
    """Runs a store with one `Interpreter` for each choice, which packs its weights when it is loaded. Fulfils
    `Executor`.

    Attributes:
        tensors: every input and interface tensor by name, with a batch dimension of 1; there are none while nothing is
            loaded.
    """

    def __init__(self, store: Store) -> None:
        """Open a store."""
        self._store, self._life = store, Lifetime(f"the executor of {store.name!r}")
        self.tensors: dict[str, AnyArray] = {}
        self._loaded: dict[Choice, Callable[[], None]] = {}

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return the choices for which `compose` would take memory now (see `Executor.to_load`)."""
        self._life.check()
        return tuple([c for c in choices if c not in self._loaded])

    def compose(self, choices: tuple[Choice, ...]) -> ComposedModel:
        """Load what is missing and compose a model (see `Executor.compose`)."""
        self._life.check()
        check_choices(self._store, choices)
        return self.compose_steps(self.load(choices))

    def compose_steps(self, steps: Mapping[Choice, Callable[[], None]]) -> ComposedModel:
        """Compose a model of loaded choices, one for each segment in topological order, that run one after another.

        Args:
            steps: the choices, with what `load` returned for them.
        """
        self._life.check()
        check_choices(self._store, tuple(steps))
        outputs = self._store.manifest.outputs
        return ComposedModel(tuple(steps), list(steps.values()), self.tensors, outputs, self._life)

    def load(self, choices: Collection[Choice]) -> Mapping[Choice, Callable[[], None]]:
        """Load any choices, unless they are loaded; return functions that run them. Errors are those of `compose`."""
        self._life.check()
        if any(c.streamed or c.compact for c in choices):
            raise WorkloadError(
                f"{self._store.name!r} is streamed or compact by LiteRT's C API alone, and the Interpreter runs it "
                "here; `legodnn doctor` says why, or a warning that weights cannot be packed did"
            )
        if not self.tensors:
            self.tensors = tensor_pool.allocate_pool(self._store.manifest)
        new = {choice: self._opened(choice) for choice in self.to_load(choices)}
        self._loaded.update(new)
        return {choice: self._loaded[choice] for choice in choices}

    def _opened(self, choice: Choice) -> Callable[[], None]:
        """Open one option; return a function that runs it on `tensors`.

        Raises:
            StoreError: its file is damaged, or its tensors are not those of the manifest.
            ExecutionError: memory, address space or file descriptors are short.
        """
        segment = next(s for s in self._store.manifest.segments if s.name == choice.segment)
        option = segment.option(choice.option)
        file = self._store.folder / option.file
        address_space.check_room(2 * option.bytes, choice.threads)  # the file, and weights packed from it
        fd = self._store.open_file(option)
        try:
            interpreter = open_interpreter(choice.threads, model_path=f"/proc/self/fd/{fd}")
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except (ValueError, RuntimeError) as e:
            raise StoreError(f"{file} cannot be loaded ({_first_line(e)}); build the store again") from None
        except (OSError, MemoryError) as e:  # the file is in order, but there is no room for what runs it
            raise ExecutionError(f"{file} cannot be loaded: {_first_line(e)}") from None
        finally:
            os.close(fd)
        specs = self._store.manifest.specs
        sources = self._bound(file, inputs, [specs[n] for n in segment.inputs])
        targets = self._bound(file, outputs, [specs[n] for n in segment.outputs])

        def step() -> None:
            for index, array in sources:
                interpreter.set_tensor(index, array)
            try:
                interpreter.invoke()
            except RuntimeError as e:
                raise ExecutionError(f"{file} failed while it ran: {_first_line(e)}") from None
            for index, array in targets:
                array[...] = interpreter.get_tensor(index)

        return step

    def _bound(
        self, file: Path, details: Sequence[Mapping[str, Any]], specs: Sequence[TensorSpec]
    ) -> list[tuple[int, AnyArray]]:
        """Pair a file's tensors, by their index, with the arrays of `tensors` that they are copied from or to."""
        found = [(tuple(int(d) for d in t["shape"]), np.dtype(t["dtype"]).name) for t in details]
        wanted = [((1, *spec.shape), spec.dtype) for spec in specs]
        if found != wanted:
            raise StoreError(f"{file} has tensors {found} where the manifest says {wanted}; build the store again")
        return [(int(t["index"]), self.tensors[spec.name]) for spec, t in zip(specs, details, strict=True)]

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices (see `Executor.retain`)."""
        self._life.check()
        before = len(self._loaded)
        self._loaded = {c: step for c, step in self._loaded.items() if c in choices}
        if not choices:
            self.tensors = {}
        if len(self._loaded) < before:  # the C library would keep what was freed
            release_freed_memory()

    def elsewhere_bytes(self) -> int:
        """Return the memory of models outside this process (see `Executor.elsewhere_bytes`)."""
        self._life.check()
        return 0

    def close(self) -> None:
        """Give back everything (see `Executor.close`)."""
        if self._life.end():
            self._loaded.clear()
            self.tensors = {}
