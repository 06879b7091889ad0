"""The examples for a device work: the camera's client against a service, and the units that profile at night."""

from __future__ import annotations

import http.client
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import served

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_frames_of_a_camera_get_scores(tiny_store: Store) -> None:
    Image = pytest.importorskip("PIL.Image")
    client, jpeg = example("picamera2_infer"), io.BytesIO()
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(frame).save(jpeg, "JPEG")
    with Runtime.open([tiny_store.path]) as runtime, served(runtime, ServiceSettings(governed=False)) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        assert client.labels(connection, "tiny") == list(tiny_store.manifest.model.labels)
        scores, latency_ms = client.infer(connection, "tiny", jpeg.getvalue())
        assert len(scores) == 10
        assert latency_ms > 0
        with pytest.raises(RuntimeError, match="cannot read"):
            client.infer(connection, "tiny", b"no picture")
        with pytest.raises(SystemExit, match="the service has tiny"):
            client.labels(connection, "nobody")
        connection.close()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units_that_profile_at_night(tmp_path: Path) -> None:
    for file in (EXAMPLES / "systemd").iterdir():
        text = file.read_text().replace("/srv/legodnn/venv/bin/legodnn", sys.executable)
        (tmp_path / file.name).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / file.name)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
    shown = subprocess.run(
        ["systemd-analyze", "calendar", "*-*-01 03:00"], capture_output=True, text=True, check=True
    ).stdout
    assert "OnCalendar=*-*-01 03:00" in (EXAMPLES / "systemd" / "legodnn-profile.timer").read_text()
    assert re.search(r"Normalized form: \*-\*-01 03:00:00", shown)
