"""Conversions as jobs. Those to int8 need a process of their own: TensorFlow's quantiser crashes on some graphs.

A job gets a frozen graph, for which the user's code does not have to be imported, and the data to calibrate on; it
converts the graph, runs the file once, and returns it. So a crash, there or at the first run, costs this one option.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from legodnn.arrays import Array
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.export.convert import Runner, concrete_function, convert, convert_function
from legodnn.blocks.export.ranges import Range
from legodnn.blocks.jobs.job import Attempt, DoesJob, Job, Work, Workers
from legodnn.blocks.jobs.packed import file_array
from legodnn.errors import LegoError, ModelError, WorkerError
from legodnn.manifest import Precision

# A conversion takes this much memory at most, besides TensorFlow's own.
CONVERSIONS = Work(
    "legodnn.blocks.export.conversion_job:converting", memory_bytes=2_000_000_000, one_cpu=True, may_crash=True
)


def conversion_job(
    name: str,
    model: keras.Model,
    batches: Sequence[int],
    precision: Precision,
    calibration: Sequence[Array],
    output_ranges: Sequence[Range | None] = (),
) -> Job:
    """Return the job of converting a model, one of `CONVERSIONS`.

    Args:
        name: of what is converted, for messages.
        model: a Functional model.
        batches: numbers of images in one run of a file; each gives one file.
        precision, calibration, output_ranges: see `export.convert.convert`.
    """
    frozen = [
        convert_variables_to_constants_v2(concrete_function(model, batch), lower_control_flow=False)
        for batch in batches
    ]
    request = {
        "name": model.name,
        "batches": list(batches),
        "precision": precision,
        "output_ranges": list(output_ranges),
        "graphs": [{"inputs": [t.name for t in f.inputs], "outputs": [t.name for t in f.outputs]} for f in frozen],
    }
    graphs = [file_array(f.graph.as_graph_def().SerializeToString()) for f in frozen]
    return Job(
        f"converting {name}", {"request": json.dumps(request), "graphs": graphs, "calibration": list(calibration)}
    )


def converted_files(outcome: dict[str, Any] | LegoError) -> list[bytes]:
    """Return the contents of the files that a job of `conversion_job` made.

    Raises:
        ModelError: the model cannot be converted, or the process ended in the attempt.
    """
    if isinstance(outcome, WorkerError):
        raise ModelError(str(outcome))
    if isinstance(outcome, LegoError):
        raise outcome
    return [content.tobytes() for content in outcome["files"]]


def convert_safely(
    workers: Workers, model: keras.Model, batches: Sequence[int], precision: Precision, calibration: Sequence[Array]
) -> list[bytes]:
    """Return the contents of a model's files; those to int8 are made in another process.

    Args:
        workers: have that process.
        model, batches, precision, calibration: see `conversion_job`.

    Raises:
        ModelError: the model cannot be converted, or the process ended in the attempt.
    """
    if precision != "int8":
        return [convert(model, batch, precision, calibration) for batch in batches]
    with workers.team(CONVERSIONS) as team:
        job = conversion_job(f"{model.name} to {precision}", model, batches, precision, calibration)
        return converted_files(next(outcome for _, outcome in team.run([job])))


def converting(shared: Mapping[str, Any]) -> DoesJob:
    """Return the function that does a job of `conversion_job`."""

    def convert_graphs(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        request = json.loads(str(arguments["request"]))
        calibration, ranges, files = arguments["calibration"], request["output_ranges"], []
        for graph, names, batch in zip(arguments["graphs"], request["graphs"], request["batches"], strict=True):
            function = _imported(graph.tobytes(), names["inputs"], names["outputs"])
            try:
                content = convert_function(function, request["name"], batch, request["precision"], calibration, ranges)
                Runner(content)(*(x[:batch] for x in calibration))
            except (RuntimeError, ValueError) as e:  # the Interpreter raises both
                raise ModelError(" ".join(str(e).split())) from e
            files.append(file_array(content))
        return {"files": files}

    return convert_graphs


def _imported(graph: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return a frozen graph as a TensorFlow function of the tensors with these names."""
    definition = tf.compat.v1.GraphDef.FromString(graph)
    whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    find = whole.graph.get_tensor_by_name
    return whole.prune([find(name) for name in inputs], [find(name) for name in outputs])
