"""Strided 1x1 convolutions, computed while training so that TensorFlow's oneDNN kernels do not damage the heap.

With AVX-512 the weight gradient of a 1x1 convolution with strides and fewer than 16 input channels writes beyond its
memory, and the process ends (docs/reports/onednn_strided_pointwise.md). Narrow residual networks, and descendants of
wider ones, have such convolutions. Taking every second row and column first, and convolving without strides after that,
is the same function, and that kernel is not called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers


@contextmanager
def strides_before_pointwise() -> Iterator[None]:
    """Have 1x1 convolutions with strides take strided inputs, in whatever is traced or run meanwhile.

    Afterwards `Conv1D` and `Conv2D` are as before: options are exported with the convolutions of their models.
    """
    kinds = (layers.Conv1D, layers.Conv2D)
    own = {kind: kind.__dict__.get("call") for kind in kinds}
    for kind in kinds:
        kind.call = _with_strided_inputs(kind.call)
    try:
        yield
    finally:
        for kind, call in own.items():
            if call is None:
                del kind.call  # what it inherits shows again
            else:
                kind.call = call


def _with_strided_inputs(original: Any) -> Any:
    def call(layer: keras.Layer, inputs: Any) -> Any:
        strides = layer.strides
        pointwise = all(n == 1 for n in layer.kernel_size)
        if not pointwise or all(n == 1 for n in strides) or layer.data_format != "channels_last":
            return original(layer, inputs)
        every = (slice(None), *(slice(None, None, n) for n in strides))
        layer.strides = (1,) * len(strides)
        try:
            return original(layer, inputs[every])
        finally:
            layer.strides = strides

    return call
