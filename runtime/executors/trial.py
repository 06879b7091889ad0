"""Trying a store out in a process of its own, before any other process hands its files to TensorFlow Lite.

A store may come from anywhere, and a file that is well formed may still end the process that runs it. So each file is
checked (`tflite.check`), and every option is run once in a child process with limits of time and memory: through
LiteRT's C API while weights are packed (`weight_cache`), or through the Interpreter where the Interpreter is to run the
store. If a signal ends the child, if it takes too long, or if it fails, that is the store's fault, and never a reason
to run its files in another way.

The child is `trial_child`. It imports everything that runs a store; this module imports nothing of that.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
from pathlib import Path

from legodnn import processes
from legodnn.errors import PackingError, StoreError, TrialError
from legodnn.runtime.executors.cache_folder import cache_folder, cache_limit, entry_name, mark_used
from legodnn.store import Store

# The child's limit of processor time: a fixed part, and what the slowest processors need for the store's
# multiplications and for reading its bytes. It may take a multiple of that in elapsed time, because the machine may
# have other work.
_SECONDS, _MACS_PER_S, _BYTES_PER_S, _MOST_S, _ELAPSED = 60, 1e8, 2e6, 1800, 4
# Signals that come from outside: from the system when memory is short, or from whoever stops a service.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_tried: set[str] = set()


def ensure_tried(store: Store, interpreter_name: str) -> None:
    """Try a store out with the Interpreter, unless that was done before on this device.

    Where nothing can be kept in the cache folder, every process does it once.

    Args:
        store: the store.
        interpreter_name: package and version of the Interpreter.

    Raises:
        StoreError, TrialError: as `run_trial`.
        ConfigError: LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
    """
    cache_limit()  # an empty entry needs none, but what makes no sense is refused whatever runs the store
    name = entry_name(store, interpreter_name)
    if name in _tried:
        return
    try:
        path = cache_folder() / name
    except PackingError:
        path = None
    if path is None or not path.is_dir():
        run_trial(store, "interpreter")
    if path is not None:
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o700, exist_ok=True)
        mark_used(path)
    _tried.add(name)


def run_trial(store: Store, executor: str, folder: Path | None = None, compact: bool = False) -> None:
    """Check a store's files and run every option once, in a child process.

    Args:
        store: the store.
        executor: 'capi' or 'interpreter'.
        folder: for 'capi', the folder that the files of an entry are written to (see `weight_cache.write_entry`).
        compact: whether that entry is for compact models.

    Raises:
        StoreError: a file is refused, ended the child, or took more time or memory than a store of its size may.
        TrialError: the store could not be tried out, for no fault of its own.
    """
    seconds = _seconds(store)
    where, error, status = _run(store, executor, seconds, folder, compact)
    if error:
        raise (StoreError if error[0] == "StoreError" else TrialError)(error[1])
    done = where.pop("done", None)
    if status == 0 and not done:  # which is what Python takes for the status of a process that it cannot wait for
        raise TrialError(
            f"{store.path} could not be tried out: how its process ended is not known here; do not ignore SIGCHLD, "
            "nor wait for processes of others (os.wait), while a store is opened"
        )
    if status == 0:
        return
    if executor == "capi" and not where and status is not None and -status not in _FROM_OUTSIDE:
        run_trial(store, "interpreter")  # one option at a time, so that the error can name it
    place = f"{store.path / where['file']} ({where['option']})" if where else f"{store.path}, as a whole,"
    if status is None or -status == signal.SIGXCPU:
        raise StoreError(f"{place} took more than {seconds} s to try out; build the store again")
    if status > 0:
        raise TrialError(f"{store.path} could not be tried out: the process ended with status {status}")
    if status == -signal.SIGABRT and memory_is_limited():
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
    """Return how many seconds of processor time the child may take."""
    options = [o for s in store.manifest.segments for o in s.options]
    needed = sum(o.macs for o in options) / _MACS_PER_S + sum(o.bytes for o in options) / _BYTES_PER_S
    return int(min(_MOST_S, _SECONDS + needed))


def _run(
    store: Store, executor: str, seconds: int, folder: Path | None, compact: bool
) -> tuple[dict[str, str], tuple[str, str] | None, int | None]:
    """Run the child; return what it was doing last, the error that it told, and its status (None: it took too long)."""
    arguments = (
        str(store.folder),
        store.id,
        executor,
        str(seconds),
        *([str(folder)] if folder else []),
        *["compact"] * compact,
    )
    try:
        done = processes.run_module("legodnn.runtime.executors.trial_child", *arguments, timeout_s=seconds * _ELAPSED)
    except subprocess.TimeoutExpired as e:
        return *told((e.stdout or b"").decode(errors="replace")), None
    except OSError as e:
        raise TrialError(f"no process can be started to try {store.path} out: {e.strerror}") from None
    where, error = told(done.stdout)
    if done.returncode > 0 and error is None and done.stderr.strip():
        error = ("TrialError", f"{store.path} could not be tried out: {done.stderr.strip().splitlines()[-1]}")
    return where, error, done.returncode


def told(output: str) -> tuple[dict[str, str], tuple[str, str] | None]:
    """Read a child's output: what it said it was doing last, and type and message of the error that ended it."""
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


def memory_is_limited() -> bool:
    """Whether this process has a limit of address space; if so, a shortage of memory is not the store's fault."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
