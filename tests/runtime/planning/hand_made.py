"""Small tables written by hand, for tests of the scheduler."""

from __future__ import annotations

from typing import Any

from legodnn.manifest import Link
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow

LINEAR = Link(x=(0.0, 10.0), y=(10.0, 0.0))


def option(name: str, memory: int, ms: float | dict[int, float], loss: float = 0.0, **more: Any) -> OptionRow:
    return OptionRow(name, memory, ms if isinstance(ms, dict) else {1: ms}, loss, **more)


def model(name: str, *blocks: list[OptionRow], **more: Any) -> ModelTable:
    rows = tuple(BlockRows(f"b{i}", tuple(options)) for i, options in enumerate(blocks))
    return ModelTable(name, rows, **{"link": LINEAR, **more})


def small_or_great(name: str = "m", **more: Any) -> ModelTable:
    """One block: `great` is worth 10 in 100 bytes and 2 ms, `small` 9 in 10 bytes and 1 ms."""
    return model(name, [option("great", 100, 2.0, 0.0), option("small", 10, 1.0, 1.0)], **more)
