"""What a governor tells: lines of inferences that stall, and figures for Prometheus."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from legodnn.errors import ConfigError
from legodnn.runtime import Governor, Runtime
from legodnn.runtime.governing.telemetry import Metrics
from tests.runtime.governing.scripted import Scripted, leave, lines
from tests.runtime.opened import least_memory


def test_inferences_that_stall_while_memory_is_short_are_told_once_a_minute(
    runtime: Runtime, device: Scripted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    governor, plan = Governor(runtime, monitor=device), runtime.plan["tiny"]

    def told(latency_ms: float, pressure: float | None) -> list[dict[str, Any]]:
        caplog.clear()
        device.pressure = pressure
        for ms in (latency_ms, 1.0, latency_ms / 2):  # the longest counts, whatever follows
            governor.observe(plan, ms)
        governor.step()
        return [line for line in lines(caplog) if line["event"] == "stalled"]

    governor.observe(plan, 5000.0)
    assert not told(1.0, 0.1), "the first after a switch"
    assert not told(5000.0, 0.05), "nothing waits for memory"
    assert not told(5000.0, None), "the system does not tell"
    assert not told(900.0, 0.1), "no second"
    (line,) = told(2500.0, 0.1)
    assert line["latency_ms"] == {"tiny": 2500.0}
    assert line["message"].startswith("an inference of tiny took 2.5 s while processes wait for memory 10% of the time")
    assert not told(2500.0, 0.1), "a second later"
    device.second += 60
    assert told(1000.0, 0.1)
    device.second += 60
    monkeypatch.setattr(governor._slowdowns, "add", lambda *_: 9.9)
    assert not told(5000.0, 0.1), "a model that always takes about so long"


def test_prometheus_scrapes_what_happened(runtime: Runtime, device: Scripted) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    governor = Governor(runtime, monitor=device, metrics=Metrics(registry))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"legodnn_{name}", labels)

    governor.step()
    assert value("memory_planned_bytes") == runtime.plan.memory_bytes, "though nothing was decided"
    assert (value("memory_limit_bytes"), value("slowdown_ratio", model="tiny")) == (float("inf"), 1.0)
    alone, governor.demand = governor.demand, replace(governor.demand, expected={"tiny": 1.4})
    governor.step()
    assert value("slowdown_ratio", model="tiny") == 1.4, "as is expected beside others"
    governor.demand = alone
    leave(device, runtime, least_memory(runtime) + 1)
    governor.step()
    governor.observe(runtime.plan["tiny"], 3.0)
    governor.observe(runtime.plan["tiny"].model_copy(update={"latency_limit_ms": 2.0}), 2.5)
    assert value("decisions_total", outcome="applied") == 1
    assert value("changes_total", what="memory") == 1
    assert value("memory_planned_bytes") == runtime.plan.memory_bytes
    assert value("memory_limit_bytes") == runtime.budget.memory_bytes
    assert value("inference_seconds_sum", model="tiny") == pytest.approx(0.0055)
    assert value("late_inferences_total", model="tiny") == 1
    assert value("accuracy", model="tiny") == runtime.plan["tiny"].accuracy
    server, thread = Metrics(prometheus.CollectorRegistry()).serve(0)
    try:
        with pytest.raises(ConfigError, match=r"cannot listen at 127\.0\.0\.1:.*; name another place"):
            Metrics(prometheus.CollectorRegistry()).serve(server.server_port)
        page = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10).read()
    finally:
        server.shutdown()
        thread.join()
    assert b"legodnn_memory_available_bytes" in page
    with pytest.raises(ConfigError, match="has the metrics of another governor"):
        Metrics(registry)
    for port in (-1, 65536):
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}"):
            Metrics(prometheus.CollectorRegistry()).serve(port)
