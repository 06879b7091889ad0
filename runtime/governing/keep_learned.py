"""Keeping what a governor learned, beside the profiles of the runtime's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from legodnn.errors import ProfileError
from legodnn.learned import Learned, learned_path, with_learned
from legodnn.profile import Profile
from legodnn.runtime.governing.governor import Governor
from legodnn.store import Store
from legodnn.tail import Tail
from legodnn.units import utc_now
from legodnn.workload import Workload


def save_learned(governor: Governor, workload: Workload, stores: Mapping[str, Store]) -> list[Path]:
    """Write what a governor learned of each model of its runtime as NAME.learned.json beside its profile.

    `legodnn profile --merge` puts it into the profile. Nothing is written of a model that ran too seldom. What such a
    file has of the same profile stays in it, but for thread counts that no less was learned of now: up to as great a
    quantile. Of models with one profile the file has what the slowest of them took.

    Args:
        governor: the governor.
        workload: the models of its runtime (`Runtime.workload`).
        stores: their stores as they were opened, by model (`Runtime.stores`).

    Returns:
        The files that were written.

    Raises:
        ProfileError: a profile is no longer there, is damaged, or is of a store that came after; or it was made after
            the runtime was opened, which knows the medians of the one before.
        WriteError: a file cannot be written.
    """
    tables = {table.name: table for table in governor.runtime.scheduler.tables}
    learned: dict[Path, tuple[Profile, list[Tail]]] = {}
    for model in workload.models:
        if tails := governor.learned(model.name):
            at = model.profile_path
            if at not in learned:
                learned[at] = Profile.load(at), []
            profile, found = learned[at]
            profile.check_store(stores[model.name])
            if profile.created != tables[model.name].profiled:
                raise ProfileError(f"{at} was measured anew meanwhile; what was learned is of the profile before it")
            found.extend(tails)
    for profile_path, (profile, found) in learned.items():
        path = learned_path(profile_path)
        document = Learned(
            store_id=profile.store_id,
            model=profile.model,
            device=profile.device,
            created=utc_now(),
            profiled=profile.created,
            tail=_merged(_kept(path, profile), found),
        )
        document.save(path)
    return [learned_path(profile_path) for profile_path in learned]


def _merged(before: Sequence[Tail], tails: Sequence[Tail]) -> tuple[Tail, ...]:
    """Return one tail for each thread count."""
    now: dict[int, Tail] = {}
    for tail in tails:
        now[tail.threads] = _slower(now[tail.threads], tail) if tail.threads in now else tail
    known = {tail.threads: tail for tail in before}
    as_far = {n: tail for n, tail in now.items() if n not in known or _reach(tail) >= _reach(known[n])}
    return tuple({**known, **as_far}.values())


def _slower(one: Tail, other: Tail) -> Tail:
    """Return a tail of what takes longer by either, up to the greatest quantile that either is known for."""
    further, less = (one, other) if _reach(one) >= _reach(other) else (other, one)
    short = dict(zip(less.quantiles, less.stretch, strict=True))
    stretch, least = [], 0.0
    for quantile, longest in zip(further.quantiles, further.stretch, strict=True):
        least = max(longest, least, short.get(quantile, 0.0))
        stretch.append(least)
    count = one.inferences + other.inferences
    return further.model_copy(update={"stretch": tuple(stretch), "inferences": count})


def _reach(tail: Tail) -> float:
    """The greatest quantile that a tail is known for."""
    return tail.quantiles[-1]


def _kept(path: Path, profile: Profile) -> tuple[Tail, ...]:
    """What was learned before, if it is of this profile; a governor does not run with every thread count."""
    try:
        before = Learned.load(path)
        with_learned(profile, before)
    except ProfileError:  # there is none, it is damaged, or of another store, device or profile: it would be of no use
        return ()
    # Of an unknown profile it may be multiples of other medians, and would be written as if it were of these.
    return before.tail if before.profiled == profile.created else ()
