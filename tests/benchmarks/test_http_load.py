"""The load that the benchmark of the service makes, against a service of a tiny model."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.runtime.serving import server
from legodnn.runtime.serving.service import ServiceSettings
from tests.benchmarks.scripts import load
from tests.runtime.opened import least_memory
from tests.runtime.serving.served import served


def test_everyone_gets_the_answer_that_is_due(tiny_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    http_load = load("support.http_load")
    monkeypatch.setattr(server, "_HEADERS_S", 0.5)
    due = http_load.arrivals({"tiny": 20.0}, 2.0, 0)
    images = {"tiny": np.zeros(tiny_store.manifest.inputs[0].shape, np.float32).tobytes()}
    with Runtime.open([tiny_store.path]) as runtime:
        budgets = [least_memory(runtime), runtime.plan.memory_bytes]
        settings = ServiceSettings(most_body_bytes=1_000_000, body_timeout_s=1.0)
        with served(runtime, settings) as client:
            answers = http_load.load(client.port, due, images, budgets, 2.0)
            (sample,) = json.loads(client.get("/v1/models").body).values()
    statuses = dict(answers.statuses)
    assert statuses.pop("infer 200") == len(due["tiny"]) == len(answers.seconds["tiny"])
    assert sample["served"] >= len(due["tiny"])
    assert statuses.pop("budget 200") >= 2
    assert statuses.pop("oversized 413") >= 1
    assert statuses.pop("slow 408") >= 1, "their bodies"
    assert statuses.pop("slow closed") >= 1, "their headers"
    assert statuses.pop("metrics 200") >= 2
    assert {kind.split()[0] for kind in statuses} == {"malformed"}
    assert {kind.split()[1] for kind in statuses} <= {"400", "404", "405"}, statuses
