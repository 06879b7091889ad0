"""Tables align, progress fits where it is shown, and what the library notes is told."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legodnn.console import ProgressLine, notes_shown, progress, say, text_table
from legodnn.errors import WorkloadError


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    rows = [("stem", 5, "1.2 MB", 0.5), ("block10", 12345, "900 kB", "-")]
    assert text_table(rows, ("segment", "params", "size", "loss")).splitlines() == [
        "segment  params    size  loss",
        "-------  ------  ------  ----",
        "stem          5  1.2 MB   0.5",
        "block10   12345  900 kB     -",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert text_table([], ("a", "bc")).splitlines() == ["a  bc", "-  --"]


def test_control_characters_never_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31mb\x9bc\u202ed\ne\tf")
    assert capfd.readouterr().out == "a\\x1b[31mb\\x9bc\\u202ed\ne\tf\n"
    assert text_table([["a\nb\x07", 1]], ["name", "count"]).splitlines()[-1] == "a\\nb\\x07      1"
    assert str(WorkloadError("no model '\x1b]0;x\x07'")) == "no model '\\x1b]0;x\\x07'"
    with ProgressLine("\x1b[2Jx", 1):
        pass
    assert "\x1b" not in capfd.readouterr().err


def test_progress_without_a_terminal_is_one_line_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("training", 3) as progress:
        for _ in range(3):
            progress.step("note")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.split()[:2] == ["training", "3/3"]


def test_progress_without_a_terminal_tells_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with ProgressLine("training", 1000) as progress:
        for _ in range(100):
            now += 1
            progress.step("loss 0.5")
    lines = [" ".join(line.split()) for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        "training 31/1000 16 min left loss 0.5",
        "training 62/1000 16 min left loss 0.5",
        "training 93/1000 15 min left loss 0.5",
        "training 100/1000 100.0 s",
    ]


def test_interrupted_progress_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with ProgressLine("training", 3) as progress:
            progress.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "1/3  interrupted" in capfd.readouterr().err


# What runs on a terminal in the tests below: each prints a marker to stdout when it is done.
BAR = """
import sys
from legodnn.console import notes_shown, progress
import logging
show = progress()
with notes_shown(), show("train [b]ing \\x1b[2Jx", 30, 10) as task:
    task.at(20, "loss [/b]")
    task.step("a note that is longer than what is left of a line of this terminal, so that it cannot be shown whole")
    logging.getLogger("legodnn.blocks").info("a note beside the bar")
print(show.__name__)
"""


def on_a_terminal(program: str, stdout: bool = False, **environment: str) -> tuple[str, str]:
    """Run a program whose stderr is a terminal of 100 columns, or its stdout.

    Returns what it wrote to the other one of the two, and to the terminal.
    """
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment = {**inherited, "TERM": "xterm", "COLUMNS": "100", **environment}
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    streams = (theirs, pipe) if stdout else (pipe, theirs)
    process = subprocess.Popen(command, stdout=streams[0], stderr=streams[1], text=True, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, written.decode()
    return err if stdout else out, written.decode()


def test_on_a_terminal_progress_is_a_bar_and_names_are_shown_as_they_are() -> None:
    pytest.importorskip("rich")
    out, seen = on_a_terminal(BAR)
    assert out == "ProgressBar\n"
    assert "train [b]ing \\x1b[2Jx" in seen
    assert "\x1b[2J" not in seen
    assert "21/30" in seen
    assert "━" in seen
    assert "a note beside the bar" in seen


def test_a_bar_has_no_colours_where_none_are_wanted() -> None:
    pytest.importorskip("rich")
    colours = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
    assert colours.search(on_a_terminal(BAR)[1])
    assert not colours.search(on_a_terminal(BAR, NO_COLOR="1")[1])


TABLE = """
from legodnn.console import say, text_table
say("of \\x1b[31mred\\n" + text_table([["a-b", 1], ["---", 12]], ["name", "count"]) + "\\n--- the end")
"""


def test_headers_of_tables_are_coloured_on_a_terminal_and_names_are_not() -> None:
    plain = ["of \\x1b[31mred", "name  count", "----  -----", "a-b       1", "---      12", "--- the end"]
    lines = on_a_terminal(TABLE, stdout=True)[1].splitlines()
    assert lines == [plain[0], "\x1b[1;36mname  count\x1b[0m", "\x1b[2m----  -----\x1b[0m", *plain[3:]]
    for unwanted in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_a_terminal(TABLE, stdout=True, **unwanted)[1].splitlines() == plain
    piped = subprocess.run([sys.executable, "-c", TABLE], capture_output=True, text=True, check=True)
    assert piped.stdout.splitlines() == plain


def test_a_bar_that_ends_early_tells_how_far_it_came_and_why() -> None:
    pytest.importorskip("rich")
    program = """
from legodnn.console import progress
with progress()("timing", 60) as task:
    task.at(20.4, "± 1 %")
try:
    with progress()("training", 60) as task:
        task.step()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("ended")
"""
    out, seen = on_a_terminal(program)
    assert out == "ended\n"
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen)
    first, second = (line.split("\r")[-1] for line in plain.strip().split("\r\n")[:2])
    assert re.search(r"timing .* 20/60 .*0\.\d s", first)
    assert re.search(r"training .* 1/60 .*interrupted", second)


def test_on_a_terminal_without_rich_progress_is_lines() -> None:
    out, seen = on_a_terminal(f"import sys, importlib.machinery\nsys.modules['rich'] = None\n{BAR}")
    assert out == "ProgressLine\n"
    assert "21/30" in seen
    assert "━" not in seen


def test_away_from_a_terminal_progress_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress() is ProgressLine
    monkeypatch.setattr(sys, "stderr", None)  # closed when the process was started
    assert progress() is ProgressLine


def test_progress_with_stderr_closed_or_full_writes_nothing_to_stdout(tmp_path: Path) -> None:
    program = "from legodnn.console import progress\nwith progress()('training', 1) as task: task.step()\nprint('done')"
    for redirect in ("2>&-", "2>/dev/full"):
        command = f'{sys.executable} -c "{program}" {redirect}'
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout == "done\n"


def test_notes_of_the_library_are_shown_from_info_on_and_warnings_are_marked(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("legodnn.somewhere")
    level = logging.getLogger("legodnn").level
    with notes_shown():
        log.debug("a detail")
        log.info("going on with %s", "a\x1b[31mb")
        log.warning("the clock is low")
    with notes_shown(debug=True):
        log.debug("a detail")
    log.info("nobody asked")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["going on with a\\x1b[31mb", "warning: the clock is low", "a detail"]
    assert logging.getLogger("legodnn").level == level
    assert not logging.getLogger("legodnn").handlers


def test_notes_are_told_once_where_a_library_gave_the_root_logger_a_handler(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, logging.StreamHandler(sys.stderr)])
    with notes_shown():
        logging.getLogger("legodnn.blocks").warning("left out")
    logging.getLogger("legodnn.blocks").warning("after it")
    assert capfd.readouterr().err.splitlines() == ["warning: left out", "after it"]
