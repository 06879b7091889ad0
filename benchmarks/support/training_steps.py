"""A worker that takes training steps of a store, or of whole models, with whatever `legodnn` is on its path.

Of a store it asks of that `legodnn` only what has been there since before training was made faster.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing import data_sources
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.composer import Composer
from legodnn.blocks.training.distill import Distiller
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.student import Student

import keras  # isort: skip  (after legodnn.blocks, which prepares TensorFlow)

MODELS = {"resnet20": ("resnet20_cifar10.npz", 1.0), "vgg16": ("vgg16_half_cifar10.npz", 0.5)}
# It was called `load` before.
load_data: Any = getattr(data_sources, "load_data", None) or getattr(data_sources, "load", None)
SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)  # with the original: six
BATCH = 72  # paths of images in a step: twice a multiple of six


def pieces_of(model_name: str, data: Path, max_blocks: int | None = None) -> list[Any]:
    """Return the segments of a network whose weights are in a folder, with at most so many blocks."""
    file, width = MODELS[model_name]
    return list(extract(open_model(model_name, (32, 32, 3), 10, width, str(data / "weights" / file)), max_blocks))


def whole_models(pieces: list[Any]) -> list[keras.Model]:
    """Return the whole network once for each sparsity, with every block pruned."""
    from support.composed import composed  # needs what commits before may not have

    return [composed(pieces, {p.name: descendant(p.model, s) for p in pieces if p.kind == "block"}) for s in SPARSITIES]


def step_of(model_name: str, stage: str, data: Path, max_blocks: int | None = None) -> Callable[[], float]:
    """Return a function that takes one training step and returns its loss.

    Args:
        model_name: a name in `MODELS`.
        stage: "alone" for block-wise distillation, "together" for training in random compositions, "whole" for one step
            of each whole model on labels.
        data: the folder with images and weights.
        max_blocks: the largest number of blocks; None for what a build does.
    """
    if stage != "whole":
        with suppress(ImportError):  # of a commit before there was one
            from legodnn.blocks.training.side_by_side import run_side_by_side

            run_side_by_side()  # as a build does
    keras.utils.set_random_seed(0)
    train = load_data(f"cifar10:{data / 'cifar-10-batches-py'}").train
    images, labels = np.array(train.x[:3000]), np.array(train.y[:3000])
    del train
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory counts from here on, without the whole data set
    pieces = pieces_of(model_name, data, max_blocks)
    if stage == "whole":
        return _whole_step(whole_models(pieces), images, labels)
    students = {p.name: [descendant(p.model, s) for s in SPARSITIES] for p in pieces if p.kind == "block"}
    options, rng = len(SPARSITIES) + 1, np.random.default_rng(0)
    trained: Any
    if stage == "alone":
        trained = Distiller(pieces, [Student(b, i, m) for b, models in students.items() for i, m in enumerate(models)])
    else:
        trained = Composer(pieces, students)

    # An image took one path before; where it takes several, fewer images are as much work for the options.
    slots = options if stage == "alone" else trained.slots

    def arguments(count: int) -> Any:
        x = images[rng.integers(len(images), size=count * options // slots)]
        paths = np.stack([rng.permutation(slots) for _ in students]).astype(np.int32)
        return x if stage == "alone" else ({pieces[0].inputs[0]: x}, paths)

    trained(arguments(slots))  # builds it
    compile_for(trained, 1e-3, 1000)
    return lambda: float(trained.train_on_batch(arguments(BATCH)))


def _whole_step(models: list[keras.Model], images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    rng = np.random.default_rng(0)
    for model in models:
        compile_for(model, 1e-3, 1000, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def step() -> float:
        rows = rng.integers(len(images), size=BATCH)
        return sum(float(model.train_on_batch(images[rows], labels[rows])) for model in models)

    return step


def serve(model_name: str, stage: str, data: str, *max_blocks: str) -> None:
    """Answer numbers of steps, one a line, with the seconds and the loss of each step, and the peak memory."""
    step = step_of(model_name, stage, Path(data), *map(int, max_blocks))
    for line in sys.stdin:
        clock, processor, losses = [], [], []
        for _ in range(int(line)):
            start, start_cpu = time.perf_counter(), time.process_time()
            losses.append(step())
            clock.append(time.perf_counter() - start)
            processor.append(time.process_time() - start_cpu)
        peak = 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
        answer = {"clock_s": clock, "processor_s": processor, "losses": losses, "peak_bytes": peak}
        print("\n#" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
