"""The public names are those of docs/api.md: each exists, says what it is, keeps its signature, and none is missing."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import legodnn
import legodnn.blocks
import legodnn.profiler
import legodnn.runtime
from legodnn import errors

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = re.findall(r"^\| `(legodnn[\w.]*)` \| .+ \|$", (DOCS / "api.md").read_text(), re.MULTILINE)


def test_all_that_packages_export_is_listed_once() -> None:
    packages = (legodnn, legodnn.runtime, legodnn.profiler, legodnn.blocks)
    exported = {f"{package.__name__}.{name}" for package in packages for name in package.__all__}
    also = {"legodnn.__version__", "legodnn.runtime.Runtime"}  # which is listed as legodnn.Runtime
    assert exported - also <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_exists_and_the_reference_shows_it(name: str) -> None:
    module, _, last = name.rpartition(".")
    if module == "legodnn.blocks":
        assert last in legodnn.blocks.__all__  # importing it needs Keras
    else:
        assert hasattr(importlib.import_module(module), last)
    reference = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    assert f"::: {name}\n" in reference


def test_every_error_has_a_sentence_and_stands_in_the_tree() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) > 10
    for error in classes:
        assert error.__doc__
        assert re.search(rf"\b{error.__name__}\b", errors.__doc__ or "")


def test_signatures_are_those_that_were_kept() -> None:
    pytest.importorskip("griffe")
    from docs.public_names import LIST, public_names

    told = "a public name changes: say so in CHANGELOG.md, and run: python docs/public_names.py"
    assert public_names().splitlines() == LIST.read_text().splitlines(), told


def test_what_breaks_since_a_tag_is_found_of_public_names_alone(tmp_path: Path) -> None:
    pytest.importorskip("griffe")
    if shutil.which("git") is None:
        pytest.skip("no git here")
    from docs.public_names import broken_since

    package = tmp_path / "legodnn"

    def git(*words: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    for folder in (package, tmp_path / "docs"):
        folder.mkdir()
    (tmp_path / "docs" / "api.md").write_text("| `legodnn.plan` | plans |\n")
    (package / "__init__.py").write_text('from legodnn.inner import plan\n__all__ = ["plan"]\n')
    (package / "errors.py").write_text("class PlanError(Exception): ...\n")
    before = "def plan(budget: int, wait: int = 0) -> int: ...\n"
    (package / "inner.py").write_text(before + "def helper(size: int) -> int: ...\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "a release")
    git("tag", "v1.0.0")
    assert broken_since("v1.0.0", tmp_path) == []
    (package / "inner.py").write_text(before.replace("= 0", "= 0, more: int = 0") + "def helper() -> int: ...\n")
    assert broken_since("v1.0.0", tmp_path) == [], "what is added, or not public, breaks nobody"
    (package / "inner.py").write_text(before.replace(", wait: int = 0", ""))
    (package / "errors.py").write_text("")
    assert broken_since("v1.0.0", tmp_path) == [
        "legodnn.errors.PlanError: public object was removed",
        "legodnn.inner.plan: parameter was removed: [positional or keyword] wait: int = 0",
    ]
