"""The live table shows each model's plan and the latency measured last."""

from __future__ import annotations

import io

import numpy as np
import pytest

from legodnn import Budget, Runtime
from legodnn.runtime.feeds import live
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.live import LiveTable
from legodnn.runtime.feeds.replay import replay
from legodnn.store import Store

pytest.importorskip("rich")


def shown(runtime: Runtime, times: dict[str, list[float]], switches: int = 0) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(width=160, file=out).print(live._table(runtime, times, switches))
    return out.getvalue()


def one_line(text: str) -> str:
    """The title is as wide as the table, and wraps."""
    return " ".join(text.split())


def test_a_row_shows_options_limits_and_percentiles(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        assert "of no limit" in one_line(shown(runtime, {}))
        runtime.budget = Budget(memory_bytes=100_000_000, latency_ms={"tiny": 77_500_000.5})
        text = shown(runtime, {"tiny": [1.0, 2.0, 3.0]}, 5)
        assert "of 100 MB" in one_line(text)
        assert "5 switches" in one_line(text)
        (row,) = (line for line in text.splitlines() if line.lstrip("│ ").startswith("tiny "))
        assert "77500000.500" in row
        assert "2.000" in row
        for option in runtime.plan["tiny"].options.values():
            assert option in row


def test_only_recent_inferences_count(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        text = shown(runtime, {"tiny": [900.0] * 300 + [1.0] * live._RECENT})
        assert "1.000" in text
        assert "900.000" not in text


def test_it_watches_a_replay_and_draws_on_stderr(
    tiny_store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_REFRESH_S", 0.0)
    x = np.zeros((3, *tiny_store.manifest.inputs[0].shape), np.float32)
    with Runtime.open([tiny_store.path]) as runtime, LiveTable() as table:
        replay(runtime, {"tiny": Inputs(x)}, [Budget(), Budget(memory_bytes=100_000_000)], table)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "tiny" in printed.err
