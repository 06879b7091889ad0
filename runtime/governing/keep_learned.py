"""Keeping what a governor learned, beside the profiles of the runtime's models."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from legodnn.errors import ProfileError
from legodnn.learned import Learned, learned_path, with_learned
from legodnn.profile import Profile
from legodnn.runtime.governing.governor import Governor
from legodnn.store import Store
from legodnn.tail import Tail, last_of_each
from legodnn.workload import Workload


def save_learned(governor: Governor, workload: Workload, stores: Mapping[str, Store]) -> list[Path]:
    """Write what a governor learned of each model of its runtime as NAME.learned.json beside its profile.

    `legodnn profile --merge` puts it into the profile. Nothing is written of a model that ran too seldom. What such a
    file has of the same store and device stays in it, but for thread counts that more was learned of now.

    Args:
        governor: the governor.
        workload: the models of its runtime (`Runtime.workload`).
        stores: their stores as they were opened, by model (`Runtime.stores`).

    Returns:
        The files that were written.

    Raises:
        ProfileError: a profile is no longer there, is damaged, or is of a store that came after.
        WriteError: a file cannot be written.
    """
    written = []
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    for model in workload.models:
        if tails := governor.learned(model.name):
            profile, path = Profile.load(model.profile_path), learned_path(model.profile_path)
            profile.check_store(stores[model.name])
            learned = Learned(
                store_id=profile.store_id,
                model=profile.model,
                device=profile.device,
                created=now,
                tail=last_of_each((*_kept(path, profile), *tails)),
            )
            learned.save(path)
            written.append(path)
    return written


def _kept(path: Path, profile: Profile) -> tuple[Tail, ...]:
    """What was learned before, if it can be put into the profile; a governor does not run with every thread count."""
    try:
        before = Learned.load(path)
        with_learned(profile, before)
    except ProfileError:  # there is none, it is damaged, or of another store or device: it would be of no use
        return ()
    return before.tail
