"""The versions of Python that are installed here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")


def interpreters(versions: Iterable[str] = SUPPORTED) -> dict[str, str]:
    """Return an interpreter of each version that is here, by its number; pyenv's are found without being chosen."""
    found: dict[str, str] = {}
    for version in versions:
        managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        for candidate in filter(None, (*map(str, managed), shutil.which(f"python{version}"))):
            asked = [candidate, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:
                found[version] = candidate
                break
    return found
