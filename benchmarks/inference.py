"""What composing costs: composed against undivided models of the same weights, and two models at once.

    python benchmarks/inference.py --json > benchmarks/results/inference.json
    python benchmarks/inference.py --quick

`composed` runs a model cut into its segments, `runtime` the same with the runtime's checks and lock around it,
`undivided` the same weights as one file by the same executor; `interpreter` is that file as one runs it without this
package, by the public Interpreter. All take turns on the same image, five runs a turn (AAAAA BBBBB ... AAAAA BBBBB),
because a model that is used finds its own code and weights in the caches, not those of another. Ratios are of medians.
"""

from __future__ import annotations

import argparse
import hashlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.running_model import RunningModel
from legodnn.store import Store
from support import untrained
from support.originals import image, running
from support.report import Bars, Figures, bar, run, spread
from support.timing import in_turns

LIMITS = {1: 1.03, 2: 1.05}
SECONDS = 25.0  # for each model and thread count


def compare(store: Store, whole: Store, threads: int, seconds: float) -> Figures:
    """Compare one model at one thread count."""
    x = image(store)
    model = running(store, threads)
    parts, undivided = (open_executor(s).compose(covering_compositions(s, threads)[0]) for s in (store, whole))
    interpreter = open_interpreter(threads, model_path=str(whole.path / "whole.tflite"))
    source, target = (d[0]["index"] for d in (interpreter.get_input_details(), interpreter.get_output_details()))
    (pixels,) = x.values()

    def interpreted() -> Any:
        interpreter.set_tensor(source, pixels[np.newaxis])
        interpreter.invoke()
        return interpreter.get_tensor(target)[0]

    times = in_turns(
        {
            "composed": lambda: parts.run(x),
            "undivided": lambda: undivided.run(x),
            "runtime": lambda: model.infer(x),
            "interpreter": interpreted,
        },
        seconds,
    )
    (one,), (other,) = parts.run(x).values(), undivided.run(x).values()
    scale = max(1.0, float(np.abs(other).max()))
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "segments": len(store.manifest.segments),
        **{f"{name}_ms": spread(values) for name, values in times.items()},
        "composed / undivided": medians["composed"] / medians["undivided"],
        "runtime / undivided": medians["runtime"] / medians["undivided"],
        "runtime / interpreter": medians["runtime"] / medians["interpreter"],
        "difference": float(np.abs(one - other).max()) / scale,
        "bit_equal": bool(np.array_equal(one, other)),
        "difference from interpreter": float(np.abs(one - interpreted()).max()) / scale,
    }


def _hash() -> None:
    """Work for some 0.3 s without need of memory or the GIL."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 300_000)


def at_once(first: Store, second: Store, rounds: int) -> Figures:
    """Let two models work one after the other, then in two threads; and measure what hashing gains by two threads."""
    jobs = []
    for store in (first, second):
        model, x = running(store), image(store)
        times = in_turns({"one": partial(model.infer, x)}, 0.5)["one"]
        jobs.append((model, x, max(1, round(300 / float(np.median(times))))))  # about 0.3 s each

    def work(model: RunningModel, x: Any, count: int) -> None:
        for _ in range(count):
            model.infer(x)

    def gain(works: list[Callable[[], None]]) -> float:
        start = time.perf_counter()
        for each in works:
            each()
        alone = time.perf_counter() - start
        threads = [threading.Thread(target=each) for each in works]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return alone / (time.perf_counter() - start)

    gains, machine_gains = [], []
    for _ in range(rounds):
        gains.append(gain([partial(work, *job) for job in jobs]))
        machine_gains.append(gain([_hash, _hash]))
    return {"models": [first.name, second.name], "gain": spread(gains), "machine_gain": spread(machine_gains)}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure all models at all thread counts."""
    figures: Figures = {}
    bars: Bars = []
    names = ("resnet18", "vgg16-half") if args.quick else ("resnet18", "vgg16-half", "resnet50")
    stores = {name: untrained.build(name, args.stores / name) for name in names}
    for name, store in stores.items():
        for threads, limit in LIMITS.items():
            found = compare(store, untrained.undivided(args.stores / name), threads, 2.0 if args.quick else SECONDS)
            title = f"{name}, {threads} thread{'s' * (threads > 1)}"
            figures[title] = found
            bars.append(bar(f"{title}: composed / undivided", found["composed / undivided"], limit))
            bars.append(bar(f"{title}: difference of results", found["difference"], 1e-5))
    figures["two models at once"] = at_once(stores["resnet18"], stores["vgg16-half"], 3 if args.quick else 15)
    gain = figures["two models at once"]["gain"]["median"]
    bars.append(bar("two models in two threads: throughput / one after the other", gain, 1.7, "higher"))
    return figures, bars


if __name__ == "__main__":
    run("inference", __doc__, measure, folders=["stores"])
