"""Training all descendants together, so that they are accurate in any composition and not only one by one.

Blocks that were trained alone do not know each other: composed, their errors add up. Here every descendant is trained
inside random compositions ("paths"), on inputs that other descendants have already disturbed, towards the undisturbed
original's features and outputs. The original itself is not touched.

One step trains every option of every block once: a batch is divided into as many chunks as a block has options, and
in each block every option takes one chunk; which chunk is drawn anew for every block, so the chunks take as many
random paths. All shapes are fixed and nothing branches, so the step is one graph on every backend, and costs as much
as one path of average size. In a share of the steps all blocks draw the same chunks: uniform compositions.

Batch norms keep the statistics they have: what is trained is what is deployed, where they are constants. (Statistics
of a batch would be those of the paths in it, which no composition has.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.build_state import Arrays, Checkpoint
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.training import assign, compile_for, values
from legodnn.console import ProgressLine
from legodnn.errors import DataError, ModelError

Paths = NDArray[np.int32]

_UNIFORM = 0.25  # share of steps in which all blocks draw the same chunks
_TEMPERATURE = 4.0
_EPSILON = 1e-7  # keeps the logarithm of a probability finite
_NUMBERS = Head("numbers", "r2", "linear")
_FLOOR = 0.01  # a path whose loss is this small is as good as perfect


def draw_paths(blocks: int, slots: int, uniform: float, rng: np.random.Generator) -> Paths:
    """Which chunk each slot of each block takes, shape (blocks, slots): every row is a permutation of the chunks.

    Args:
        blocks: number of blocks.
        slots: number of chunks; what each slot runs is said by `slot_options`.
        uniform: probability that all rows are the same.
        rng: source of randomness.
    """
    if rng.random() < uniform:
        return np.tile(rng.permutation(slots), (blocks, 1)).astype(np.int32)
    return np.stack([rng.permutation(slots) for _ in range(blocks)]).astype(np.int32)


def slot_options(slots: int, options: int) -> NDArray[np.int64]:
    """The option that each slot of a block runs: all in turn, so that a block with fewer options repeats them."""
    return np.arange(slots) % options


class Composer(keras.Model):  # type: ignore[misc]
    """Original and descendants as one trainable Keras model: a batch takes several paths at once.

    Called with (inputs by name, paths): each input of shape (slots x chunk, ...), paths as `draw_paths` gives them. Its
    result is the loss of every path, shape (slots,).
    """

    def __init__(
        self, pieces: Sequence[Piece], students: Mapping[str, Sequence[keras.Model]], heads: Sequence[Head] = ()
    ) -> None:
        super().__init__(name="composer", dtype="float32")
        self._heads = tuple(heads) or (_NUMBERS,) * len(output_names(pieces))
        self._pieces = list(pieces)
        self._originals = [piece.model for piece in pieces]  # here for Keras to find their variables
        for original in self._originals:
            original.trainable = False
        self.students = {name: list(models) for name, models in students.items()}
        self.slots = 1 + max(len(models) for models in self.students.values())

    def call(self, arguments: tuple[Mapping[str, Any], Any], training: bool = False) -> Any:
        """Loss of every path: mean of the errors at the outputs of blocks, plus mean of the errors at the model's."""
        wanted, found, features = self.compose(*arguments)
        names = output_names(self._pieces)
        last = [self._output_error(h, found[name], wanted[name]) for h, name in zip(self._heads, names, strict=True)]
        return sum(features) / len(features) + sum(last) / len(last)

    def compose(self, inputs: Mapping[str, Any], paths: Any) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """All tensors of the original, all tensors of the paths, and the paths' errors at the outputs of blocks."""
        wanted, found, features = dict(inputs), dict(inputs), []
        block = 0
        for piece in self._pieces:
            outputs = piece.run(wanted)
            if piece.name in self.students:
                composed = self._block(piece, found, paths[block])
                block += 1
                features += [self._relative(y, target) for y, target in zip(composed, outputs, strict=True)]
            elif all(found[name] is wanted[name] for name in piece.inputs):
                composed = outputs
            else:
                composed = piece.run(found)
            wanted.update(zip(piece.outputs, outputs, strict=True))
            found.update(zip(piece.outputs, composed, strict=True))
        return wanted, found, features

    def _block(self, piece: Piece, tensors: Mapping[str, Any], path: Any) -> list[Any]:
        """A block's outputs when slot s takes chunk path[s]."""
        options = [piece.model, *self.students[piece.name]]
        chunks = {name: self._take(tensors[name], path) for name in piece.inputs}
        which = slot_options(self.slots, len(options))
        parts: list[list[Any]] = []
        for number, option in enumerate(options):
            own = np.flatnonzero(which == number)
            read = {name: _joined([slots[s] for s in own]) for name, slots in chunks.items()}
            parts.append([self._divided(y, len(own)) for y in piece.run(read, option)])
        # Slots are now ordered by option; chunk c is where the path of the slot holds c.
        back = ops.argsort(ops.take(path, np.argsort(which, kind="stable"), axis=0))
        return [_merged(ops.take(ops.concatenate(column, axis=0), back, axis=0)) for column in zip(*parts, strict=True)]

    def _divided(self, y: Any, count: int) -> Any:
        return ops.reshape(y, (count, -1, *y.shape[1:]))

    def _take(self, y: Any, path: Any) -> list[Any]:
        return list(ops.unstack(ops.take(self._divided(y, self.slots), path, axis=0), self.slots, axis=0))

    def _relative(self, y: Any, target: Any) -> Any:
        """Mean squared error of each chunk over the variance of the target, shape (slots,)."""
        target = ops.stop_gradient(target)
        squares = ops.reshape(ops.square(y - target), (self.slots, -1))
        return ops.mean(squares, axis=1) / ops.maximum(ops.var(target), 1e-6)

    def _output_error(self, head: Head, y: Any, target: Any) -> Any:
        """What an output is off the original's, by what it holds: numbers, or softened distributions."""
        if head.kind == "numbers":
            return self._relative(y, target)
        soft = [_logits(head, values) / _TEMPERATURE for values in (y, ops.stop_gradient(target))]
        return _TEMPERATURE**2 * self._divergence(*(_log_probabilities(head, values) for values in soft))

    def _divergence(self, found: Any, wanted: Any) -> Any:
        """Kullback-Leibler divergence of each chunk (Hinton et al. 2015), shape (slots,).

        Both are logarithms of probabilities; the last axis holds what is one distribution.
        """
        each = ops.sum(ops.exp(wanted) * (wanted - found), axis=-1)
        return ops.mean(ops.reshape(each, (self.slots, -1)), axis=1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over paths of the logarithm of their losses: a path counts by what share of its loss can be saved.

        Otherwise heavily pruned paths would drown what lightly pruned ones can learn.
        """
        return ops.mean(ops.log(y_pred + _FLOOR))


def train_jointly(
    pieces: Sequence[Piece],
    students: Mapping[str, Sequence[keras.Model]],
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    learning_rate: float = 5e-4,
    heads: Sequence[Head] = (),
    checkpoint: Checkpoint | None = None,
) -> float:
    """Train all descendants in place, inside random compositions (no labels).

    Args:
        pieces: the segments of the original model, in order.
        students: descendants by block name, trained one by one or refitted before.
        data: supplies the images.
        epochs: passes over the training images.
        batch_size: images a step, rounded to a multiple of the number of options.
        seed: of the order of images and the paths. With the same seed, stopping and resuming changes nothing.
        learning_rate: Adam's, decaying by a cosine to 1 %.
        heads: how each output of the model is read: those of classes, and of yes or no, are compared as softened
            distributions, others by squared error. None given: all are numbers.
        checkpoint: where training is saved after an epoch, if it is time, and goes on from.

    Returns:
        The mean loss of the last epoch.

    Raises:
        DataError: fewer images than options.
        ModelError: training diverged.
    """
    checkpoint = checkpoint or Checkpoint()
    composer = Composer(pieces, students, heads)
    given: Any = data.train.x
    x: dict[str, Array] = dict(given) if isinstance(given, Mapping) else {pieces[0].inputs[0]: given}
    count = len(next(iter(x.values())))
    size = min(max(1, round(batch_size / composer.slots)), count // composer.slots) * composer.slots
    if not size:
        raise DataError(f"{count} training images are fewer than the {composer.slots} options of a block")
    steps = count // size
    blocks = len(composer.students)
    first = np.arange(composer.slots)
    composer(({k: v[first] for k, v in x.items()}, np.tile(first, (blocks, 1)).astype(np.int32)))  # builds it
    compile_for(composer, learning_rate, epochs * steps)
    weights = [v for options in composer.students.values() for model in options for v in model.weights]
    variables, done = [*weights, *composer.optimizer.variables], 0
    if state := checkpoint.read():
        done = _restore(variables, state)
    loss = float("nan")
    with ProgressLine("training compositions", epochs * steps, done * steps) as progress:
        for epoch in range(done, epochs):
            rng = np.random.default_rng((seed, epoch))
            order = rng.permutation(count)
            composer.reset_metrics()
            for step in range(steps):
                chosen = order[step * size : (step + 1) * size]
                paths = draw_paths(blocks, composer.slots, _UNIFORM, rng)
                loss = float(composer.train_on_batch(({k: v[chosen] for k, v in x.items()}, paths)))
                progress.step(f"loss {loss:.4f}")
            arrays = values(variables)
            if not all(np.isfinite(a).all() for a in arrays[: len(weights)]):
                raise ModelError("training of compositions diverged; lower the learning rate")
            if checkpoint.due:
                checkpoint.write({"epoch": np.array(epoch + 1), **{str(i): a for i, a in enumerate(arrays)}})
    return loss


def _restore(variables: Sequence[Any], state: Arrays) -> int:
    """Set variables to a state that was saved; the number of epochs that are done."""
    arrays = [state[str(i)] for i in range(len(state) - 1)]
    if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
        raise ModelError("this state is of other descendants: start again, or with the models it was made of")
    assign(variables, arrays)
    return int(state["epoch"])


def _logits(head: Head, values: Any) -> Any:
    """Logits again, where an output was turned into probabilities."""
    if head.scale == "linear":
        return values
    logits = ops.log(values + _EPSILON)
    return logits if head.scale == "softmax" and head.kind == "classes" else logits - ops.log(1 - values + _EPSILON)


def _log_probabilities(head: Head, logits: Any) -> Any:
    """By a last axis of classes, or of yes and no."""
    if head.kind == "classes":
        return ops.log_softmax(logits, axis=-1)
    return ops.stack([ops.log_sigmoid(logits), ops.log_sigmoid(-logits)], axis=-1)


def _joined(chunks: Sequence[Any]) -> Any:
    return chunks[0] if len(chunks) == 1 else ops.concatenate(chunks, axis=0)


def _merged(chunks: Any) -> Any:
    """Chunks of shape (slots, n, ...) as one batch."""
    return ops.reshape(chunks, (-1, *chunks.shape[2:]))
