"""The script that installs on a device: by the size of a pointer, with the bounds that the package itself has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "profiler" / "install_on_device.sh"


class Device:
    """A python3 that says how many bits it has and what can be imported, and notes what it is to install."""

    def __init__(self, folder: Path, bits: int, version: tuple[int, int] = (3, 11), system: bool = True) -> None:
        self.folder = folder
        python = folder / "python3"
        python.write_text(
            "#!/bin/sh\n"
            'case "$2" in\n'
            f"*calcsize*) echo {bits} ;;\n"
            f'*version_info*) exec {sys.executable} -c "import sys; sys.version_info = {version}; $2" ;;\n'
            f"*numpy*) exit {0 if system else 1} ;;\n"
            'venv) for last; do :; done; mkdir -p "$last/bin"; echo "venv $*" >> "$NOTES"\n'
            '    cp "$0" "$last/bin/python"\n'
            '    printf "#!/bin/sh\\necho doctor >> \\"$NOTES\\"\\n" > "$last/bin/legodnn"\n'
            '    chmod +x "$last/bin/legodnn" ;;\n'
            'pip) printf "%s|" "$@" >> "$NOTES"; echo >> "$NOTES" ;;\n'
            "*) exit 9 ;;\n"
            "esac\n"
        )
        python.chmod(0o755)

    def install(self, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        notes = self.folder / "notes"
        done = subprocess.run(
            ["sh", str(SCRIPT), *arguments],
            env={**os.environ, "PYTHON": str(self.folder / "python3"), "NOTES": str(notes), "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, notes.read_text().splitlines() if notes.exists() else []


def test_64_bits_take_the_wheel_with_what_it_asks_for(tmp_path: Path) -> None:
    done, notes = Device(tmp_path, 64).install("a wheel.whl")
    assert done.returncode == 0, done.stderr
    assert notes == [f"venv -m venv {tmp_path}/.legodnn/venv", "-m|pip|install|--quiet|--|a wheel.whl|", "doctor"]


def test_32_bits_take_what_there_is_for_them_whatever_the_machine_is_called(tmp_path: Path) -> None:
    done, notes = Device(tmp_path, 32).install("legodnn.whl")
    assert done.returncode == 0, done.stderr
    assert notes[0] == f"venv -m venv --system-site-packages {tmp_path}/.legodnn/venv"
    assert notes[2:] == ["-m|pip|install|--quiet|--no-deps|--|legodnn.whl|", "doctor"]
    asked = notes[1].split("|")[4:-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ours = {entry.partition(";")[0].strip() for entry in project} | {e for e in project if e.startswith("tomli")}
    assert {a.partition(";")[0].strip() for a in asked} <= {o.partition(";")[0].strip() for o in ours}
    named = {a.partition(">")[0] for a in asked}
    assert named == {"tflite-runtime", "pydantic", "typing-extensions", "tomli"}
    # All else that the package asks for comes from the system, or is not for 32 bits.
    assert {o.partition(">")[0] for o in ours} - named == {"numpy", "psutil", "ai-edge-litert"}


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"version": (3, 13)}, "no TensorFlow Lite runtime is published for 32 bits and this Python"),
        ({"system": False}, "first: sudo apt install python3-numpy python3-psutil python3-venv"),
    ],
)
def test_what_cannot_be_installed_is_said_before_anything_is_done(
    tmp_path: Path, device: dict[str, object], message: str
) -> None:
    done, notes = Device(tmp_path, 32, **device).install("legodnn.whl")  # type: ignore[arg-type]
    assert done.returncode == 1
    assert message in done.stderr
    assert notes == []


@pytest.mark.parametrize("arguments", [[], [""], ["a", "b"]])
def test_without_one_wheel_it_shows_its_usage(tmp_path: Path, arguments: list[str]) -> None:
    done, notes = Device(tmp_path, 64).install(*arguments)
    assert done.returncode == 2
    assert "usage: sh install_on_device.sh WHEEL" in done.stderr
    assert notes == []
