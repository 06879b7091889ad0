"""Conversion of Keras models to `.tflite` files with builtin operators only, and comparison with the Keras model.

TensorFlow's own converter quantises options after training. It is there anyway, keeps float interfaces, quantises
weights per channel, and takes a fifth of a second for an option. (Google's ai-edge-quantizer works on finished files;
its static recipe quantises the interfaces too, and it is one more dependency.)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as flat
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from legodnn.arrays import Array
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.ranges import Range, with_ranges
from legodnn.blocks.export.rewrite import REWRITES, Rewrite, stand_ins
from legodnn.blocks.importing.difference import TOLERANCE, beyond_rounding
from legodnn.blocks.importing.graph import alone, as_list, calls, run_calls, submodel
from legodnn.errors import ConfigError, ModelError
from legodnn.manifest import Precision
from legodnn.native_stderr import native_stderr_silenced
from legodnn.root_logger import same_root_logger
from legodnn.runtime.device.allowance import usable_processors
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.model_file import Refused, parse_model_file

CHECKED_IMAGES = 4  # on which a converted option is compared with its Keras model


def check_backend() -> None:
    """Refuse Keras on another backend than TensorFlow, which converts models.

    Raises:
        ConfigError: Keras runs on another one.
    """
    if (found := keras.backend.backend()) != "tensorflow":
        raise ConfigError(
            f"Keras runs on {found} here, and models are exported by TensorFlow: set KERAS_BACKEND=tensorflow, or make "
            "that the `backend` of ~/.keras/keras.json"
        )


def convert(
    model: keras.Model,
    batch: int = 1,
    precision: Precision = "float32",
    calibration: Sequence[Array] = (),
    output_ranges: Sequence[Range | None] = (),
) -> bytes:
    """Return the content of a `.tflite` file that computes `model` for a fixed batch size.

    Weights become constants, so batch norms are folded into convolutions. Inputs and outputs keep their order and are
    float32 in every precision. The same model gives the same bytes.

    Args:
        model: a Functional model.
        batch: images in one run of the file.
        precision: float32; float16 (weights only); or int8 (weights and arithmetic).
        calibration: for int8, samples of each input, shape (n, ...) with n at least `batch`, which give the ranges of
            values.
        output_ranges: for int8, the range of each output where it is not the one that the samples give; None where it
            is. Where an output has the range of another model's input, it has its scale and zero point too.

    Raises:
        ModelError: the model needs an operator that is not built into TensorFlow Lite, or has no int8 form, or a device
            would refuse the file (`legodnn.runtime.tflite`).
    """
    function = concrete_function(model, batch)
    return convert_function(function, model.name, batch, precision, calibration, output_ranges)


def concrete_function(model: keras.Model, batch: int, rewrites: Sequence[Rewrite] = REWRITES) -> Any:
    """Return the model in inference mode as a TensorFlow function of inputs with this batch size.

    Args:
        model: a Functional model.
        batch: the batch size.
        rewrites: what is rewritten (`legodnn.blocks.export.rewrite`) so that the converter makes fewer operators of it.
    """
    specs = [tf.TensorSpec((batch, *t.shape[1:]), t.dtype, name=f"x{i}") for i, t in enumerate(model.inputs)]
    found = stand_ins(model, rewrites)

    def forward(*xs: Any) -> Any:
        return run_calls(model, xs, False, found) if found else model(alone(xs), training=False)

    return tf.function(forward, input_signature=specs, autograph=False).get_concrete_function()


def convert_function(
    function: Any,
    name: str,
    batch: int,
    precision: Precision,
    calibration: Sequence[Array],
    output_ranges: Sequence[Range | None] = (),
) -> bytes:
    """Return the content of the `.tflite` file of a TensorFlow function.

    Args:
        function: what `concrete_function` returns.
        name: what messages call it.
        batch, precision, calibration, output_ranges: see `convert`.

    Raises:
        ModelError: see `convert`.
    """
    with same_root_logger():
        content = _converted(function, name, batch, precision, calibration, output_ranges)
    content = _plain(content)
    try:
        check_graph(parse_model_file(content))
    except Refused as e:
        raise ModelError(f"{name} cannot be converted to TensorFlow Lite: no device would run it: {e}") from None
    return content


def _converted(
    function: Any,
    name: str,
    batch: int,
    precision: Precision,
    calibration: Sequence[Array],
    output_ranges: Sequence[Range | None],
) -> bytes:
    """Return what TensorFlow's converter makes of a function; ModelError if it cannot convert it."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        if len(calibration[0]) < batch:  # the converter would leave all in float32 without a word
            raise ModelError(f"{name}: a run takes {batch} images, and there are {len(calibration[0])} to calibrate on")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _batches(calibration, batch)
        converter._experimental_calibrate_only = True  # it has no other way to say what range a tensor has
    try:
        # The quantiser announces itself for every file, and warns of float interfaces, which are wanted here.
        with native_stderr_silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: bytes = converter.convert()
            if precision == "int8":
                ranges = [(float(x.min()), float(x.max())) for x in calibration]
                content = mlir_quantize(with_ranges(content, ranges, output_ranges))
    except Exception as e:  # the converter has no error type of its own
        reason = next((line for line in str(e).splitlines() if "failed" in line or "op" in line), str(e))
        raise ModelError(f"{name} cannot be converted to TensorFlow Lite: {reason.strip():.200}") from e
    return content


def _batches(calibration: Sequence[Array], batch: int) -> Iterator[list[Array]]:
    for start in range(0, len(calibration[0]) - batch + 1, batch):
        yield [x[start : start + batch] for x in calibration]


def _plain(content: bytes) -> bytes:
    """Return the file with short tensor names and without metadata: the names TensorFlow gives differ between runs."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    model.metadata, model.metadataBuffer, model.signatureDefs, model.description = [], None, [], ""
    for number, graph in enumerate(model.subgraphs):
        graph.name = f"graph{number}" if number else "main"
        inputs = {int(index): f"x{i}" for i, index in enumerate(graph.inputs)}
        outputs = {int(index): f"y{i}" for i, index in enumerate(graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            tensor.name = inputs.get(index) or outputs.get(index) or f"t{index}"
        _copy_repeated_outputs(model, graph)
    _drop_unused_buffers(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _copy_repeated_outputs(model: flat.ModelT, graph: flat.SubGraphT) -> None:
    """Give a tensor that is an output twice a copy, by a reshape to its own shape: each output is written by itself.

    The converter leaves out the identity that made two outputs of one tensor.
    """
    for place, index in enumerate(graph.outputs):
        if index not in graph.outputs[:place]:
            continue
        copy, operator, code = flat.TensorT(), flat.OperatorT(), flat.OperatorCodeT()
        vars(copy).update(vars(graph.tensors[index]), name=f"y{place}", buffer=0)
        code.builtinCode = code.deprecatedBuiltinCode = flat.BuiltinOperator.RESHAPE
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes), [index]
        operator.builtinOptionsType = flat.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = flat.ReshapeOptionsT()
        operator.builtinOptions.newShape = list(copy.shape)
        operator.outputs = [len(graph.tensors)]
        graph.outputs[place] = len(graph.tensors)
        model.operatorCodes.append(code)
        graph.tensors.append(copy)
        graph.operators.append(operator)


def _drop_unused_buffers(model: flat.ModelT) -> None:
    used = sorted({0} | {t.buffer for graph in model.subgraphs for t in graph.tensors})
    place = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = place[tensor.buffer]


def check_convertible(piece: Piece) -> bytes:
    """Return the content of a segment's `.tflite` file.

    Raises:
        ModelError: the segment cannot be converted; the message names it, and the layer at fault.
    """
    try:
        return convert(piece.model)
    except ModelError as e:
        for call in calls(piece.model):
            try:
                convert(submodel(call.inputs, call.outputs, call.name))
            except ModelError:
                raise ModelError(
                    f"{piece.name}: layer {call.name} ({call.kind}) cannot be converted to TensorFlow Lite: its "
                    "operators are not builtin, or it loops; replace the layer (or unroll it, if it is recurrent)"
                ) from e
        raise ModelError(f"{piece.name}: {e}") from e


class Runner:
    """A converted model that is called with any number of images.

    The images are run in batches of the file's own size, of which the last one is padded.
    """

    def __init__(self, content: bytes, threads: int | None = None, plain: bool = False) -> None:
        """Open a `.tflite` file's content.

        Args:
            content: the file.
            threads: how many run it; None for one for each processor.
            plain: run it by TensorFlow Lite's own kernels instead of XNNPACK's.
        """
        self._content = content
        self._interpreter = open_interpreter(threads or usable_processors(), plain, model_content=content)
        self._sources = self._interpreter.get_input_details()
        self._targets = [t["index"] for t in self._interpreter.get_output_details()]

    def plainly(self) -> Runner:
        """Return what runs the same file by TensorFlow Lite's own kernels."""
        return Runner(self._content, plain=True)

    def __call__(self, *xs: Array) -> list[Array]:
        """Return the model's outputs for its inputs, all of shape (n, ...)."""
        batch, parts = int(self._sources[0]["shape"][0]), []
        for start in range(0, len(xs[0]), batch):
            for source, x in zip(self._sources, xs, strict=True):
                part = x[start : start + batch]
                padded = np.concatenate([part, np.repeat(part[:1], batch - len(part), axis=0)])
                self._interpreter.set_tensor(source["index"], padded)
            self._interpreter.invoke()
            count = min(batch, len(xs[0]) - start)
            outputs = [self._interpreter.get_tensor(index) for index in self._targets]
            # Outputs of foreign files, which run one image, may have no dimension of images to cut.
            parts.append([np.atleast_1d(y) if count == batch else y[:count] for y in outputs])
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def check_converted(content: bytes, model: keras.Model, xs: Sequence[Array], where: str) -> list[Array]:
    """Compare a converted model with the Keras model on real inputs.

    Args:
        content: the `.tflite` file.
        model: the model that it was converted from.
        xs: the model's inputs, each of shape (n, ...).
        where: names segment and option in the error message.

    Returns:
        The outputs of the Keras model.

    Raises:
        ModelError: the outputs differ.
    """
    expected = [keras.ops.convert_to_numpy(y) for y in as_list(model(alone(xs), training=False))]
    runner = Runner(content)
    difference = beyond_rounding(runner(*xs), expected, lambda: runner.plainly()(*xs))
    if difference is not None:
        raise ModelError(f"{where}: the .tflite file differs from Keras by {difference:.2g}, allowed is {TOLERANCE:g}")
    return expected
