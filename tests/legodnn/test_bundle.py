"""Bundles: a workload beside copies of its stores and profiles reads as the file that it was written of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legodnn.bundle import WORKLOAD_FILE, workload_text, write_bundle
from legodnn.errors import LegoError, ProfileError, StoreError, WorkloadError, WriteError
from legodnn.profile import CompactModel, Profile, default_path
from legodnn.store import Store
from legodnn.workload import Budget, SwitchCharge, Workload, WorkloadModel, load_workload

_KEPT = {"store", "profile"}
_share = st.none() | st.floats(0.5, 0.999)
_limit = st.none() | st.floats(1e-3, 1e9)
_models: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    weight=st.floats(1e-6, 1e6),
    rate_hz=st.none() | st.floats(0, 1e6),
    latency_ms=_limit,
    quantile=_share,
    min_accuracy=st.none() | st.floats(-1e9, 1e9),
    critical=st.booleans(),
    threads=st.none() | st.integers(1, 1024),
    streaming=st.booleans(),
)


@given(
    st.lists(_models, min_size=1, max_size=4, unique_by=lambda model: model["name"]),
    st.none() | st.integers(1, 1 << 61),
    _limit,
    st.floats(0, 1e9),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_bundle_asks_for_what_its_workload_asks(
    profiled_copy: Path,
    tmp_path: Path,
    models: list[dict[str, Any]],
    memory: int | None,
    latency: float | None,
    charge: float,
    by: bool,
) -> None:
    asked = Workload(
        models=tuple(WorkloadModel(store=str(profiled_copy), **model) for model in models),
        budget=Budget(memory_bytes=memory, latency_ms={models[0]["name"]: latency} if by and latency else latency),
        switch_charge=SwitchCharge(per_ms=charge),
    )
    out = tmp_path / "bundle"
    shutil.rmtree(out, ignore_errors=True)
    found = write_bundle(asked, out)
    assert [m.model_dump(exclude=_KEPT) for m in found.models] == [m.model_dump(exclude=_KEPT) for m in asked.models]
    assert (found.budget, found.switch_charge) == (asked.budget, asked.switch_charge)
    assert load_workload(out / WORKLOAD_FILE) == found
    (store,) = {Path(m.store) for m in found.models}  # one, however many models are of it
    assert Store(store).id == Store(profiled_copy).id
    assert store.parent == out / "stores"
    profiles = {m.profile_path for m in found.models}
    assert len(profiles) == len(models)
    assert {Profile.load(path) for path in profiles} == {Profile.load(default_path(profiled_copy))}
    for file in out.rglob("*"):  # what aapt leaves out of an app, and what file systems take for one
        assert not file.name.startswith((".", "_"))
        assert file.name.isascii()


def test_names_that_no_file_can_have_or_that_differ_in_capitals_alone_are_told_apart(
    profiled_copy: Path, tmp_path: Path
) -> None:
    names = ("a/b", "A-B", "a b", "..", "_x_", "é")
    models = tuple(WorkloadModel(name=name, store=str(profiled_copy)) for name in names)
    found = write_bundle(Workload(models=models), tmp_path / "out")
    files = [m.profile_path.name.removesuffix(".profile.json") for m in found.models]
    assert files == ["a-b", "A-B-2", "a-b-3", "model", "x", "-"]


def test_it_stands_where_it_is_moved(profiled_copy: Path, tmp_path: Path) -> None:
    write_bundle(load_workload(profiled_copy), tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    (model,) = load_workload(tmp_path / "there" / WORKLOAD_FILE).models
    assert Path(model.store) == tmp_path / "there/stores" / profiled_copy.name
    document = json.loads((tmp_path / "there" / WORKLOAD_FILE).read_text())
    assert document["models"][0]["store"] == f"stores/{profiled_copy.name}"


def test_who_names_the_folder_is_told_the_file(profiled_copy: Path, tmp_path: Path) -> None:
    write_bundle(load_workload(profiled_copy), tmp_path / "app")
    with pytest.raises(WorkloadError, match=r"app is the folder of a bundle; give the file in it, .*app/work"):
        load_workload(tmp_path / "app")


def test_nothing_else_of_a_stores_folder_is_taken(profiled_copy: Path, tmp_path: Path) -> None:
    (profiled_copy / "notes.txt").write_text("mine")
    (bundled,) = write_bundle(load_workload(profiled_copy), tmp_path / "out").models
    assert not (Path(bundled.store) / "notes.txt").exists()


def test_that_a_model_may_be_streamed_is_said_not_to_be_for_android(
    profiled_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = WorkloadModel(name="faces", store=str(profiled_copy), streaming=True)
    write_bundle(Workload(models=(model,)), tmp_path / "out")
    assert "faces may be streamed" in caplog.text


def test_that_a_model_may_be_planned_compact_is_said_not_to_be_for_android(
    profiled_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = WorkloadModel(name="faces", store=str(profiled_copy))
    profile = Profile.load(model.profile_path)
    write_bundle(Workload(models=(model,)), tmp_path / "plain")
    assert not caplog.text
    compact = CompactModel(options=profile.options, chain=profile.chain)
    profile.model_copy(update={"compact": compact}).save(model.profile_path)
    write_bundle(Workload(models=(model,)), tmp_path / "compact")
    assert "faces may be planned compact here, but not by Android's library" in caplog.text


@pytest.mark.parametrize(
    ("damaged", "content", "out", "error", "message"),
    [
        ("copy.profile.json", None, "out", ProfileError, "legodnn profile"),
        ("copy.profile.json", "{}", "out", ProfileError, "schema"),
        ("copy/manifest.json", "{}", "out", StoreError, "schema"),
        ("there", "", "there", WriteError, "exists; name another folder"),
        ("file", "", "file/out", WriteError, "cannot write"),
    ],
)
def test_where_it_fails_nothing_is_written(
    profiled_copy: Path,
    tmp_path: Path,
    damaged: str,
    content: str | None,
    out: str,
    error: type[LegoError],
    message: str,
) -> None:
    if content is None:
        (tmp_path / damaged).unlink()
    else:
        (tmp_path / damaged).write_text(content)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(error, match=message):
        write_bundle(load_workload(profiled_copy), tmp_path / out)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "has schema None"),
        ('{"schema": "legodnn.workload/2"}', "this version of legodnn reads 'legodnn.workload/1'"),
        ('{"schema": "legodnn.workload/1"}', "it needs one"),
        (
            workload_text(load_workload("s")).replace('"budget": {', '"budget": {"memory": "2MB"'),
            "memory: unknown field",
        ),
    ],
)
def test_a_damaged_one_is_refused_in_a_line_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / WORKLOAD_FILE
    path.write_text(text)
    with pytest.raises(WorkloadError, match=message) as caught:
        load_workload(path)
    assert str(caught.value).startswith(str(path))
