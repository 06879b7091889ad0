"""Measurements that a build has kept count for the metric that made them alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from legodnn.blocks import build, evaluation_stage
from legodnn.blocks.accuracy.kept_measurements import KeptMeasurements
from tests.blocks.test_rehearsal import classifier, recipe_of


class KeptAtOnce(KeptMeasurements):
    """Measurements that are written as soon as they are made."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, every_s=-1.0)


def test_a_metric_that_was_changed_while_the_build_was_interrupted_measures_all_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured_by(body: str) -> None:
        (tmp_path / "metric_of_stage.py").write_text(f"def alike(outputs, labels):\n    return {body}\n")
        sys.modules.pop("metric_of_stage", None)

    def killed(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(evaluation_stage, "KeptMeasurements", KeptAtOnce)
    recipe = recipe_of(tmp_path, classifier(), metric="metric_of_stage:alike")
    agree = "float((outputs[0].argmax(axis=1) == labels[0].argmax(axis=1)).mean())"
    measured_by(f"{agree} / 2")
    with monkeypatch.context() as patched:
        patched.setattr(evaluation_stage, "measurement_report", killed)
        with pytest.raises(KeyboardInterrupt):
            build(recipe, tmp_path / "store", allow_chance=True)
    measured_by(agree)
    store = build(recipe, tmp_path / "store", allow_chance=True)
    assert store.manifest.accuracy.original == 1.0
