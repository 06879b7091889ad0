"""A build that is killed twenty times at random moments makes the stores that one makes which is not."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from legodnn.manifest import MANIFEST

# The command, saving its training after every step and not once a minute.
COMMAND = """
import sys
from legodnn.blocks.build_state import Checkpoint
from legodnn.cli import main
Checkpoint.__init__.__defaults__ = (None, 0.0)
sys.exit(main(["build", *sys.argv[1:]]))
"""


def start(model: Path, store: Path) -> subprocess.Popen[bytes]:
    flags = ["--image-size", "12", "--train-epochs", "2", "--distill-epochs", "3", "--sparsities", "0.5,0.75"]
    command = [sys.executable, "-c", COMMAND, str(model), "--out", str(store), "--name", "tiny", *flags]
    with store.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def finish(process: subprocess.Popen[bytes], store: Path) -> dict[str, Any]:
    assert process.wait() == 0, store.with_suffix(".log").read_text()
    manifest: dict[str, Any] = json.loads((store / MANIFEST).read_text())
    del manifest["built"]["created"]
    return manifest


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_build_killed_at_random_moments_makes_the_store_it_would_have_made(
    tiny_keras_file: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    whole = finish(start(tiny_keras_file, tmp_path / "whole"), tmp_path / "whole")
    length, rng = time.monotonic() - began, random.Random(0)
    kills, stores, moments = 0, 0, []
    while kills < 20:
        store = tmp_path / f"store{stores}"
        while not store.exists():
            process = start(tiny_keras_file, store)
            try:
                # Half of the time goes on starting; kills there would show little.
                process.wait(timeout=length * rng.uniform(0.3, 1))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
                work = tmp_path / f"store{stores}.work"
                moments.append(sorted(p.name for p in work.iterdir()) if work.exists() else [])
            else:
                assert process.returncode == 0, store.with_suffix(".log").read_text()
            process.wait()
        assert json.loads((store / MANIFEST).read_text())["built"].pop("created")
        found = json.loads((store / MANIFEST).read_text())
        del found["built"]["created"]
        assert found == whole
        stores += 1
    print(f"{kills} kills in {stores} builds of {length:.0f} s; work folders: {moments}")
