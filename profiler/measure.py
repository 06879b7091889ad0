"""A store's profile: everything that is measured of it on this device, in stages that an interruption keeps."""

from __future__ import annotations

import datetime
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from legodnn.console import say
from legodnn.errors import ProfileError
from legodnn.manifest import Option
from legodnn.profile import OptionProfile, Profile, Skipped, Validation
from legodnn.profiler import latency, memory
from legodnn.profiler.conditions import busy_elsewhere, conditions, moment
from legodnn.profiler.contention import measure_contention
from legodnn.profiler.energy import Meter, measure_energy
from legodnn.profiler.latency import Bench, Timings
from legodnn.profiler.profiling_state import ProfilingState
from legodnn.profiler.validation import validate
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_kind, executor_name, open_executor
from legodnn.runtime.executors.weight_cache import is_packed
from legodnn.store import Store


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        threads: thread counts to time.
        seconds: most that timing takes; less if `precision` is reached before.
        precision: half-width of the medians' 95 % confidence intervals, relative, at which timing ends.
        processes: fresh processes in which memory is measured.
        plans: random compositions on which predicted latency is validated; 0 for none.
        dominated: also measure options that the store marks as dominated (no smaller, no faster and, in the mean over
            their neighbours, no more accurate than another); without these a plan loses little, if anything.

    Raises:
        ProfileError: the figures make no sense.
    """

    threads: tuple[int, ...] = (1,)
    seconds: float = 60.0
    precision: float = 0.01
    processes: int = 3
    plans: int = 20
    dominated: bool = True

    def __post_init__(self) -> None:
        counts = self.threads
        if not counts or min(counts) < 1 or len(set(counts)) != len(counts):
            raise ProfileError(f"threads must be different positive counts, not {' '.join(map(str, counts)) or 'none'}")
        if not 0 < self.seconds < math.inf:
            raise ProfileError(f"seconds must be positive and finite, not {self.seconds:g}")
        if not 0 < self.precision < 1:
            raise ProfileError(f"precision must be a fraction between 0 and 1, not {self.precision:g}")
        if self.processes < 1:
            raise ProfileError(f"processes must be at least 1, not {self.processes}")
        if self.plans < 0:
            raise ProfileError(f"plans must not be negative, but are {self.plans}")


QUICK = Effort(seconds=8.0, precision=0.03, processes=1, plans=8, dominated=False)


def profile_store(
    store: Store, effort: Effort | None = None, meter: Meter | None = None, work: Path | None = None
) -> Profile:
    """Measure the options of a store on this device.

    Args:
        store: the store.
        effort: how much.
        meter: measures energy, if given.
        work: file that keeps what was measured if this is interrupted, and that is gone on with.

    Raises:
        ProfileError: a measuring process or the meter failed.
        StoreError: the store is damaged.
    """
    effort = effort or Effort()
    device, busy = fingerprint(executor_name()), busy_elsewhere()
    skipped = [] if effort.dominated else [o for s in store.manifest.segments for o in s.options if _spare(store, o)]
    terms = {
        "store": store.id,
        "device": device.model_dump(),
        "threads": effort.threads,
        "skipped": [o.file for o in skipped],
        "format": 1,
    }
    kept = ProfilingState(work, terms)
    pack_ms = _packed(store, kept)
    weights = _weighed(store, effort, skipped, kept)
    bench = Bench(store, effort.threads, skipped)
    before = moment()  # the clock of a processor that has just worked: an idle one may well be slower
    timings = latency.measure_latency(
        bench,
        effort.seconds,
        effort.precision,
        Timings.of(kept.get("latency")),
        lambda t: kept.put("latency", t.arrays()),
    )
    after = moment()
    figures, chain = latency.latency_summary(bench, timings), latency.chain(bench, timings)
    checked: tuple[Validation, ...] = ()
    if effort.plans:
        seconds, save = 0.15 * effort.seconds, partial(kept.put, "validation")
        checked = validate(bench, figures, chain, effort.plans, seconds, done=kept.get("validation"), save=save)
    energies: dict[tuple[str, str], float] = {}
    energy = None
    if meter:
        stage = f"energy by {meter.name}"
        energies, energy = measure_energy(bench, meter, kept.get(stage), partial(kept.put, stage))
    bench.close()
    profile = Profile(
        store_id=store.id,
        model=store.name,
        device=device,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        options=tuple(
            OptionProfile(
                segment=s.name,
                option=o.name,
                memory_bytes=weights[s.name, o.name][0],
                load_ms=weights[s.name, o.name][1],
                energy_mj=energies.get((s.name, o.name)),
                latency=figures[s.name, o.name],
            )
            for s in store.manifest.segments
            for o in s.options
            if o not in skipped
        ),
        skipped=tuple(
            Skipped(segment=s.name, option=o.name, reason="dominated by another option, as the store says")
            for s in store.manifest.segments
            for o in s.options
            if o in skipped
        ),
        chain=chain,
        pack_ms=pack_ms,
        validation=checked,
        energy=energy,
        conditions=conditions(before, after, busy),
    )
    for warning in profile.conditions.warnings if profile.conditions else ():
        say(f"warning: {warning}", file=sys.stderr)
    return profile


def with_contention(stores: Sequence[Store], profiles: Sequence[Profile], seconds: float = 3.0) -> list[Profile]:
    """The profiles of stores that will run together, with how they slow each other down; see `measure_contention`."""
    found = measure_contention(stores, seconds)
    return [p.model_copy(update={"contention": c}) for p, c in zip(profiles, found, strict=True)]


def _spare(store: Store, option: Option) -> bool:
    return option.dominated and all(option is not s.original for s in store.manifest.segments)


def _packed(store: Store, work: ProfilingState) -> float | None:
    """Milliseconds that the first opening took to pack weights; None where they had been packed, or cannot be."""
    if found := work.get("pack"):
        return float(found["ms"])
    if executor_kind() != "capi" or is_packed(store):
        return None
    start = time.monotonic()
    open_executor(store).close()
    first = time.monotonic()
    open_executor(store).close()
    took = max(0.0, (first - start) - (time.monotonic() - first)) * 1e3
    if not is_packed(store):
        return None
    work.put("pack", {"ms": np.array(took)})
    return took


def _weighed(
    store: Store, effort: Effort, skipped: Sequence[Option], work: ProfilingState
) -> dict[tuple[str, str], tuple[int, float]]:
    """Memory and load time, by (segment, option)."""
    found = work.get("memory")

    def save(seed: int, rows: np.ndarray) -> None:
        found[str(seed)] = rows
        work.put("memory", found)

    done = {int(seed): rows for seed, rows in found.items()}
    return memory.measure_memory(store, effort.processes, skipped, done, save)
