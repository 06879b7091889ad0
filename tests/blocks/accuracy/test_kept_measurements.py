"""Measurements of an interrupted build are found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.kept_measurements import KeptMeasurements
from legodnn.errors import StoreError


def test_what_was_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    file = tmp_path / "evaluated.json"
    known = KeptMeasurements(file, every_s=0.0)
    known[0, 1] = MeasuredComposition(0.9, 0.25)
    known[1, 1] = MeasuredComposition(0.5, 1.5)
    again = KeptMeasurements(file)
    assert again == known
    assert all(isinstance(measured, MeasuredComposition) for measured in again.values())


def test_the_file_is_written_only_at_intervals(tmp_path: Path) -> None:
    known = KeptMeasurements(tmp_path / "evaluated.json", every_s=3600.0)
    known[0, 1] = MeasuredComposition(0.9, 0.25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[[[0, 1], [0.9", "[[[0, 1], 0.9]]", "[[[0, 1], [0.9]]]", "7"])
def test_a_damaged_file_is_told_with_the_remedy(tmp_path: Path, content: str) -> None:
    file = tmp_path / "evaluated.json"
    file.write_text(content)
    with pytest.raises(StoreError, match=r"evaluated\.json is damaged; remove it and run the same command again"):
        KeptMeasurements(file)
