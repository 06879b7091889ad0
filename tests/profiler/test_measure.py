"""A profile covers every option at every thread count and fits the store and the device it was measured on."""

from __future__ import annotations

from typing import Any

import pytest

from legodnn.errors import ProfileError
from legodnn.profile import Profile, default_path
from legodnn.profiler import profile_store
from legodnn.runtime.device import fingerprint
from legodnn.store import Store


@pytest.fixture(scope="module")
def profile(tiny_store2: Store) -> Profile:
    return profile_store(tiny_store2, threads=(2, 1, 3), rounds=3, processes=1)


def test_every_option_has_memory_and_latency_at_every_thread_count(profile: Profile, tiny_store2: Store) -> None:
    expected = [(s.name, o.name) for s in tiny_store2.manifest.segments for o in s.options]
    assert [(o.segment, o.option) for o in profile.options] == expected
    for option in profile.options:
        assert [latency.threads for latency in option.latency] == [2, 1, 3]
        assert option.memory_bytes > 0
        assert option.load_ms > 0


def test_the_profile_fits_its_store_and_this_device(profile: Profile, tiny_store: Store, tiny_store2: Store) -> None:
    profile.check_store(tiny_store2)
    profile.check_device(fingerprint())
    assert profile.model == "tiny2"
    with pytest.raises(ProfileError):
        profile.check_store(tiny_store)


def test_the_shared_stores_profiles_fit_them(tiny_store: Store, tiny_store2: Store) -> None:
    for store in (tiny_store, tiny_store2):
        Profile.load(default_path(store.path)).check_store(store)


@pytest.mark.parametrize(
    "arguments",
    [
        {"threads": ()},
        {"threads": (0,)},
        {"threads": (1, -2)},
        {"threads": (1, 2, 1)},
        {"rounds": 0},
        {"processes": 0},
    ],
)
def test_arguments_that_make_no_sense_are_refused(tiny_store2: Store, arguments: dict[str, Any]) -> None:
    with pytest.raises(ProfileError, match="must be different and positive"):
        profile_store(tiny_store2, **arguments)
