"""What benchmarks share: bars, the machine, statistics; and for those of the runtime their arguments."""

from __future__ import annotations

import argparse
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


def bar(name: str, value: float, limit: float, better: str = "lower") -> dict[str, Any]:
    """A figure that has a goal."""
    holds = value <= limit if better == "lower" else value >= limit
    return {"name": name, "value": value, "limit": limit, "better": better, "holds": bool(holds)}


def json_line(name: str, figures: Any, bars: Bars, packages: Sequence[str]) -> str:
    """The JSON line that a benchmark ends with.

    Args:
        name: the benchmark's.
        figures: everything measured.
        bars: see `bar`.
        packages: those whose versions tell something.
    """
    device = fingerprint(executor_name())
    machine = {"cpu": device.cpu, "cores": device.cores, "executor": device.executor}
    machine |= {"python": platform.python_version(), **{name: version(name) for name in packages}}
    return json.dumps({"name": name, "machine": machine, "figures": figures, "bars": bars})


def spread(values: Sequence[float]) -> Figures:
    """Median, 10th and 90th percentile, and how many."""
    p10, p50, p90 = (float(v) for v in np.percentile(values, [10, 50, 90]))
    return {"median": p50, "p10": p10, "p90": p90, "runs": len(values)}


def run(name: str, text: str, measure: Callable[[Path, bool], tuple[Figures, Bars]]) -> None:
    """Parse arguments, measure in the data folder, print the bars and the line.

    Args:
        name: the benchmark's.
        text: its description.
        measure: takes the folder that holds the stores (untrained.py builds what is missing) and whether to be quick.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--quick", action="store_true", help="few runs of the small models: proves that it works")
    parser.add_argument("--data", type=Path, help="folder for the stores and the cache; a temporary one if not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.data or Path(temporary)
        os.environ.setdefault("LEGODNN_CACHE", str(folder / "cache"))
        figures, bars = measure(folder, args.quick)
    if not args.json:
        print(json.dumps(figures, indent=1))
        for b in bars:
            print("ok  " if b["holds"] else "FAIL", f"{b['name']}: {b['value']:.4g} (limit {b['limit']:g})")
    print(json_line(name, figures, bars, ["numpy"]))
