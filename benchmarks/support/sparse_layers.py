"""Layers whose weights are zero in blocks, and the files in which TensorFlow's converter stores the others alone.

A block is four weights of one output that follow one another along the inputs. It is what TensorFlow Lite's own kernel
for sparse dense layers computes with; sparse convolutions are only stored so, and unpacked when they are loaded.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from legodnn.arrays import Array
from legodnn.blocks.export.convert import concrete_function
from legodnn.native_stderr import native_stderr_silenced

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

BLOCK = 4


def block_mask(kernel: Array, sparsity: float) -> Array:
    """Return 1 for the weights that stay, 0 for the blocks of least magnitude, which are this share of all.

    Args:
        kernel: of shape (..., inputs, outputs); the number of inputs is a multiple of `BLOCK`.
        sparsity: from 0 to 1.
    """
    outputs = kernel.shape[-1]
    size = np.abs(kernel).reshape(-1, BLOCK, outputs).sum(axis=1)
    kept = np.ones(size.size, kernel.dtype)
    kept[np.argsort(size, axis=None, kind="stable")[: round(sparsity * size.size)]] = 0
    return np.repeat(kept.reshape(-1, 1, outputs), BLOCK, axis=1).reshape(kernel.shape)


def set_to_zero(layer: keras.layers.Layer, sparsity: float) -> None:
    """Set a layer's least blocks to zero; training from then on leaves them there."""
    mask = block_mask(layer.kernel.numpy(), sparsity)
    layer.kernel.assign(layer.kernel * mask)
    layer.kernel.constraint = lambda kernel: kernel * mask


def convert_sparse(model: keras.Model) -> bytes:
    """Return the `.tflite` file of a model, float32, for one image, in which zeros in blocks are left out."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete_function(model, 1)])
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    with native_stderr_silenced():
        content: bytes = converter.convert()
    return content
