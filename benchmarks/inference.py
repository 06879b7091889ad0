"""What composing costs: composed against undivided models of the same weights, and two models at once.

    python benchmarks/inference.py --json > benchmarks/results/inference.json
    python benchmarks/inference.py --quick

`composed` runs a model cut into its segments, `runtime` the same with the runtime's checks and lock around it,
`undivided` the same weights as one file by the same executor; `interpreter` is that file as one runs it without this
package, by the public Interpreter. All take turns on the same image, five runs a turn (AAAAA BBBBB ... AAAAA BBBBB),
for a model in use finds its own code and weights in the caches, not another's. Ratios are of medians.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import untrained
from report import Bars, Figures, bar, run, spread

from legodnn.plan import ModelPlan
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.executors.select import covering_compositions, open_executor
from legodnn.runtime.running_model import RunningModel, check_inputs
from legodnn.store import Store

LIMITS = {1: 1.03, 2: 1.05}
SECONDS = 25.0  # for each model and thread count
TURN = 5  # runs in a row


def image(store: Store) -> dict[str, Any]:
    """An image by input name."""
    return {i.name: np.random.default_rng(0).random(i.shape, np.float32) for i in store.manifest.inputs}


def running(store: Store, threads: int = 1) -> RunningModel:
    """A store's originals in a runtime's model."""
    sizes = {(s.name, o.name): o.bytes for s in store.manifest.segments for o in s.options}
    model = RunningModel(store.name, store, sizes, open_executor(store))
    model.change(covering_compositions(store, threads)[0], ModelPlan(name="model", threads=threads))
    return model


def in_turns(runs: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each, run in turns of `TURN` until the time is up, after three rounds to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    end, number = time.perf_counter() + seconds, -3
    while time.perf_counter() < end or number < 5:
        for name, once in runs.items():
            for _ in range(TURN):
                start = time.perf_counter()
                once()
                if number >= 0:
                    times[name].append((time.perf_counter() - start) * 1e3)
        number += 1
    return times


def compare(store: Store, whole: Store, threads: int, seconds: float) -> Figures:
    """One model at one thread count."""
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
            "runtime": lambda: model.infer(check_inputs(store, "model", x)),
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
    """Some 0.3 s of work that needs neither memory nor the GIL."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 300_000)


def at_once(first: Store, second: Store, rounds: int) -> Figures:
    """The same work by two models one after the other, and in two threads; and what hashing gains by two threads."""
    jobs = []
    for store in (first, second):
        model, x = running(store), image(store)
        times = in_turns({"one": lambda m=model, x=x: m.infer(x)}, 0.5)["one"]
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
        gains.append(gain([lambda job=job: work(*job) for job in jobs]))
        machine_gains.append(gain([_hash, _hash]))
    return {"models": [first.name, second.name], "gain": spread(gains), "machine_gain": spread(machine_gains)}


def measure(folder: Path, quick: bool) -> tuple[Figures, Bars]:
    """All models, all thread counts."""
    figures: Figures = {}
    bars: Bars = []
    names = ("resnet18", "vgg16-half") if quick else ("resnet18", "vgg16-half", "resnet50")
    stores = {name: untrained.build(name, folder / name) for name in names}
    for name, store in stores.items():
        for threads, limit in LIMITS.items():
            found = compare(store, untrained.undivided(folder / name), threads, 2.0 if quick else SECONDS)
            title = f"{name}, {threads} thread{'s' * (threads > 1)}"
            figures[title] = found
            bars.append(bar(f"{title}: composed / undivided", found["composed / undivided"], limit))
            bars.append(bar(f"{title}: difference of results", found["difference"], 1e-5))
    figures["two models at once"] = at_once(stores["resnet18"], stores["vgg16-half"], 3 if quick else 15)
    gain = figures["two models at once"]["gain"]["median"]
    bars.append(bar("two models in two threads: throughput / one after the other", gain, 1.7, "higher"))
    return figures, bars


if __name__ == "__main__":
    run("inference", __doc__ or "", measure)
