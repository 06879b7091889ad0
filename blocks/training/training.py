"""What all training has in common: the optimizer, the order of the images, and going on after an interruption.

Steps are taken one by one (`train_on_batch`) rather than by `fit`, so that training can be saved between any two.
Only Keras' own API is used: KERAS_BACKEND=jax or torch trains as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.heads import Head, heads_of
from legodnn.console import ProgressLine
from legodnn.errors import DataError, DependencyError, ModelError

Log = Callable[[str, float, int], None]


def silent(tag: str, value: float, step: int) -> None:
    """A log that is not kept."""


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches until every image was seen."""
    return -(-images // batch_size)


def batch_of(step: int, images: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Which images step number `step` of a training sees: each epoch has its own order, fixed by the seed.

    All batches are of one size, since another shape is compiled anew: the last of an epoch is filled up with the
    epoch's first images.
    """
    per_epoch = steps_per_epoch(images, batch_size)
    epoch, i = divmod(step, per_epoch)
    return _order(epoch, images, per_epoch * batch_size, seed)[i * batch_size : (i + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _order(epoch: int, images: int, length: int, seed: int) -> NDArray[np.int64]:
    return np.resize(np.random.default_rng([seed, epoch]).permutation(images), length)


def compile_for(model: keras.Model, learning_rate: float, steps: int, loss: Any = None) -> None:
    """Adam with a learning rate that decays by a cosine to 1 % over `steps`."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
    optimizer = keras.optimizers.Adam(schedule)
    # Without its slots built beforehand, the optimizer makes TensorFlow trace the whole training step twice.
    optimizer.build(model.trainable_variables)
    # XLA on CPU takes longer to compile these graphs than it saves.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")


def values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """Variables as arrays of their own."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def assign(variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
    """The way back."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


@contextmanager
def bfloat16(models: Sequence[keras.Model], on: bool) -> Iterator[None]:
    """Meanwhile layers of these models compute in bfloat16; their weights stay float32."""
    layers = {id(layer): layer for model in models for layer in model.layers} if on else {}
    before = {key: layer.dtype_policy for key, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for key, layer in layers.items():
            layer.dtype_policy = before[key]


def scalars_to(folder: str | None) -> Log:
    """A function (tag, value, step) that writes scalars for TensorBoard; without a folder, one that does nothing."""
    if folder is None:
        return silent
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise DependencyError("logs for TensorBoard need its package; pip install tensorboard") from None
    writer = Writer(folder)

    def log(tag: str, value: float, step: int) -> None:
        writer.add_scalar(tag, value, step)
        writer.flush()

    return log


def train_original(
    model: keras.Model,
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
) -> None:
    """Train a model with one output vector on its labels, in place.

    The loss is what fits output and labels (`heads`): cross-entropy of classes, of yes or no, or the squared error.

    Args:
        model: gives one vector: class scores, answers of yes or no, or numbers.
        data: supplies images and labels.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: Adam's, decaying by a cosine to 1 %.
        seed: of the order of the images.
        checkpoint: where training is saved now and then, and goes on from.
        log: takes the loss of each epoch.

    Raises:
        DataError: there are no labels, or they do not fit the outputs.
        ModelError: several outputs or no vector; training diverged.
    """
    head = check_labels(model, data)
    checkpoint = checkpoint or Checkpoint()
    split = data.train
    per_epoch = steps_per_epoch(len(split), batch_size)
    compile_for(model, learning_rate, epochs * per_epoch, _loss(head))
    targets = _targets(head, np.asarray(as_list(split.y)[0]), model.output_shape)
    variables = [*model.variables, *model.optimizer.variables]
    first, total = 0, 0.0
    if state := checkpoint.read():
        first, total = int(state["step"]), float(state["loss"])
        assign(variables, [state[str(i)] for i in range(len(variables))])
    with ProgressLine(f"training {model.name}", epochs * per_epoch, first) as progress:
        for step in range(first, epochs * per_epoch):
            batch = batch_of(step, len(split), batch_size, seed)
            found = float(model.train_on_batch(split.x[batch], targets[batch]))
            if not np.isfinite(found):
                raise ModelError(f"training {model.name} diverged; lower the learning rate or look at the data")
            total += found
            progress.step(f"loss {found:.4f}")
            if (step + 1) % per_epoch == 0:
                log("original/loss", total / per_epoch, step + 1)
                total = 0.0
            if checkpoint.due:
                arrays = {str(i): array for i, array in enumerate(values(variables))}
                checkpoint.write({"step": np.array(step + 1), "loss": np.array(total), **arrays})


def _loss(head: Head) -> keras.losses.Loss:
    if head.kind == "numbers":
        return keras.losses.MeanSquaredError()
    logits = head.scale == "linear"
    if head.kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def _targets(head: Head, y: NDArray[Any], shape: Sequence[int | None]) -> NDArray[Any]:
    """Labels as the loss takes them: class numbers, shape (n,), or values of the output's shape."""
    if head.kind == "classes":
        return y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(np.int64)
    return y.reshape(-1, *shape[1:]).astype(np.float32)


def check_labels(model: keras.Model, data: Dataset) -> Head:
    """How the output of a model that is to be trained is read.

    Raises:
        DataError: a split has no labels, or labels that do not fit.
        ModelError: several outputs, or no vector.
    """
    for name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
        if split.y is None:
            raise DataError(f"{data.name}, {name} images have no labels, which {model.name} needs to be trained")
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise ModelError(
            f"{model.name} does not give one vector for an image: train it elsewhere, and give it with train_epochs = 0"
        )
    return heads_of(model, data)[0]
