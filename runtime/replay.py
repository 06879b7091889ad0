"""Replaying a trace of budgets on real inputs: at each budget re-plan, switch, run the inputs, and measure.

This is what `legodnn run` and the demo do; an application that has its own inputs uses `Runtime` directly.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legodnn.console import Progress
from legodnn.errors import InfeasibleError, InputError
from legodnn.plan import Plan
from legodnn.runtime.executor import Array
from legodnn.runtime.runtime import Runtime
from legodnn.schema import Schema
from legodnn.store import InputSpec
from legodnn.workload import Budget


@dataclass(frozen=True, eq=False)
class Inputs:
    """Images for one model, shape (n, ...) as the model takes them, and labels where they are known."""

    x: Array
    y: NDArray[np.int64] | None = None


class Measured(Schema):
    """What was measured of one model under one budget; accuracy (top-1) only where labels are known."""

    inferences: int
    accuracy: float | None
    median_ms: float
    p95_ms: float


class Step(Schema):
    """One budget of a trace.

    `plan` is what ran (the old plan where the new budget was `refused`); `loaded` the blocks whose files were opened,
    as MODEL/SEGMENT; `memory_bytes` the runtime's measured memory (`Runtime.memory_bytes`).
    """

    budget: Budget
    plan: Plan
    refused: str | None
    loaded: tuple[str, ...]
    plan_ms: float
    switch_ms: float
    memory_bytes: int
    models: dict[str, Measured]


def read_inputs(path: str | Path, spec: InputSpec) -> Inputs:
    """Read inputs for one model from an .npz (`x`, and `y` if labels are known) or an .npy file.

    uint8 images are scaled and normalised as the input specification says.

    Raises:
        InputError: unreadable, or not arrays of the model's input shape.
    """
    try:
        content = np.load(path, allow_pickle=False)
        x = content if isinstance(content, np.ndarray) else content["x"]
        y = None if isinstance(content, np.ndarray) or "y" not in content else content["y"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError) as e:
        raise InputError(
            f"cannot read inputs from {path} ({e}); give an .npy, or an .npz with `x` and perhaps `y`"
        ) from None
    if x.dtype == np.uint8:
        low, high = spec.range
        x = low + x.astype(np.float32) * np.float32((high - low) / 255)
        if spec.mean:
            x = (x - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    if x.ndim == 0 or x.shape[1:] != spec.shape or not len(x) or x.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {x.dtype} {x.shape}, but the model takes images of shape {spec.shape}")
    if y is not None and y.shape != (len(x),):
        raise InputError(f"{path} holds {len(x)} images but labels of shape {y.shape}")
    return Inputs(np.ascontiguousarray(x, np.float32), y)


def replay(runtime: Runtime, inputs: Mapping[str, Inputs], budgets: Sequence[Budget]) -> list[Step]:
    """Run a trace of budgets.

    Args:
        runtime: an open runtime.
        inputs: for each model of the workload.
        budgets: one step each; a budget that nothing fits is refused and the old plan runs on.
    """
    steps: list[Step] = []
    with Progress("replaying budgets", len(budgets)) as progress:
        for budget in budgets:
            refused: str | None = None
            loaded: tuple[str, ...] = ()
            try:
                if steps or runtime.budget != budget:  # the first budget is usually the one it was opened with
                    runtime.budget = budget
                loaded = tuple(f"{m}/{c.segment}" for m, chosen in runtime.last_switch.loaded.items() for c in chosen)
            except InfeasibleError as e:
                refused = str(e)
            measured = _measure(runtime, inputs)
            steps.append(
                Step(
                    budget=budget,
                    plan=runtime.plan,
                    refused=refused,
                    loaded=loaded,
                    plan_ms=runtime.last_switch.plan_ms if refused is None else 0.0,
                    switch_ms=runtime.last_switch.switch_ms if refused is None else 0.0,
                    memory_bytes=runtime.memory_bytes,
                    models=measured,
                )
            )
            progress.step()
    return steps


def _measure(runtime: Runtime, inputs: Mapping[str, Inputs]) -> dict[str, Measured]:
    """Run every input through every model that is not suspended, the models in turn."""
    running = [m.name for m in runtime.plan.models if not m.suspended]
    times: dict[str, list[float]] = {name: [] for name in running}
    hits: dict[str, list[bool]] = {name: [] for name in running}
    for i in range(max((len(inputs[name].x) for name in running), default=0)):
        for name in running:
            if i >= len(inputs[name].x):
                continue
            start = time.perf_counter_ns()
            output = runtime.infer(name, inputs[name].x[i])
            times[name].append((time.perf_counter_ns() - start) / 1e6)
            labels = inputs[name].y
            if labels is not None and isinstance(output, np.ndarray):
                hits[name].append(int(output.argmax()) == int(labels[i]))
    return {
        name: Measured(
            inferences=len(times[name]),
            accuracy=statistics.fmean(hits[name]) if hits[name] else None,
            median_ms=statistics.median(times[name]),
            p95_ms=sorted(times[name])[int(0.95 * len(times[name]))],
        )
        for name in running
    }
