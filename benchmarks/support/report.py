"""The face that all benchmarks have: their arguments, and what they print.

    def measure(args):
        return {"ms": 4.2}, [bar("latency, ms", 4.2, 5.0)]

    if __name__ == "__main__":
        run("name", __doc__, measure)

The last line that `run` prints is one JSON object: `name`, `machine` (processor, cores, versions), `figures`
(everything that was measured) and `bars` (the figures that have a goal).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_name

Figures = dict[str, Any]
Bars = list[dict[str, Any]]

# The arguments that a benchmark may take beside --json and --quick; each means the same in all of them.
_FOLDERS = {
    "data": "folder that holds cifar-10-batches-py and weights (default: $LEGODNN_DATA)",
    "stores": "folder of the untrained networks' stores; what is missing is built (default: `stores` in --work, else a "
    "temporary folder)",
    "work": "folder that keeps what is done: an interrupted run that is started again goes on from there",
}


def bar(name: str, value: float, limit: float, better: str = "lower") -> dict[str, Any]:
    """Return a figure that has a goal: whether it `holds` is whether `value` is no worse than `limit`.

    Args:
        name: what the figure is, with its unit.
        value: what was measured.
        limit: the goal.
        better: "lower" or "higher".
    """
    holds = value <= limit if better == "lower" else value >= limit
    return {"name": name, "value": value, "limit": limit, "better": better, "holds": bool(holds)}


def spread(values: Sequence[float]) -> Figures:
    """Return the median, the 10th and 90th percentile, and the number of values."""
    p10, p50, p90 = (float(v) for v in np.percentile(values, [10, 50, 90]))
    return {"median": p50, "p10": p10, "p90": p90, "runs": len(values)}


def spread_ms(seconds: Sequence[float]) -> Figures:
    """Return the median, three percentiles and the largest of times, in milliseconds, and their number."""
    ms = 1e3 * np.array(seconds)
    quantiles = {f"p{q}_ms": float(np.percentile(ms, q)) for q in (5, 95, 99)}
    return {"median_ms": float(np.median(ms)), **quantiles, "max_ms": float(ms.max()), "runs": len(seconds)}


def json_line(name: str, figures: Figures, bars: Bars, packages: Sequence[str] = ("numpy",)) -> str:
    """Return the JSON line that a benchmark ends with.

    Args:
        name: the benchmark's.
        figures: everything measured.
        bars: see `bar`.
        packages: those whose versions bear on the figures.
    """
    device = fingerprint(executor_name())
    machine = {"cpu": device.cpu, "cores": device.cores, "executor": device.executor}
    machine |= {"python": platform.python_version(), **{name: version(name) for name in packages}}
    return json.dumps({"name": name, "machine": machine, "figures": figures, "bars": bars})


def run(
    name: str,
    text: str | None,
    measure: Callable[[argparse.Namespace], tuple[Figures, Bars]],
    *,
    folders: Sequence[str] = (),
    packages: Sequence[str] = ("numpy",),
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    table: Callable[[Figures], str] | None = None,
) -> None:
    """Parse the arguments, measure, and print the figures, the bars and the JSON line; with --json the line alone.

    Args:
        name: the benchmark's.
        text: its description, the module's docstring.
        measure: takes the arguments, gives the figures and the bars. `args.data` and `args.stores` are folders,
            `args.work` is one or None.
        folders: which of "data", "stores" and "work" the benchmark takes.
        packages: those whose versions bear on the figures.
        add_arguments: adds arguments of the benchmark's own.
        table: the figures as text for people; without it they are printed as indented JSON.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--quick", action="store_true", help="measure little of everything: proves that it works")
    for folder in folders:
        parser.add_argument(f"--{folder}", type=Path, metavar="DIR", help=_FOLDERS[folder])
    if add_arguments:
        add_arguments(parser)
    args = parser.parse_args()
    with contextlib.ExitStack() as until_measured:
        if "data" in folders:
            args.data = args.data or Path(os.environ.get("LEGODNN_DATA") or parser.error("--data DIR is needed"))
        if "work" in folders and args.work:
            args.work.mkdir(parents=True, exist_ok=True)
        if "stores" in folders:
            if not args.stores and getattr(args, "work", None):
                args.stores = args.work / "stores"  # what goes on later must find what it was profiled by
            args.stores = args.stores or Path(until_measured.enter_context(tempfile.TemporaryDirectory()))
            os.environ.setdefault("LEGODNN_CACHE", str(args.stores / "cache"))
        figures, bars = measure(args)
    if not args.json:
        print(table(figures) if table else json.dumps(figures, indent=1))
        for b in bars:
            print("ok  " if b["holds"] else "FAIL", f"{b['name']}: {b['value']:.4g} (limit {b['limit']:g})")
    print(json_line(name, figures, bars, packages))
