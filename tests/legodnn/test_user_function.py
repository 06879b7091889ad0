"""Functions of the user's own are found where Python would find them, and hide nothing from anybody else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from legodnn.errors import ModelError
from legodnn.user_function import user_function


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    return tmp_path


def test_a_module_in_the_current_folder_finds_its_neighbours(here: Path) -> None:
    (here / "mine_of_users.py").write_text(
        "import neighbour_of_mine\ndef make():\n    return neighbour_of_mine.ANSWER\n"
    )
    (here / "neighbour_of_mine.py").write_text("ANSWER = 42\n")
    assert user_function("mine_of_users:make", ModelError)() == 42


def test_afterwards_the_current_folder_hides_no_library(here: Path) -> None:
    (here / "also_mine.py").write_text("def make():\n    return 1\n")
    (here / "colorsys.py").write_text("raise RuntimeError('not the library')\n")
    user_function("also_mine:make", ModelError)
    sys.modules.pop("colorsys", None)
    assert importlib.import_module("colorsys").rgb_to_hsv


def test_a_module_that_fails_is_told_with_its_place(here: Path) -> None:
    (here / "broken_of_users.py").write_text("1 / 0\n")
    with pytest.raises(ModelError, match=r"ZeroDivisionError: division by zero \(.*broken_of_users.py, line 1\)"):
        user_function("broken_of_users:make", ModelError)
    assert str(here) == sys.path[-1]
