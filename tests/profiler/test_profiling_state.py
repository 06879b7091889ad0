"""What was measured before an interruption is there after it, unless it was measured elsewhere or otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from legodnn.profiler.profiling_state import ProfilingState

TERMS: dict[str, Any] = {"store": "abc", "threads": [1, 2], "device": {"cpu": "x"}}

names = st.text("ab0/.", min_size=1, max_size=6)
stages = st.dictionaries(
    st.sampled_from(["pack", "memory", "latency"]),
    st.dictionaries(names, arrays.arrays(np.float64, st.integers(0, 4)), max_size=3),
)


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[k], v, equal_nan=True) for k, v in expected.items()
    )


@given(stages, stages)
def test_the_last_of_each_stage_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    earlier: dict[str, dict[str, np.ndarray]],
    later: dict[str, dict[str, np.ndarray]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "kept.profile.json.work"
    path.unlink(missing_ok=True)
    work = ProfilingState(path, TERMS)
    for kept in (earlier, later):
        for stage, found in kept.items():
            work.put(stage, found)
    for opened in (work, ProfilingState(path, TERMS)):
        for stage in ("pack", "memory", "latency"):
            assert same(opened.get(stage), {**earlier, **later}.get(stage, {}))


def test_going_on_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.work"
    ProfilingState(path, TERMS).put("pack", {"ms": np.array(2.5)})
    assert capsys.readouterr().err == ""
    # Terms are compared as JSON: a tuple is a list, and the order of names does not matter.
    again = ProfilingState(path, {**dict(reversed(TERMS.items())), "threads": (1, 2)})
    assert capsys.readouterr().err == f"going on with what {path} has\n"
    assert float(again.get("pack")["ms"]) == 2.5


@pytest.mark.parametrize("change", [{"store": "abd"}, {"threads": [1]}, {"device": {"cpu": "y"}}, {"more": None}])
def test_what_was_measured_otherwise_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    path = tmp_path / "p.work"
    ProfilingState(path, TERMS).put("pack", {"ms": np.array(2.5)})
    other = ProfilingState(path, {**TERMS, **change})
    assert other.get("pack") == {}
    assert capsys.readouterr().err == f"{path} was measured elsewhere or otherwise: measuring starts anew\n"
    other.put("memory", {"0": np.ones(3)})
    assert ProfilingState(path, {**TERMS, **change}).get("pack") == {}


@given(data=st.data())
def test_a_damaged_file_is_said_and_not_gone_on_with_or_is_whole(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.profile.json.work"
    path.unlink(missing_ok=True)
    kept = {"0": np.arange(20.0), "1": np.ones((2, 3))}
    ProfilingState(path, TERMS).put("memory", kept)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    found = ProfilingState(path, TERMS).get("memory")
    assert found == {} or all(np.array_equal(found[k], kept[k]) for k in found)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_such_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    path = tmp_path / "p.work"
    path.write_bytes(content)
    work = ProfilingState(path, TERMS)
    assert work.get("memory") == {}
    assert capsys.readouterr().err.endswith("; measuring starts anew\n")
    work.put("memory", {"0": np.ones(3)})
    assert same(ProfilingState(path, TERMS).get("memory"), {"0": np.ones(3)})


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    ProfilingState(tmp_path / "a" / "p.work", TERMS).put("pack", {"ms": np.array(1.0)})
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["p.work"]


def test_what_was_being_written_when_a_process_was_killed_is_cleared_away(tmp_path: Path) -> None:
    for name in (".p[1].work.x_1.tmp", ".other.work.x_1.tmp", ".p1.work.x.tmp"):
        (tmp_path / name).write_bytes(b"half")
    ProfilingState(tmp_path / "p[1].work", TERMS)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.work.x_1.tmp", ".p1.work.x.tmp"]


def test_without_a_file_everything_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    work = ProfilingState(None, TERMS)
    work.put("pack", {"ms": np.array(1.0)})
    assert float(work.get("pack")["ms"]) == 1.0
    assert list(tmp_path.iterdir()) == []
