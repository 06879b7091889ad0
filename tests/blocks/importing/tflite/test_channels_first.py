"""Files with channels first, as converters from PyTorch write them: transpositions are folded away, channels can go.

Covers also: blocks.importing.tflite.names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.blocks.importing.tflite.names import valid_name
from legodnn.blocks.importing.tflite.values import _together
from tests.blocks.importing.tflite.compared import TOLERANCE, converted, differences, imported, kinds

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def weights(*shape: int) -> Any:
    return tf.constant(np.random.default_rng(len(shape)).normal(size=shape), tf.float32)


def conv(x: Any, filters: int) -> Any:
    """A convolution and relu of an image with channels first: PyTorch's, as an island."""
    y = tf.nn.conv2d(tf.transpose(x, LAST), weights(3, 3, x.shape[1], filters), 1, "SAME")
    return tf.transpose(tf.nn.relu(y), FIRST)


def flattened(x: Any) -> Any:
    y = tf.reshape(conv(conv(x, 8), 6), (1, -1))
    return tf.nn.relu(y @ weights(6 * 6 * 8, 5) + weights(5)) @ weights(5, 3)


def squeezed(x: Any) -> Any:
    """Squeeze-and-excite: the factor of each channel is a row that becomes an image of one position."""
    y = conv(x, 8)
    factors = tf.sigmoid(tf.reduce_mean(y, (2, 3)) @ weights(8, 8))
    return conv(y * tf.reshape(factors, (1, 8, 1, 1)), 4)


def shuffled(x: Any) -> Any:
    """Channels of two groups take turns, as in ShuffleNet."""
    y = tf.transpose(tf.reshape(conv(x, 8), (1, 2, 4, 6, 8)), (0, 2, 1, 3, 4))
    return conv(tf.reshape(y, (1, 8, 6, 8)), 4)


def shuffled_pixels(x: Any) -> Any:
    """Channels become pixels, as in PyTorch's PixelShuffle."""
    y = tf.transpose(tf.reshape(conv(x, 8), (1, 2, 2, 2, 6, 8)), (0, 1, 4, 2, 5, 3))
    return conv(tf.reshape(y, (1, 2, 12, 16)), 4)


def joined(x: Any) -> Any:
    """Branches along the channels; one of them was never turned."""
    row = tf.reshape(tf.reshape(conv(x, 4), (1, -1)) @ weights(192, 96), (1, 2, 6, 8))
    return conv(tf.concat([conv(x, 4), row, conv(x, 3)], 1), 4)


def normalised(x: Any) -> Any:
    """The image less a mean for each channel, over a std."""
    return conv((x - tf.reshape(weights(3), (1, 3, 1, 1))) / tf.reshape(abs(weights(3)), (1, 3, 1, 1)), 4)


# Functions of an image (1, 3, 6, 8), and how many transpositions are left.
ISLANDS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "flattened": (flattened, 0),
    "squeezed": (squeezed, 0),
    "shuffled": (shuffled, 1),
    "shuffled pixels": (shuffled_pixels, 1),
    "joined": (joined, 1),
    "normalised": (normalised, 0),
}


def island(name: str) -> bytes:
    """The file of a function that takes and gives channels last, as `legodnn.blocks.from_torch` makes one."""
    function = ISLANDS[name][0]

    def turned(x: Any) -> Any:
        y = function(tf.transpose(x, FIRST))
        return tf.transpose(y, LAST) if len(y.shape) == 4 else y

    return converted(turned, (1, 6, 8, 3))


@pytest.mark.parametrize("name", ISLANDS)
def test_transpositions_are_folded_away(name: str) -> None:
    model = imported(island(name))
    assert model.input_shape == (None, 6, 8, 3)
    assert kinds(model).count("Permute") == ISLANDS[name][1]


def test_a_normalised_input_that_has_channels_first_is_taken_with_channels_last() -> None:
    content = converted(lambda x: tf.transpose(normalised(x), LAST), (1, 3, 6, 8))
    model = graph_of(content, "f")
    assert model.input_shape == (None, 6, 8, 3)
    assert "Permute" not in kinds(model)
    assert max(differences(model, content)) <= TOLERANCE


@pytest.mark.parametrize("name", ["flattened", "squeezed"])
def test_channels_inside_can_be_removed(name: str) -> None:
    made = [group.coupled for group in analyse(graph_of(island(name), "f")).groups]
    assert sum(map(len, made)) > 0


def test_a_dense_layer_behind_two_images_is_not_shared_where_one_is_turned() -> None:
    kernel = weights(48, 5)

    def function(x: Any) -> Any:
        plain = tf.reshape(x, (1, -1)) @ kernel
        return plain + tf.reshape(tf.transpose(tf.nn.relu(x), FIRST), (1, -1)) @ kernel

    model = imported(converted(function, (1, 4, 6, 2)))
    assert kinds(model).count("Dense") == 2
    assert "Permute" not in kinds(model)


def test_dimensions_that_hold_the_same_elements_are_found() -> None:
    assert _together((1, 8, 6), (1, 2, 4, 6)) == [([0], [0]), ([1], [1, 2]), ([2], [3])]
    assert _together((1, 8, 1, 1), (1, 8)) == [([0], [0]), ([1, 2, 3], [1])]
    assert _together((1, 6), (1, 6, 1)) == [([0], [0]), ([1], [1, 2])]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("m.Net/torch.nn.modules.conv.Conv2d_c1;", "c1"),
        ("a.b.Net;;a.b.Net/torch.nn.modules.batchnorm.BatchNorm2d_b1;;a.b.Net/torch.nn.modules.conv.Conv2d_c1;1", "c1"),
        ("m.Net/torch.nn.modules.container.Sequential_layer1/m.Block_0;", "layer1_0"),
        ("legodnn.blocks.x.f.<locals>.C/m.Net_inner/torch.nn.modules.linear.Linear_fc;;m.Net;", "fc"),
        ("m.Net;2", "Net"),
        ("output.0", "output_0"),
        ("model/conv1/BiasAdd;model/conv1/Conv2D", "model_conv1_BiasAdd"),
        ("serving_default_x:0", "serving_default_x_0"),
    ],
)
def test_tensors_of_pytorch_have_the_names_of_their_modules(name: str, layer: str) -> None:
    assert valid_name(name) == layer


def test_an_imported_island_is_saved_and_loaded(tmp_path: Any) -> None:
    model = graph_of(island("flattened"), "f")
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).random((2, 6, 8, 3), np.float32)
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5)
