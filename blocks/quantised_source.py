"""What dequantising a `.tflite` file costs: the float graph that a build starts from is rated beside the file itself.

The file comes from anywhere, so it runs in a process of its own, which it may end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.export.convert import Runner
from legodnn.blocks.importing.data import ModelInputs, input_arrays
from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignTensor, read_tflite
from legodnn.blocks.jobs.job import Attempt, DoesJob, Job, Work, Workers
from legodnn.blocks.jobs.packed import file_array
from legodnn.blocks.source import BuildSource
from legodnn.errors import LegoError, ModelError
from legodnn.model_names import TFLITE
from legodnn.recipe import Recipe

log = logging.getLogger("legodnn.blocks")

FILE_RUNS = Work("legodnn.blocks.quantised_source:running", memory_bytes=2_000_000_000, one_cpu=True, may_crash=True)
_MOST_IMAGES = 256


def log_dequantisation(recipe: Recipe, source: BuildSource, workers: Workers) -> None:
    """Say how good a quantised file and its float graph are on the validation images; nothing for other models.

    Without labels it is how far the file agrees with the graph. A file that was cut, or whose input has no fixed size,
    is left out, because it cannot be compared as it is.

    Args:
        recipe: names the model.
        source: the graph, and data and metric.
        workers: run the file.
    """
    if not recipe.model.endswith(TFLITE) or recipe.cut_at or recipe.input_shape:
        return
    content = Path(recipe.model).read_bytes()
    graph = read_tflite(content)
    if not any(len(t.scales) and t.data is not None for t in graph.tensors):
        return
    val = source.val.first(_MOST_IMAGES)
    job = Job(f"running {recipe.model}", {"file": file_array(content), "inputs": _as_file_takes(graph, val.x)})
    with workers.team(FILE_RUNS) as team:
        outcome = next(outcome for _, outcome in team.run([job]))
    if isinstance(outcome, LegoError):
        log.warning("%s itself cannot be rated beside its float graph: %s", recipe.model, outcome)
        return
    of_graph = outputs_of(source.model, val.x)
    of_file = [
        _numbers(graph.tensors[i], y).reshape(wanted.shape)
        for i, y, wanted in zip(graph.outputs, outcome["outputs"], of_graph, strict=True)
    ]
    labels: Any = of_graph if val.y is None else val.y
    rated = [float(source.metric(outputs, labels)) for outputs in (of_file, of_graph)]
    log.info(
        "%s is quantised: its %s is %.4f as the file computes, %.4f as the float graph that all starts from "
        "(%s, %d validation images)",
        *(recipe.model, source.metric_name, *rated, source.data.name, len(val)),
    )


def running(shared: Mapping[str, Any]) -> DoesJob:
    """Return the function that runs a file, a job of `FILE_RUNS`."""

    def run_file(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        try:
            return {"outputs": Runner(arguments["file"].tobytes())(*arguments["inputs"])}
        except (RuntimeError, ValueError) as e:  # the Interpreter raises both
            raise ModelError(" ".join(str(e).split())) from e

    return run_file


def _as_file_takes(graph: ForeignGraph, x: ModelInputs) -> list[NDArray[Any]]:
    """Return the graph's inputs as its file takes them."""
    return [_as_tensor(graph.tensors[i], array) for i, array in zip(graph.inputs, input_arrays(x[:]), strict=True)]


def _as_tensor(tensor: ForeignTensor, x: Array) -> NDArray[Any]:
    """Return an input as a file's tensor holds it: perhaps with channels first, and quantised."""
    if x.ndim == 4 and tuple(x.shape[1:]) != tensor.shape[1:]:
        x = x.transpose(0, 3, 1, 2)
    if tensor.dtype.startswith("float"):
        return np.ascontiguousarray(x, tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    if tensor.dtype != "uint8" and len(tensor.scales):  # uint8 is pixels, which the graph takes as they are too
        scale, zero = _quantisation(tensor)
        x = x / scale + zero
    return np.ascontiguousarray(np.clip(np.rint(x), limits.min, limits.max).astype(tensor.dtype))


def _numbers(tensor: ForeignTensor, values: NDArray[Any]) -> Array:
    """Return the numbers that an output's values stand for."""
    scale, zero = _quantisation(tensor) if len(tensor.scales) else (1.0, 0.0)
    numbers: Array = ((values.astype(np.float32) - zero) * scale).astype(np.float32)
    return numbers


def _quantisation(tensor: ForeignTensor) -> tuple[float, float]:
    return float(tensor.scales[0]), float(tensor.zero_points[0]) if len(tensor.zero_points) else 0.0
