"""The examples in the docstrings of what an application talks to run as they stand.

Covers also: runtime.open_models.
"""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.profile import Profile, default_path
from tests.runtime.governing.scripted import with_told_times


def examples() -> Iterator[tuple[str, str]]:
    """The code after each "Example:" of the class and its members, by name."""
    for name, member in [("Runtime", Runtime), *vars(Runtime).items()]:
        text = inspect.getdoc(getattr(member, "__func__", member)) or ""
        if "Example:\n" in text and not name.startswith("__"):
            yield name, textwrap.dedent(text.partition("Example:\n")[2])


EXAMPLES = dict(examples())


def test_there_are_examples() -> None:
    assert {"Runtime", "plan", "budget", "replan", "run"} <= EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(
    name: str, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("vgg16", "resnet18"):
        shutil.copytree(tiny_store.path, tmp_path / "stores" / model)
        # What was measured on a busy machine may hold no limit that a page names.
        profile = with_told_times(Profile.load(default_path(tiny_store.path)), tiny_store)
        profile.save(default_path(tmp_path / "stores" / model))
    monkeypatch.chdir(tmp_path)
    image = np.zeros((12, 12, 1), np.float32)
    with Runtime.open(["stores/vgg16", "stores/resnet18"]) as runtime:
        exec(EXAMPLES[name], {"Budget": Budget, "Runtime": Runtime, "runtime": runtime, "image": image})
    assert ("print(" in EXAMPLES[name]) == bool(capsys.readouterr().out)
