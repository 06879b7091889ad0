"""The programs in examples/ run as their first lines say, on tiny stores."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from legodnn.store import Store
from tests.data import tiny_stores

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LABELS = {str(digit) for digit in range(10)}


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def save_picture(path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)).save(path)
    return path


def test_pictures_of_a_folder_get_labels(tiny_store: Store, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg"):
        save_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    lines = run("classify_folder.py", tiny_store.path, tmp_path).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["a.jpg", "b.png"]
    assert {line.split(": ")[1] for line in lines} <= LABELS


def test_a_file_of_ones_own_becomes_a_store_that_runs(tmp_path: Path) -> None:
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
def address(tiny_store: Store, tiny_store2: Store) -> Iterator[str]:
    """The application with two models, as uvicorn serves it."""
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "two_models_app:app"]
    stores = f"{tiny_store.path}:{tiny_store2.path}"
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


def test_every_example_is_in_a_test() -> None:
    texts = [path.read_text() for path in Path(__file__).parent.rglob("test_*.py")]
    assert [path.name for path in EXAMPLES.glob("*.py") if not any(path.stem in text for text in texts)] == []
