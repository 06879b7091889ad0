"""The latency of small blocks of 1, 2, 3 ... channels on this device, as a table for `legodnn build --widths-table`.

The blocks (`probe_blocks`) are written as a store, with an option for each width, and timed as the options of any store
are: in turns, in compositions, by the executor that will run blocks here, until all medians are known well enough.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import closing
from pathlib import Path
from typing import get_args

from legodnn.files import sha256_bytes
from legodnn.manifest import (
    MANIFEST,
    AccuracyModel,
    BuildInfo,
    InputSpec,
    Link,
    Manifest,
    ModelInfo,
    Option,
    Segment,
    TensorSpec,
)
from legodnn.profiler.bench import Bench
from legodnn.profiler.conditions import busy_elsewhere, conditions, moment, with_earlier_warnings
from legodnn.profiler.effort import Effort
from legodnn.profiler.in_use import option_latencies
from legodnn.profiler.latency import measure_latency
from legodnn.profiler.probe_blocks import probe_file
from legodnn.profiler.profiling_lock import held_alone
from legodnn.profiler.profiling_state import ProfilingState
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_name
from legodnn.schema import to_json
from legodnn.store import Store
from legodnn.units import utc_now
from legodnn.widths_table import LAYER_KINDS, LayerKind, ProbedPrecision, WidthCurve, WidthsTable

log = logging.getLogger("legodnn.profiler")

MEASURING_WIDTHS = "measuring widths into this file"  # what a process does that holds the file's lock
PROBED_WIDTHS = 96  # three tiles of 32, the widest that processors without matrix units have
_IMAGE_SIZE, _OUTER = 16, 64
_PRECISIONS: tuple[ProbedPrecision, ...] = get_args(ProbedPrecision)
_STATE_FORMAT = 1


def measure_widths(
    effort: Effort | None = None,
    work: Path | None = None,
    progress: Progress = no_progress,
    widths: int | None = None,
) -> WidthsTable:
    """Time blocks of 1 to `widths` channels on this device.

    What may have disturbed the measurements is in the table's conditions, and a warning of the logger
    `legodnn.profiler`.

    Args:
        effort: how long is measured, how precisely, and with how many threads (the first of its counts).
        work: a file that keeps what has been measured. If it is there already, measuring goes on from it.
        progress: shows how far the timing is.
        widths: the channels of the widest block; None: `PROBED_WIDTHS`.

    Raises:
        ExecutionError: the blocks cannot be run here.
        ProfileError: another process is measuring into `work`.
    """
    with held_alone(work, MEASURING_WIDTHS):
        return _measured(effort or Effort(), work, progress, PROBED_WIDTHS if widths is None else widths)


def _measured(effort: Effort, work: Path | None, progress: Progress, widths: int) -> WidthsTable:
    threads = effort.threads[0]
    device, busy = fingerprint(executor_name()), busy_elsewhere()
    with tempfile.TemporaryDirectory(prefix="legodnn-") as folder:
        store = probe_store(Path(folder) / "widths", widths)
        terms = {"store": store.id, "device": device.model_dump(), "threads": threads, "format": _STATE_FORMAT}
        state = ProfilingState(work, terms)
        with closing(Bench(store, [threads])) as bench:
            before = moment()
            with_earlier_warnings(conditions(before, before, busy), state.stage("conditions"))  # interrupted or not
            timings = measure_latency(bench, effort.seconds, effort.precision, state.stage("widths"), progress)
            found = with_earlier_warnings(conditions(before, moment(), busy), state.stage("conditions"))
            latencies = option_latencies(bench, timings)
    for warning in found.warnings:
        log.warning("%s", warning)
    return WidthsTable(
        device=device,
        created=utc_now(),
        threads=threads,
        image_size=_IMAGE_SIZE,
        outer=_OUTER,
        curves=tuple(
            WidthCurve(
                kind=kind,
                precision=precision,
                least_ms=tuple(
                    latencies[kind, _option_name(width, precision)][0].min_ms for width in range(1, widths + 1)
                ),
            )
            for kind in LAYER_KINDS
            for precision in _PRECISIONS
        ),
        conditions=found,
    )


def probe_store(path: Path, widths: int) -> Store:
    """Write a store with a block for each kind of layers, and an option for each width and precision.

    The same number of widths gives the same store, so that its packed weights are found again.
    """
    shape = (_IMAGE_SIZE, _IMAGE_SIZE, _OUTER)
    files: dict[str, bytes] = {}
    segments = []
    for kind in LAYER_KINDS:
        options = []
        for precision in _PRECISIONS:
            for width in range(widths, 0, -1):
                name = _option_name(width, precision)
                file = f"{kind}/{name}.tflite"
                files[file] = probe_file(kind, precision, _IMAGE_SIZE, _OUTER, width)
                options.append(
                    Option(
                        name=name,
                        sparsity=1 - width / widths,
                        precision=precision,
                        file=file,
                        sha256=sha256_bytes(files[file]),
                        bytes=len(files[file]),
                        params=0,
                        macs=_macs(kind, width),
                    )
                )
        segments.append(Segment(name=kind, kind="block", inputs=("x",), outputs=(f"{kind}_y",), options=tuple(options)))
    outputs = tuple(segment.outputs[0] for segment in segments)
    manifest = Manifest(
        model=ModelInfo(name="widths", task="none"),
        inputs=(InputSpec(name="x", shape=shape),),
        outputs=outputs,
        tensors=tuple(TensorSpec(name=name, shape=shape) for name in outputs),
        segments=tuple(segments),
        accuracy=AccuracyModel(
            metric="none", data="none", original=0.0, link=Link(x=(0.0, 1.0), y=(0.0, 0.0)), error=0.0, samples=0
        ),
        built=BuildInfo(created="", versions={}, seed=0, recipe={}),
    )
    for file, content in files.items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(content)
    (path / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
    return Store(path)


def _option_name(width: int, precision: str) -> str:
    return f"w{width}" + ("" if precision == "float32" else f"-{precision}")


def _macs(kind: LayerKind, width: int) -> int:
    """Multiply-accumulates of a block."""
    of_a_channel = 2 * _OUTER * (9 if kind == "conv" else 1) + (9 if kind == "depthwise" else 0)
    return _IMAGE_SIZE**2 * width * of_a_channel
