"""The outputs of all compositions of a store, for this machine and the emulated one to compare."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

# Processors and kernels add up in different orders; of float32 outputs around 1 the last digits differ.
TOLERANCE = 1e-5


def composition_name(options: dict[str, str]) -> str:
    """Return what a composition is called, given the option of each segment."""
    return " ".join(f"{segment}={option}" for segment, option in options.items())


def input_of(store: Store) -> dict[str, AnyArray]:
    """Return inputs for a store's model, the same everywhere."""
    random = np.random.default_rng(0)
    return {spec.name: random.random(spec.shape, np.float32) for spec in store.manifest.inputs}


def outputs(path: Path, kind: str) -> dict[str, AnyArray]:
    """Run every composition of a store of a model with one output.

    Args:
        path: the store's folder.
        kind: the executor, 'capi' or 'interpreter'.

    Returns:
        The outputs, by what `composition_name` says.
    """
    store = Store(path)
    choices = [[Choice(s.name, option.name, 1) for option in s.options] for s in store.manifest.segments]
    found = {}
    with closing(open_executor(store, kind)) as executor:
        for composition in itertools.product(*choices):
            (output,) = executor.compose(composition).run(input_of(store)).values()
            found[composition_name({c.segment: c.option for c in composition})] = output
    return found


def save_outputs(path: Path) -> None:
    """Write the outputs of this machine beside a store."""
    found = outputs(path, "capi")
    np.savez(f"{path}.npz", names=np.array(list(found)), outputs=np.stack(list(found.values())))


def load_outputs(path: Path) -> dict[str, AnyArray]:
    """Read what `save_outputs` wrote on the other machine."""
    with np.load(f"{path}.npz") as arrays:
        return dict(zip(arrays["names"].tolist(), arrays["outputs"], strict=True))
