"""Profiles that leave options out, for tests of profiles and of merging them."""

from __future__ import annotations

from legodnn.profile import Profile, Skipped


def without(profile: Profile, *keys: tuple[str, str]) -> Profile:
    skipped = tuple(Skipped(segment=s, option=o, reason="short of time") for s, o in keys)
    options = tuple(o for o in profile.options if (o.segment, o.option) not in keys)
    return profile.model_copy(update={"options": options, "skipped": skipped})
