"""A store's profile: everything that is measured of it on this device, one stage after another."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from legodnn.errors import ConfigError
from legodnn.manifest import Option
from legodnn.profile import CompactModel, Fingerprint, Latency, OptionKey, OptionProfile, Profile, Skipped
from legodnn.profiler.bench import Bench
from legodnn.profiler.conditions import busy_elsewhere, conditions, moment, with_earlier_warnings
from legodnn.profiler.effort import Effort, skipped_options
from legodnn.profiler.energy import measure_energy
from legodnn.profiler.in_use import chain_overheads, option_latencies
from legodnn.profiler.latency import measure_latency
from legodnn.profiler.memory import Footprint, measure_memory
from legodnn.profiler.meters import Meter
from legodnn.profiler.packing import measure_packing
from legodnn.profiler.periodic import tails_after_pauses
from legodnn.profiler.profiling_lock import held_alone
from legodnn.profiler.profiling_state import ProfilingState
from legodnn.profiler.streaming import measure_streaming
from legodnn.profiler.validation import validate
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import check_capi, executor_name
from legodnn.store import Store
from legodnn.units import utc_now

log = logging.getLogger("legodnn.profiler")

PROFILING = "profiling this store"  # what a process does that holds the lock of its file
_STATE_FORMAT = 7
_VALIDATION_SHARE = 0.15  # of the seconds of timing, for each thread count
_STREAMED_SHARE = 0.25  # of the same seconds, for all thread counts together
_COMPACT_SHARE = 0.5  # of the same seconds
_SKIPPED_BECAUSE = "dominated by another option, as the store says"


def profile_store(
    store: Store,
    effort: Effort | None = None,
    meter: Meter | None = None,
    work: Path | None = None,
    progress: Progress = no_progress,
) -> Profile:
    """Measure the options of a store on this device.

    What may have disturbed the measurements is in the profile's conditions, and a warning of the logger
    `legodnn.profiler`.

    Args:
        store: the store.
        effort: how much is measured.
        meter: measures energy, if given.
        work: a file that keeps what has been measured. If it is there already, measuring goes on from it.
        progress: shows how far each stage is.

    Raises:
        ConfigError: the executor cannot do what `effort` asks of it, or a path is given in place of the store.
        ProfileError: a measuring process or the meter failed, or another process is profiling into `work`.
        StoreError: the store is damaged.
        PackingError: the C API is to run the store, and its weights cannot be packed.
        WriteError: `work` cannot be written.
    """
    if not isinstance(store, Store):
        raise ConfigError(f"what is profiled is a legodnn.Store, not {type(store).__name__}; Store(path) opens one")
    with held_alone(work, PROFILING):
        return _measured(store, effort or Effort(), meter, work, progress)


def _measured(store: Store, effort: Effort, meter: Meter | None, work: Path | None, progress: Progress) -> Profile:
    for how, asked in (("streamed", effort.streaming), ("compact", effort.compact)):
        if asked:  # refused before anything is measured
            check_capi(how)
    device, busy = fingerprint(executor_name()), busy_elsewhere()
    skipped = skipped_options(store, effort)
    # Stages that end when their time is up are named with it: what was measured for another time is not used for this.
    state = ProfilingState(work, _terms(store, device, effort, skipped))

    pack_ms = measure_packing(store, state.stage("packing"))
    memory = measure_memory(store, effort.processes, skipped, state.stage("memory"), progress)
    with closing(Bench(store, effort.threads, skipped)) as bench:
        before = moment()  # only now: the clock of an idle processor may well be slower
        with_earlier_warnings(conditions(before, before, busy), state.stage("conditions"))  # interrupted or not
        timings = measure_latency(bench, effort.seconds, effort.precision, state.stage("latency"), progress)
        found = with_earlier_warnings(conditions(before, moment(), busy), state.stage("conditions"))
        latencies, overheads = option_latencies(bench, timings), chain_overheads(bench, timings)
        seconds = _VALIDATION_SHARE * effort.seconds
        stage = state.stage(f"validation for {seconds:g} s")
        validation, tails = validate(bench, latencies, overheads, effort.plans, seconds, stage, progress)
        tails += tails_after_pauses(bench, latencies, overheads, effort.plans, state.stage("pauses"), progress)
        energies, energy = (
            measure_energy(bench, meter, state.stage(f"energy by {meter.name}"), progress) if meter else ({}, None)
        )

    seconds = _STREAMED_SHARE * effort.seconds
    stage = state.stage(f"streaming for {seconds:g} s")
    streamed = measure_streaming(store, effort.threads, seconds, skipped, stage, progress) if effort.streaming else None
    compact = _measure_compact(store, effort, skipped, state, progress) if effort.compact else None
    for warning in found.warnings:
        log.warning("%s", warning)
    return Profile(
        store_id=store.id,
        model=store.name,
        device=device,
        created=utc_now(),
        options=_option_profiles(store, memory.options, latencies, energies),
        skipped=_skipped(store, skipped),
        chain=overheads,
        pack_ms=pack_ms,
        company_bytes=memory.company_bytes,
        validation=validation,
        tail=tails,
        energy=energy,
        conditions=found,
        streamed=streamed,
        compact=compact,
    )


def _measure_compact(
    store: Store, effort: Effort, skipped: Sequence[Option], state: ProfilingState, progress: Progress
) -> CompactModel:
    """Measure memory and latency of compact models, as it is done of others.

    Raises:
        ProfileError: a measuring process failed.
    """
    stages = state.stage("compact memory"), state.stage("compact latency")
    memory = measure_memory(store, effort.processes, skipped, stages[0], progress, compact=True)
    with closing(Bench(store, effort.threads, skipped, compact=True)) as bench:
        seconds = _COMPACT_SHARE * effort.seconds
        timings = measure_latency(bench, seconds, effort.precision, stages[1], progress)
        latencies = option_latencies(bench, timings)
        return CompactModel(
            options=_option_profiles(store, memory.options, latencies, {}),
            chain=chain_overheads(bench, timings),
            company_bytes=memory.company_bytes,
        )


def _terms(store: Store, device: Fingerprint, effort: Effort, skipped: Collection[Option]) -> dict[str, Any]:
    """What two profilings must have in common for one to go on with what the other measured."""
    return {
        "store": store.id,
        "device": device.model_dump(),
        "threads": effort.threads,
        "skipped": [o.file for o in skipped],
        "format": _STATE_FORMAT,
    }


def _option_profiles(
    store: Store,
    footprints: Mapping[OptionKey, Footprint],
    latencies: Mapping[OptionKey, tuple[Latency, ...]],
    energies: Mapping[OptionKey, float],
) -> tuple[OptionProfile, ...]:
    """One entry for each option that was measured, in the store's order."""
    keys = [(s.name, o.name) for s in store.manifest.segments for o in s.options]
    return tuple(
        OptionProfile(
            segment=key[0],
            option=key[1],
            **footprints[key]._asdict(),
            energy_mj=energies.get(key),
            latency=latencies[key],
        )
        for key in keys
        if key in latencies
    )


def _skipped(store: Store, skipped: Collection[Option]) -> tuple[Skipped, ...]:
    return tuple(
        Skipped(segment=s.name, option=o.name, reason=_SKIPPED_BECAUSE)
        for s in store.manifest.segments
        for o in s.options
        if o in skipped
    )
