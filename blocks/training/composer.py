"""Original and descendants as one Keras model that runs several compositions on one batch.

A batch of images is divided into as many chunks as a block has options. It is taken twice, because half of the work is
what the original makes of an image, and that is done once for both. In each block every option takes one chunk of
either half. Which chunks these are may differ from block to block, so that the chunks take as many different
compositions ("paths") through the model, and every option of every block is trained. All shapes are fixed and nothing
branches, so a training step is one graph on every backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.fused_calls import run_fused
from legodnn.blocks.training.output_error import output_error

_NUMBERS = Head("numbers", "r2", "linear")
_OUTPUT_WEIGHT = 4.0  # of the error at the model's outputs, where that at the blocks' outputs counts once
PATHS_OF_AN_IMAGE = 2  # more differ too little: docs/training.md has what was tried
_FLOOR = 0.01  # a path whose loss is this small is as good as perfect


def slot_options(slots: int, options: int) -> NDArray[np.int64]:
    """Return the option that each slot of a block runs, shape (slots,).

    A block has a slot for every chunk. Options take slots in turn, so a block with fewer options than slots runs some
    of them more than once.
    """
    return np.arange(slots) % options


class Composer(keras.Model):  # type: ignore[misc]
    """Original and descendants as one trainable Keras model: a batch takes several paths at once.

    It is called with (inputs by name, paths): each input of shape (images, ...), a multiple of `options` images, and
    paths of shape (blocks, slots), where paths[b, s] is the chunk that slot s of block b takes. It returns the loss of
    every path, shape (slots,).

    Attributes:
        students: descendants by block name.
        options: the most options that a block has, the original counted.
        slots: number of chunks and paths. The first `options` chunks hold all images, and so do the next ones.
    """

    def __init__(
        self, pieces: Sequence[Piece], students: Mapping[str, Sequence[keras.Model]], heads: Sequence[Head] = ()
    ) -> None:
        """Put a model together.

        Args:
            pieces: the segments of the original, in order. Their models are made untrainable.
            students: descendants by block name; blocks may be left out.
            heads: how each output of the model is read; none given: all are numbers.
        """
        super().__init__(name="composer", dtype="float32")
        self._heads = tuple(heads) or (_NUMBERS,) * len(output_names(pieces))
        self._pieces = list(pieces)
        self._originals = [piece.model for piece in pieces]  # Keras finds variables by attributes
        for original in self._originals:
            original.trainable = False
        self.students = {name: list(models) for name, models in students.items()}
        self.options = 1 + max(len(models) for models in self.students.values())
        self.slots = self.options * PATHS_OF_AN_IMAGE

    def call(self, arguments: tuple[Mapping[str, Any], Any], training: bool = False) -> Any:
        """Return the loss of every path: mean error at the outputs of blocks, plus four times that at the model's."""
        wanted, found, features = self.compose(*arguments)
        last = [
            output_error(head, found[name], _repeated(wanted[name]), self.slots)
            for head, name in zip(self._heads, output_names(self._pieces), strict=True)
        ]
        return sum(features) / len(features) + _OUTPUT_WEIGHT * sum(last) / len(last)

    def compose(self, inputs: Mapping[str, Any], paths: Any) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """Run the original and the paths.

        Returns:
            All tensors of the original by name, of every image once; all tensors of the paths by name, chunk after
            chunk; and the errors of the paths at every output of every block, each of shape (slots,).
        """
        wanted, found, features = dict(inputs), dict(inputs), []
        block = 0
        for piece in self._pieces:
            outputs = run_fused(piece.model, [wanted[name] for name in piece.inputs])
            as_original = all(found[name] is wanted[name] for name in piece.inputs)
            if piece.name in self.students or not as_original:
                found.update({name: _repeated(found[name]) for name in piece.inputs if found[name] is wanted[name]})
            if piece.name in self.students:
                composed = self._run_block(piece, found, paths[block])
                block += 1
                features += [
                    relative_error([y], [ops.stop_gradient(_repeated(target))], self.slots)
                    for y, target in zip(composed, outputs, strict=True)
                ]
            elif as_original:
                composed = outputs
            else:
                composed = run_fused(piece.model, [found[name] for name in piece.inputs])
            wanted.update(zip(piece.outputs, outputs, strict=True))
            found.update(zip(piece.outputs, composed, strict=True))
        found.update({name: _repeated(t) for name, t in found.items() if t is wanted[name]})
        return wanted, found, features

    def _run_block(self, piece: Piece, tensors: Mapping[str, Any], path: Any) -> list[Any]:
        """Return a block's outputs where slot s takes chunk path[s]; chunks keep their places in the batch."""
        options = [piece.model, *self.students[piece.name]]
        which = slot_options(self.slots, len(options))
        order = ops.take(path, np.argsort(which, kind="stable"), axis=0)  # the chunks, those of an option together
        back = ops.argsort(order)
        ends = np.cumsum(np.bincount(which))[:-1].tolist()
        read = [ops.split(_permuted(_divided(tensors[name], self.slots), order, back), ends) for name in piece.inputs]
        parts: list[list[Any]] = []
        for option, *chunks in zip(options, *read, strict=True):
            parts.append([_divided(y, chunks[0].shape[0]) for y in run_fused(option, [_merged(c) for c in chunks])])
        return [_merged(_permuted(ops.concatenate(column), back, order)) for column in zip(*parts, strict=True)]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the mean over paths of the logarithm of their losses.

        So a path counts by the share of its loss that can be saved. In a plain mean, heavily pruned paths would drown
        what lightly pruned ones can learn.
        """
        return ops.mean(ops.log(y_pred + _FLOOR))


def _repeated(batch: Any) -> Any:
    """Return a batch of shape (n, ...) so often, one after another, as an image has paths."""
    return ops.concatenate([batch] * PATHS_OF_AN_IMAGE, axis=0)


def _divided(batch: Any, chunks: int) -> Any:
    """Return a batch of shape (chunks x n, ...) as chunks, shape (chunks, n, ...)."""
    return ops.reshape(batch, (chunks, -1, *batch.shape[1:]))


def _merged(chunks: Any) -> Any:
    """Return chunks of shape (chunks, n, ...) as one batch, shape (chunks x n, ...)."""
    return ops.reshape(chunks, (-1, *chunks.shape[2:]))


def _permuted(chunks: Any, order: Any, back: Any) -> Any:
    """Return chunks in another order, of which `back` is the inverse.

    The gradient of `take` would be a sum over all places that read a chunk, where here each is read once.
    """

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def permute(chunks: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return ops.take(args[0] if upstream is None else upstream, back, axis=0)

        return ops.take(chunks, order, axis=0), gradient

    return permute(chunks)
