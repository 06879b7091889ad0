"""How far outputs are from the outputs that are wanted, and inputs to compare two models on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from legodnn.blocks.importing.graph import calls, holds_integers

FLOAT32_TOLERANCE = 1e-3  # the largest `relative_difference` between two ways to compute one function in float32
TOLERANCE = 1e-4  # the `largest_difference` of what a file computes that needs no reason
_ROUNDING = 4  # of one image, a pose network's answers were 1.7 to 2.7 times further from Keras' than from one another
# What leaves values as they are on their way from an input to an embedding.
_MOVED = ("Identity", "Cast", "Reshape", "Flatten", "Permute", "Transpose", "Squeeze", "ExpandDims", "GetItem")
_LEAST_VARIANCE = 1e-6  # of a target that is (almost) constant


def relative_error(outputs: Sequence[Any], targets: Sequence[Any], chunks: int | None = None) -> Any:
    """Return the mean squared error over the variance of the target: 0 is perfect, 1 is what the best constant has.

    Args:
        outputs: tensors of shape (n, ...); of several, the mean of their errors is returned.
        targets: what they should be, shape by shape.
        chunks: number of equal parts that the n items are divided into. The error of each is returned, shape
            (chunks,), over the variance of the whole target; without `chunks` one error for all, a scalar tensor.
    """
    parts = []
    for output, target in zip(outputs, targets, strict=True):
        output, target = ops.cast(output, "float32"), ops.cast(target, "float32")
        mean = _mean_squares(ops.reshape(output - target, (chunks or 1, -1)))
        parts.append((mean if chunks else mean[0]) / ops.maximum(ops.var(target), _LEAST_VARIANCE))
    return sum(parts) / len(parts)


def fitted_error(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
    """Return the relative error that is left once every channel of the outputs has its best scale and offset.

    It lies between 0 and 1, and 1 is what outputs that say nothing have. `relative_error` can be above 1, so that by it
    a constant is better than outputs which only have the wrong scale. What has channels removed has that, until it is
    refitted or trained.

    Args:
        outputs: tensors of shape (n, ..., channels); of several, the mean of their errors is returned.
        targets: what they should be, shape by shape.
    """
    parts = []
    for output, target in zip(outputs, targets, strict=True):
        found, wanted = (ops.reshape(ops.cast(y, "float32"), (-1, y.shape[-1])) for y in (output, target))
        found, wanted = found - ops.mean(found, axis=0), wanted - ops.mean(wanted, axis=0)
        explained = ops.square(ops.mean(found * wanted, axis=0)) / ops.maximum(
            ops.mean(ops.square(found), axis=0), 1e-12
        )
        whole = ops.mean(ops.square(wanted), axis=0)
        left = ops.sum(ops.maximum(whole - explained, 0.0))
        parts.append(left / ops.maximum(ops.sum(whole), _LEAST_VARIANCE))
    return sum(parts) / len(parts)


@ops.custom_gradient  # type: ignore[untyped-decorator]
def _mean_squares(difference: Any) -> tuple[Any, Any]:
    """Return the mean square of every row, and its gradient, which is computed in one pass over the rows.

    Frameworks would spread the gradient of each mean over its row first, and multiply twice.
    """

    def gradient(*args: Any, upstream: Any = None) -> Any:
        (of_means,) = args if upstream is None else (upstream,)
        return difference * ops.expand_dims(2 * of_means / difference.shape[1], 1)

    return ops.mean(ops.square(difference), axis=1), gradient


def relative_difference(found: Any, wanted: Any) -> float:
    """Return the root mean square of the difference over that of what is wanted, for the image where it is largest.

    Args:
        found: an output for a batch of images, shape (n, ...).
        wanted: what it should be, of the same shape. Infinite or NaN values must stand in the same places in both.
    """
    a, b = (ops.convert_to_numpy(ops.cast(y, "float32")).astype(np.float64) for y in (found, wanted))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    a, b = np.where(np.isfinite(a), a, 0), np.where(np.isfinite(b), b, 0)
    scale = np.maximum(np.sqrt(np.square(b).mean(axis=1)), 1e-6)
    return float((np.sqrt(np.square(a - b).mean(axis=1)) / scale).max())


def largest_difference(found: Any, wanted: Any) -> float:
    """Return the largest difference between two arrays, relative to the largest value that is wanted, if above 1."""
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def beyond_rounding(
    found: Sequence[Any], wanted: Sequence[Any], by_other_kernels: Callable[[], Sequence[Any]]
) -> float | None:
    """Return the largest difference of what files compute from what is wanted, or None where it is rounding.

    Args:
        found: the outputs of the files, each of shape (n, ...).
        wanted: what they should be, shape by shape.
        by_other_kernels: computes the outputs again by kernels that add in another order; called if more than
            `TOLERANCE` is seen. Some models magnify rounding, some images more than others: up to `_ROUNDING` times as
            far as two right answers are apart is right too.
    """
    difference = float(np.max([largest_difference(*pair) for pair in zip(found, wanted, strict=True)]))
    if difference <= TOLERANCE:
        return None
    rounding = np.max([largest_difference(*pair) for pair in zip(by_other_kernels(), found, strict=True)])
    return None if difference <= _ROUNDING * rounding else difference


def same_function(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether two lists of outputs for the same images can come from one function, computed in float32."""
    return all(relative_difference(a, b) <= FLOAT32_TOLERANCE for a, b in zip(found, wanted, strict=True))


def sample_inputs(model: keras.Model, largest: float = 255.0) -> list[Any]:
    """Return random values for each input of a model, the same in every call: arrays of shape (4, ...).

    Floats are about 1 in two of the images and about `largest` in the others, since a model may take scaled images or
    pixels. Integers are pixels where the input is an image, and otherwise 0 and 1. What an embedding is looked up by is
    one of its places.
    """
    rng, found, places = np.random.default_rng(0), [], _places(model)
    scale = np.array([1.0, 1.0, largest, largest])
    for t in model.inputs:
        shape = (len(scale), *t.shape[1:])
        if id(t) in places:
            found.append(rng.integers(0, places[id(t)], shape).astype(t.dtype))
        elif holds_integers(t.dtype):
            most = 255 if t.dtype != "int8" and len(shape) == 4 else 1
            found.append(rng.integers(0, most + 1, shape).astype(t.dtype))
        else:
            x = rng.normal(size=shape) if len(shape) != 4 else rng.uniform(size=shape)
            found.append((x * scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32))
    return found


def _places(model: keras.Model) -> dict[int, int]:
    """Return the number of places of the embedding that each input is looked up in, by its `id()`, where it is."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    origin, found = {id(t): id(t) for t in model.inputs}, dict[int, int]()
    for call in calls(model) if hasattr(model, "_nodes_by_depth") else ():  # a subclassed model has no graph
        (first, *others) = (origin.get(id(t)) for t in call.inputs)
        if call.kind in _MOVED and not others and first is not None:
            origin.update((id(t), first) for t in call.outputs)
        inner = {}
        if call.kind == "Embedding":
            inner = {id(call.inputs[0]): call.operation.input_dim}
        elif isinstance(call.operation, keras.Model) and getattr(call.operation, "inputs", None):
            of = _places(call.operation)
            pairs = zip(call.inputs, call.operation.inputs, strict=True)
            inner = {id(t): of[id(own)] for t, own in pairs if id(own) in of}
        elif isinstance(call.operation, keras.layers.Layer):  # one of somebody's own may look its input up
            parts = call.operation._flatten_layers(include_self=False)
            counts = [part.input_dim for part in parts if isinstance(part, keras.layers.Embedding)]
            inner = dict.fromkeys(map(id, call.inputs), min(counts)) if counts else {}
        for t, count in inner.items():
            if (source := origin.get(t)) is not None:
                found[source] = min(count, found.get(source, count))
    return found
