"""A profiling that is killed again and again goes on each time, and its profile appears whole or not at all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legodnn.profile import Profile, default_path
from legodnn.store import Store

# The command, keeping its timings after every round and not every five seconds.
COMMAND = """
import sys
from legodnn.cli import main
from legodnn.profiler import latency
latency._SAVE_S = 0.0
sys.exit(main(["profile", *sys.argv[1:]]))
"""


def start(store: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COMMAND, str(store), "--seconds", "3", "--precision", "1e-9"]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "PYTHONUNBUFFERED": "1"})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_profiling_killed_at_random_moments_goes_on_and_its_profile_is_whole(store_copy: Path) -> None:
    path, log, rng = default_path(store_copy), store_copy.with_name("log"), random.Random(0)
    work = path.with_name(path.name + ".work")
    began = time.monotonic()
    assert start(store_copy, log).wait() == 0, log.read_text()
    length = time.monotonic() - began
    kills, kept, gone_on = 0, 0, 0
    while kills < 12:
        path.unlink(missing_ok=True)
        log.unlink()
        ended = False
        while not ended:
            before = work.exists()
            process = start(store_copy, log)
            try:
                process.wait(timeout=length * (rng.uniform(0.15, 1.0) if kills < 12 else 10))
                assert process.returncode == 0, log.read_text()
                ended = True
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                kept += work.exists()
            gone_on += before
            assert log.read_text().count(f"going on with what {work} has") <= gone_on
            if path.exists():
                Profile.load(path).check_store(Store(store_copy))
        assert path.exists()
        assert not work.exists()
    # Each time there was something it was read, whole.
    assert kept > 0
    assert gone_on == kept
    assert "measuring starts anew" not in log.read_text()
    assert min(e.runs for o in Profile.load(path).options for e in o.latency) >= 15
    print(f"{kills} kills, {kept} with something kept; one run takes {length:.1f} s")
