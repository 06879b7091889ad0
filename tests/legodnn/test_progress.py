"""Everything that shows progress fulfils the contract: mypy checks the assignments, and the calls are made here."""

from __future__ import annotations

import pytest

from legodnn.console import ProgressBar, ProgressLine
from legodnn.progress import Progress, ProgressTask, no_progress

LINE: Progress = ProgressLine
BAR: Progress = ProgressBar
NOTHING: Progress = no_progress


def work(progress: Progress = no_progress) -> int:
    """Stand for long work of the library."""
    done = 0
    with progress("counting", total=5, done=1) as task:
        shown: ProgressTask = task
        for i in range(1, 5):
            done += i
            shown.step(f"i={i}")
        shown.at(4.6)
    return done


@pytest.mark.parametrize("name", ["LINE", "BAR", "NOTHING"])
def test_work_is_the_same_whatever_shows_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "BAR":
        pytest.importorskip("rich")
    assert work(globals()[name]) == work() == 10
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("5/5" in captured.err) == (name != "NOTHING")


def test_no_progress_lets_errors_pass() -> None:
    with pytest.raises(KeyError), no_progress("counting", 5):
        raise KeyError
