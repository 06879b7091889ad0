"""The public TensorFlow Lite `Interpreter`, from whichever package brings it, and an executor for one segment.

Packages are tried in this order: ai-edge-litert, tflite-runtime, tensorflow. Nothing is imported until the first
interpreter is opened, so planning needs none of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.console import native_stderr_silenced
from legodnn.errors import DependencyError, StoreError
from legodnn.store import TensorSpec

Array = NDArray[np.float32]

_PACKAGES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tensorflow", "tensorflow.lite"),
)


_greeted = False


@functools.cache
def _backend() -> tuple[Any, str]:
    for package, module in _PACKAGES:
        try:
            return importlib.import_module(module).Interpreter, f"{package} {metadata.version(package)}"
        except (ImportError, metadata.PackageNotFoundError):
            continue
    raise DependencyError("no TensorFlow Lite runtime is installed; pip install ai-edge-litert (or tflite-runtime)")


def executor_name() -> str:
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


class SegmentExecutor:
    """One segment's `.tflite` file, loaded and ready to run. Not safe for use by two threads at once.

    Attributes:
        inputs: names of the tensors it reads.
        outputs: names of the tensors it writes.
    """

    def __init__(
        self, file: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], threads: int = 1
    ) -> None:
        """Load the file and check that it has these inputs and outputs; StoreError if not."""
        try:
            self._interpreter = open_interpreter(threads, model_path=str(file))
        except (ValueError, RuntimeError, OSError) as e:
            raise StoreError(f"{file} cannot be loaded ({str(e).splitlines()[0]}); build the store again") from None
        self._sources = self._indices(file, self._interpreter.get_input_details(), inputs)
        self._targets = self._indices(file, self._interpreter.get_output_details(), outputs)

    @staticmethod
    def _indices(
        file: Path, details: Sequence[Mapping[str, Any]], specs: Sequence[TensorSpec]
    ) -> list[tuple[str, int]]:
        found = [(tuple(int(d) for d in t["shape"]), np.dtype(t["dtype"]).name) for t in details]
        wanted = [((1, *spec.shape), spec.dtype) for spec in specs]
        if found != wanted:
            raise StoreError(f"{file} has tensors {found} where the manifest says {wanted}; build the store again")
        return [(spec.name, int(t["index"])) for spec, t in zip(specs, details, strict=True)]

    def run(self, tensors: dict[str, Array]) -> None:
        """Read this segment's inputs from `tensors` and put its outputs there; shapes have a leading 1."""
        for name, index in self._sources:
            self._interpreter.set_tensor(index, tensors[name])
        self._interpreter.invoke()
        for name, index in self._targets:
            tensors[name] = self._interpreter.get_tensor(index)
