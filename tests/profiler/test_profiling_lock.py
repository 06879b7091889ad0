"""One process at a time measures into a file, and says so to the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from legodnn.cli import main
from legodnn.errors import ProfileError
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.profiler.profiling_lock import held_alone
from legodnn.profiler.width_latency import measure_widths
from legodnn.store import Store


@contextmanager
def another_process_holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    program = (
        "import sys, pathlib\n"
        "from legodnn.profiler.profiling_lock import held_alone\n"
        "with held_alone(pathlib.Path(sys.argv[1]), 'x'): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_store_is_profiled_by_one_process_at_a_time(store_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = default_path(store_copy).with_name(default_path(store_copy).name + ".work")
    unfinished = work.with_name(f".{work.name}.x_1.tmp")
    unfinished.write_bytes(b"being written")
    effort = Effort(seconds=0.1, processes=1, plans=0)
    with another_process_holding(work):
        with pytest.raises(ProfileError, match="another process is profiling this store; wait for it"):
            profile_store(Store(store_copy), effort, work=work)
        assert main(["profile", str(store_copy), "--quick", "--seconds", "0.1"]) == 1
        assert "another process is profiling this store" in capsys.readouterr().err
        assert unfinished.exists()
        profile_store(Store(store_copy), effort)  # keeps nothing, so there is nothing to damage
    # The other one was killed, and left its lock, which nobody holds.
    assert main(["profile", str(store_copy), "--quick", "--seconds", "0.1"]) == 0
    assert sorted(p.name for p in store_copy.parent.iterdir()) == ["copy", "copy.profile.json"]


def test_widths_are_measured_into_a_file_by_one_process_at_a_time(tmp_path: Path) -> None:
    work, said = tmp_path / "w.work", "another process is measuring widths into this file"
    with another_process_holding(work), pytest.raises(ProfileError, match=said):
        measure_widths(Effort(seconds=0.1), work, widths=2)


def test_a_lock_is_given_back_and_may_be_held_again_by_who_holds_it(tmp_path: Path) -> None:
    for path in (tmp_path / "new" / "p.work", None):
        for _ in range(2):
            with held_alone(path, "x"), held_alone(path, "x"):
                pass
    assert list((tmp_path / "new").iterdir()) == []
