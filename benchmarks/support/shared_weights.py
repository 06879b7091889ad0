"""One set of weights for a model in several widths: nested models, and a slimmable one.

The kernels of a narrower model are parts of those of a wider one, the most important channels of every group (L1).
Batch norms are each width's own. Each width learns from the original's outputs, and from labels where the model gives
one vector for an image, as in every fine-tuning here.

- `slimmable`: all at once; each step sees the widest, the narrowest and one other (the sandwich rule of
  Universally Slimmable Networks, Yu and Huang 2019).
- `nested`: the narrowest first; then what a wider one has more, while the rest stays as it is (freeze and grow,
  as in NestDNN, Fang, Zeng and Zhang 2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.heads import heads_of
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.optimizer import adam
from legodnn.blocks.training.original import label_loss
from legodnn.blocks.training.output_error import output_error
from legodnn.progress import Progress, no_progress

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)
import tensorflow as tf  # isort: skip


class SharedWeights:
    """A model in several widths with one set of weights.

    Attributes:
        models: the widths, the widest first; `write_back` gives them their weights.
        shared: the weights of the widest, but for batch norms.
    """

    def __init__(self, model: keras.Model, shares: Sequence[float]) -> None:
        """Cut the widths.

        Args:
            model: a Functional model; it stays as it is.
            shares: of its multiply-accumulates, falling, each below 1.
        """
        channels = analyse(model)
        gone = [np.empty(0, np.int64), *(choose(model, channels, Target("macs", share)) for share in shares)]
        # Narrower ones are parts of wider ones.
        assert all(np.isin(a, b).all() for a, b in itertools.pairwise(gone))
        self.models = [remove(model, channels, removed) for removed in gone]
        for layer in (layer for narrow in self.models for layer in narrow.layers):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9  # the statistics of the whole model are far from those of a narrow one
        # A copy whose weights are their own places tells which part of each weight a narrower model has.
        numbered = remove(model, channels, gone[0])
        numbered.set_weights([np.arange(w.size, dtype=np.float32).reshape(w.shape) for w in numbered.get_weights()])
        cut = [remove(numbered, analyse(numbered), removed) for removed in gone]
        self._places = [[w.astype(np.int64) for w in _shareable(narrow)] for narrow in cut]
        self.shared = [keras.Variable(w) for w in _shareable(self.models[0])]

    def weights(self, width: int) -> list[Any]:
        """Return the trainable weights of a width: parts of the shared ones, and its own."""
        parts = (tf.gather(tf.reshape(w.value, [-1]), p) for w, p in zip(self.shared, self._places[width], strict=True))
        return [v.value if own else next(parts) for v, own in _owned(self.models[width])]

    def own(self, width: int) -> list[Any]:
        """Return the trainable variables that a width has to itself."""
        return [v for v, own in _owned(self.models[width]) if own]

    def added(self, width: int) -> list[Array]:
        """Return for each shared weight 1 where this width has it and the next narrower one has not, else 0."""
        masks = [np.zeros(w.shape, np.float32) for w in self.shared]
        for mask, places in zip(masks, self._places[width], strict=True):
            mask.flat[places.ravel()] = 1
        if width + 1 < len(self.models):
            for mask, places in zip(masks, self._places[width + 1], strict=True):
                mask.flat[places.ravel()] = 0
        return masks

    def write_back(self) -> None:
        """Give every model its part of the shared weights."""
        for width, model in enumerate(self.models):
            for (variable, own), weight in zip(_owned(model), self.weights(width), strict=True):
                if not own:
                    variable.assign(weight)


def _owned(model: keras.Model) -> Iterator[tuple[keras.Variable, bool]]:
    """Yield a model's trainable variables, and whether each belongs to a batch norm, which is not shared."""
    for layer in model.layers:
        for variable in layer.trainable_variables:
            yield variable, isinstance(layer, keras.layers.BatchNormalization)


def _shareable(model: keras.Model) -> list[Array]:
    return [keras.ops.convert_to_numpy(v) for v, own in _owned(model) if not own]


class _Teacher:
    """The original's outputs, and the losses of one who learns from them and, where it gives vectors, from labels."""

    def __init__(self, model: keras.Model, data: Dataset) -> None:
        self._model, self._data, self._labelled = model, data, len(model.output_shape) == 2
        (self._head,) = heads_of(model, data)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        x, y = self._data.train.x[rows], np.asarray(self._data.train.y)[rows]
        return tf.constant(x), self._model(x, training=False), tf.constant(y.reshape(-1))

    def loss(self, found: Any, wanted: Any, labels: Any) -> Any:
        distilled = tf.reduce_mean(output_error(self._head, found, wanted, 1))
        return distilled + label_loss(self._head)(labels, found) if self._labelled else distilled


def _gradients(weights: SharedWeights, teacher: _Teacher, width: int) -> Any:
    """Return a compiled function that gives the gradients of a batch: of shared weights, then of a width's own."""
    model, variables = weights.models[width], [v.value for v in (*weights.shared, *weights.own(width))]

    def gradients(x: Any, wanted: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            found, moving = model.stateless_call(
                weights.weights(width), [v.value for v in model.non_trainable_variables], x, training=True
            )
            loss = teacher.loss(found, wanted, labels)
        for variable, value in zip(model.non_trainable_variables, moving, strict=True):
            variable.assign(value)
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

    return tf.function(gradients)


class _Learning:
    """Steps of Adam on the gradients of some widths together, by a cosine's learning rate."""

    def __init__(
        self, model: keras.Model, weights: SharedWeights, data: Dataset, batches: Batches, epochs: int
    ) -> None:
        self._weights, self._teacher = weights, _Teacher(model, data)
        self._batches, self.steps = batches, epochs * batches.per_epoch
        self._gradients = [_gradients(weights, self._teacher, width) for width in range(len(weights.models))]
        self._optimizer = adam(keras.optimizers.schedules.CosineDecay(1e-3, self.steps, alpha=0.01))
        self._optimizer.build([*weights.shared, *(v for w in range(len(weights.models)) for v in weights.own(w))])

    def step(self, number: int, widths: Sequence[int], masks: Sequence[Array] | None = None) -> None:
        """Learn from batch `number` in some widths; of shared weights only where masks are 1."""
        batch, shared = self._teacher.batch(self._batches.indices(number)), len(self._weights.shared)
        found = [self._gradients[width](*batch) for width in widths]
        summed = [tf.add_n(parts) for parts in zip(*(f[:shared] for f in found), strict=True)]
        if masks is not None:
            summed = [gradient * mask for gradient, mask in zip(summed, masks, strict=True)]
        own = [v for width in widths for v in self._weights.own(width)]
        self._optimizer.apply([*summed, *(g for f in found for g in f[shared:])], [*self._weights.shared, *own])


class Stage(NamedTuple):
    """A part of a training: what it is called, which widths a step sees, and where shared weights are trained."""

    label: str
    widths: Iterator[Sequence[int]]
    masks: Sequence[Array] | None = None


def slimmable(weights: SharedWeights, seed: int = 0) -> list[Stage]:
    """Return the one stage of a slimmable network; the seed decides which middle widths are drawn."""
    rng, narrowest = np.random.default_rng(seed), len(weights.models) - 1
    drawn = ([0, narrowest, int(rng.integers(1, narrowest))] for _ in itertools.count())
    return [Stage("training a slimmable network", drawn)]


def nested(weights: SharedWeights) -> list[Stage]:
    """Return the stages of nested models, the narrowest first; what one has trained, the next leaves as it is."""
    widths = reversed(range(len(weights.models)))
    return [Stage(f"training width {w} of nested ones", itertools.repeat([w]), weights.added(w)) for w in widths]


def train(
    model: keras.Model,
    weights: SharedWeights,
    stages: Sequence[Stage],
    data: Dataset,
    epochs: int,
    batch_size: int,
    seed: int = 0,
    progress: Progress = no_progress,
) -> None:
    """Train shared weights.

    Args:
        model: the original.
        weights: what is trained.
        stages: how, one after another.
        data: images and class numbers.
        epochs: passes over the training images, of each stage.
        batch_size: images in a step.
        seed: of the order of images.
        progress: is told of every step.
    """
    for stage in stages:
        learning = _Learning(model, weights, data, Batches(len(data.train), batch_size, seed), epochs)
        with progress(stage.label, learning.steps) as task:
            for number in range(learning.steps):
                learning.step(number, next(stage.widths), stage.masks)
                task.step()
    weights.write_back()
