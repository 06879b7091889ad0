"""The options of a store, loaded together, so that any composition of them can be run segment by segment at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.checked_inputs import check_inputs
from legodnn.manifest import Option, Segment
from legodnn.profiler.packing import open_measured
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.store import Store


@dataclass(frozen=True, eq=False)
class RunnableModel:
    """A composition of a store's options, and the inputs that it runs on."""

    store: Store
    composition: ComposedModel
    inputs: Mapping[str, AnyArray]

    def run(self) -> None:
        """Run the composition once, as a runtime does, which first checks what it is given."""
        self.composition.run(check_inputs(self.store, self.store.name, self.inputs))

    def run_ms(self) -> float:
        """Run the composition once; returns the milliseconds that it took."""
        start = time.perf_counter_ns()
        self.run()
        return (time.perf_counter_ns() - start) / 1e6


class Bench:
    """A store with all its options loaded. Compositions are given by `numbers`: for each segment, which option it runs.

    Args:
        store: the store.
        threads: thread counts for which the options are loaded.
        skipped: options that are not loaded; they have no number.
        compact: whether its compositions are compact.

    Attributes:
        segments: the store's segments, in topological order.
        options: for each segment, its options, without skipped ones.
        inputs: random inputs by name.

    Raises:
        StoreError: a file of the store is damaged or missing.
        PackingError: its weights cannot be packed (see `packing.open_measured`).
    """

    def __init__(
        self, store: Store, threads: Sequence[int], skipped: Sequence[Option] = (), compact: bool = False
    ) -> None:
        self.store, self.threads, self.compact = store, tuple(threads), compact
        self.segments: tuple[Segment, ...] = store.manifest.segments
        self.options = tuple(tuple(o for o in s.options if o not in skipped) for s in self.segments)
        self._executor = open_measured(store)
        self._steps: dict[Choice, Callable[[], None]] = {}
        for count in self.threads:
            loaded = [
                self.choice(s, o, count) for s, found in zip(self.segments, self.options, strict=True) for o in found
            ]
            self._steps.update(self._executor.load(loaded))
        self.inputs = random_inputs(store)

    def choice(self, segment: Segment, option: Option, threads: int) -> Choice:
        """An option of a segment as executors name it."""
        return Choice(segment.name, option.name, threads, compact=self.compact)

    def choices(self, numbers: Sequence[int], threads: int) -> tuple[Choice, ...]:
        """A composition as executors name it: one choice for each segment."""
        chosen = (options[i] for options, i in zip(self.options, numbers, strict=True))
        return tuple(self.choice(s, o, threads) for s, o in zip(self.segments, chosen, strict=True))

    def by_segments(self, numbers: Sequence[int], threads: int) -> ComposedModel:
        """A composition that runs in one step for each segment. It is ready to run; making it loads nothing."""
        choices = self.choices(numbers, threads)
        return self._executor.compose_steps({c: self._steps[c] for c in choices})

    def composed(self, numbers: Sequence[int], threads: int) -> RunnableModel:
        """A composition as it runs in use, composed now. It takes memory as long as something refers to it."""
        return RunnableModel(self.store, self._executor.compose(self.choices(numbers, threads)), self.inputs)

    def draw(self, rng: random.Random) -> tuple[int, ...]:
        """The numbers of a random composition, each option of a segment being equally likely."""
        return tuple(rng.randrange(len(options)) for options in self.options)

    def draw_rank(self, rng: random.Random) -> tuple[int, ...]:
        """The numbers of a composition of options of equal rank, from all first ones to all last ones, at random."""
        rank = rng.random()
        return tuple(int(rank * len(options)) for options in self.options)

    def switch_and_run(self, numbers: Sequence[int], threads: int) -> None:
        """Switch to a composition as a runtime does, which unloads all other options, and run it once.

        Compositions that were made before cannot be run afterwards.
        """
        choices = self.choices(numbers, threads)
        composition = self._executor.compose(choices)
        self._executor.retain(choices)
        composition.run(self.inputs)

    def close(self) -> None:
        """Unload everything."""
        self._executor.close()


def random_inputs(store: Store) -> dict[str, AnyArray]:
    """A random array for each of a model's inputs, by name, of the shape, type and range that the model takes."""
    rng = np.random.default_rng(0)
    return {s.name: s.from_numbers(rng.uniform(*s.range, s.shape)) for s in store.manifest.inputs}
