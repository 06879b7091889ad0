"""Whether `legodnn serve` stands a load: five minutes of inferences beside changing budgets and clients that misbehave.

    python benchmarks/serve_load.py --json > benchmarks/results/serve_load.json
    python benchmarks/serve_load.py --quick

A service of two models, governed, as a process of its own, gets inferences at random times on loopback, as many as keep
a core busy for a tenth of the time for each model. Meanwhile come a new budget every second, malformed and oversized
requests, connections that send a byte every half second, clients that go away, and clients that watch its events. In
turn, the bare runtime gets inferences at the same times under the same budgets: a line and a thread for each model, no
HTTP. Its latencies hold what queueing takes, so the ratio of both 99th percentiles is what the service adds. Then come
rounds without nuisance and budgets, in turn of the service, the bare runtime and the least service that can be
(`support/least_service.py`: asyncio and these threads, no framework and no checks), which tells how much of it any
service by asyncio adds. At last the service is reloaded again and again under load.

A leak is what memory, threads and file descriptors gained in the second half of the rounds, each time when nobody asks:
pools of threads have their size by then. Memory is what was allocated: mapped weights come and go with the budget.
The full run takes 21 minutes.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from legodnn.arrays import AnyArray
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget
from promises import profiled
from support import least_service, untrained
from support.http_load import Answers, Arrivals, arrivals, load
from support.limits import least
from support.originals import image
from support.report import Bars, Figures, bar, run, spread_ms

MODELS = ("resnet18", "vgg16")
SHARE = 0.1
MOST_BODY = "1MB"


def limits(runtime: Runtime, count: int) -> list[int]:
    """Return random limits of memory between the smallest plan's and the largest's."""
    smallest, most = int(least(runtime.scheduler, Budget(memory_bytes=1))), runtime.plan.memory_bytes
    return [int(n) for n in np.random.default_rng(0).integers(smallest, most, count)]


def bare(
    runtime: Runtime, due: Arrivals, images: Mapping[str, AnyArray], budgets: Sequence[Budget]
) -> dict[str, list[float]]:
    """Return the latencies, in seconds from when they were due, of the runtime alone, whose budget changes."""
    seconds: dict[str, list[float]] = defaultdict(list)
    lines = {name: ThreadPoolExecutor(1) for name in due}
    ended, start = threading.Event(), time.monotonic()

    def infer(name: str, at: float) -> None:
        runtime.run(name, images[name])
        seconds[name].append(time.monotonic() - start - at)

    def change() -> None:
        for budget in budgets:
            runtime.budget = budget
            if ended.wait(1.0):
                return

    changing = threading.Thread(target=change)
    changing.start()
    for at, name in sorted((at, model) for model in due for at in due[model]):
        time.sleep(max(0.0, start + at - time.monotonic()))
        lines[name].submit(infer, name, at)
    for line in lines.values():
        line.shutdown(wait=True)
    ended.set()
    changing.join()
    return seconds


def held(process: psutil.Process) -> Figures:
    """Return what a process holds; of its memory what it allocated as well, without files that are mapped."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return {
        "bytes": process.memory_info().rss,
        "allocated bytes": 1024 * int(status.partition("RssAnon:")[2].split()[0]),
        "threads": process.num_threads(),
        "descriptors": process.num_fds(),
    }


def serving(command: Sequence[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a service by a command of Python's, and return it once something answers at its port."""
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    for _ in range(600):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"the service did not start: {log.read_text()}")


@contextmanager
def least_serving(workload: Path, log: Path) -> Iterator[int]:
    """Run the least service for a while, at the port that is yielded."""
    port = free_port()
    process = serving([least_service.__file__, str(workload), str(port)], port, log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Load the service and the runtime in turns, then reload the service under load."""
    seconds, rounds, quiet_rounds, reloads = (5.0, 2, 1, 2) if args.quick else (60.0, 5, 3, 10)
    stores: dict[str, Store] = {name: untrained.build(name, args.stores / name) for name in MODELS}
    profiled(stores, args.quick)
    workload = args.stores / "workload.toml"
    workload.write_text("".join(f'[[models]]\nname = "{n}"\nstore = "{s.path.resolve()}"\n' for n, s in stores.items()))
    arrays = {name: next(iter(image(store).values())) for name, store in stores.items()}
    raw = {name: array.tobytes() for name, array in arrays.items()}
    alone: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in ("bare", "bare, quiet")}
    served = {kind: Answers() for kind in ("loaded", "quiet", "least, quiet", "reloaded")}
    port = free_port()
    command = ["-m", "legodnn", "serve", str(workload), "--port", str(port), "--max-body", MOST_BODY, "--json"]
    process = serving(command, port, args.stores / "serve.log")
    service, before = psutil.Process(process.pid), list[Figures]()
    try:
        with Runtime.open([workload]) as runtime:
            rates, budgets = rates_hz(runtime, arrays), limits(runtime, int(seconds) + 1)
            changing = [Budget(memory_bytes=limit) for limit in budgets]
            for number in range(rounds):
                due = arrivals(rates, seconds, number)
                add(served["loaded"], load(port, due, raw, budgets, seconds))
                for name, values in bare(runtime, due, arrays, changing).items():
                    alone["bare"][name] += values
                before.append(held(service))  # after the connections that idled were closed
            no_limits = urllib.request.Request(f"http://127.0.0.1:{port}/v1/budget", b"{}", method="PUT")
            urllib.request.urlopen(no_limits, timeout=60).close()
            for number in range(quiet_rounds):
                due = arrivals(rates, seconds, rounds + number)
                add(served["quiet"], load(port, due, raw, [], seconds, nuisance=False))
                for name, values in bare(runtime, due, arrays, [Budget()]).items():
                    alone["bare, quiet"][name] += values
                with least_serving(workload, args.stores / "least.log") as at:
                    add(served["least, quiet"], load(at, due, raw, [], seconds, nuisance=False))
        for number in range(reloads):
            threading.Timer(0.5, process.send_signal, [signal.SIGHUP]).start()
            due = arrivals(rates, seconds / 6, number)
            add(served["reloaded"], load(port, due, raw, budgets, seconds / 6))
        time.sleep(15)  # connections that idle are closed, and the last reload ends
        before.append(held(service))
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, ended_s = process.wait(30), time.monotonic() - begun
    finally:
        process.kill()
    figures = {
        "requests a second": rates,
        "seconds of load": rounds * seconds,
        "seconds without nuisance": quiet_rounds * seconds,
        **{kind: {name: spread_ms(values) for name, values in each.items()} for kind, each in alone.items()},
        **{kind: shown(answers) for kind, answers in served.items()},
        "held after each round, and after the reloads": before,
        "reloads": reloads,
        "ended": {"status": status, "seconds": ended_s},
    }
    return figures, bars(served, alone["bare"], before)


def rates_hz(runtime: Runtime, images: Mapping[str, AnyArray]) -> dict[str, float]:
    """Return by model how many inferences a second keep a core busy for `SHARE` of the time, as busy as it is now."""
    rates = {}
    for name, array in images.items():
        runs = [runtime.run(name, array).latency_ms for _ in range(50)]
        rates[name] = 1e3 * SHARE / float(np.median(runs))
    return rates


def add(total: Answers, more: Answers) -> None:
    """Add answers to those of before."""
    total.statuses.update(more.statuses)
    for name in more.seconds:
        total.seconds[name] += more.seconds[name]
        total.inference_ms[name] += more.inference_ms[name]


def shown(answers: Answers) -> Figures:
    """Return what answers came, and how long those that were accepted took, in all and in the model."""
    latencies = {
        name: {**spread_ms(values), "inference median_ms": float(np.median(answers.inference_ms[name]))}
        for name, values in answers.seconds.items()
    }
    return {"answers": dict(sorted(answers.statuses.items())), **latencies}


def bars(served: Mapping[str, Answers], alone: Mapping[str, Sequence[float]], held: Sequence[Figures]) -> Bars:
    """Return what has to hold."""
    statuses = sum((answers.statuses for answers in served.values()), Counter[str]())
    broken = sum(n for kind, n in statuses.items() if kind.split()[1].startswith("5") and kind.split()[1] != "503")
    lost = sum(statuses[f"{kind} closed"] for kind in ("infer", "budget", "metrics"))
    found = [
        bar("answers of status 5xx but 503", broken, 0),
        bar("requests without an answer", lost, 0),
        bar("good requests that were called wrong", statuses["infer 400"], 0),
    ]
    *loaded, reloaded = held
    for cause, first, last in (("load", loaded[len(loaded) // 2], loaded[-1]), ("reloads", loaded[-1], reloaded)):
        gained = {key: last[key] - first[key] for key in first}
        found += [
            bar(f"memory gained by {cause}, MB", gained["allocated bytes"] / 1e6, 5.0),
            bar(f"threads gained by {cause}", gained["threads"], 0),
            bar(f"file descriptors gained by {cause}", gained["descriptors"], 0),
        ]
    for name, values in alone.items():
        ratio = float(np.percentile(served["loaded"].seconds[name], 99) / np.percentile(values, 99))
        found.append(bar(f"{name}: p99 of the service over p99 of the runtime with its queue", ratio, 1.3))
    return found


if __name__ == "__main__":
    run("serve_load", __doc__, measure, folders=["stores"], packages=("numpy", "uvicorn", "starlette"))
