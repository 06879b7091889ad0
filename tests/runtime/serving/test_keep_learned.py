"""A service that ends and keeps what its governor learned of latencies in use."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.learned import Learned
from legodnn.profile import default_path
from legodnn.runtime.serving.service import ServiceSettings
from legodnn.workload import Workload, WorkloadModel
from tests.runtime.serving.served import served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)


def test_what_the_governor_learned_is_kept_where_that_is_asked_for(
    tiny_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = shutil.copytree(tiny_store.path, tmp_path / "own")
    profile = shutil.copy(default_path(tiny_store.path), tmp_path / "own.profile.json")
    model = WorkloadModel(name="tiny", store=str(own))
    caplog.set_level(logging.INFO, "legodnn.serving")
    for missing in (False, True):
        with (
            Runtime(Workload(models=(model,))) as opened,
            served(opened, ServiceSettings(keep_learned=True)) as client,
        ):
            for _ in range(250):
                client.infer("tiny", X.tobytes(), "application/octet-stream", "?dtype=float32&shape=12,12,1")
            if missing:
                Path(profile).unlink()
    kept = Learned.load(tmp_path / "own.learned.json")
    assert kept.tail
    assert "what was learned in use is in" in caplog.text
    assert "what was learned in use is not kept" in caplog.text
