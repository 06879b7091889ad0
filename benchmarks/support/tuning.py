"""Fine-tuning of whole networks for CIFAR-10 for so many images, and what that takes of processor time."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.console import ProgressLine
from legodnn.recipe import Variation

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

HEAD = Head("classes", "top1", "linear")
BATCH = 64
AUGMENT: tuple[Variation, ...] = ("flips", "shifts")
TIMED_BATCHES = 1, 11  # both compile, and one is trained on 10 batches more


def tune(model: keras.Model, student: keras.Model, data: Dataset, images: int, checkpoint: Checkpoint) -> None:
    """Fine-tune a pruned network towards the original's outputs and on labels.

    Args:
        model: the original.
        student: what was pruned from it.
        data: supplies the images, which are flipped and shifted.
        images: how many it is trained on, a batch at least; of more than there are, all in equally many epochs.
        checkpoint: where training is saved now and then, and from where it goes on.
    """
    epochs = math.ceil(images / len(data.train))
    fine_tune(
        *(model, student, replace(data, train=data.train.first(images // epochs)), epochs, BATCH),
        heads=[HEAD],
        patience=epochs,
        augment=AUGMENT,
        checkpoint=checkpoint,
        progress=ProgressLine,
    )


def tuning_seconds(model: keras.Model, student: keras.Model, data: Dataset) -> float:
    """Return the processor seconds that fine-tuning takes for an image, compilation apart; weights stay as they were.

    Args:
        model: the original.
        student: what was pruned from it.
        data: supplies the images.
    """
    weights, few = student.get_weights(), replace(data, val=data.val.first(BATCH))
    seconds = []
    for batches in TIMED_BATCHES:
        start = time.process_time()
        part = replace(few, train=few.train.first(batches * BATCH))
        fine_tune(model, student, part, 1, BATCH, heads=[HEAD], augment=AUGMENT)
        seconds.append(time.process_time() - start)
    student.set_weights(weights)
    fewer, more = TIMED_BATCHES
    return (seconds[1] - seconds[0]) / ((more - fewer) * BATCH)
