"""The public Interpreter is found in whichever package brings it, when it is needed, and loads blocks from anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.interpreter import interpreter_name
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store


def test_the_name_is_package_and_version() -> None:
    package, version = interpreter_name().split()
    assert package in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert version[0].isdigit()


def isolated(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_nothing_is_imported_before_the_first_interpreter() -> None:
    program = (
        "import sys, legodnn.runtime.executors.interpreter\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('ai_edge_litert', 'tflite_runtime', 'tensorflow')])"
    )
    assert isolated(program) == "[]"


def test_without_any_runtime_the_message_names_the_command() -> None:
    program = (
        "import sys\n"
        "for name in ('ai_edge_litert', 'tflite_runtime', 'tensorflow'): sys.modules[name] = None\n"
        "from legodnn.runtime.executors.interpreter import interpreter_name\n"
        "interpreter_name()"
    )
    last = isolated(program).splitlines()[-1]
    assert last.startswith("legodnn.errors.DependencyError: no TensorFlow Lite runtime is installed; pip install")


def broken_package(folder: Path, name: str, text: str) -> None:
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(text)


BROKEN = "raise ImportError('libstdc++.so.6: cannot open shared object file: No such file or directory')"


def test_a_runtime_that_is_there_but_cannot_be_loaded_says_what_it_lacks(tmp_path: Path) -> None:
    broken_package(tmp_path, "tflite_runtime", BROKEN)
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "for name in ('ai_edge_litert', 'tensorflow'): sys.modules[name] = None\n"
        "from legodnn.cli import main\n"
        "status = main(['doctor'])\n"
        "from legodnn.runtime.executors.interpreter import interpreter_name\n"
        "try: interpreter_name()\n"
        "except Exception as e: print(type(e).__name__, e, status)"
    )
    printed = isolated(program)
    problem = "tflite-runtime is installed but cannot be loaded: libstdc++.so.6: cannot open shared object file"
    assert re.search(rf"MISS  Interpreter +{re.escape(problem)}", printed)
    assert "no TensorFlow Lite runtime" not in printed
    assert printed.splitlines()[-1].startswith(f"DependencyError {problem}")
    assert printed.endswith("install what it lacks, or another TensorFlow Lite runtime 1")


@pytest.mark.parametrize(
    "raised", [BROKEN, "raise AttributeError('_ARRAY_API not found')", "import nothing_of_the_sort"]
)
def test_another_runtime_that_works_is_used_with_a_warning(tmp_path: Path, raised: str) -> None:
    broken_package(tmp_path, "ai_edge_litert", raised)
    broken_package(tmp_path, "tflite_runtime", "Interpreter = 'it'")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from legodnn.runtime.executors.interpreter import _backend\n"
        "print(*_backend())"
    )
    *said, last = isolated(program).splitlines()[::-1]
    assert last == "it tflite-runtime of unknown version"
    assert said[0].startswith("ai-edge-litert is installed but cannot be loaded: ")
    assert said[0].endswith("; tflite-runtime is used instead")


@pytest.mark.parametrize("kind", ["capi", "interpreter"])
def test_blocks_are_loaded_from_whatever_folder_is_the_current_one(
    store_copy: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a daemon, which leaves the folder that it was started in."""
    monkeypatch.chdir(store_copy.parent)
    first, second, *_ = covering_compositions(Store(store_copy))
    executor = open_executor(Store(store_copy.name), kind)
    executor.compose(first)
    monkeypatch.chdir("/")
    composition = executor.compose(second)
    executor.retain(second)
    assert composition.run({"image": np.zeros((12, 12, 1), np.float32)})["head"].shape == (10,)
    executor.close()
