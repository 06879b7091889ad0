"""Importing `legodnn.blocks` changes nothing; Keras is imported when a name of it is used, and prepared before that.

Covers also: blocks._backend.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import BACKEND, MODULES

ROOM = "legodnn.blocks"
HEAVY = ("keras", "tensorflow")


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, without the variables that the tests set for themselves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_room_changes_no_setting_and_imports_neither_keras_nor_tensorflow() -> None:
    code = """
import logging, os, sys
before = dict(os.environ), [logging.getLogger(name).level for name in ("", "absl", "tensorflow", "legodnn")]
import legodnn.blocks
from legodnn.blocks import Recipe
assert before == (dict(os.environ), [logging.getLogger(name).level for name in ("", "absl", "tensorflow", "legodnn")])
print(sorted({name.split(".")[0] for name in sys.modules} & {"keras", "tensorflow", "jax", "torch"}))
print(legodnn.blocks.__all__)
"""
    assert run(code).splitlines() == ["[]", "['Recipe', 'build', 'extract', 'inspect']"]


# Stands in for Keras and TensorFlow, and tells what the process looked like when they were imported.
RECORDER = """
import logging, os, sys
from importlib.machinery import ModuleSpec
class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow"):
            print(name, os.environ.get("TF_ENABLE_ONEDNN_OPTS"), os.environ.get("TF_CPP_MIN_LOG_LEVEL"),
                  logging.getLogger("absl").level == logging.ERROR)
            sys.stdout.flush()
            os._exit(0)
sys.meta_path.insert(0, Recorder())
"""


@pytest.mark.parametrize(
    "use",
    [
        "from legodnn.blocks import build",
        "from legodnn.blocks import extract",
        "from legodnn.blocks import inspect",
        "import legodnn.blocks.importing.graph",
        "import legodnn.blocks.export.conversion_job",
        "import legodnn.blocks.training.job",
    ],
)
def test_tensorflow_is_prepared_before_keras_is_first_imported(use: str) -> None:
    assert run(f"{RECORDER}\n{use}").strip() == "keras None 3 True"


def test_what_the_user_has_set_stays() -> None:
    found = run(f"{RECORDER}\nfrom legodnn.blocks import build", TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="0")
    assert found.strip() == "keras 0 0 True"


def outside_type_checking(path: Path) -> list[str]:
    """The modules that a module imports when it is run."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def test_every_module_that_imports_keras_is_in_a_package_that_prepares_it_first() -> None:
    checked = 0
    for module, path in MODULES.items():
        if module.startswith(ROOM) and module != BACKEND:
            heavy = [name for name in outside_type_checking(path) if name.split(".")[0] in HEAVY]
            package = MODULES[module.rpartition(".")[0]] if path.name != "__init__.py" else path
            first = next(iter(outside_type_checking(package)), None)
            checked += bool(heavy)
            assert not heavy or first == BACKEND, f"{module} imports {heavy}, and {package} does not import {BACKEND}"
    assert checked > 20


def test_without_keras_the_room_can_be_imported_and_its_use_says_what_to_install() -> None:
    code = """
import sys
sys.modules["keras"] = None
import legodnn.blocks
from legodnn.errors import DependencyError
for name in ("build", "extract", "inspect"):
    try:
        getattr(legodnn.blocks, name)
    except DependencyError as e:
        print(e)
try:
    legodnn.blocks.train
except AttributeError as e:
    print(e)
"""
    *told, unknown = run(code).splitlines()
    assert len(told) == 3
    for line in told:
        assert line.startswith("the offline stage needs Keras and TensorFlow (")
        assert line.endswith("; pip install 'legodnn[train]'")
    assert unknown == "module 'legodnn.blocks' has no attribute 'train'"


def test_a_build_under_another_backend_is_refused_before_anything_is_opened(
    tiny_keras_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    code = f"""
from legodnn.blocks import Recipe, build
from legodnn.errors import ConfigError
recipe = Recipe(model={str(tiny_keras_file)!r}, name="net", image_size=12, sparsities=(.5,), precisions=("float32",))
try:
    build(recipe, {str(tmp_path / "net")!r}, allow_chance=True)
except ConfigError as e:
    print(e)
"""
    told = run(code, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    assert told.startswith("Keras runs on jax here, and models are exported by TensorFlow: set KERAS_BACKEND=")
