"""What is kept of several governors' and models' tails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from legodnn.errors import ProfileError
from legodnn.learned import Learned
from legodnn.profile import Profile
from legodnn.runtime.governing.keep_learned import _merged, save_learned
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.store import Store
from legodnn.tail import Tail
from legodnn.workload import Workload, WorkloadModel

LONG = (0.5, 0.95, 0.99)


def used(*stretch: float, inferences: int = 200, threads: int = 1) -> Tail:
    return Tail(
        threads=threads, condition="use", inferences=inferences, quantiles=LONG[: len(stretch)], stretch=stretch
    )


def test_a_few_inferences_do_not_hide_what_many_told() -> None:
    before, few, many = used(1.0, 2.0, 3.0), used(5.0, inferences=3), used(1.1, 1.2, 1.3)
    assert _merged([before], [few]) == (before,)
    assert _merged([before], [many]) == (many,)
    assert _merged([], [few]) == (few,)
    other = used(1.0, threads=4)
    assert _merged([before, other], [many]) == (many, other)


def test_models_of_one_profile_are_promised_what_the_slowest_takes() -> None:
    busy, idle = used(4.9, 5.1, 5.2), used(0.99, inferences=2)
    assert _merged([], [busy, idle]) == _merged([], [idle, busy]) == (used(4.9, 5.1, 5.2, inferences=202),)
    assert _merged([], [used(1.0, 2.0, 3.0), used(2.5)])[0].stretch == (2.5, 2.5, 3.0)


def taught(store: Store, profile: Profile, tails: Mapping[str, tuple[Tail, ...]]) -> Any:
    """A governor of models with one profile, which has learned these tails."""
    tables = [ModelTable.from_store(store, profile, name) for name in tails]
    return SimpleNamespace(
        runtime=SimpleNamespace(scheduler=Scheduler(tables)), learned=lambda name: tails.get(name, ())
    )


def test_one_file_is_written_of_models_with_one_profile_and_none_of_those_that_ran_too_seldom(
    tiny_store: Store, profile: Profile, tmp_path: Path
) -> None:
    models = []
    for name, file in (("a", "one.json"), ("b", "one.json"), ("idle", "other.json")):
        profile.save(tmp_path / file)
        models.append(WorkloadModel(name=name, store=str(tiny_store.path), profile=str(tmp_path / file)))
    tails = {"a": (used(0.5, 0.6, 0.9),), "b": (used(0.4, 0.7),)}
    written = save_learned(
        taught(tiny_store, profile, tails),
        Workload(models=tuple(models)),
        dict.fromkeys(("a", "b", "idle"), tiny_store),
    )
    assert written == [tmp_path / "one.learned.json"]
    assert Learned.load(written[0]).tail == (used(0.5, 0.7, 0.9, inferences=400),)
    assert not (tmp_path / "other.learned.json").exists()


def test_what_is_kept_is_of_the_profile_that_predicted(tiny_store: Store, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "a.profile.json"
    workload = Workload(models=(WorkloadModel(name="a", store=str(tiny_store.path), profile=str(path)),))
    stores, long, short = {"a": tiny_store}, used(5.0, 6.0, 7.0), used(1.0, 1.1, threads=2)
    profile.save(path)
    save_learned(taught(tiny_store, profile, {"a": (long,)}), workload, stores)
    (kept,) = save_learned(taught(tiny_store, profile, {"a": (short,)}), workload, stores)
    before = Learned.load(kept)
    assert before.tail == (long, short)
    assert before.profiled == profile.created
    later = profile.model_copy(update={"created": "2125-01-01T00:00:00+00:00"})
    later.save(path)
    with pytest.raises(ProfileError, match=r"a\.profile\.json was measured anew meanwhile"):
        save_learned(taught(tiny_store, profile, {"a": (short,)}), workload, stores)
    assert Learned.load(kept) == before
    for old in (before, before.model_copy(update={"profiled": None})):
        old.save(kept)
        save_learned(taught(tiny_store, later, {"a": (short,)}), workload, stores)
        assert Learned.load(kept).tail == (short,)
        assert Learned.load(kept).profiled == later.created
