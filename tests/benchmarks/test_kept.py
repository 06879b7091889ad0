"""What benchmarks keep, so that they go on where they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.scripts import load


def test_a_folder_that_was_begun_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    begun = load("support.kept").begun
    begun(tmp_path, {"quick": False, "seconds": 60.0})
    begun(tmp_path, {"quick": False, "seconds": 60.0})
    with pytest.raises(SystemExit, match="other arguments"):
        begun(tmp_path, {"quick": False, "seconds": 600.0})
    begun(None, {"quick": True})  # nothing is kept


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    kept = load("support.kept").kept
    assert [kept(tmp_path / "a.json", lambda n=n: {"n": n}) for n in (1, 2)] == [{"n": 1}] * 2
