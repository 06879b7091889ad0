"""Reading one `.tflite` file that was made elsewhere: what it takes and gives, what it costs, and whether it is fit.

It is held to what every file of a store is held to (`tflite.check`), after what stores do not have was taken out of it
(`tflite.fitting.fit_for_stores`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from legodnn.errors import ModelError
from legodnn.files import read_regular
from legodnn.manifest import Precision, TensorSpec
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.cost import multiply_accumulates, parameter_count, weight_precision
from legodnn.runtime.tflite.fitting import fit_for_stores
from legodnn.runtime.tflite.model_file import FileGraph, Refused, parse_model_file
from legodnn.runtime.tflite.tensor_specs import spec_of
from legodnn.schema import MOST_NAME

_MOST_BYTES = 1 << 31  # what the format's offsets reach
_REMEDY = "give a .tflite file"


@dataclass(frozen=True, eq=False)
class WholeFile:
    """A file that is fit to be an option of a store.

    Attributes:
        path: where it was read, or what stands for that.
        content: what a store holds of it: the file without notes.
        inputs, outputs: what it takes and gives, in the file's order.
        precision: the number format of most of its weights.
        params: the number of parameters.
        macs: multiply-accumulates of one inference.
    """

    path: Path
    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: Precision
    params: int
    macs: int


def read_whole_file(path: Path, content: bytes | None = None) -> WholeFile:
    """Read a file.

    Args:
        path: the file, or what messages call what is no file.
        content: what there is in place of a file.

    Raises:
        ModelError: it cannot be read, is damaged or no `.tflite` file, or has something that is not run: a custom
            operator, loops and branches, tensors of unknown size or of other types.
    """
    if content is None:
        content = read_regular(path, _MOST_BYTES, ModelError, _REMEDY)
    try:
        content = fit_for_stores(content)
        graph = parse_model_file(content)
        check_graph(graph)
        inputs = _specs(graph, graph.inputs, "input", ())
        outputs = _specs(graph, graph.outputs, "output", {spec.name for spec in inputs})
    except Refused as e:
        raise ModelError(f"{path} cannot be packed: {e}") from None
    return WholeFile(
        *(path, content, inputs, outputs),
        precision=weight_precision(graph),
        params=parameter_count(graph),
        macs=multiply_accumulates(graph),
    )


def _specs(graph: FileGraph, indices: Sequence[int], kind: str, taken: Collection[str]) -> tuple[TensorSpec, ...]:
    """Describe inputs or outputs; those that the file calls alike, or as something in `taken`, get numbers.

    Raises:
        Refused: there are none, or one is not of a batch of 1, or not of a type that runtimes pass on.
    """
    if not indices:
        raise Refused(f"it has no {kind}")
    found: list[TensorSpec] = []
    for index in indices:
        tensor = graph.tensors[index]
        name = _plain_name(tensor.name) or kind
        used = {*taken, *(spec.name for spec in found)}
        alternatives = (name, *(f"{name}_{i}" for i in range(len(used) + 1)))
        found.append(spec_of(tensor, next(n for n in alternatives if n not in used), kind))
    return tuple(found)


def _plain_name(name: str) -> str:
    """Return the name of a tensor without what converters put around it: `serving_default_image:0` is `image`."""
    return name.removeprefix("serving_default_").removesuffix(":0")[: MOST_NAME - 10]
