"""Going from one composition to the next: decide which segments to load, load them, and only then let go of the old.

A composition is the loaded form of one model's plan. It never changes; a switch makes a new one that shares the
executors of all segments that stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from legodnn.plan import ModelPlan
from legodnn.runtime.interpreter import Array, SegmentExecutor
from legodnn.store import Segment, Store


@dataclass(frozen=True)
class Choice:
    """What one segment is to run."""

    segment: str
    option: str
    threads: int


@dataclass(frozen=True, eq=False)
class Composition:
    """One model, loaded: an executor for each choice, in topological order."""

    store: Store
    executors: Mapping[Choice, SegmentExecutor]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The model's outputs by name. Arrays have the shapes of the manifest, without the batch dimension."""
        tensors: dict[str, Array] = {name: value[np.newaxis] for name, value in inputs.items()}
        for executor in self.executors.values():
            executor.run(tensors)
        return {name: tensors[name][0] for name in self.store.manifest.outputs}


def choices(store: Store, plan: ModelPlan) -> tuple[Choice, ...]:
    """The plan's option for every segment of the store; fixed segments have only one."""

    def option(segment: Segment) -> str:
        return plan.options[segment.name] if segment.kind == "block" else segment.original.name

    return tuple(Choice(s.name, option(s), plan.threads) for s in store.manifest.segments)


def to_load(running: Composition | None, wanted: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """The choices that `running` does not hold yet: exactly the files that a switch opens."""
    return tuple(c for c in wanted if running is None or c not in running.executors)


def load(store: Store, choice: Choice) -> SegmentExecutor:
    """Open one option's file, verified, ready to run; StoreError if it is damaged."""
    manifest = store.manifest
    segment = next(s for s in manifest.segments if s.name == choice.segment)
    specs: Any = manifest.specs
    return SegmentExecutor(
        store.verified_file(segment.option(choice.option)),
        [specs[name] for name in segment.inputs],
        [specs[name] for name in segment.outputs],
        choice.threads,
    )


def switched(store: Store, running: Composition | None, wanted: tuple[Choice, ...]) -> Composition:
    """The composition of these choices, sharing with `running` what stays; `running` itself is not touched."""
    new = {choice: load(store, choice) for choice in to_load(running, wanted)}
    kept = running.executors if running else {}
    return Composition(store, {choice: new[choice] if choice in new else kept[choice] for choice in wanted})


def try_out(store: Store) -> None:
    """Load the smallest option of each segment in turn, run it on zeros and let it go.

    The process then holds the library's own code and pools, which are no model's memory.
    """
    tensors = {i.name: np.zeros((1, *i.shape), np.float32) for i in store.manifest.inputs}
    for segment in store.manifest.segments:
        smallest = min(segment.options, key=lambda option: option.bytes)
        load(store, Choice(segment.name, smallest.name, threads=1)).run(tensors)
