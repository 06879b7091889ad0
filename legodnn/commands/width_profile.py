"""`legodnn profile --widths FILE`: measure the latencies of widths on this device, and show the steps in them."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from legodnn.console import progress, say, text_table
from legodnn.errors import ConfigError, ProfileError
from legodnn.widths_table import LAYER_KINDS, WidthsTable, step_edges

if TYPE_CHECKING:
    from legodnn.profiler import Effort

_SHOWN_WIDTHS = (1, 8, 16, 32, 64)


def profile_widths(args: argparse.Namespace, effort: Effort) -> int:
    """Measure the widths, write their table, and print it.

    Args:
        args: the arguments of `legodnn profile`; `args.widths` is the file.
        effort: how much is measured.

    Raises:
        ProfileError: arguments are given that say how stores are measured.
    """
    given = ["STORE" if name == "stores" else f"--{name}" for name in _OF_STORES if getattr(args, name)]
    if given:
        raise ProfileError(f"--widths measures blocks of its own; leave out {', '.join(given)}, or --widths")
    if len(effort.threads) > 1:
        raise ConfigError("--threads: a table of widths is for one number of threads; measure each into a file")
    from legodnn.profiler.profiling_lock import held_alone
    from legodnn.profiler.width_latency import MEASURING_WIDTHS, measure_widths

    path = Path(args.widths)
    work = path.with_name(path.name + ".work")
    with held_alone(work, MEASURING_WIDTHS):
        table = measure_widths(effort, work, progress())
        table.save(path)
        work.unlink(missing_ok=True)
    if args.json:
        print(json.dumps(table.model_dump(mode="json", by_alias=True)))
    else:
        say(f"{widths_text(table)}\n\nwrote {path}")
        place = shlex.quote(str(path))
        say(f"next, on the workstation: legodnn build MODEL --widths-table {place} --out STORE")
    return 0


_OF_STORES = ("stores", "energy", "merge", "out", "plot", "streaming", "compact")


def widths_text(table: WidthsTable) -> str:
    """Return a table of widths as text: for each kind and precision the edges of its steps, and some latencies."""
    rows = []
    for kind in LAYER_KINDS:
        for curve in table.curves:
            if curve.kind == kind:
                edges = ", ".join(map(str, step_edges([curve.least_ms]))) or "none"
                shown = [f"{curve.least_ms[w - 1]:.4f}" if w <= len(curve.least_ms) else "" for w in _SHOWN_WIDTHS]
                rows.append([kind, curve.precision, edges, *shown])
    header = ["layers", "precision", "steps at", *(f"ms at {w}" for w in _SHOWN_WIDTHS)]
    return f"widths on {table.device.cpu}, {table.threads} thread(s)\n{text_table(rows, header)}"
