"""A store's original blocks, opened as a runtime opens them, and an image for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from legodnn.plan import ModelPlan
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.running_model import RunningModel
from legodnn.store import Store


def image(store: Store) -> dict[str, Any]:
    """Return a random image for a store's model, by the name of its input."""
    return {i.name: np.random.default_rng(0).random(i.shape, np.float32) for i in store.manifest.inputs}


def running(store: Store, threads: int = 1) -> RunningModel:
    """Return a store's model, opened, with the original option of every block."""
    sizes = {(s.name, o.name): o.bytes for s in store.manifest.segments for o in s.options}
    model = RunningModel(store.name, store, sizes, open_executor(store))
    model.change(covering_compositions(store, threads)[0], ModelPlan(name="model", threads=threads))
    return model
