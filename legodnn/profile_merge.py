"""Putting profiles of one store and one device together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from legodnn.errors import ProfileError
from legodnn.profile import CompactModel, Conditions, OptionKey, OptionProfile, Profile, measured
from legodnn.schema import MOST_NOTES
from legodnn.streamed import StreamedModel, StreamedOption
from legodnn.tail import Tail, last_of_each


def merge(profiles: Sequence[Profile]) -> Profile:
    """Merge profiles of the same store and device into one with the thread counts, options and contention of all.

    Where several measured the same, the last of them counts, as it does for energy and conditions; but the warnings of
    all are kept, since what disturbed one of them is in the result too. What was learned in use is kept of the profile
    whose medians count at that thread count: it is multiples of these. The result is as new as the newest
    (`Profile.created`), so that nothing is put into it that was learned before. Plans can use a thread count only if
    all options were measured with it. So that no thread count is lost, an option that one of the profiles skips is kept
    only if the others measured it with every thread count that all other options have.
    Compact models are kept if they were measured of all options that are kept, with as many threads; streamed ones,
    with the thread counts that all options that are kept were measured with so; workspaces, if they are known of all
    options.

    Raises:
        ProfileError: there is no profile, or they are of different stores or devices.
    """
    if not profiles:
        raise ProfileError("no profiles to merge; give the files of two or more")
    first, last = profiles[0], profiles[-1]
    for other in profiles[1:]:
        if other.store_id != first.store_id:
            raise ProfileError(
                "profiles of different stores cannot be merged: "
                f"model {first.model!r}, store id {first.store_id[:12]}, and "
                f"model {other.model!r}, store id {other.store_id[:12]}"
            )
        other.check_device(first.device)
    options = _all_latencies(o for p in profiles for o in p.options)
    skipped = {(s.segment, s.option): s for p in profiles for s in p.skipped}
    threads = {key: {e.threads for e in o.latency} for key, o in options.items()}
    never_skipped = [counts for key, counts in threads.items() if key not in skipped]
    needed = set[int]().union(*never_skipped).intersection(*never_skipped)
    options = {key: o for key, o in options.items() if key not in skipped or threads[key] >= needed}
    options = dict(zip(options, _workspaces_of_all(options.values()), strict=True))
    compact = _merged_compact([p.compact for p in profiles if p.compact], options)
    return last.model_copy(
        update={
            "options": tuple(options.values()),
            "skipped": tuple(s for key, s in skipped.items() if key not in options),
            "chain": tuple({c.threads: c for p in profiles for c in p.chain}.values()),
            "validation": tuple({v.threads: v for p in profiles for v in p.validation}.values()),
            "contention": tuple({c.store_id: c for p in profiles for c in p.contention}.values()),
            "created": max(p.created for p in profiles),
            "tail": last_of_each(_tails(profiles)),
            "company_bytes": max(p.company_bytes for p in profiles),
            "pack_ms": max((p.pack_ms for p in profiles if p.pack_ms is not None), default=None),
            "energy": next((p.energy for p in reversed(profiles) if p.energy), None),
            "conditions": _conditions(profiles),
            "streamed": _merged_streamed([p.streamed for p in profiles if p.streamed], options),
            "compact": compact,
        }
    )


def _tails(profiles: Sequence[Profile]) -> Iterator[Tail]:
    """The tails of all profiles; those in use only where no later profile has other medians at this thread count."""
    last = {e.threads: p for p in profiles for o in p.options for e in o.latency}
    return (t for p in profiles for t in p.tail if t.condition != "use" or last.get(t.threads, p) is p)


def _conditions(profiles: Sequence[Profile]) -> Conditions | None:
    """The last conditions that are known, with the warnings of all, as many of the last ones as a profile may have."""
    found = [p.conditions for p in profiles if p.conditions]
    warnings = tuple(dict.fromkeys(warning for each in found for warning in each.warnings))[-MOST_NOTES:]
    return found[-1].model_copy(update={"warnings": warnings}) if found else None


def _all_latencies(options: Iterable[OptionProfile]) -> dict[OptionKey, OptionProfile]:
    """The options, each with the thread counts of all its entries. Else the last entry of an option counts."""
    found: dict[OptionKey, OptionProfile] = {}
    for entry in options:
        old = found.get((entry.segment, entry.option))
        latency = {e.threads: e for o in (old, entry) if o for e in o.latency}
        energy = entry.energy_mj if entry.energy_mj is not None or old is None else old.energy_mj
        merged = entry.model_copy(update={"latency": tuple(latency.values()), "energy_mj": energy})
        found[entry.segment, entry.option] = merged
    return found


def _workspaces_of_all(options: Iterable[OptionProfile]) -> tuple[OptionProfile, ...]:
    """The options; without their workspaces where one lacks that, since its memory is then a part of sums alone."""
    listed = tuple(options)
    if all(o.own_bytes is not None for o in listed):
        return listed
    return tuple(o.model_copy(update={"own_bytes": None, "workspace_bytes": None}) for o in listed)


def _merged_compact(compact: Sequence[CompactModel], options: Mapping[OptionKey, OptionProfile]) -> CompactModel | None:
    """What several profiles say of compact models; None unless that is known of all `options`, with as many threads."""
    found = _all_latencies(o for c in compact for o in c.options)
    kept = _workspaces_of_all(found[key] for key in options if key in found)
    if not kept or measured(kept) != measured(tuple(options.values())):
        return None
    return CompactModel(
        options=kept,
        chain=tuple({entry.threads: entry for c in compact for entry in c.chain}.values()),
        company_bytes=max(c.company_bytes for c in compact),
    )


def _merged_streamed(
    streamed: Sequence[StreamedModel], options: Mapping[OptionKey, OptionProfile]
) -> StreamedModel | None:
    """What several profiles say of streamed models, of `options` alone; None unless all have a thread count there."""
    times: dict[OptionKey, dict[int, float]] = {}
    weights: dict[OptionKey, int] = {}
    for one in streamed:
        for o in one.options:
            key = o.segment, o.option
            times.setdefault(key, {}).update(zip(one.threads, o.median_ms, strict=True))
            weights[key] = o.weights_bytes
    counts = dict.fromkeys(n for one in streamed for n in one.threads)
    threads = tuple(n for n in counts if all(n in times.get(key, ()) for key in options))
    if not threads:
        return None
    return StreamedModel(
        threads=threads,
        floor_bytes=max(one.floor_bytes for one in streamed),
        options=tuple(
            StreamedOption(
                segment=key[0],
                option=key[1],
                weights_bytes=weights[key],
                median_ms=tuple(times[key][n] for n in threads),
            )
            for key in times
            if key in options
        ),
    )
