"""Merging profiles of one store and device: nothing that all measured is lost, and the later holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from legodnn.errors import ProfileError, WorkloadError
from legodnn.profile import (
    ChainOverhead,
    CompactModel,
    Conditions,
    Contention,
    Energy,
    Fingerprint,
    Latency,
    OptionProfile,
    Profile,
    Skipped,
    Validation,
)
from legodnn.profile_merge import merge
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.schema import MOST_NOTES
from legodnn.store import Store
from legodnn.streamed import StreamedModel, StreamedOption
from legodnn.tail import Tail
from tests.legodnn.skipping import without

KEYS = [("block1", "s0"), ("block1", "s0.5"), ("block2", "s0"), ("block2", "s0.5")]
figures = st.integers(1, 1000).map(float)
counts = st.lists(st.sampled_from([1, 2, 4]), unique=True)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any profile of one store and device: of some options, at some thread counts."""
    threads = draw(counts.filter(bool))
    skipped = draw(st.lists(st.sampled_from([k for k in KEYS if k[1] != "s0"]), unique=True))

    def entry(n: int) -> Latency:
        ms = draw(figures)
        return Latency(threads=n, runs=9, min_ms=ms / 2, median_ms=ms, p95_ms=2 * ms)

    return Profile(
        store_id="a" * 64,
        model="tiny",
        device=Fingerprint(machine="x", cpu="y", cores=4, executor="z"),
        created=f"2025-01-01T00:00:{draw(st.integers(10, 59))}",
        options=tuple(
            OptionProfile(
                segment=s,
                option=o,
                memory_bytes=draw(st.integers(0, 9999)),
                load_ms=draw(figures),
                energy_mj=draw(st.none() | figures),
                latency=tuple(entry(n) for n in threads),
            )
            for s, o in KEYS
            if (s, o) not in skipped
        ),
        skipped=tuple(Skipped(segment=s, option=o, reason=draw(st.sampled_from(["a", "b"]))) for s, o in skipped),
        chain=tuple(ChainOverhead(threads=n, overhead_ms=draw(figures)) for n in threads),
        pack_ms=draw(st.none() | figures),
        validation=tuple(
            Validation(threads=n, plans=2, median_error=draw(figures), p95_error=draw(figures)) for n in draw(counts)
        ),
        contention=tuple(
            Contention(store_id=name, model=name, slowdown=draw(figures))
            for name in draw(st.lists(st.sampled_from(["b", "c"]), unique=True))
        ),
        tail=tuple(
            Tail(threads=n, condition=condition, inferences=9, quantiles=(0.5,), stretch=(draw(figures),))
            for n in draw(st.lists(st.sampled_from(threads), unique=True))
            for condition in ("alone", "use")
        ),
        energy=draw(
            st.none()
            | st.builds(Energy, meter=st.just("rapl"), estimate=st.booleans(), idle_w=figures, switch_mj=figures)
        ),
        conditions=draw(
            st.none()
            | st.builds(
                Conditions,
                kernel=st.sampled_from(["6.1", "6.6"]),
                warnings=st.lists(st.sampled_from(["hot", "busy", "slow"]), unique=True).map(tuple),
            )
        ),
    )


def contents(profile: Profile) -> dict[str, Any]:
    """A profile as mappings: in which order things stand does not matter."""
    plain = profile.model_dump()
    plain["options"] = {
        (o["segment"], o["option"]): {**o, "latency": {e["threads"]: e for e in o["latency"]}} for o in plain["options"]
    }
    plain["skipped"] = {(s["segment"], s["option"]): s for s in plain["skipped"]}
    plain["tail"] = {(t["threads"], t["condition"]): t for t in plain["tail"]}
    for name, key in (("chain", "threads"), ("validation", "threads"), ("contention", "store_id")):
        plain[name] = {e[key]: e for e in plain[name]}
    return plain


some_profiles = st.lists(profiles(), min_size=1, max_size=4)


@given(profiles())
def test_merging_one_or_the_same_twice_changes_nothing(one: Profile) -> None:
    assert merge([one]) == one
    assert merge([one, one]) == one


def measured(profiles: list[Profile]) -> set[tuple[str, str]]:
    return {(o.segment, o.option) for p in profiles for o in p.options}


def usable(profile: Profile) -> set[int]:
    """Thread counts that all options have."""
    return set.intersection(*({e.threads for e in o.latency} for o in profile.options))


@given(some_profiles)
def test_no_thread_count_and_nothing_that_all_measured_is_lost_by_merging(some: list[Profile]) -> None:
    found = merge(some)
    assert usable(found) == set.union(*map(usable, some))
    assert measured([found]) >= set.intersection(*(measured([p]) for p in some))


@given(some_profiles, some_profiles)
def test_merging_in_steps_is_merging_at_once_where_no_option_is_lost(some: list[Profile], more: list[Profile]) -> None:
    together = [*some, *more]
    assume(all(measured([merge(profiles)]) == measured(profiles) for profiles in (some, more, together)))
    at_once = contents(merge(together))
    assert contents(merge([merge(some), *more])) == at_once
    assert contents(merge([*some, merge(more)])) == at_once


@given(some_profiles)
def test_everything_measured_is_there_and_the_later_holds(some: list[Profile]) -> None:
    found = contents(merge(some))
    plain = [contents(p) for p in some]
    counts = {n for p in plain for n in p["chain"]}
    for key in measured(some):
        of = [p["options"][key]["latency"] for p in plain if key in p["options"]]
        assert (key in found["options"]) == ({n for latency in of for n in latency} == counts)
    for key, option in found["options"].items():
        of = [p["options"][key] for p in plain if key in p["options"]]
        assert option["memory_bytes"] == of[-1]["memory_bytes"]
        assert option["load_ms"] == of[-1]["load_ms"]
        assert option["latency"] == {n: e for o in of for n, e in o["latency"].items()}
        assert option["energy_mj"] == next((o["energy_mj"] for o in reversed(of) if o["energy_mj"] is not None), None)
    for name in ("chain", "validation", "contention"):
        assert found[name] == {key: e for p in plain for key, e in p[name].items()}
    assert found["created"] == max(p["created"] for p in plain)
    tails = ((key, t, plain[i + 1 :]) for i, p in enumerate(plain) for key, t in p["tail"].items())
    assert found["tail"] == {key: t for key, t, later in tails if _holds(t, later)}
    assert found["energy"] == next((p["energy"] for p in reversed(plain) if p["energy"]), None)


@given(some_profiles)
def test_what_disturbed_any_of_them_stays_among_the_warnings(some: list[Profile]) -> None:
    found, known = merge(some).conditions, [p.conditions for p in some if p.conditions]
    assert (found is None) == (not known)
    if found is not None:
        assert found.kernel == known[-1].kernel
        assert set(found.warnings) == {warning for each in known for warning in each.warnings}
        assert len(set(found.warnings)) == len(found.warnings)


def test_a_profile_that_is_merged_again_and_again_can_still_be_read(profile: Profile, tmp_path: Path) -> None:
    """Warnings name what was read, such as clocks, so that each measurement may add new ones."""
    for half in range(2):
        warnings = tuple(f"the clock went to {half * MOST_NOTES + i} MHz" for i in range(MOST_NOTES))
        noted = profile.model_copy(update={"conditions": Conditions(kernel="6.1", warnings=warnings)})
        profile = merge([profile, noted])
    profile.save(tmp_path / "merged.json")
    read = Profile.load(tmp_path / "merged.json").conditions
    assert read is not None
    assert read.warnings == warnings


def _holds(tail: dict[str, Any], later: list[dict[str, Any]]) -> bool:
    """Whether a tail of a profile holds when others come later: one in use is a multiple of its own medians."""
    return tail["condition"] != "use" or not any(tail["threads"] in p["chain"] for p in later)


@given(some_profiles)
def test_skipped_is_what_is_not_kept(some: list[Profile]) -> None:
    found = merge(some)
    assert {(s.segment, s.option) for s in found.skipped} == set(KEYS) - measured([found])


@given(some_profiles, profiles(), st.sampled_from(["store", *Fingerprint.model_fields]), st.data())
def test_other_stores_and_devices_are_refused(
    some: list[Profile], other: Profile, what: str, data: st.DataObject
) -> None:
    if what == "store":
        other = other.model_copy(update={"store_id": "b" * 64})
    else:
        value = 99 if what == "cores" else "other"
        other = other.model_copy(update={"device": other.device.model_copy(update={what: value})})
    mixed = list(some)
    mixed.insert(data.draw(st.integers(0, len(some))), other)
    with pytest.raises(ProfileError) as caught:
        merge(mixed)
    assert len(str(caught.value).splitlines()) == 1
    assert ("different stores" if what == "store" else f"another device ({what}: ") in str(caught.value)


def test_other_stores_are_named_by_model_and_store_id(profile: Profile) -> None:
    rebuilt = profile.model_copy(update={"store_id": "b" * 64})
    with pytest.raises(ProfileError) as caught:
        merge([profile, rebuilt])
    assert str(caught.value).endswith(
        f"model 'tiny', store id {profile.store_id[:12]}, and model 'tiny', store id bbbbbbbbbbbb"
    )


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ProfileError, match="no profiles to merge"):
        merge([])


def test_a_merged_profile_fits_its_store(profile: Profile, tiny_store: Store) -> None:
    halves = [without(profile, ("block1", "s0.5")), without(profile, ("block1", "s0.75"), ("block2", "s0.5"))]
    found = merge(halves)
    found.check_store(tiny_store)
    assert found.skipped == ()


def at(profile: Profile, threads: int) -> Profile:
    """What a profile says of one thread count."""
    options = (
        o.model_copy(update={"latency": tuple(e for e in o.latency if e.threads == threads)}) for o in profile.options
    )
    chain = tuple(c for c in profile.chain if c.threads == threads)
    return profile.model_copy(update={"options": tuple(options), "chain": chain})


def test_thread_counts_of_profiles_that_skip_different_options_can_all_be_used(
    profile: Profile, tiny_store: Store
) -> None:
    one = at(without(profile, ("block1", "s0.5")), 1)
    two = at(without(profile, ("block2", "s0.5")), 2)
    found = merge([one, two])
    assert ModelTable.from_store(tiny_store, found).thread_counts == (1, 2)
    assert [(s.segment, s.option) for s in found.skipped] == [("block1", "s0.5"), ("block2", "s0.5")]
    assert merge([one, two, profile]).skipped == ()


def test_a_profile_whose_options_have_different_thread_counts_is_not_made_worse(profile: Profile) -> None:
    first, *rest = profile.options
    ragged = profile.model_copy(update={"options": (first.model_copy(update={"latency": first.latency[:1]}), *rest)})
    assert merge([ragged]) == ragged
    assert merge([ragged, at(profile, 1)]).skipped == ()
    assert merge([without(ragged, ("block1", "s0.75")), at(profile, 1)]).skipped == ()


def test_workspaces_are_kept_where_they_are_known_of_all_options(profile: Profile) -> None:
    apart = {"own_bytes": 5, "workspace_bytes": 7}
    known = profile.model_copy(update={"options": tuple(o.model_copy(update=apart) for o in profile.options)})
    assert merge([profile, known]).options == known.options
    some = known.model_copy(update={"options": (*known.options[:1], *profile.options[1:])})
    assert merge([known, some]).options == profile.options
    assert merge([some]).options == profile.options


def streamed(profile: Profile, threads: int, floor: int) -> Profile:
    """What a profile says of one thread count, with streaming measured."""
    options = tuple(
        StreamedOption(segment=o.segment, option=o.option, weights_bytes=7 + floor, median_ms=(float(threads),))
        for o in profile.options
    )
    found = StreamedModel(threads=(threads,), floor_bytes=floor, options=options)
    return at(profile, threads).model_copy(update={"streamed": found})


def test_what_was_measured_of_streaming_is_kept_with_every_thread_count(profile: Profile, tiny_store: Store) -> None:
    one, two = streamed(profile, 1, 5), streamed(profile, 2, 6)
    found = merge([one, two])
    assert found.streamed is not None
    assert (found.streamed.threads, found.streamed.floor_bytes) == ((1, 2), 6)
    assert {(o.weights_bytes, o.median_ms) for o in found.streamed.options} == {(13, (1.0, 2.0))}
    assert len(found.streamed.options) == len(profile.options)
    table = ModelTable.from_store(tiny_store, found, streaming=True)
    assert table.thread_counts == table.streamed_thread_counts == (1, 2)
    for same in (one, found):
        assert merge([same]) == merge([same, same]) == same


def test_a_model_is_streamed_with_the_thread_counts_that_were_measured_so(profile: Profile, tiny_store: Store) -> None:
    found = merge([streamed(profile, 1, 5), at(profile, 2)])
    assert found.streamed == streamed(profile, 1, 5).streamed
    table = ModelTable.from_store(tiny_store, found, streaming=True)
    assert (table.thread_counts, table.streamed_thread_counts) == ((1, 2), (1,))
    remedy = "no streamed latency; measure it with `legodnn profile --streaming --threads 2`"
    with pytest.raises(WorkloadError, match=remedy):
        ModelTable.from_store(tiny_store, found, streaming=True, threads=2)


def test_streaming_that_was_not_measured_of_all_options_is_not_kept(profile: Profile) -> None:
    half = streamed(without(profile, ("block1", "s0.5")), 1, 5)
    assert merge([half, at(profile, 1)]).streamed is None
    whole = streamed(profile, 2, 5)
    found = merge([half, at(profile, 1), whole])
    assert found.streamed is not None
    assert found.streamed.threads == (2,)
    assert len(found.streamed.options) == len(found.options) == len(profile.options)


def test_streaming_of_an_option_that_is_not_kept_is_not_kept_either(profile: Profile) -> None:
    skipped = ("block1", "s0.5")
    found = merge([streamed(without(profile, skipped), 1, 5), streamed(profile, 2, 5)])
    assert [(s.segment, s.option) for s in found.skipped] == [skipped]
    assert found.streamed is not None
    assert {(o.segment, o.option) for o in found.streamed.options} == measured([found])


def test_what_a_whole_model_takes_is_the_most_that_was_measured(profile: Profile) -> None:
    """Whichever was measured last: what options take of memory and time is replaced, and this is not of options."""
    more = {"company_bytes": 7, "pack_ms": 9.0}
    less = {"company_bytes": 5, "pack_ms": 8.0}
    unknown = {"company_bytes": 0, "pack_ms": None}
    for order in ((more, less), (less, more), (more, unknown), (unknown, more)):
        found = merge([profile.model_copy(update=update) for update in order])
        assert (found.company_bytes, found.pack_ms) == (7, 9.0)
    for floors in ((5, 6), (6, 5)):
        found = merge([streamed(profile, n, floor) for n, floor in zip((1, 2), floors, strict=True)])
        assert found.streamed is not None
        assert found.streamed.floor_bytes == 6


def compact(profile: Profile, threads: int, overhead_ms: float, company_bytes: int = 0) -> Profile:
    """What a profile says of one thread count, with compact models measured."""
    some = at(profile, threads)
    chain = (ChainOverhead(threads=threads, overhead_ms=overhead_ms),)
    model = CompactModel(options=some.options, chain=chain, company_bytes=company_bytes)
    return some.model_copy(update={"compact": model})


def test_what_was_measured_of_compact_models_is_kept_with_every_thread_count(profile: Profile) -> None:
    one, two = compact(profile, 1, 0.5, 7), compact(profile, 2, 0.25, 5)
    for order in ((one, two), (two, one)):
        found = merge(order)
        assert found.compact is not None
        assert found.compact.overhead_ms == {1: 0.5, 2: 0.25}
        assert found.compact.company_bytes == 7
        assert found.compact.options == found.options
    again = merge([one, compact(profile, 1, 0.75)]).compact
    assert again is not None
    assert again.overhead_ms == {1: 0.75}


def test_compact_models_that_were_measured_with_fewer_threads_are_not_kept(profile: Profile) -> None:
    one = compact(profile, 1, 0.5)
    assert merge([one, at(profile, 2)]).compact is None
    some = compact(without(profile, ("block1", "s0.5")), 1, 0.5)
    assert merge([some, at(profile, 1)]).compact is None
    assert merge([some]).compact == some.compact
