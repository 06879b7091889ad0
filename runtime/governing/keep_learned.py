"""Keeping what a governor learned, beside the profiles of the runtime's models."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from legodnn.learned import Learned, learned_path
from legodnn.profile import Profile
from legodnn.runtime.governing.governor import Governor
from legodnn.store import Store
from legodnn.workload import Workload


def save_learned(governor: Governor, workload: Workload, stores: Mapping[str, Store]) -> list[Path]:
    """Write what a governor learned of each model of its runtime as NAME.learned.json beside its profile.

    `legodnn profile --merge` puts it into the profile. Nothing is written of a model that ran too seldom.

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
            Learned(
                store_id=profile.store_id, model=profile.model, device=profile.device, created=now, tail=tails
            ).save(path)
            written.append(path)
    return written
