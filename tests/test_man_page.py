"""The man page is that of the parsers, and troff reads it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from docs.write_man_page import PAGE, man_page
from legodnn.cli import command_line


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == man_page(), "run: python docs/write_man_page.py"


def test_it_has_every_command_and_what_ends_it() -> None:
    page = PAGE.read_text()
    commands = re.findall(r"^    (\w+) ", command_line([]).format_help().split("COMMAND\n")[1], re.MULTILINE)
    assert len(commands) > 9
    assert set(re.findall(r"^\.SS (\w+)$", page, re.MULTILINE)) == set(commands)
    assert ".SS service install" in page
    assert "exit status: 0 if all is done" in page


def test_troff_reads_it_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    done = subprocess.run(["groff", "-man", "-Tascii", "-ww", str(PAGE)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "legodnn plan stores/faces stores/scenes --memory 20MB --latency 5" in done.stdout
