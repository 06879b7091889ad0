"""Trying a store out in a process of its own, before any other process hands its files to TensorFlow Lite.

A store may come from anywhere, and a file that is well formed may still end the process that runs it. So each file is
checked (`tflite.check`), and every option is run once in a child with limits of time and memory: through LiteRT's C API
while weights are packed (`packed`), or through the Interpreter where that is to run. A child that a signal ends, that
takes too long or fails is the store's fault and never a reason to run its files in another way.

As a program, with STORE ID EXECUTOR SECONDS [FOLDER], this module is the child: it prints what it is about to do, and
how it ended, as lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from legodnn.errors import ExecutionError, LegoError, StoreError
from legodnn.runtime import processes
from legodnn.store import Option, Segment, Store

# Processor time: a fixed part, and what the slowest processors need for multiplications and bytes read. Elapsed time
# may be a multiple, for the machine may have other work.
_SECONDS, _MACS_PER_S, _BYTES_PER_S, _MOST_S, _ELAPSED = 60, 1e8, 2e6, 1800, 4
# Memory beyond what the process has before it begins: a fixed part, and multiples of files and of computed tensors.
_MEMORY_BYTES, _PER_FILE_BYTE, _PER_TENSOR_BYTE = 1 << 30, 6, 2
# What others end processes with: the system when memory is short, a service that is stopped.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class TrialError(ExecutionError):
    """A store could not be tried out, for no fault of its own; it is not run."""


def run_trial(store: Store, executor: str, folder: Path | None = None) -> None:
    """Check a store's files and run every option once, in a child.

    Args:
        store: the store.
        executor: `capi` or `interpreter`.
        folder: for `capi`, where packed weights are written (see `packed`).

    Raises:
        StoreError: a file is refused, or ended the child, or took more time or memory than a store of its size may.
        TrialError: it could not be tried out.
    """
    seconds = _seconds(store)
    where, error, status = _run(store, executor, seconds, folder)
    if error:
        raise (StoreError if error[0] == "StoreError" else TrialError)(error[1])
    if status == 0:
        return
    if executor == "capi" and not where and status is not None and -status not in _FROM_OUTSIDE:
        run_trial(store, "interpreter")  # one option at a time, so that the error can name it
    place = f"{store.path / where['file']} ({where['option']})" if where else f"{store.path}, as a whole,"
    if status is None or -status == signal.SIGXCPU:
        raise StoreError(f"{place} took more than {seconds} s to try out; build the store again")
    if status > 0:
        raise TrialError(f"{store.path} could not be tried out: the process ended with status {status}")
    if status == -signal.SIGABRT and _memory_is_limited():
        raise TrialError(f"{store.path} could not be tried out in the address space that this process is limited to")
    if -status in _FROM_OUTSIDE:
        raise TrialError(
            f"{store.path} could not be tried out: the process was ended by {signal.Signals(-status).name} "
            "from outside (is memory short?)"
        )
    raise StoreError(
        f"{place} ended the process that tried it out by {signal.Signals(-status).name}, so it is not run; build the "
        "store again, and beware of where this one came from"
    )


def _seconds(store: Store) -> int:
    options = [o for s in store.manifest.segments for o in s.options]
    needed = sum(o.macs for o in options) / _MACS_PER_S + sum(o.bytes for o in options) / _BYTES_PER_S
    return int(min(_MOST_S, _SECONDS + needed))


def _run(
    store: Store, executor: str, seconds: int, folder: Path | None
) -> tuple[dict[str, str], tuple[str, str] | None, int | None]:
    """What the child was doing last, the error that it told, and its status (None if it took too long)."""
    arguments = (str(store.path), store.id, executor, str(seconds), *([str(folder)] if folder else []))
    try:
        done = processes.run("legodnn.runtime.trial", *arguments, timeout_s=seconds * _ELAPSED)
    except subprocess.TimeoutExpired as e:
        return *told((e.stdout or b"").decode(errors="replace")), None
    except OSError as e:
        raise TrialError(f"no process can be started to try {store.path} out: {e.strerror}") from None
    where, error = told(done.stdout)
    if done.returncode > 0 and error is None and done.stderr.strip():
        error = ("TrialError", f"{store.path} could not be tried out: {done.stderr.strip().splitlines()[-1]}")
    return where, error, done.returncode


def told(output: str) -> tuple[dict[str, str], tuple[str, str] | None]:
    """What a child said it was doing last, and the type and message of the error that ended it."""
    where: dict[str, str] = {}
    error = None
    for line in output.splitlines():
        with contextlib.suppress(ValueError):  # whatever else was printed
            message = json.loads(line)
            if not isinstance(message, dict):
                continue
            if "error" in message:
                error = (message["error"], message["message"])
            else:
                where = message
    return where, error


def _tell(**message: str) -> None:
    print(json.dumps(message), flush=True)


def steps(store: Store) -> Iterator[tuple[Segment, Option]]:
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


def _memory_is_limited() -> bool:
    """Whether there is a limit of address space that is not ours; then memory that is short is no store's fault."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def child(path: str, identity: str, executor: str, seconds: int, folder: str | None) -> int:
    """What the child does; its exit status."""
    limited = _memory_is_limited()
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
    from legodnn.runtime import capi, interpreter, packed
    from legodnn.runtime.executor import Choice
    from legodnn.runtime.tflite.check import check_option

    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_CORE, 0)
    store = Store(path)
    if store.id != identity:
        raise StoreError(f"{store.path} was replaced while it was opened; open it again")
    tensors = sum(check_option(store, segment, option) for segment, option in steps(store))
    problem = capi.problem() if executor == "capi" else None
    if problem:
        raise TrialError(f"{store.path} could not be tried out: {problem}")
    interpreter.name()  # loads the library before its memory is counted
    files = sum(o.bytes for s in store.manifest.segments for o in s.options)
    more = min(_MEMORY_BYTES + _PER_FILE_BYTE * files + _PER_TENSOR_BYTE * tensors, psutil.virtual_memory().total)
    _limit(resource.RLIMIT_AS, psutil.Process().memory_info().vms + more)
    if executor == "capi":
        packed.pack(store, Path(folder or "."))
    else:
        opened = interpreter.InterpreterExecutor(store)
        for segment, option in steps(store):
            step = opened.load(Choice(segment.name, option.name, 1))
            run(store, option, step, [opened.tensors[name] for name in segment.inputs])


def run(store: Store, option: Option, step: Callable[[], None], inputs: Sequence[NDArray[np.float32]]) -> None:
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


if __name__ == "__main__":
    sys.exit(child(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else None))
