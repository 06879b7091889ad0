"""The public Interpreter is found in whichever package brings it, and not before it is needed."""

from __future__ import annotations

import subprocess
import sys

from legodnn.runtime.interpreter import name


def test_the_name_is_package_and_version() -> None:
    package, version = name().split()
    assert package in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert version[0].isdigit()


def isolated(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_nothing_is_imported_before_the_first_interpreter() -> None:
    program = (
        "import sys, legodnn.runtime.interpreter\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('ai_edge_litert', 'tflite_runtime', 'tensorflow')])"
    )
    assert isolated(program) == "[]"


def test_without_any_runtime_the_message_names_the_command() -> None:
    program = (
        "import sys\n"
        "for name in ('ai_edge_litert', 'tflite_runtime', 'tensorflow'): sys.modules[name] = None\n"
        "from legodnn.runtime.interpreter import name\n"
        "name()"
    )
    last = isolated(program).splitlines()[-1]
    assert last.startswith("legodnn.errors.DependencyError: no TensorFlow Lite runtime is installed; pip install")
