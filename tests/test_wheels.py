"""What 32-bit ARM lacks is what the docs say. Asks the package index.

That other devices get everything as wheels, so that no board needs a compiler, is checked before a release
(`.ci/release_check.py wheels`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from legodnn.errors import ConfigError
from legodnn.toml import read_toml
from tests.pi.image import platforms

ROOT = Path(__file__).resolve().parent.parent
PROJECT = read_toml(ROOT / "pyproject.toml", ConfigError, "")["project"]
NEEDED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"]]


def has_a_wheel(requirement: str, folder: Path) -> bool:
    """Return whether a package, without what it needs itself, has a wheel for Python 3.11 on 32-bit ARM."""
    target = [f"--target={folder / 'target'}", "--python-version=3.11", "--implementation=cp", *platforms("armv7l")]
    command = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--quiet", *target]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command, requirement],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"},
    )
    assert not done.returncode or "No matching distribution found" in done.stderr, done.stderr
    return not done.returncode


@pytest.mark.slow
def test_32_bit_arm_lacks_what_the_docs_say(tmp_path: Path) -> None:
    # What is for other machines, but for the runtime; the markers that are left would be those of this machine.
    here = [text.partition(";")[0] for text in NEEDED if "!= 'armv7l'" not in text or "ai-edge-litert" in text]
    missing = {re.split(r"[^\w-]", text)[0] for text in here if not has_a_wheel(text, tmp_path)}
    assert missing == {"ai-edge-litert", "numpy", "psutil", "pillow"}
    text = " ".join((ROOT / "docs" / "raspberry-pi.md").read_text().split())
    assert (
        "On 32-bit ARM, under a 64-bit kernel too, PyPI has no wheels of ai-edge-litert, numpy, psutil and Pillow"
        in text
    )
