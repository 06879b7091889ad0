"""`legodnn plan` on real stores.

Covers also: commands.plan, commands.budget.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legodnn.plan import Infeasible, Plan
from legodnn.store import Store
from tests.legodnn.commands.running import run


def test_prints_what_a_person_wants_to_know(capsys: pytest.CaptureFixture[str], workload: Path) -> None:
    status, out, _ = run(capsys, "plan", workload, "--memory", "1GB", "--cores", "4")
    assert status == 0
    for word in ("one", "two", "accuracy", "±", "latency", "slack", "to spare", "1 MB more", "1 ms more for two"):
        assert word in out
    assert "above its least" in out


def test_json_holds_the_plan_slack_and_gains(capsys: pytest.CaptureFixture[str], workload: Path) -> None:
    status, out, _ = run(capsys, "plan", workload, "--memory", "1GB", "--json")
    document = json.loads(out)
    plan = Plan.model_validate_json(json.dumps(document["plan"]))
    assert status == 0
    assert [m.name for m in plan.models] == ["one", "two"]
    assert document["slack"]["memory_bytes"] == 10**9 - plan.memory_bytes
    assert document["slack"]["latency_ms"].keys() == {"two"}
    assert document["slack"]["accuracy"] == {"two": plan["two"].accuracy - 0.1}
    assert document["gains"]["memory"]["objective"] == 0.0


def test_plans_store_folders(capsys: pytest.CaptureFixture[str], tiny_store: Store) -> None:
    status, out, _ = run(capsys, "plan", tiny_store.path, "--latency", "1000")
    assert status == 0
    assert tiny_store.path.name in out


def test_what_it_prints_as_json_can_be_loaded_as_a_plan(
    capsys: pytest.CaptureFixture[str], workload: Path, tmp_path: Path
) -> None:
    """As the error of `Plan.load` says that a file can be made."""
    _, out, _ = run(capsys, "plan", workload, "--json")
    path = tmp_path / "plan.json"
    path.write_text(out)
    plan = Plan.load(path)
    assert plan.model_dump(mode="json", by_alias=True) == json.loads(out)["plan"]
    plan.save(path)
    assert Plan.load(path) == plan


def test_says_why_nothing_fits(capsys: pytest.CaptureFixture[str], workload: Path) -> None:
    status, out, _ = run(capsys, "plan", workload, "--latency", "one=0.000001")
    assert status == 1
    assert "no plan holds p95 latency of one" in out
    assert "nearest plan" in out
    status, out, _ = run(capsys, "plan", workload, "--latency", "one=0.000001", "--json")
    assert status == 1
    assert [c.title for c in Infeasible.model_validate_json(out).clash] == ["p95 latency of one"]


def test_bad_flags_are_errors_in_one_line(capsys: pytest.CaptureFixture[str], workload: Path) -> None:
    for flags in (["--memory", "lots"], ["--latency", "soon"], ["--latency", "x=5"], ["--cores", "-1"]):
        status, _, err = run(capsys, "plan", workload, *flags)
        assert status == 1
        assert err.count("\n") == 1


def test_output_without_sweep_is_refused_not_ignored(
    capsys: pytest.CaptureFixture[str], workload: Path, tmp_path: Path
) -> None:
    status, out, err = run(capsys, "plan", workload, "--output", tmp_path / "plan.svg")
    assert (status, out) == (1, "")
    assert err == "legodnn: --output is where --sweep draws; add --sweep, or write the plan with --json > FILE\n"
    assert not (tmp_path / "plan.svg").exists()


def test_a_store_and_a_workload_file_mixed_up_are_named(
    capsys: pytest.CaptureFixture[str], tiny_store: Store, workload: Path
) -> None:
    for paths in ([tiny_store.path, workload], [workload, tiny_store.path]):
        status, out, err = run(capsys, "plan", *paths)
        assert (status, out) == (1, "")
        assert err == (
            f"legodnn: {workload} is a workload file, which is given alone, not with {tiny_store.path}; "
            "its stores are named in it, as [[models]]\n"
        )
