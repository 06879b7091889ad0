"""Parsing a `.tflite` file that may come from anywhere, without a TensorFlow Lite runtime.

A store's files hold one graph of tensors and operators. The format also has control flow, variables, sparse tensors,
custom operators (but for one, see `detection_options`) and data outside the file; a file that uses any of these is
refused. What each operator requires of its tensors is checked elsewhere (`operators`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.tflite.detection_options import (
    CUSTOM,
    DETECTION,
    read_detection_options,
    write_detection_options,
)
from legodnn.runtime.tflite.flatbuffer import Damaged, Record, Table, fields, read_flatbuffer

IDENTIFIER = b"TFL3"
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
TYPE_NUMBERS = {name: number for number, name in TYPES.items()}

# The options of operators by their number in the format's union; the last three lines are those without fields.
_STRIDES = "stride_w:int32 stride_h:int32 "
_CONVOLUTION = "padding:int8 " + _STRIDES
_DILATION = "dilation_w:int32=1 dilation_h:int32=1 "
_OPTIONS: dict[int, Table] = {
    1: fields(_CONVOLUTION + "activation:int8 " + _DILATION + "bias_type:int8"),
    2: fields(_CONVOLUTION + "multiplier:int32 activation:int8 " + _DILATION),
    5: fields(_CONVOLUTION + "filter_w:int32 filter_h:int32 activation:int8"),  # pooling
    8: fields("activation:int8 format:int8 keep_dims:bool asymmetric:bool bias_type:int8 spec:none"),  # fully connected
    9: fields("beta:float"),  # softmax
    10: fields("axis:int32 activation:int8"),  # concatenation
    11: fields("activation:int8 power_of_two:bool=1"),  # addition
    12: fields("activation:int8"),  # normalisation
    15: fields("width:none height:none align_corners:bool half_pixel_centers:bool"),  # resizing, bilinear
    17: fields("shape:[int32]"),  # reshaping
    19: fields("block:int32"),  # space to depth
    21: fields("activation:int8"),  # multiplication
    23: fields("axis:int32 batch_dims:int32"),  # gathering
    27: fields("keep_dims:bool"),  # reduction
    28: fields("activation:int8 power_of_two:bool=1"),  # subtraction
    29: fields("activation:int8"),  # division
    30: fields("dims:[int32]"),  # squeezing
    32: fields("begin_mask:int32 end_mask:int32 ellipsis_mask:int32 new_axis_mask:int32 shrink_mask:int32 offset:bool"),
    35: fields("count:int32"),  # splitting
    37: fields("from_type:int8 to_type:int8"),  # casting
    40: fields("type:int8"),  # argument of the maximum
    49: fields(_CONVOLUTION + "activation:int8 bias_type:int8"),  # transposed
    55: fields("type:int8"),  # shape
    57: fields("type:int8"),  # argument of the minimum
    59: fields("count:int32 axis:int32"),  # packing
    61: fields("axis:int32"),  # one-hot vectors
    64: fields("count:int32 axis:int32"),  # unpacking
    74: fields("align_corners:bool half_pixel_centers:bool"),  # resizing, nearest neighbour
    75: fields("alpha:float"),  # leaky ReLU
    77: fields("mode:int8"),  # mirrored padding
    79: fields("count:int32"),  # splitting in sizes
    94: fields("block:int32"),  # depth to space
    106: fields("padding:int8 stride_d:int32 " + _STRIDES + "activation:int8 dilation_d:int32=1 " + _DILATION),
    101: fields("adjoint_x:bool adjoint_y:bool asymmetric:bool"),  # multiplication of matrices
    102: fields("exclusive:bool reverse:bool"),  # cumulative sum
    115: fields("boundaries:[float]"),  # bucketing
    116: fields("approximate:bool"),  # GELU
    **dict.fromkeys((22, 24, 25, 26, 33, 34, 36, 38, 39, 41, 42, 43, 44, 45, 46, 47, 48, 51, 52, 53, 54, 56), ()),
    **dict.fromkeys((60, 62, 63, 65, 66, 67, 68, 72, 73, 76, 78, 81, 82, 83, 84, 86, 89, 91, 98, 99), ()),
    **dict.fromkeys((103, 104, 120, 122, 123), ()),
}  # fmt: skip

_QUANTIZATION = fields("min:note max:note scale:[float] zero_point:[int64] details_type:uint8 details:none axis:int32")
_INDICES = {1: fields("values:[int32]"), 2: fields("values:[uint16]"), 3: fields("values:[uint8]")}
_DIMENSION = fields(
    "format:int8 size:int32 segments_type:uint8 segments:union indices_type:uint8 indices:union",
    segments=_INDICES,
    indices=_INDICES,
)
_TENSOR = fields(
    "shape:[int32] type:int8 buffer:uint32 name:string quantization:table is_variable:bool sparsity:table "
    "shape_signature:[int32] has_rank:bool variants:none external_buffer:uint32",
    quantization=_QUANTIZATION,
    sparsity=fields("order:[int32] block_map:[int32] dimensions:[table]", dimensions=_DIMENSION),
)
_OPERATOR = fields(
    "code:uint32 inputs:[int32] outputs:[int32] options_type:uint8 options:union custom_options:[uint8] "
    "custom_format:int8 mutating:none intermediates:none large_offset:uint64 large_size:uint64 options2_type:uint8 "
    "options2:none debug:int32=-1",
    options=_OPTIONS,
)
_GRAPH = fields(
    "tensors:[table] inputs:[int32] outputs:[int32] operators:[table] name:string debug:int32=-1",
    tensors=_TENSOR,
    operators=_OPERATOR,
)
MODEL_SCHEMA = fields(
    "version:uint32 codes:[table] graphs:[table] description:string buffers:[table] metadata_buffer:note metadata:note "
    "signatures:note external_groups:none external:none",
    codes=fields("old_code:int8 custom:string version:int32=1 code:int32"),
    graphs=_GRAPH,
    buffers=fields("data:[uint8] offset:uint64 size:uint64"),
)


class Refused(Exception):
    """A file is not known to be safe to run; the message says what is wrong, and where."""


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of a graph.

    Attributes:
        shape: its dimensions, all of them known.
        dtype: the type of its elements, such as `float32`.
        data: its bytes if it is constant, else None.
        scales, zero_points: its quantisation: empty if it has none, one value for the whole tensor, or one for each
            index along `axis`.
        axis: the dimension that it is quantised along.
        name: what the file calls it.
    """

    shape: tuple[int, ...]
    dtype: str
    data: NDArray[np.uint8] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    name: str = ""

    @cached_property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=object)) if self.shape else 1

    @property
    def bytes(self) -> int:
        """The bytes that its elements take."""
        return self.size * np.dtype(self.dtype).itemsize

    def values(self) -> NDArray[Any]:
        """Return the elements of a constant tensor, in its shape."""
        data = np.zeros(0, np.uint8) if self.data is None else self.data
        values: NDArray[Any] = data.view(np.dtype(self.dtype).newbyteorder("<"))
        return values.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator of a graph.

    Attributes:
        code: the number of its kind in the format.
        version: the version of the kind.
        inputs: indices of tensors; -1 for an optional input that is absent.
        outputs: indices of tensors.
        options_type: the number of its options in the format's union.
        options: the values of its options by name, also of the custom operator; None where the file has none.
    """

    code: int
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Record | None


@dataclass(frozen=True, eq=False)
class FileGraph:
    """The graph of a file. Inputs and outputs are indices of tensors; all indices are known to be valid.

    Operators are in the order in which they run.
    """

    tensors: tuple[FileTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[FileOperator, ...]


def parse_model_file(content: bytes) -> FileGraph:
    """Parse a file.

    Raises:
        Refused: the file is damaged, or uses something of the format that no store needs.
    """
    try:
        model = read_flatbuffer(content, IDENTIFIER, MODEL_SCHEMA)
    except Damaged as e:
        raise Refused(f"it is damaged or made by something else: {e}") from None
    graphs = model["graphs"] or []
    if model["version"] != 3 or not graphs:
        raise Refused(f"it has {len(graphs)} graphs in version {model['version']} of the format instead of 3")
    if len(graphs) > 1:
        raise Refused(f"it has {len(graphs)} graphs, so there are loops or branches (recurrent layers: unroll=True)")
    graph = graphs[0]
    if graph["debug"] != -1:
        raise Refused("its graph refers to metadata")
    buffers: list[NDArray[np.uint8] | None] = []
    for i, buffer in enumerate(model["buffers"] or ()):
        if buffer["offset"] or buffer["size"]:
            raise Refused(f"buffer {i} lies outside its table")
        buffers.append(buffer["data"])
    if not buffers or (buffers[0] is not None and len(buffers[0])):
        raise Refused("its first buffer is not the empty one")
    tensors = tuple(_tensor(entry, i, buffers) for i, entry in enumerate(graph["tensors"] or ()))
    codes = [_code(entry) for entry in model["codes"] or ()]
    operators = tuple(_operator(o, i, codes, len(tensors)) for i, o in enumerate(graph["operators"] or ()))
    inputs, outputs = (
        tensor_indices(graph[end], len(tensors), f"the graph's {end}", 0) for end in ("inputs", "outputs")
    )
    return FileGraph(tensors, inputs, outputs, operators)


def custom_options(operator: Record) -> bytes:
    """Return the options of a custom operator as bytes; empty if it has none."""
    found = operator["custom_options"]
    return b"" if found is None else found.tobytes()


def _tensor(entry: Record, number: int, buffers: list[NDArray[np.uint8] | None]) -> FileTensor:
    where = f"tensor {number}"
    shape = tuple(int(d) for d in (() if entry["shape"] is None else entry["shape"]))
    signature = entry["shape_signature"]
    if any(d <= 0 for d in shape) or (signature is not None and len(signature) and tuple(signature) != shape):
        raise Refused(f"{where} has no fixed shape of positive dimensions")
    if entry["type"] not in TYPES:
        raise Refused(f"{where} has elements of type {entry['type']}, which no store has")
    if entry["is_variable"] or entry["external_buffer"]:
        raise Refused(f"{where} is a variable or lies outside the file")
    if entry["sparsity"] is not None:
        raise Refused(f"{where} is sparse")
    if entry["buffer"] >= len(buffers):
        raise Refused(f"{where} is in buffer {entry['buffer']}, which is not there")
    data = buffers[entry["buffer"]]
    if data is not None and not len(data):
        data = None
    scales, zero_points, axis = quantisation_of(entry["quantization"], where)
    name = bytes(entry["name"] or b"").decode(errors="replace")
    return FileTensor(shape, TYPES[entry["type"]], data, scales, zero_points, axis, name)


def quantisation_of(entry: Record | None, where: str) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Return scales, zero points and axis of a tensor's quantisation, as `FileTensor` has them.

    Raises:
        Refused: it is quantised in another way.
    """
    found = entry or {}
    scales, zero_points = found.get("scale"), found.get("zero_point")
    if found.get("details_type"):
        raise Refused(f"{where} is quantised in a way that is not known")
    return (
        np.zeros(0, np.float32) if scales is None else scales,
        np.zeros(0, np.int64) if zero_points is None else zero_points,
        int(found.get("axis", 0)),
    )


def _code(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return the kind and the version that an entry of the table of operator codes stands for."""
    code = max(entry["old_code"], entry["code"])
    if (entry["custom"] or b"") != (DETECTION if code == CUSTOM else b""):
        name = bytes((entry["custom"] or b"")[:40]).decode(errors="replace")
        raise Refused(f"it has the custom operator {name!r}; stores have builtin ones and {DETECTION.decode()} only")
    return code, entry["version"]


def _operator(entry: Record, number: int, codes: list[tuple[int, int]], tensors: int) -> FileOperator:
    where = f"operator {number}"
    if entry["code"] >= len(codes):
        raise Refused(f"{where} is of kind {entry['code']}, which is not there")
    if any(entry[k] for k in ("custom_format", "large_offset", "large_size", "options2_type")) or entry["debug"] != -1:
        raise Refused(f"{where} has options that are not known")
    code, version = codes[entry["code"]]
    options, custom = entry["options"], custom_options(entry)
    if code == CUSTOM:
        options = _detection_options(custom, where)
    elif custom:
        raise Refused(f"{where} has options that are not known")
    inputs = tensor_indices(entry["inputs"], tensors, f"an input of {where}", least=-1)
    outputs = tensor_indices(entry["outputs"], tensors, f"an output of {where}", least=0)
    return FileOperator(code, version, inputs, outputs, entry["options_type"], options)


def _detection_options(content: bytes, where: str) -> Record:
    """Return the options of the custom operator, which must be written as this project writes them."""
    try:
        options = read_detection_options(content)
    except Damaged as e:
        raise Refused(f"{where}: {e}") from None
    if write_detection_options(options) != content:
        raise Refused(f"{where} has its options in another form than stores have")
    return options


def tensor_indices(found: NDArray[np.int32] | None, tensors: int, where: str, least: int) -> tuple[int, ...]:
    """Return indices of tensors, all of which lie from `least` to `tensors` - 1; Refused if one does not."""
    indices = tuple(int(i) for i in (() if found is None else found))
    for i in indices:
        if not least <= i < tensors:
            raise Refused(f"{where} is tensor {i} of {tensors}")
    return indices
