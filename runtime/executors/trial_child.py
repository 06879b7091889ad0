"""The child process that tries a store out, and packs its weights where LiteRT's C API is to run it (see `trial`).

    trial_child STORE ID EXECUTOR SECONDS [FOLDER [compact]]

It checks every file, sets limits of time and memory for itself, and runs every option once by itself and once joined
to others. What it is about to do, and how it ended, it prints as lines of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from legodnn.errors import ExecutionError, LegoError, PackingError, StoreError, TrialError
from legodnn.manifest import Option, Segment
from legodnn.runtime.executors import interpreter, linked_model, litert_capi, tensor_pool, weight_cache
from legodnn.runtime.executors.base import Choice, covering_compositions
from legodnn.runtime.executors.linked_front import joined_front, separate_front
from legodnn.runtime.executors.trial import memory_is_limited
from legodnn.runtime.tflite.check import check_option
from legodnn.store import Store

# Memory that it may take beyond what it has before it hands files to a library: a fixed part, and multiples of the
# bytes of all files and of all tensors that they compute.
_MEMORY_BYTES, _PER_FILE_BYTE, _PER_TENSOR_BYTE = 1 << 30, 6, 2


def child(path: str, identity: str, executor: str, seconds: int, folder: str | None, compact: bool = False) -> int:
    """Try a store out and tell how it went; return the exit status of this process.

    Args:
        path: the store's folder.
        identity: the id that the store must have.
        executor: 'capi' or 'interpreter'.
        seconds: limit of processor time.
        folder: for 'capi', the folder that the files of an entry of the cache are written to.
        compact: whether that entry is for compact models.
    """
    limited = memory_is_limited()
    try:
        _try(path, identity, executor, seconds, folder, compact)
    except (LegoError, OSError) as e:
        _tell(error="StoreError" if isinstance(e, StoreError) else "TrialError", message=str(e))
        return 1
    except MemoryError:
        kind = "TrialError" if limited else "StoreError"
        _tell(error=kind, message=f"{path} takes more memory than a store of its size may, or than there is")
        return 1
    _tell(done="everything")  # in words too, because the status may not reach who waits for it
    return 0


def _try(path: str, identity: str, executor: str, seconds: int, folder: str | None, compact: bool) -> None:
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
    # Files are mapped, several times over, which takes address space: it may be more than the machine has of memory.
    computed = min(_MEMORY_BYTES + _PER_TENSOR_BYTE * tensors, psutil.virtual_memory().total)
    _limit(resource.RLIMIT_AS, psutil.Process().memory_info().vms + computed + _PER_FILE_BYTE * files)
    if executor == "capi":
        weight_cache.write_entry(store, Path(folder or "."), compact)
        run_by_capi(store, Path(folder or "."), compact)
    else:
        run_by_interpreter(store)


def _limit(resource_kind: int, value: int) -> None:
    """Lower a limit of this process, unless it has been set lower already."""
    soft, hard = resource.getrlimit(resource_kind)
    resource.setrlimit(resource_kind, (value if soft == resource.RLIM_INFINITY else min(value, soft), hard))


def _tell(**message: str) -> None:
    print(json.dumps(message), flush=True)


def announced_options(store: Store) -> Iterator[tuple[Segment, Option]]:
    """Every option in order. Before each one, the parent is told that the child has come to it."""
    for segment in store.manifest.segments:
        for option in segment.options:
            _tell(option=f"{segment.name}/{option.name}", file=option.file)
            yield segment, option
    print("{}", flush=True)


def run_by_capi(store: Store, folder: Path, compact: bool = False) -> None:
    """Run every option once through LiteRT's C API, with the entry of the cache that was written to a folder."""
    packed = weight_cache.read_entry(folder)
    if packed is None:
        raise PackingError(f"packed weights were written to {folder} and read back damaged; is the disk in order?")
    tensors = tensor_pool.allocate_pool(store.manifest)
    handles = {name: litert_capi.CApiTensor(array) for name, array in tensors.items()}
    with closing(packed), closing(linked_model.MappedFiles(store)) as files:
        everything = separate_front(packed.graphs, range(len(files.spans)))
        with (
            closing(linked_model.MappedModel(files, packed.head, everything)) as mapped,
            closing(litert_capi.CApiModel(mapped.address, mapped.size, 1, packed.weights, compact)) as model,
        ):
            for i, (segment, option) in enumerate(announced_options(store)):
                inputs, outputs = ([handles[n] for n in names] for names in (segment.inputs, segment.outputs))
                run_option(store, option, model.call(i, inputs, outputs), [tensors[name] for name in segment.inputs])
        _run_joined(store, packed, files, compact)


def _run_joined(
    store: Store, packed: weight_cache.PackedWeights, files: linked_model.MappedFiles, compact: bool
) -> None:
    """Run compositions in which every option occurs, as `capi_executor` joins them, on zeros.

    Raises:
        StoreError: one cannot be joined or run.
    """
    manifest = store.manifest
    tensors = {name: litert_capi.CApiTensor(array) for name, array in tensor_pool.allocate_ends(manifest).items()}
    inputs, outputs = [tensors[name] for name in manifest.read_inputs], [tensors[name] for name in manifest.outputs]
    number = {(s.name, o.name): i for i, (s, o) in enumerate(linked_model.linked_options(store))}
    for choices in covering_compositions(store):
        front = joined_front(packed.graphs, [number[c.segment, c.option] for c in choices], manifest)
        try:
            with (
                closing(linked_model.MappedModel(files, packed.head, front)) as mapped,
                closing(litert_capi.CApiModel(mapped.address, mapped.size, 1, packed.weights, compact)) as model,
            ):
                model.call(0, inputs, outputs)()
        except ExecutionError as e:
            names = ", ".join(f"{c.segment}/{c.option}" for c in choices)
            raise StoreError(f"{store.path} cannot be run as {names} ({e}); build the store again") from None


def run_by_interpreter(store: Store) -> None:
    """Run every option once as `InterpreterExecutor` does."""
    executor = interpreter.InterpreterExecutor(store)
    for segment, option in announced_options(store):
        choice = Choice(segment.name, option.name, 1)
        step = executor.load([choice])[choice]
        run_option(store, option, step, [executor.tensors[name] for name in segment.inputs])
        executor.retain(())


def run_option(store: Store, option: Option, step: Callable[[], None], inputs: Sequence[NDArray[Any]]) -> None:
    """Run an option on zeros, then on random elements: floats of the size that activations have, or any integers.

    It may fail on random numbers: an index that is computed from them may lie outside its tensor. That would be an
    error of one inference, and not of the store.

    Args:
        store: the store, for messages.
        option: the option.
        step: runs the option on its tensors.
        inputs: the tensors that it reads.

    Raises:
        StoreError: it fails on zeros.
    """
    drawn = np.random.default_rng(0)
    for zeros in (True, False):
        for array in inputs:
            array[...] = 0 if zeros else _drawn(drawn, array)
        try:
            step()
        except ExecutionError as e:
            if zeros:
                raise StoreError(f"{store.path / option.file} cannot be run ({e}); build the store again") from None


def _drawn(rng: np.random.Generator, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype == np.float32:
        return rng.standard_normal(array.shape, np.float32)
    limits = np.iinfo(array.dtype)
    return rng.integers(limits.min, limits.max, array.shape, array.dtype, endpoint=True)


if __name__ == "__main__":
    path, identity, executor, seconds, *entry = sys.argv[1:]
    sys.exit(child(path, identity, executor, int(seconds), entry[0] if entry else None, entry[1:] == ["compact"]))
