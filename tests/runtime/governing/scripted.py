"""A device whose readings are given, and models to govern on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from legodnn.profile import Latency, Profile, default_path
from legodnn.runtime import Runtime
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.executors.select import executor_name
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.store import Store
from legodnn.workload import Workload, WorkloadModel
from tests.data.tiny_stores import with_memory_of_files

TOTAL = 1_000_000_000


class Scripted:
    """A device whose readings are given."""

    def __init__(self) -> None:
        self.available, self.second = float(TOTAL), 0.0
        self.pressure: float | None = None

    def read(self) -> Readings:
        self.second += 1.0
        return Readings(self.second, TOTAL, int(self.available), self.pressure)


def workload(name: str, store: Store, measured: Store, folder: Path, executor: str | None = None) -> Workload:
    """A model of a store, with the profile that was measured of another store of its kind, but for sizes and times."""
    profile = with_told_times(with_memory_of_files(Profile.load(default_path(measured.path)), store), store)
    device = profile.device.model_copy(update={"executor": executor_name(executor)})
    path = folder / f"{name}.json"
    profile.model_copy(update={"device": device}).save(path)
    return Workload(models=(WorkloadModel(name=name, store=str(store.path), profile=str(path)),))


def with_told_times(profile: Profile, store: Store) -> Profile:
    """Have options take times by their multiply-accumulates: what is measured of some microseconds is mostly noise."""
    macs = {(s.name, option.name): option.macs for s in store.manifest.segments for option in s.options}

    def told(entry: Latency, count: int) -> Latency:
        ms = (1e-3 + 1e-6 * count) * entry.threads  # for blocks as small as these, threads only cost
        return entry.model_copy(update={"first_ms": ms, "min_ms": ms, "median_ms": ms, "p95_ms": 1.1 * ms})

    options = tuple(
        o.model_copy(update={"latency": tuple(told(entry, macs[o.segment, o.option]) for entry in o.latency)})
        for o in profile.options
    )
    tail = tuple(t.model_copy(update={"quantiles": (0.5, 0.95), "stretch": (1.0, 1.2)}) for t in profile.tail)
    return profile.model_copy(update={"options": options, "tail": tail, "chain": (), "contention": ()})


def leave(device: Scripted, runtime: Runtime, memory_bytes: float) -> None:
    """Have the device leave so much to models, reserve and margin taken off."""
    device.available = memory_bytes / 0.95 - runtime.plan.memory_bytes + 0.1 * TOTAL + 1


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "legodnn.governor"]


def model(rate_hz: float | None) -> ModelTable:
    def block(name: str, *options: tuple[int, float, float]) -> BlockRows:
        rows = (OptionRow(f"o{i}", memory, {1: one, 2: two}) for i, (memory, one, two) in enumerate(options))
        return BlockRows(name, tuple(rows))

    return ModelTable(
        "m",
        blocks=(block("a", (5, 4.0, 3.0), (1, 2.0, 1.5)), block("b", (7, 1.0, 0.5))),
        fixed=(block("stem", (1, 1.0, 1.0)),),
        rate_hz=rate_hz,
    )
