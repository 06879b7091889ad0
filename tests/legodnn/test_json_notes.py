"""Notes as JSON lines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from legodnn.json_notes import notes_as_json

log = logging.getLogger("legodnn.test")


def test_a_line_is_an_object_with_all_that_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger("legodnn")
    before, level = list(root.handlers), root.level
    root.setLevel(logging.INFO)
    with notes_as_json("legodnn"):
        log.info("two\nlines of %s", "text")
        log.warning('{"event": "decision", "level": 3}')
        log.warning("{no JSON}")
        log.info("[1]")
        try:
            raise ValueError("wrong")
        except ValueError:
            log.exception("it failed")
    root.setLevel(level)
    assert root.handlers == before
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["message"] == "two\nlines of text"
    assert (lines[0]["level"], lines[0]["logger"]) == ("info", "legodnn.test")
    assert (lines[1]["event"], lines[1]["level"]) == ("decision", 3)
    assert [line.get("message") for line in lines[2:]] == ["{no JSON}", "[1]", "it failed"]
    assert "ValueError: wrong" in lines[4]["traceback"]


def test_the_journal_is_told_how_bad_it_is(tmp_path: Path) -> None:
    script = (
        "import logging, os; from legodnn.json_notes import notes_as_json\n"
        "s = os.fstat(1); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
        "with notes_as_json('legodnn'): logging.getLogger('legodnn').error('bad')\n"
    )
    with (tmp_path / "out").open("w+") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
        out.seek(0)
        assert out.read().startswith('<3>{"time": ')
