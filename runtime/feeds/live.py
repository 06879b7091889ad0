"""A table in the terminal that shows what a runtime does at the moment. Needs rich."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from typing_extensions import Self

from legodnn.arrays import percentiles
from legodnn.errors import DependencyError
from legodnn.printable import printable
from legodnn.runtime.runtime import Runtime
from legodnn.units import size

_REFRESH_S = 0.2
_RECENT = 200  # percentiles are over this many inferences


class LiveTable:
    """A live table: a `replay.Watch`, to be used as a context manager.

    Raises:
        DependencyError: rich is not installed.
    """

    def __init__(self) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            raise DependencyError("the live table needs rich; pip install 'legodnn[live]'") from None
        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._drawn = 0.0
        self._seen: object = None
        self._switches = 0

    def __call__(self, runtime: Runtime, times: Mapping[str, Sequence[float]]) -> None:
        """Draw the table, unless it was drawn less than a fifth of a second ago.

        Args:
            runtime: the runtime.
            times: by model, the milliseconds of its inferences so far.
        """
        if runtime.last_switch is not self._seen:
            self._switches += self._seen is not None
            self._seen = runtime.last_switch
        if time.monotonic() - self._drawn < _REFRESH_S:
            return
        self._live.update(_table(runtime, times, self._switches), refresh=True)
        self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def _table(runtime: Runtime, times: Mapping[str, Sequence[float]], switches: int) -> object:
    from rich.markup import escape
    from rich.table import Table

    plan, switch = runtime.plan, runtime.last_switch
    limit = size(plan.budget.memory_bytes) if plan.budget.memory_bytes else "no limit"
    title = (
        f"memory {size(runtime.memory_bytes)} of {limit} (planned {size(plan.memory_bytes)}), {switches} switches, "
        f"the last in {switch.plan_ms:.2f} + {switch.switch_ms:.2f} ms"
    )
    table = Table(title=title, title_justify="left")
    for name in ("model", "blocks", "accuracy", "limit ms", "planned ms", "median ms", "p95 ms"):
        table.add_column(name, justify="left" if name in ("model", "blocks") else "right")
    for model in plan.models:
        recent = times.get(model.name, ())[-_RECENT:]
        measured = [f"{value:.3f}" for value in percentiles(recent, 50, 95)] if recent else ["", ""]
        blocks = "suspended" if model.suspended else " ".join(model.options.values())
        limit = "" if model.latency_limit_ms is None else f"{model.latency_limit_ms:.3f}"
        name = escape(printable(model.title))
        table.add_row(
            name, escape(printable(blocks)), f"{model.accuracy:.3f}", limit, f"{model.latency_ms:.3f}", *measured
        )
    return table
