"""What is in examples/ works on tiny stores: programs as their first lines say, the notebook, and units for systemd."""

from __future__ import annotations

import http.client
import importlib.util
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from legodnn import Runtime
from legodnn.profile import Profile, default_path
from legodnn.store import Store
from tests.data import tiny_stores
from tests.legodnn.damaged_stores import edit
from tests.ports import free_port

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LABELS = {str(digit) for digit in range(10)}


def run(name: str, *arguments: object) -> str:
    return python(str(EXAMPLES / name), *arguments)


def python(*arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def save_picture(path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "name", ["classify_folder.py", "governor_and_hog.py", "one_smaller_model.py", "own_tflite.py", "street.py"]
)
def test_a_program_that_is_started_without_arguments_says_how(name: str) -> None:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 1
    assert f"    python examples/{name} " in done.stderr
    assert "Traceback" not in done.stderr


def test_pictures_of_a_folder_get_labels(tiny_store: Store, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg"):
        save_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    lines = run("classify_folder.py", tiny_store.path, tmp_path).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["a.jpg", "b.png"]
    assert {line.split(": ")[1] for line in lines} <= LABELS


def test_a_file_of_ones_own_becomes_a_store_that_runs(tmp_path: Path) -> None:
    for _ in range(2):  # the second time the store is there
        told = run("own_tflite.py", tiny_stores.HERE / "tiny" / "block1" / "s0.tflite", tmp_path / "own")
        assert " ms, " in told
    assert Store(tmp_path / "own").manifest.compositions == 1


@pytest.mark.slow
def test_the_governor_answers_a_program_that_takes_memory(tiny_store: Store, tiny_store2: Store) -> None:
    """Slow, because it takes memory from the machine, up to 2 GB of it."""
    told = run("governor_and_hog.py", tiny_store.path, tiny_store2.path).splitlines()
    first, last = (next(line for line in told if line.startswith(start)) for start in ("at first: ", "in the end: "))
    assert any(line.startswith("memory: ") for line in told)
    assert first.removeprefix("at first: ") != last.removeprefix("in the end: ")


@pytest.fixture
def address(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> Iterator[str]:
    """The application with two models, as uvicorn serves it; the classes of the second have no names."""
    pytest.importorskip("uvicorn")
    unnamed = shutil.copytree(tiny_store2.path, tmp_path / "tiny2")
    edit(unnamed, lambda document: document["model"].update(labels=[]))
    profile = Profile.load(default_path(tiny_store2.path)).model_copy(update={"store_id": Store(unnamed).id})
    profile.save(default_path(unnamed))
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "two_models_app:app"]
    stores = f"{tiny_store.path}:{unnamed}"
    with subprocess.Popen(command, env={**os.environ, "STORES": stores}, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(600):
                assert server.poll() is None
                with socket.socket() as asked:
                    if asked.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def test_an_application_answers_for_two_models(address: str, tmp_path: Path) -> None:
    picture = save_picture(tmp_path / "x.png").read_bytes()
    for model in ("tiny", "tiny2"):
        with urllib.request.urlopen(f"{address}/{model}", picture, timeout=60) as response:
            answer = json.load(response)
        assert answer["label"] in LABELS
        assert set(answer["options"]) == {"block1", "block2"}
    for path, content, status in (("nobody", picture, 404), ("tiny", b"no picture", 400)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/{path}", content, timeout=60)
        assert refused.value.code == status


@pytest.mark.slow
def test_one_smaller_model_is_written(tiny_keras_file: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.random((300, 12, 12, 1), np.float32), y=rng.integers(0, 10, 300))
    told = run("one_smaller_model.py", tiny_keras_file, tmp_path / "data.npz", tmp_path / "small.tflite")
    assert f"wrote {tmp_path / 'small.tflite'}" in told


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    for package in ("nbmake", "ipywidgets", "ipykernel"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbmake", "moving_budget.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES, timeout=300)
    assert done.returncode == 0, done.stdout


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads((EXAMPLES / "moving_budget.ipynb").read_text())["cells"]
    assert [cell["outputs"] for cell in cells if cell.get("outputs")] == []


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_frames_of_a_camera_get_scores(tiny_store: Store) -> None:
    Image = pytest.importorskip("PIL.Image")
    pytest.importorskip("starlette", reason="the service is not installed")
    from legodnn.runtime.serving.service import ServiceSettings
    from tests.runtime.serving.served import served

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


def test_every_example_is_in_a_test() -> None:
    text, programs = Path(__file__).read_text(), {path.stem for path in EXAMPLES.iterdir() if path.suffix}
    assert {name for name in programs if name not in text} == set()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_three_dnns_look_at_one_street(tmp_path: Path) -> None:
    """Of pictures with a car in each, to a plan within the budget of the workload, and what is found drawn in."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("val", 12), ("test", 12)):
        for folder in (part, f"{part}annot"):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
        for number in range(count):
            name = f"{('0001TP', '0006R0')[number % 2]}_{number:03}.png"
            mask = np.full((180, 240), 11, np.uint8)
            top, left = rng.integers(0, 100), rng.integers(0, 160)
            mask[top : top + 40, left : left + 60] = 8
            image.fromarray(mask * 20).convert("RGB").save(tmp_path / "camvid" / part / name)
            image.fromarray(mask).save(tmp_path / "camvid" / f"{part}annot" / name)
    run("street.py", tmp_path / "camvid", tmp_path / "street", 1)
    trained, pictures = tmp_path / "street" / "light.keras", tmp_path / "street" / "light"
    before = trained.read_bytes(), pictures.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "street" / "stores" / "light")  # as if it had been interrupted while that was built
    run("street.py", tmp_path / "camvid", tmp_path / "street", 1)
    assert (trained.read_bytes(), pictures.stat().st_mtime_ns) == before
    shutil.copy(EXAMPLES / "street.toml", tmp_path / "street")
    for name in ("scene", "traffic", "light"):
        python("-m", "legodnn", "profile", tmp_path / "street" / "stores" / name, "--quick", "--seconds", "1")
    told = python(
        *("-m", "legodnn", "run", tmp_path / "street" / "street.toml", "--input", tmp_path / "camvid" / "test"),
        *("--draw", tmp_path / "found", "--json"),
    )
    (step,) = json.loads(told)
    assert set(step["models"]) == {"scene", "traffic", "light"}
    assert len(list((tmp_path / "found").rglob("*.png"))) == 36
