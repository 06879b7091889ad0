"""Batch norms of a network that was trained for a few steps have the statistics of its images."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.norm_statistics import renew_statistics
from legodnn.blocks.training.original import train_original


def test_statistics_are_the_mean_of_those_of_an_epochs_batches() -> None:
    first, second = layers.BatchNormalization(momentum=0.9), layers.BatchNormalization()
    second.trainable = False
    model = keras.Sequential([keras.Input((3,)), first, second])
    kept = [np.array(w) for w in second.get_weights()]
    x, batches = np.random.default_rng(0).normal(5, 2, (20, 3)).astype(np.float32), Batches(20, 8, seed=1)
    renew_statistics(model, x, batches, steps=1000)
    assert not np.any(first.moving_mean), "after so many steps there is nothing left of the first ones"
    renew_statistics(model, x, batches, steps=50)
    seen = [x[batches.indices(number)] for number in range(3)]
    np.testing.assert_allclose(first.moving_mean, np.mean([b.mean(axis=0) for b in seen], axis=0), rtol=1e-5)
    np.testing.assert_allclose(first.moving_variance, np.mean([b.var(axis=0) for b in seen], axis=0), rtol=1e-4)
    assert first.momentum == 0.9
    np.testing.assert_array_equal(second.get_weights(), kept)


def test_a_network_that_was_trained_for_a_few_steps_is_as_right_on_single_images_as_on_batches(few: Dataset) -> None:
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((12, 12, 1))
    for channels in (8, 16):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, 3, strides=2, padding="same")(x)))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    train_original(model, few, epochs=12, batch_size=32)
    right = [(np.argmax(model(few.val.x, training=of_batch), axis=1) == few.val.y).mean() for of_batch in (False, True)]
    assert right[0] > 0.6
    assert right[0] > right[1] - 0.1
