"""Scalars of training find their way to TensorBoard."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.blocks.training.scalars import scalars_to


def test_logs_are_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars_to(None)("a", 1.0, 1)
    log = scalars_to(str(tmp_path / "logs"))
    for step, value in ((5, 0.5), (10, 0.25)):
        log("block1/1/error", value, step)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert events.Tags()["tensors"] == ["block1/1/error"]
    found = {e.step: float(e.tensor_proto.float_val[0]) for e in events.Tensors("block1/1/error")}
    assert found == {5: 0.5, 10: 0.25}
