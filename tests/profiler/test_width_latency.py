"""Blocks of given widths are files that a device accepts, and are timed as a table; an interruption costs nothing.

Covers also: profiler.probe_blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from legodnn.manifest import Precision, TensorSpec
from legodnn.profiler import width_latency
from legodnn.profiler.effort import Effort
from legodnn.profiler.probe_blocks import probe_file
from legodnn.profiler.width_latency import measure_widths, probe_store
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite.check import check_file
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.widths_table import LAYER_KINDS, LayerKind, WidthsTable
from tests.profiler.recorded_progress import RecordedProgress

SHORT = Effort(seconds=0.3, precision=0.5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("kind", LAYER_KINDS)
@pytest.mark.parametrize("width", [1, 7])
def test_a_block_has_the_channels_inside_that_were_asked_for_and_a_device_accepts_it(
    kind: LayerKind, precision: Precision, width: int
) -> None:
    content = probe_file(kind, precision, 6, 5, width)
    spec = TensorSpec(name="x", shape=(6, 6, 5))
    check_file(content, [spec], [spec])
    graph = parse_model_file(content)
    inner = {t.shape[3] for t in graph.tensors if t.data is None and len(t.shape) == 4} - {5}
    assert inner == {width}
    interpreter = open_interpreter(model_content=content, threads=1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.full((1, 6, 6, 5), 0.5, np.float32))
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert y.shape == (1, 6, 6, 5)
    assert np.ptp(y) > 0


def test_a_block_computes_what_its_weights_say() -> None:
    """Two 1x1 convolutions with ReLU between them, compared with NumPy."""
    graph = parse_model_file(content := probe_file("pointwise", "float32", 3, 4, 2))
    first, second = (t.values() for t in graph.tensors if t.data is not None and len(t.shape) == 4)
    x = np.random.default_rng(1).normal(size=(1, 3, 3, 4)).astype(np.float32)
    interpreter = open_interpreter(model_content=content, threads=1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    wanted = np.maximum(x @ first[:, 0, 0].T, 0) @ second[:, 0, 0].T
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-6)


def test_the_same_widths_are_the_same_store(tmp_path: Path) -> None:
    first, second = (probe_store(tmp_path / name, 3) for name in ("a", "b"))
    assert first.id == second.id
    assert [len(s.options) for s in first.manifest.segments] == [6, 6, 6]


def test_widths_are_timed_and_an_interrupted_measurement_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("legodnn.profiler.latency._SAVE_S", 0.0)
    work, rounds = tmp_path / "work", []

    class Interrupted(Exception):
        pass

    class Ends:
        """Ends the measurement at its third report."""

        def step(self, note: str = "") -> None:
            raise NotImplementedError

        def at(self, done: float, note: str = "") -> None:
            rounds.append(done)
            raise Interrupted

    @contextmanager
    def ends(label: str, total: int, done: int = 0) -> Iterator[Ends]:
        yield Ends()

    monkeypatch.setattr(width_latency, "busy_elsewhere", lambda: 0.6)
    with pytest.raises(Interrupted):
        measure_widths(SHORT, work, ends, widths=4)
    assert work.exists()
    monkeypatch.setattr(width_latency, "busy_elsewhere", lambda: 0.0)
    progress = RecordedProgress()
    with caplog.at_level(logging.INFO, "legodnn.profiler"):
        table = measure_widths(SHORT, work, progress, widths=4)
    assert f"going on with what {work} has" in caplog.text
    assert "other processes kept 60% of the processor busy when measuring began" in table.conditions.warnings
    assert progress.labels() == ["timing widths"]
    assert [(c.kind, c.precision) for c in table.curves] == [
        (kind, precision) for kind in LAYER_KINDS for precision in ("float32", "int8")
    ]
    assert all(len(c.least_ms) == 4 and min(c.least_ms) > 0 for c in table.curves)
    table.save(tmp_path / "widths.json")
    assert WidthsTable.load(tmp_path / "widths.json") == table


def test_wider_blocks_take_longer() -> None:
    """Whatever the steps are: 24 channels against 4. What else the machine does only adds, so the least counts."""
    least = np.full((2 * len(LAYER_KINDS), 24), np.inf)
    for _ in range(5):
        table = measure_widths(Effort(seconds=0.5, precision=0.5), widths=24)
        least = np.minimum(least, [curve.least_ms for curve in table.curves])
        if (longer := least[:, 23] > least[:, 3]).all():
            break
    assert longer.all(), [curve.kind for curve, right in zip(table.curves, longer, strict=True) if not right]


def test_the_table_says_how_it_was_measured() -> None:
    table = measure_widths(SHORT, widths=4)
    assert (table.threads, table.image_size, table.outer) == (1, width_latency._IMAGE_SIZE, width_latency._OUTER)
    assert table.conditions is not None
