"""The tutorial's commands and programs run as they stand, one after another, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
INSTALLATION = "make .venv/.installed"


def steps() -> list[tuple[str, str]]:
    """The code blocks in order: a language (empty for commands) and what stands in it."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_in_the_tutorial_runs(tmp_path: Path) -> None:
    programs = tmp_path / ".programs"
    programs.mkdir()
    for name, module in (("python", ""), ("legodnn", "-m legodnn ")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n')
        (programs / name).chmod(0o755)
    root = str(TUTORIAL.parent.parent)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": root}
    ran = 0
    for language, text in steps():
        if language == "python":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
        elif INSTALLATION not in text:
            done = subprocess.run(
                ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran == sum(not language for language, _ in steps()) - 1
    assert (tmp_path / "stores/digits/manifest.json").is_file()
