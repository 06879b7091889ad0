"""Cutting a model into segments: the common blocks, which get descendants, and fixed segments between them.

Which calls form a segment is decided by the rule in `common_blocks`; here segments become models with named tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from legodnn.blocks.cutting.common_blocks import Draft, draft_segments
from legodnn.blocks.cutting.division import Division
from legodnn.blocks.importing.checks import check_shapes, check_weights
from legodnn.blocks.importing.difference import same_function, sample_inputs
from legodnn.blocks.importing.graph import alone, as_list, run_calls, submodel
from legodnn.blocks.importing.layer_copies import blank_copy, has_state
from legodnn.blocks.importing.opening import functional
from legodnn.errors import ModelError


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of a Keras model.

    Attributes:
        name: 'stem', 'block1', 'fixed1', 'head', ...
        kind: a 'block' gets descendants, a 'fixed' segment does not.
        model: the segment as a Functional model, which shares its layers with the whole model.
        inputs: names of the tensors that the segment reads, in the order of the model's inputs. Inputs of the whole
            model keep their names; other tensors are named after the segment that writes them.
        outputs: names of the tensors that it writes: the segment's name, or NAME.0, NAME.1, ... if there are several. A
            tensor that is one of several outputs of the whole model has the name that the whole model gives it.
        calls: names of the layers in it.
        finals: which outputs of the whole model it writes: pairs of the output's number and the tensor's name.
    """

    name: str
    kind: Literal["block", "fixed"]
    model: keras.Model
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[str, ...]
    finals: tuple[tuple[int, str], ...] = ()

    def run(self, tensors: dict[str, Any], model: keras.Model | None = None) -> list[Any]:
        """Run the segment in inference mode, or another `model` in its place, and return its outputs.

        Args:
            tensors: the tensors that it reads, and perhaps others, by name.
            model: what runs in place of the segment's own model, such as a descendant.
        """
        # Keras refuses arrays beside tensors, as a segment reads them that takes the model's input and an interface.
        values = [keras.ops.convert_to_tensor(tensors[name]) for name in self.inputs]
        return as_list((model or self.model)(alone(values), training=False))


def output_names(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Return the names of the tensors that are outputs of the whole model, in its order."""
    return tuple(name for _, name in sorted(final for piece in pieces for final in piece.finals))


def compose_pieces(
    pieces: Sequence[Piece], inputs: Mapping[str, Any], models: Mapping[str, keras.Model] | None = None
) -> dict[str, Any]:
    """Run the segments of a model one after another, in inference mode.

    Args:
        pieces: all segments of the model.
        inputs: the model's inputs by name, each of shape (n, ...).
        models: what runs in place of the originals, by the segment's name; segments without an entry run as they are.

    Returns:
        Every interface tensor by name, the inputs included.
    """
    tensors = dict(inputs)
    for piece in pieces:
        model = (models or {}).get(piece.name)
        tensors.update(zip(piece.outputs, piece.run(tensors, model), strict=True))
    return tensors


def check_composed(model: keras.Model, pieces: Sequence[Piece]) -> None:
    """Compare a model's segments, run one after another on sample inputs as a device does, with the model itself.

    Raises:
        ModelError: a layer gives another shape in inference than the graph has, or the composed segments are another
            function than the model.
    """
    xs = sample_inputs(model)
    tensors = dict(zip((str(t.name) for t in model.inputs), xs, strict=True))
    for piece in pieces:
        outputs = run_calls(piece.model, [tensors[name] for name in piece.inputs], training=False)
        tensors.update(zip(piece.outputs, (keras.ops.convert_to_numpy(y) for y in outputs), strict=True))
    if not same_function([tensors[name] for name in output_names(pieces)], as_list(model(alone(xs), training=False))):
        raise ModelError(f"the segments of {model.name!r}, one after another, are another function than the model")


def extract(model: keras.Model, max_blocks: int | None = None, min_share: float = 0.01) -> list[Piece]:
    """Cut a model into segments, in topological order.

    Args:
        model: a Functional or Sequential Keras model. Nested models are opened, and shared layers stay shared.
        max_blocks: the largest number of blocks; neighbours are joined until it holds. None stands for 16, or for fewer
            where the model is small (`common_blocks.worthwhile_blocks`).
        min_share: the least share of the model's multiply-accumulates that a block must hold; of the model's
            parameters, where it is the model's end.

    Raises:
        ModelError: the model has no graph, a tensor of unknown shape, weights that are not finite, an output that
            no layer computes or that is given twice, a layer in a block that cannot be copied, or no block at all.

    Example: in a ResNet-18 every residual block is a block.

            >>> from legodnn.blocks.zoo import resnet18
            >>> pieces = extract(resnet18(width=0.5))
            >>> [piece.name for piece in pieces]
            ['block1', 'block2', 'block3', 'block4', 'block5', 'block6', 'block7', 'block8', 'head']
            >>> pieces[1].inputs, pieces[1].outputs
            (('block1',), ('block2',))
    """
    if max_blocks is not None and max_blocks < 1:
        raise ModelError(f"max_blocks must be at least 1, got {max_blocks}")
    model = functional(model)
    check_shapes(model)
    check_weights(model)
    division = Division(model)
    drafts = draft_segments(division, max_blocks, min_share)
    for call in (call for d in drafts if d.block for call in d.calls if has_state(call.operation)):
        blank_copy(call.operation, {})  # raises where a descendant could not get its copy of the layer
    return _pieces(drafts, division)


def _pieces(drafts: Sequence[Draft], division: Division) -> list[Piece]:
    pieces: list[Piece] = []
    names = _tensor_names(drafts, division)
    for d, name in zip(drafts, _segment_names(drafts), strict=True):
        kind: Literal["block", "fixed"] = "block" if d.block else "fixed"
        inputs, outputs = division.inputs(d.calls), division.outputs(d.calls)
        model = submodel(inputs, outputs, name)
        read, written = (tuple(names[id(t)] for t in tensors) for tensors in (inputs, outputs))
        finals = tuple(
            (number, names[id(t)])
            for number, t in enumerate(division.model.outputs)
            if any(t is output for output in outputs)
        )
        pieces.append(Piece(name, kind, model, read, written, tuple(c.name for c in d.calls), finals))
    return pieces


def _tensor_names(drafts: Sequence[Draft], division: Division) -> dict[int, str]:
    """Return the names of a model's inputs and of all tensors that its segments write, by the tensors' `id()`."""
    model = division.model
    inputs, written = {id(t): str(t.name) for t in model.inputs}, dict[int, str]()
    for d, name in zip(drafts, _segment_names(drafts), strict=True):
        outputs = division.outputs(d.calls)
        for i, t in enumerate(outputs):
            written[id(t)] = name if len(outputs) == 1 else f"{name}.{i}"
            if written[id(t)] in inputs.values():
                raise ModelError(f"input {written[id(t)]!r} has the name of a segment; give keras.Input another name")
    if len(model.outputs) > 1:
        given = zip(model.outputs, model.output_names, strict=True)
        named = written | {id(t): str(name) for t, name in given if _is_chosen(str(name), t)}
        if len({*named.values(), *inputs.values()}) == len(named) + len(inputs):
            written = named
    return inputs | written


def _is_chosen(name: str, output: Any) -> bool:
    """Whether the user chose an output's name, and a store can hold it.

    Names that Keras makes (dense_3) change from run to run.
    """
    automatic = re.sub(r"_\d+$", "", name).replace("_", "") == type(output._keras_history.operation).__name__.lower()
    return not automatic and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name) is not None


def _segment_names(drafts: Sequence[Draft]) -> list[str]:
    """Return the names of segments: block1, block2, ... for blocks, and stem, fixed1, ..., head for fixed ones."""
    names: list[str] = []
    for i, d in enumerate(drafts):
        number = 1 + sum(
            d.block == before.block for before in drafts[1 if not d.block and not drafts[0].block else 0 : i]
        )
        edge = {0: "stem", len(drafts) - 1: "head"}.get(i)
        names.append(f"block{number}" if d.block else edge or f"fixed{number}")
    return names
