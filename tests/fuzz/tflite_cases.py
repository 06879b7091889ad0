"""Cases of damaged `.tflite` files, each opened and run in a process that may end without harm.

    python -m tests.fuzz.tflite_cases SEEDS --cases 50000 --seed 1 [--first 0] [--out FOLDER]

runs cases on the stores in SEEDS, which `tflite_seeds` writes, and prints the counts of their outcomes as JSON. A case
depends on its number alone, so that a run can be continued, and `--first N --cases 1` repeats one. Files that ended a
process are written to FOLDER.

A case does what a runtime does: it opens the store and runs every option. The process that tries out a store is forked
here, which takes milliseconds, instead of started, which takes a third of a second; it runs the same function.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from legodnn.errors import ExecutionError, LegoError
from legodnn.files import sha256_bytes
from legodnn.runtime.executors import capi_executor, interpreter, litert_capi, trial, trial_child, weight_cache
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.tflite import check
from legodnn.runtime.tflite.model_file import Refused
from legodnn.store import Store
from tests.fuzz.tflite_damage import damaged

_HANGS_S, _SLOW_S, _LARGE_BYTES = 30, 2.0, 200_000_000


def fork() -> int:
    """Fork as `os.fork` does, and wait while the machine has too many processes."""
    while True:
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(0.1)


def forked(work: Callable[[], Any]) -> tuple[Any, int, float, int]:
    """Run a function in a forked process; return its result, its exit status, seconds, and peak memory in bytes."""
    reading, writing = os.pipe()
    start = time.monotonic()
    pid = fork()
    if pid == 0:
        status = 3
        try:
            os.close(reading)
            signal.alarm(_HANGS_S)
            os.write(writing, json.dumps(work()).encode()[:60_000])
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as f:
        answer = f.read()
    _, status, used = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    return json.loads(answer) if answer else None, os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss * 1024


def tried_by_fork(
    store: Store, executor: str, seconds: int, folder: Path | None, compact: bool
) -> tuple[dict[str, str], tuple[str, str] | None, int | None]:
    """Do what `trial._run` does in a forked process instead of a new interpreter."""
    reading, writing = os.pipe()
    pid = fork()
    if pid == 0:
        status = 1
        try:
            os.dup2(writing, 1)
            entry = str(folder) if folder else None
            status = trial_child.child(str(store.path), store.id, executor, seconds, entry, compact)
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as f:
        output = f.read()
    return *trial.told(output.decode()), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def outcome(store: Path, kind: str, expected: list[list[float]], inputs: list[np.ndarray]) -> dict[str, Any]:
    """Open a store and run both options; the first, which is undamaged, must give what is expected."""
    try:
        executor = open_executor(Store(store), kind)
        for _ in range(2):
            for option in ("s0", "s0.5"):
                composition = executor.compose((Choice("block", option, 1),))
                for x, wanted in zip(inputs, expected, strict=True):
                    try:
                        y = composition.run({"x": x})["y"]
                    except ExecutionError:
                        if option == "s0":
                            return {"what": "undamaged option failed"}
                        continue
                    if option == "s0" and not np.array_equal(y.ravel(), np.array(wanted, np.float32), equal_nan=True):
                        return {"what": "wrong answer"}
                executor.retain((Choice("block", option, 1),))
        executor.close()
    except LegoError as e:
        return {"what": "refused", "type": type(e).__name__, "message": str(e)[-600:]}
    except Exception as e:  # exceptions of other types are what is looked for
        return {"what": "other exception", "message": f"{type(e).__name__}: {e}"}
    return {"what": "ran"}


def answers(store: Path, inputs: list[np.ndarray]) -> list[list[float]]:
    """Return what the undamaged option gives."""
    interpreter = open_interpreter(model_path=str(store / "s0.tflite"))
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for x in inputs:
        interpreter.set_tensor(source, x[np.newaxis])
        with contextlib.suppress(RuntimeError):
            interpreter.invoke()
        found.append([float(v) for v in interpreter.get_tensor(target).ravel()])
    return found


def refused(content: bytes, specs: tuple[list[Any], list[Any]]) -> bool:
    """Return whether the check refuses a file. Most cases end here, which spares them a process."""
    try:
        check.check_file(content, *specs)
    except Refused:
        return True
    except Exception:  # a fault of the check, which the whole case will show
        return False
    return False


def run(seeds: Path, first: int, cases: int, seed: int, out: Path | None = None, until: float = 0) -> dict[str, Any]:
    """Run cases; return their number by outcome, those that are wrong, and figures."""
    trial._run = tried_by_fork
    _ = (
        litert_capi.capi_problem(),
        interpreter.interpreter_name(),
        capi_executor,
        weight_cache,
        check,
        flatbuffers,
        schema,
    )  # loaded here, not again in every forked process
    drawn = np.random.default_rng(0)
    inputs = [np.zeros((8, 8, 4), np.float32), *(drawn.standard_normal((8, 8, 4), np.float32) * s for s in (1, 100))]
    stores = sorted(p for p in seeds.iterdir() if p.is_dir())
    specs = {s: ([m.inputs[0]], list(m.tensors)) for s in stores for m in [Store(s).manifest]}
    expected = {s: forked(functools.partial(answers, s, inputs))[0] for s in stores}
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[dict[str, Any]] = []
    slowest, largest, start, number = 0.0, 0, time.monotonic(), first
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        os.environ["LEGODNN_CACHE"] = str(Path(folder) / "cache")
        for number in range(first, first + cases):
            if until and time.time() > until:
                number -= 1
                break
            drawn = np.random.default_rng((seed, number))
            source = stores[int(drawn.integers(len(stores)))]
            kind = str(drawn.choice(("capi", "capi", "interpreter")))
            case = Path(folder) / "case"
            content, what = damaged((source / "s0.5.tflite").read_bytes(), drawn)
            if number % 20 and refused(content, specs[source]):
                counts["refused"] += 1
                continue
            shutil.copytree(source, case)
            (case / "s0.5.tflite").write_bytes(content)
            manifest = json.loads((case / "manifest.json").read_text())
            manifest["segments"][0]["options"][1].update(sha256=sha256_bytes(content), bytes=max(1, len(content)))
            (case / "manifest.json").write_text(json.dumps(manifest))
            work = functools.partial(outcome, case, kind, expected[source], inputs)
            answer, status, seconds, peak = forked(work)
            answer = answer or {"what": "crash"}
            if answer["what"] == "refused" and answer["type"] != "StoreError":
                answer["what"] = "not tried out"
            if answer["what"] == "refused" and "by SIG" in answer["message"]:
                answer["what"] = "ended only the trial"
            slowest, largest = max(slowest, seconds), max(largest, peak)
            counts[answer["what"]] += 1
            counts["slow"] += seconds > _SLOW_S
            counts["large"] += peak > _LARGE_BYTES
            if answer["what"] not in ("refused", "ran") or seconds > _SLOW_S or peak > _LARGE_BYTES:
                wrong.append(
                    {**{"number": number, "store": source.name, "executor": kind, "damage": what, "status": status},
                     "seconds": round(seconds, 2), "peak": peak, **answer}
                )  # fmt: skip
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    (out / f"{seed}-{number}-{source.name}.tflite").write_bytes(content)
                    with (out / "wrong.jsonl").open("a") as f:
                        f.write(json.dumps(wrong[-1]) + "\n")
            shutil.rmtree(case)
            shutil.rmtree(Path(folder) / "cache", ignore_errors=True)
    return {
        **{"seed": seed, "first": first, "next": number + 1, "counts": dict(counts), "wrong": wrong[:50]},
        **{
            "slowest_s": round(slowest, 2),
            "largest_peak_bytes": largest,
            "seconds": round(time.monotonic() - start, 1),
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=Path)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--until", type=float, default=0, help="when to stop, in seconds since 1970")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # LiteRT tells of every refusal
    print(json.dumps(run(given.seeds, given.first, given.cases, given.seed, given.out, given.until)))
