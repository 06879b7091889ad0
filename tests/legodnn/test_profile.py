"""A profile is taken for the store and the device it was measured on, and for no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from legodnn.errors import ProfileError
from legodnn.profile import (
    Chain,
    Conditions,
    Contention,
    Energy,
    Fingerprint,
    Latency,
    OptionProfile,
    Profile,
    Skipped,
    Validation,
    default_path,
    merge,
)
from legodnn.runtime.device import fingerprint
from legodnn.runtime.tables import ModelTable
from legodnn.store import Store


@pytest.fixture
def profile(tiny_store: Store) -> Profile:
    return Profile.load(default_path(tiny_store.path))


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(ProfileError) as caught:
        work()
    assert len(str(caught.value).splitlines()) <= 2
    assert "legodnn profile" in str(caught.value)
    return str(caught.value)


def test_a_profile_lies_beside_its_store() -> None:
    assert default_path("stores/vgg16") == Path("stores/vgg16.profile.json")
    assert default_path(Path("a.b")) == Path("a.b.profile.json")


def test_a_profile_fits_what_it_was_measured_on(profile: Profile, tiny_store: Store) -> None:
    profile.check_store(tiny_store)
    profile.check_device(fingerprint())


def test_a_profile_survives_a_round_trip(profile: Profile, tmp_path: Path) -> None:
    profile.save(tmp_path / "new" / "p.json")
    assert Profile.load(tmp_path / "new" / "p.json") == profile
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p.json"]


def test_the_profile_of_another_store_is_refused(profile: Profile, tiny_store2: Store) -> None:
    message = refusal(lambda: profile.check_store(tiny_store2))
    assert "was measured on another store" in message
    assert f"legodnn profile {tiny_store2.path}" in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda options: options[1:], "block1/s0"),
        (lambda options: [*options, options[2]], "block1/s0.75"),
        (lambda options: [*options[:-1], options[-1].model_copy(update={"option": "s0.9"})], "head/s0"),
        (lambda options: [*options, options[0].model_copy(update={"segment": "block9"})], "block9/s0"),
    ],
)
def test_a_profile_with_a_missing_or_odd_option_is_refused_by_its_name(
    profile: Profile, tiny_store: Store, change: Callable[[Any], list[Any]], named: str
) -> None:
    other = profile.model_copy(update={"options": tuple(change(profile.options))})
    assert f"does not have exactly one entry for {named};" in refusal(lambda: other.check_store(tiny_store))


@pytest.mark.parametrize(
    ("field", "value"), [("cpu", "Another CPU"), ("cores", 99), ("machine", "riscv64"), ("executor", "other 1.0")]
)
def test_the_profile_of_another_device_is_refused_with_both_named(profile: Profile, field: str, value: object) -> None:
    here = Fingerprint.model_validate({**profile.device.model_dump(), field: value})
    message = refusal(lambda: profile.check_device(here))
    assert f"({field}: {getattr(profile.device, field)!r}, here {value!r})" in message


def first_latency(document: dict[str, Any]) -> dict[str, Any]:
    return document["options"][0]["latency"][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="legodnn.store/1"), "has schema 'legodnn.store/1'"),
        (lambda d: d.pop("device"), "device: Field required"),
        (lambda d: d.update(options=[]), "options: "),
        (lambda d: d["options"][0].update(memory_bytes=-1), "options.0.memory_bytes"),
        (lambda d: d["options"][0].update(memory_bytes=1.5), "options.0.memory_bytes"),
        (lambda d: d["options"][0].update(latency=[]), "options.0.latency"),
        (lambda d: first_latency(d).update(median_ms=float("nan")), "NaN is no JSON number"),
        (lambda d: first_latency(d).update(median_ms=-0.1), "options.0.latency.0.median_ms"),
        (lambda d: first_latency(d).update(threads=0), "options.0.latency.0.threads"),
        (lambda d: first_latency(d).update(threads=2), "block1/s0 has two latencies for one thread count"),
        (lambda d: d.update(note="hello"), "note: Extra inputs"),
    ],
)
def test_a_damaged_profile_is_refused(
    profile: Profile, tiny_store: Store, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    document = json.loads(default_path(tiny_store.path).read_text())
    change(document)
    (tmp_path / "p.json").write_text(json.dumps(document))
    assert message in refusal(lambda: Profile.load(tmp_path / "p.json"))


def test_a_missing_profile_is_refused_with_its_path(tmp_path: Path) -> None:
    assert f"cannot read {tmp_path / 'p.json'}" in refusal(lambda: Profile.load(tmp_path / "p.json"))


@given(data=st.data())
def test_a_profile_with_flipped_or_lost_bytes_loads_or_is_refused(
    data: st.DataObject, tiny_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(default_path(tiny_store.path).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(1, 30))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / "damaged.profile.json"
    path.write_bytes(content)
    message = ""
    try:
        Profile.load(path)
    except ProfileError as e:
        message = str(e)
    assert len(message.splitlines()) <= 2


# --- options that were not measured, and what else a profile may say ------------------------------------------------


def without(profile: Profile, *keys: tuple[str, str]) -> Profile:
    skipped = tuple(Skipped(segment=s, option=o, reason="short of time") for s, o in keys)
    options = tuple(o for o in profile.options if (o.segment, o.option) not in keys)
    return profile.model_copy(update={"options": options, "skipped": skipped})


def test_options_may_be_skipped_if_it_is_said(profile: Profile, tiny_store: Store, tmp_path: Path) -> None:
    fewer = without(profile, ("block1", "s0.5"), ("block2", "s0.75"))
    fewer.check_store(tiny_store)
    fewer.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == fewer


def test_a_skipped_original_is_refused(profile: Profile, tiny_store: Store) -> None:
    message = refusal(lambda: without(profile, ("block2", "s0")).check_store(tiny_store))
    assert "skips the original of block2" in message


@pytest.mark.parametrize("key", [("block1", "s0.9"), ("block7", "s0"), ("block1", "s0.5")])
def test_what_is_skipped_is_an_option_that_was_not_measured(
    profile: Profile, tiny_store: Store, key: tuple[str, str]
) -> None:
    entry = Skipped(segment=key[0], option=key[1], reason="short of time")
    other = profile.model_copy(update={"skipped": (entry,)})
    assert f"exactly one entry for {'/'.join(key)};" in refusal(lambda: other.check_store(tiny_store))


def test_everything_that_a_profile_may_say_survives_a_round_trip(profile: Profile, tmp_path: Path) -> None:
    full = profile.model_copy(
        update={
            "options": tuple(o.model_copy(update={"energy_mj": 0.25}) for o in profile.options),
            "chain": (Chain(threads=1, overhead_ms=0.01), Chain(threads=2, overhead_ms=0.0)),
            "pack_ms": 12.5,
            "validation": (Validation(threads=1, plans=20, median_error=0.01, p95_error=0.05),),
            "contention": (Contention(store_id="a" * 64, model="other", slowdown=1.25),),
            "energy": Energy(meter="rapl", estimate=False, idle_w=3.0, switch_mj=0.5),
            "conditions": Conditions(
                kernel="6.1",
                cpu_features=("avx2", "fma"),
                governor="performance",
                mhz=(1500.0, None),
                throttled=("", "throttled"),
                warnings=("the processor was held back: throttled",),
            ),
        }
    )
    full.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == full
    assert full.overhead_ms == {1: 0.01, 2: 0.0}


def test_a_profile_that_says_only_what_it_must_is_one(profile: Profile, tiny_store: Store, tmp_path: Path) -> None:
    document = json.loads(default_path(tiny_store.path).read_text())
    for name in ("skipped", "chain", "pack_ms", "validation", "contention", "energy", "conditions"):
        document.pop(name, None)
    for option in document["options"]:
        option.pop("energy_mj", None)
        for entry in option["latency"]:
            entry.pop("first_ms", None)
    (tmp_path / "p.json").write_text(json.dumps(document))
    loaded = Profile.load(tmp_path / "p.json")
    loaded.check_store(tiny_store)
    assert loaded.overhead_ms == {}
    assert loaded.options[0].latency[0].first_ms is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(chain=[{"threads": 0, "overhead_ms": 0.1}]), "chain.0.threads"),
        (lambda d: d.update(chain=[{"threads": 1, "overhead_ms": -0.1}]), "chain.0.overhead_ms"),
        (lambda d: d.update(pack_ms=-1.0), "pack_ms"),
        (lambda d: d.update(contention=[{"store_id": "a", "model": "m", "slowdown": 0.9}]), "contention.0.slowdown"),
        (lambda d: d.update(energy={"meter": "sun"}), "energy.estimate: Field required"),
        (lambda d: d.update(skipped=[{"segment": "block1", "option": "s0.5"}]), "skipped.0.reason: Field required"),
        (lambda d: d["options"][0].update(energy_mj=-1.0), "options.0.energy_mj"),
    ],
)
def test_what_makes_no_sense_of_these_is_refused_too(
    tiny_store: Store, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    document = json.loads(default_path(tiny_store.path).read_text())
    change(document)
    (tmp_path / "p.json").write_text(json.dumps(document))
    assert message in refusal(lambda: Profile.load(tmp_path / "p.json"))


# --- merging ---------------------------------------------------------------------------------------------------------

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
        chain=tuple(Chain(threads=n, overhead_ms=draw(figures)) for n in threads),
        pack_ms=draw(st.none() | figures),
        validation=tuple(
            Validation(threads=n, plans=2, median_error=draw(figures), p95_error=draw(figures)) for n in draw(counts)
        ),
        contention=tuple(
            Contention(store_id=name, model=name, slowdown=draw(figures))
            for name in draw(st.lists(st.sampled_from(["b", "c"]), unique=True))
        ),
        energy=draw(
            st.none()
            | st.builds(Energy, meter=st.just("rapl"), estimate=st.booleans(), idle_w=figures, switch_mj=figures)
        ),
        conditions=draw(st.none() | st.builds(Conditions, kernel=st.sampled_from(["6.1", "6.6"]))),
    )


def contents(profile: Profile) -> dict[str, Any]:
    """A profile as mappings: in which order things stand does not matter."""
    plain = profile.model_dump()
    plain["options"] = {
        (o["segment"], o["option"]): {**o, "latency": {e["threads"]: e for e in o["latency"]}} for o in plain["options"]
    }
    plain["skipped"] = {(s["segment"], s["option"]): s for s in plain["skipped"]}
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
    assert found["created"] == plain[-1]["created"]
    assert found["energy"] == next((p["energy"] for p in reversed(plain) if p["energy"]), None)


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
