"""What was measured before an interruption is there after it, unless it was measured elsewhere or otherwise."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from legodnn.array_files import read_arrays, write_arrays
from legodnn.errors import ProfileError
from legodnn.profiler.profiling_state import ProfilingState, StageState

TERMS: dict[str, Any] = {"store": "abc", "threads": [1, 2], "device": {"cpu": "x"}}

parts = st.text('ab0/.|"[é', min_size=1, max_size=6) | st.integers(0, 12)
keys = parts | st.lists(parts, max_size=3).map(tuple)
stages = st.dictionaries(
    st.sampled_from(["packing", "memory", "energy by [x]"]),
    st.dictionaries(keys, arrays.arrays(np.float64, st.integers(0, 4)), max_size=3),
)


@pytest.fixture(autouse=True)
def _notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "legodnn.profiler")


def same(found: Mapping[Any, np.ndarray], expected: Mapping[Any, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[k], v, equal_nan=True) for k, v in expected.items()
    )


@given(stages, stages)
def test_the_last_of_each_stage_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    earlier: dict[str, dict[Any, np.ndarray]],
    later: dict[str, dict[Any, np.ndarray]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "kept.profile.json.work"
    path.unlink(missing_ok=True)
    state = ProfilingState(path, TERMS)
    for kept in (earlier, later):
        for stage, found in kept.items():
            state.stage(stage).save(found)
    for opened in (state, ProfilingState(path, TERMS)):
        for stage in ("packing", "memory", "energy by [x]"):
            assert same(opened.stage(stage).done, {**earlier, **later}.get(stage, {}))


def test_keys_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    kept: dict[Any, np.ndarray] = {
        1: np.array(1.0),
        "1": np.array(2.0),
        (1,): np.array(3.0),
        ("a", "b/c"): np.array(4.0),
    }
    kept["a/b", "c"] = np.array(5.0)
    ProfilingState(tmp_path / "p.work", TERMS).stage("energy").save(kept)
    assert same(ProfilingState(tmp_path / "p.work", TERMS).stage("energy").done, kept)


def test_a_stage_that_is_kept_nowhere_saves_nothing() -> None:
    stage = StageState()
    stage.save({"ms": np.array(1.0)})
    assert stage.done == {}


def test_going_on_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "p.work"
    ProfilingState(path, TERMS).stage("packing").save({"ms": np.array(2.5)})
    assert caplog.messages == []
    # Terms are compared as JSON: a tuple is a list, and the order of names does not matter.
    again = ProfilingState(path, {**dict(reversed(TERMS.items())), "threads": (1, 2)})
    assert caplog.messages == [f"going on with what {path} has"]
    assert float(again.stage("packing").done["ms"]) == 2.5


@pytest.mark.parametrize("change", [{"store": "abd"}, {"threads": [1]}, {"device": {"cpu": "y"}}, {"more": None}])
def test_what_was_measured_otherwise_is_not_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    path = tmp_path / "p.work"
    ProfilingState(path, TERMS).stage("packing").save({"ms": np.array(2.5)})
    other = ProfilingState(path, {**TERMS, **change})
    assert other.stage("packing").done == {}
    assert caplog.messages == [f"{path} was measured elsewhere or otherwise: measuring starts anew"]
    other.stage("memory").save({0: np.ones(3)})
    assert ProfilingState(path, {**TERMS, **change}).stage("packing").done == {}


@given(data=st.data())
def test_a_damaged_file_is_said_and_not_gone_on_with_or_is_whole(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.profile.json.work"
    path.unlink(missing_ok=True)
    kept = {0: np.arange(20.0), 1: np.ones((2, 3))}
    ProfilingState(path, TERMS).stage("memory").save(kept)
    assert same(ProfilingState(path, TERMS).stage("memory").done, kept)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    found = ProfilingState(path, TERMS).stage("memory").done
    assert found == {} or same(found, kept)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_such_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    path = tmp_path / "p.work"
    path.write_bytes(content)
    state = ProfilingState(path, TERMS)
    assert state.stage("memory").done == {}
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert caplog.messages[0].endswith("; measuring starts anew")
    state.stage("memory").save({0: np.ones(3)})
    assert same(ProfilingState(path, TERMS).stage("memory").done, {0: np.ones(3)})


@pytest.mark.parametrize("name", ["memory|0", '["memory"]', "3", '["memory", {"a": 1}]', '["memory", [[1]]]'])
def test_arrays_that_no_stage_named_are_not_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = tmp_path / "p.work"
    write_arrays(path, {name: np.ones(3), "terms": np.array(json.dumps(TERMS, sort_keys=True))})
    assert ProfilingState(path, TERMS).stage("memory").done == {}
    assert caplog.messages[0].startswith(f"{path} holds an array {name!r}")


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    ProfilingState(tmp_path / "a" / "p.work", TERMS).stage("packing").save({"ms": np.array(1.0)})
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["p.work"]
    assert len(read_arrays(tmp_path / "a" / "p.work", ProfileError, "")) == 2


def test_what_was_being_written_when_a_process_was_killed_is_cleared_away(tmp_path: Path) -> None:
    for name in (".p[1].work.x_1.tmp", ".other.work.x_1.tmp", ".p1.work.x.tmp"):
        (tmp_path / name).write_bytes(b"half")
    ProfilingState(tmp_path / "p[1].work", TERMS)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.work.x_1.tmp", ".p1.work.x.tmp"]


def test_without_a_file_everything_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = ProfilingState(None, TERMS)
    state.stage("packing").save({"ms": np.array(1.0)})
    assert float(state.stage("packing").done["ms"]) == 1.0
    assert list(tmp_path.iterdir()) == []
