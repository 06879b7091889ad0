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
from legodnn.profile import Fingerprint, Profile, default_path
from legodnn.runtime.device import fingerprint
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
