"""What a device installs comes as wheels, so that no board needs a compiler. Asks the package index.

pip can resolve for another machine, but evaluates markers such as `python_version < '3.11'` for the Python that it runs
on; so it is started with markers of that machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from legodnn.toml import read_toml

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = read_toml(ROOT / "pyproject.toml", ValueError, "")["project"]  # type: ignore[arg-type]
NEEDED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"]]

# The newest C library of Debian 12, and all older ones.
GLIBC = range(17, 37)

_PIP = """
import sys
from pip._internal.cli.main import main
from pip._vendor.packaging import markers

version, machine = sys.argv[1:3]
there = {**markers.default_environment(), "python_version": version, "python_full_version": version + ".0"}
there.update(platform_machine=machine, implementation_version=version + ".0")
markers.default_environment = lambda: there
sys.exit(main(sys.argv[3:]))
"""


def resolved(requirements: list[str], version: str, machine: str, folder: Path, *flags: str) -> dict[str, str] | None:
    """Return the files that pip would install on another machine, by the names of their packages; None for none."""
    platforms = [f"--platform=manylinux_2_{glibc}_{machine}" for glibc in GLIBC]
    report = folder / "report.json"
    target = [f"--target={folder / 'target'}", f"--python-version={version}", "--implementation=cp", *platforms]
    command = ["install", "--dry-run", "--ignore-installed", "--only-binary=:all:", f"--report={report}", *target]
    plain = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
    done = subprocess.run(
        [sys.executable, "-c", _PIP, version, machine, *command, "--quiet", *flags, *requirements],
        capture_output=True,
        text=True,
        check=False,
        env=plain,
    )
    if done.returncode:
        assert "No matching distribution found" in done.stderr, done.stderr
        return None
    items = json.loads(report.read_text())["install"]
    return {item["metadata"]["name"].lower(): item["download_info"]["url"].rpartition("/")[2] for item in items}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_64_bit_arm_needs_no_compiler(version: str, tmp_path: Path) -> None:
    found = resolved(NEEDED, version, "aarch64", tmp_path)
    assert found is not None
    assert {"numpy", "psutil", "pydantic", "pydantic_core", "ai-edge-litert", "starlette", "uvicorn", "pillow"} <= {
        "pydantic_core" if name == "pydantic-core" else name for name in found
    }
    assert ("tomli" in found) == (version == "3.10"), "markers are those of that machine"
    for file in found.values():
        assert re.search(r"-(any|[\w.]*_aarch64)\.whl$", file), file


@pytest.mark.slow
def test_32_bit_arm_lacks_what_the_docs_say(tmp_path: Path) -> None:
    def is_there(requirement: str) -> bool:
        return resolved([requirement], "3.11", "armv7l", tmp_path, "--no-deps") is not None

    needed = {
        re.split(r"[^\w-]", text)[0]: text for text in NEEDED if "!= 'armv7l'" not in text and "tomli" not in text
    }
    missing = {name for name, requirement in needed.items() if not is_there(requirement)}
    assert missing == {"numpy", "psutil", "pillow"}
    (runtime,) = (text.partition(";")[0] for text in NEEDED if text.startswith("ai-edge-litert"))
    assert not is_there(runtime)
    text = (ROOT / "docs" / "raspberry-pi.md").read_text()
    assert "PyPI has no wheels of ai-edge-litert, numpy, psutil and Pillow for armv7l" in text
