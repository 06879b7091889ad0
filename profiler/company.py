"""How long the inferences of a model take at most in the company of another: after it, and beside it.

Models of one application take turns, so that each finds the caches full of the other's weights; or they run at the same
time and share memory, caches and perhaps cores. Random compositions of the one are predicted and then run so, and the
profile keeps by which factor the slowest ones are above their predictions (`legodnn.tail`). As in use, a composition
runs again and again, so that nothing but the other model comes between two of its inferences.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from legodnn.profile import Profile
from legodnn.profiler.bench import Bench, RunnableModel
from legodnn.profiler.beside import RunningBeside
from legodnn.profiler.validation import GROUP, predict
from legodnn.progress import Progress, no_progress
from legodnn.store import Store
from legodnn.tail import Tail, tail_of

_COMPOSITIONS = 20
# Compositions take turns. Each runs so often in a row in company, the first time without being timed.
_IN_A_ROW = 5
# Of each composition, so that neither one spell of a busy machine nor one turn decides what it takes.
_LEAST_INFERENCES = 12
_GROUPS = [range(i, i + GROUP) for i in range(0, _COMPOSITIONS, GROUP)]  # compositions that are composed together


def tails_in_company(
    stores: Sequence[Store], profiles: Sequence[Profile], seconds: float, progress: Progress = no_progress
) -> list[tuple[Tail, ...]]:
    """For each store, its tails after and beside each other store, at every thread count that its profile has.

    Args:
        stores, profiles: of the same models, at least two.
        seconds: time for each ordered pair at each thread count. The other model runs with one thread.
        progress: is told how many of these have been measured.
    """
    counts = [sorted(set.intersection(*({e.threads for e in o.latency} for o in p.options))) for p in profiles]
    with ExitStack() as opened:
        benches = [
            opened.enter_context(closing(_open(s, p, n))) for s, p, n in zip(stores, profiles, counts, strict=True)
        ]
        task = opened.enter_context(progress("in company", (len(stores) - 1) * sum(map(len, counts))))
        found = []
        for bench, profile, threads in zip(benches, profiles, counts, strict=True):
            tails = []
            for other in (b for b in benches if b.store.id != bench.store.id):
                for n in threads:
                    measured = _Measured(bench, profile, other, n)
                    tails += [measured.after(seconds / 2), measured.beside(seconds / 2)]
                    task.step()
            found.append(tuple(tails))
        return found


def _open(store: Store, profile: Profile, threads: Sequence[int]) -> Bench:
    """The options that a profile has, at its thread counts, and at one thread, with which it runs beside others."""
    skipped = {(s.segment, s.option) for s in profile.skipped}
    left_out = [o for s in store.manifest.segments for o in s.options if (s.name, o.name) in skipped]
    return Bench(store, sorted({1, *threads}), left_out)


class _Measured:
    """Random compositions of a model at one thread count, with their predictions, and others of another model."""

    def __init__(self, bench: Bench, profile: Profile, other: Bench, threads: int) -> None:
        rng = random.Random(2)
        self._drawn = [bench.draw(rng) for _ in range(_COMPOSITIONS)]
        latency = {(o.segment, o.option): o.latency for o in profile.options}
        self._predicted_ms = predict(bench, self._drawn, threads, latency, profile.chain)
        self._others = [other.draw(rng) for _ in self._drawn]
        self._bench, self._other, self._threads = bench, other, threads

    def after(self, seconds: float) -> Tail:
        """The tail of inferences that follow one of the other model."""
        ratios: list[list[float]] = []
        for group in _GROUPS:
            models, others = self._models(group), [self._beside(i) for i in group]
            part: list[list[float]] = [[] for _ in group]
            for i in _turns(seconds / len(_GROUPS), part):
                in_a_row = []
                for _ in range(_IN_A_ROW):
                    others[i].run()
                    in_a_row.append(self._ratio(models[i], group[i]))
                part[i] += in_a_row[1:]
            ratios += part
        return tail_of(ratios, self._threads, "after", self._other.store.id)

    def beside(self, seconds: float) -> Tail:
        """The tail of inferences while the other model runs without pause."""
        ratios: list[list[float]] = []
        for group in _GROUPS:
            models = self._models(group)
            part: list[list[float]] = [[] for _ in group]
            with RunningBeside(self._beside(group[0]).run):
                for i in _turns(seconds / len(_GROUPS), part):
                    models[i].run()
                    part[i] += [self._ratio(models[i], group[i]) for _ in range(_IN_A_ROW - 1)]
            ratios += part
        return tail_of(ratios, self._threads, "beside", self._other.store.id)

    def _models(self, group: Sequence[int]) -> list[RunnableModel]:
        return [self._bench.composed(self._drawn[i], self._threads) for i in group]

    def _beside(self, i: int) -> RunnableModel:
        return self._other.composed(self._others[i], 1)

    def _ratio(self, model: RunnableModel, i: int) -> float:
        return model.run_ms() / self._predicted_ms[i]


def _turns(seconds: float, ratios: Sequence[Sequence[float]]) -> Iterator[int]:
    """The numbers of a group's compositions in turn, until the time is up and there are enough ratios of each."""
    end = time.monotonic() + seconds
    for i in itertools.cycle(range(len(ratios))):
        if time.monotonic() >= end and min(map(len, ratios)) >= _LEAST_INFERENCES:
            return
        yield i
