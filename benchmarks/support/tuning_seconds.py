"""What fine-tuning of a whole model takes of processor time, so that it can be given as much as something else took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.recipe import Variation

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

BATCHES = 1, 11  # both compile, and one is trained on 10 batches more


def tuning_seconds(
    model: keras.Model, student: keras.Model, data: Dataset, head: Head, batch: int, augment: Sequence[Variation]
) -> float:
    """Return the processor seconds that fine-tuning takes for an image, compilation apart; weights stay as they were.

    Args:
        model: the original.
        student: what was pruned from it.
        data: supplies the images.
        head: how the output is read.
        batch: images in a step.
        augment: how images are varied.
    """
    weights, few = student.get_weights(), replace(data, val=data.val.first(batch))
    seconds = []
    for batches in BATCHES:
        start = time.process_time()
        part = replace(few, train=few.train.first(batches * batch))
        fine_tune(model, student, part, 1, batch, heads=[head], augment=augment)
        seconds.append(time.process_time() - start)
    student.set_weights(weights)
    fewer, more = BATCHES
    return (seconds[1] - seconds[0]) / ((more - fewer) * batch)
