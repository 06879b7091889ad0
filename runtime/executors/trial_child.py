"""The child process that tries a store out, and packs its weights where LiteRT's C API is to run it (see `trial`).

    trial_child STORE ID EXECUTOR SECONDS [FOLDER]

It checks every file, sets limits of time and memory for itself, and runs every option once. What it is about to do, and
how it ended, it prints as lines of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from legodnn.errors import ExecutionError, LegoError, StoreError
from legodnn.manifest import Option, Segment
from legodnn.runtime.executors import interpreter, linked_model, litert_capi, tensor_pool
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.trial import TrialError, memory_is_limited
from legodnn.runtime.executors.weight_cache import HEAD, SUMS, WEIGHTS, PackingError, file_digest
from legodnn.runtime.tflite.check import check_option
from legodnn.store import Store

# Memory beyond what the process has before it begins: a fixed part, and multiples of files and of computed tensors.
_MEMORY_BYTES, _PER_FILE_BYTE, _PER_TENSOR_BYTE = 1 << 30, 6, 2


def _tell(**message: str) -> None:
    print(json.dumps(message), flush=True)


def announced_options(store: Store) -> Iterator[tuple[Segment, Option]]:
    """Every option in order; the parent learns which one the child is at."""
    for segment in store.manifest.segments:
        for option in segment.options:
            _tell(option=f"{segment.name}/{option.name}", file=option.file)
            yield segment, option
    print("{}", flush=True)


def _limit(resource_kind: int, value: int) -> None:
    """Lower a limit of this process, as far as it has not been set lower."""
    soft, hard = resource.getrlimit(resource_kind)
    resource.setrlimit(resource_kind, (value if soft == resource.RLIM_INFINITY else min(value, soft), hard))


def child(path: str, identity: str, executor: str, seconds: int, folder: str | None) -> int:
    """What the child does; its exit status."""
    limited = memory_is_limited()
    try:
        _try(path, identity, executor, seconds, folder)
    except (LegoError, OSError) as e:
        _tell(error="StoreError" if isinstance(e, StoreError) else "TrialError", message=str(e))
        return 1
    except MemoryError:
        kind = "TrialError" if limited else "StoreError"
        _tell(error=kind, message=f"{path} takes more memory than a store of its size may, or than there is")
        return 1
    return 0


def _try(path: str, identity: str, executor: str, seconds: int, folder: str | None) -> None:
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_CORE, 0)
    store = Store(path)
    if store.id != identity:
        raise StoreError(f"{store.path} was replaced while it was opened; open it again")
    tensors = sum(check_option(store, segment, option) for segment, option in announced_options(store))
    problem = litert_capi.capi_problem() if executor == "capi" else None
    if problem:
        raise TrialError(f"{store.path} could not be tried out: {problem}")
    interpreter.interpreter_name()  # loads the library before its memory is counted
    files = sum(o.bytes for s in store.manifest.segments for o in s.options)
    more = min(_MEMORY_BYTES + _PER_FILE_BYTE * files + _PER_TENSOR_BYTE * tensors, psutil.virtual_memory().total)
    _limit(resource.RLIMIT_AS, psutil.Process().memory_info().vms + more)
    if executor == "capi":
        pack_weights(store, Path(folder or "."))
    else:
        opened = interpreter.InterpreterExecutor(store)
        for segment, option in announced_options(store):
            step = opened.load(Choice(segment.name, option.name, 1))
            run_option(store, option, step, [opened.tensors[name] for name in segment.inputs])


def run_option(store: Store, option: Option, step: Callable[[], None], inputs: Sequence[NDArray[np.float32]]) -> None:
    """Run an option on zeros, then on numbers as networks meet them; StoreError if it fails on zeros.

    On others it may: an index that is computed from them may lie outside, which is that inference's error.
    """
    drawn = np.random.default_rng(0)
    for zeros in (True, False):
        for array in inputs:
            array[...] = 0 if zeros else drawn.standard_normal(array.shape, np.float32)
        try:
            step()
        except ExecutionError as e:
            if zeros:
                raise StoreError(f"{store.path / option.file} cannot be run ({e}); build the store again") from None


def pack_weights(store: Store, target: Path) -> None:
    """Write the files of an entry into a folder, and run every option once with them.

    Raises:
        StoreError: LiteRT cannot compile or run the store's options.
        PackingError: their packed weights cannot be written.
    """
    head = linked_model.link(store)
    (target / HEAD).write_bytes(head)
    placed = linked_model.Placed(store, head)
    try:
        _write_weights(store, placed, target / WEIGHTS)
        sums = {}
        for name in (HEAD, WEIGHTS):
            (target / name).chmod(0o400)
            fd = os.open(target / name, os.O_RDONLY)
            sums[name] = file_digest(fd)
            if name == WEIGHTS:
                _run_all(store, litert_capi.CApiModel(placed.address, placed.size, 1, fd))
            os.close(fd)
    finally:
        placed.close()
    (target / SUMS).write_text(json.dumps(sums))


def _write_weights(store: Store, placed: linked_model.Placed, path: Path) -> None:
    try:
        litert_capi.CApiModel(placed.address, placed.size, 1, path).close()
    except litert_capi.CApiError as e:
        try:
            litert_capi.CApiModel(placed.address, placed.size, 1).close()
        except litert_capi.CApiError:
            raise StoreError(f"{store.path} cannot be compiled ({e}); build the store again") from None
        raise PackingError(f"packed weights cannot be written ({e})") from None


def _run_all(store: Store, model: litert_capi.CApiModel) -> None:
    """Run every option once, as `capi_executor` does."""
    tensors = tensor_pool.allocate_pool(store.manifest)
    handles = {name: litert_capi.CApiTensor(array) for name, array in tensors.items()}
    try:
        for i, (segment, option) in enumerate(announced_options(store)):
            inputs, outputs = ([handles[n] for n in names] for names in (segment.inputs, segment.outputs))
            run_option(store, option, model.call(i, inputs, outputs), [tensors[name] for name in segment.inputs])
    finally:
        model.close()


if __name__ == "__main__":
    sys.exit(child(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else None))
