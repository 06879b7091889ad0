"""A profile is taken for the store and the device it was measured on, and for no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ProfileError
from legodnn.profile import (
    ChainOverhead,
    Conditions,
    Contention,
    Energy,
    Fingerprint,
    Profile,
    Skipped,
    Validation,
    default_path,
)
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_name
from legodnn.store import Store
from tests.legodnn.skipping import without


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(ProfileError) as caught:
        work()
    assert len(str(caught.value).splitlines()) <= 2
    assert "legodnn profile" in str(caught.value)
    return str(caught.value)


def test_a_profile_lies_beside_its_store() -> None:
    assert default_path("stores/vgg16") == Path("stores/vgg16.profile.json")
    assert default_path(Path("a.b")) == Path("a.b.profile.json")


def test_a_path_that_leads_nowhere_has_no_profile_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for path in (".", "a\0b/.."):
        with pytest.raises(ProfileError, match=r"leads to no folder: .*; give the folder of a store"):
            default_path(path)


def test_a_profile_fits_what_it_was_measured_on(profile: Profile, tiny_store: Store) -> None:
    profile.check_store(tiny_store)
    profile.check_device(fingerprint(executor_name()))


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
    return document["options"][0]["latency"][0]


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
        (lambda d: d.update(note="hello"), "note: unknown field"),
        (lambda d: d.update(chain=[{"threads": 0, "overhead_ms": 0.1}]), "chain.0.threads"),
        (lambda d: d.update(chain=[{"threads": 1, "overhead_ms": -0.1}]), "chain.0.overhead_ms"),
        (lambda d: d.update(chain=[{"threads": 1, "overhead_ms": 0.1}] * 2), "two overheads for one thread count"),
        (
            lambda d: d.update(compact={"options": d["options"], "chain": [{"threads": 1, "overhead_ms": 0.1}] * 2}),
            "two overheads for one thread count",
        ),
        (lambda d: d.update(compact={"options": d["options"][1:]}), "it was not measured of the same options"),
        (lambda d: d.update(pack_ms=-1.0), "pack_ms"),
        (lambda d: d.update(contention=[{"store_id": "a", "model": "m", "slowdown": 0.9}]), "contention.0.slowdown"),
        (lambda d: d.update(energy={"meter": "sun"}), "energy.estimate: Field required"),
        (lambda d: d.update(skipped=[{"segment": "block1", "option": "s0.5"}]), "skipped.0.reason: Field required"),
        (lambda d: d["options"][0].update(energy_mj=-1.0), "options.0.energy_mj"),
        (lambda d: d["options"][0].update(own_bytes=1), "has only one of own_bytes and workspace_bytes"),
        (lambda d: d["options"][0].update(own_bytes=1, workspace_bytes=-1), "options.0.workspace_bytes"),
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


def test_a_store_that_was_never_profiled_is_refused_with_the_command_that_does_it(tiny_store: Store) -> None:
    moved = tiny_store.path.with_name("moved")
    told = refusal(lambda: Profile.load(default_path(moved)))
    assert told.endswith(f"; measure the store on this device: `legodnn profile {moved}`")


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
            "options": tuple(
                o.model_copy(update={"energy_mj": 0.25, "own_bytes": 5, "workspace_bytes": 7}) for o in profile.options
            ),
            "chain": (ChainOverhead(threads=1, overhead_ms=0.01), ChainOverhead(threads=2, overhead_ms=0.0)),
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


def test_the_profile_of_the_current_folder_lies_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "faces/deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "faces")
    assert default_path(".") == default_path("") == tmp_path / "faces.profile.json"
    assert default_path("deeper/..") == tmp_path / "faces.profile.json"
    with pytest.raises(ProfileError, match=r"has no name, .* give the folder of a store"):
        default_path("/")


def test_a_profile_that_could_not_be_read_is_not_written(profile: Profile, tmp_path: Path) -> None:
    fields = profile.model_copy(update={"options": profile.options * 850})
    reason = "x" * 10_000
    skipped = (Skipped(segment="block1", option="s0.5", reason=reason),)
    for large, more in ((fields, "named fields"), (profile.model_copy(update={"skipped": skipped * 500}), "bytes")):
        with pytest.raises(ProfileError, match=rf"p.json .* {more}, at most .* are read; measure with fewer --threads"):
            large.save(tmp_path / "p.json")
    assert list(tmp_path.iterdir()) == []
