"""A store's original blocks, opened as a runtime opens them; an image for them, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from legodnn.plan import ModelPlan
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.runtime.running_model import RunningModel
from legodnn.store import Store

SETTLING_RUNS = 3  # after which a model holds what it needs


def image(store: Store) -> dict[str, Any]:
    """Return a random image for a store's model, by the name of its input."""
    return {i.name: np.random.default_rng(0).random(i.shape, np.float32) for i in store.manifest.inputs}


def held_bytes(store: Store, opened: Callable[[], Callable[[], object]]) -> int:
    """Return the bytes that a model takes in this process, which should be a fresh one, after a few inferences.

    Args:
        store: the model's store.
        opened: opens the model, and returns what runs it once.
    """
    warm_up(store)
    release_freed_memory()
    base, run = process_memory_bytes(), opened()
    for _ in range(SETTLING_RUNS):
        run()
    return process_memory_bytes() - base


def running(store: Store, threads: int = 1) -> RunningModel:
    """Return a store's model, opened, with the original option of every block."""
    sizes = {(s.name, o.name): o.bytes for s in store.manifest.segments for o in s.options}
    model = RunningModel(store.name, store, sizes, open_executor(store))
    model.change(covering_compositions(store, threads)[0], ModelPlan(name="model", threads=threads))
    return model
