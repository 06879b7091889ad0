"""Conversions in a process of their own, because TensorFlow's quantiser crashes on some operators.

That process reads a frozen graph, for which it does not have to import the user's code, and the data to calibrate on;
it converts the graph, runs the file once, and writes it. A crash there, or at the first run of the file, costs this one
file and becomes a ModelError.

Run as a program with the argument FOLDER, this module converts what FOLDER holds whenever it reads a line from its
standard input, and ends when that is closed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from typing_extensions import Self

from legodnn.arrays import Array
from legodnn.blocks.export.convert import Runner, concrete_function, convert_function
from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.processes import start_module

_GRAPH, _REQUEST, _CALIBRATION, _FILE = "graph.pb", "request.json", "calibration.npz", "converted.tflite"
_READY, _DONE, _REFUSED = "ready", "done", "refused "


class IsolatedConverter:
    """A context manager that converts models in another process.

    The process is started for the first conversion, and again for the next one after a crash.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="legodnn-")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def convert(self, model: keras.Model, batch: int, precision: Precision, calibration: Sequence[Array]) -> bytes:
        """Return the file's content as `export.convert.convert` does, after it has been run once in the other process.

        Args:
            model, batch, precision, calibration: see `export.convert.convert`.

        Raises:
            ModelError: the model cannot be converted, or the process crashed in the attempt.
        """
        folder = Path(self._folder.name)
        frozen = convert_variables_to_constants_v2(concrete_function(model, batch), lower_control_flow=False)
        (folder / _GRAPH).write_bytes(frozen.graph.as_graph_def().SerializeToString())
        np.savez(folder / _CALIBRATION, *calibration)
        request = {
            "name": model.name,
            "inputs": [t.name for t in frozen.inputs],
            "outputs": [t.name for t in frozen.outputs],
            "batch": batch,
            "precision": precision,
        }
        (folder / _REQUEST).write_text(json.dumps(request), encoding="utf-8")
        process = self._process or self._start(folder)
        answer = _ask(process)
        if answer.startswith(_REFUSED):
            raise ModelError(answer.removeprefix(_REFUSED))
        if answer != _DONE:
            status = process.wait()
            self._end()
            raise ModelError(
                f"converting {model.name} to {precision} ended the process that did it ({_ending(status)})"
            )
        return (folder / _FILE).read_bytes()

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        with (folder / "log").open("w") as log:
            process = start_module(
                "legodnn.blocks.export.isolated_conversion",
                str(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._process = process
        assert process.stdout is not None
        if process.stdout.readline().strip() != _READY:
            lines = (folder / "log").read_text(errors="replace").strip().splitlines()
            status = process.wait()
            self._end()
            raise ModelError(
                f"the process that converts models cannot start ({lines[-1] if lines else _ending(status)})"
            )
        return process

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _ask(process: subprocess.Popen[str]) -> str:
    """Return the answer to the request in the folder, or an empty string if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline().strip()


def _ending(status: int) -> str:
    """Return what ended a process: the name of a signal, or its exit status."""
    try:
        return signal.Signals(-status).name if status < 0 else f"status {status}"
    except ValueError:
        return f"signal {-status}"


def _imported(graph: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return a frozen graph as a TensorFlow function of the tensors with these names."""
    definition = tf.compat.v1.GraphDef.FromString(graph)
    whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    find = whole.graph.get_tensor_by_name
    return whole.prune([find(name) for name in inputs], [find(name) for name in outputs])


def _serve(folder: Path) -> None:
    """Answer a request in the folder for every line on standard input."""
    # Answers go to a copy of standard output, which itself becomes standard error: what libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(_READY, file=answers, flush=True)
    for _ in sys.stdin:
        request = json.loads((folder / _REQUEST).read_text(encoding="utf-8"))
        with np.load(folder / _CALIBRATION) as arrays:
            calibration = [arrays[name] for name in arrays.files]
        function = _imported((folder / _GRAPH).read_bytes(), request["inputs"], request["outputs"])
        batch = request["batch"]
        try:
            content = convert_function(function, request["name"], batch, request["precision"], calibration)
            Runner(content)(*(x[:batch] for x in calibration))
        except (ModelError, RuntimeError, ValueError) as e:  # the Interpreter raises the latter two
            print(f"{_REFUSED}{' '.join(str(e).split())}", file=answers, flush=True)
            continue
        (folder / _FILE).write_bytes(content)
        print(_DONE, file=answers, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
