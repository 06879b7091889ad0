"""Plans and reports are documents: they read back equal, tell what is in them, and round a remedy to what will do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import WorkloadError
from legodnn.plan import Infeasible, Limit, ModelPlan, Plan
from legodnn.units import parse_size
from legodnn.workload import Budget

FACES = ModelPlan(
    name="faces",
    threads=2,
    options={"block1": "s0", "block2": "s0.5-int8"},
    accuracy=0.91,
    accuracy_error=0.01,
    latency_ms=3.25,
    memory_bytes=1_500_000,
    cores=0.5,
)
SCENES = ModelPlan(name="scenes", suspended=True)
PLAN = Plan(models=(FACES, SCENES), budget=Budget(memory_bytes=2_000_000), objective=0.91)


def test_a_plan_reads_back_equal(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == PLAN


def test_a_plan_tells_what_it_holds() -> None:
    assert PLAN["faces"] is FACES
    with pytest.raises(KeyError):
        PLAN["others"]
    assert (PLAN.memory_bytes, PLAN.cores, PLAN.suspended) == (1_500_000, 0.5, ("scenes",))
    assert str(PLAN) == (
        "faces: accuracy 0.91 ± 0.01, 3.25 ms, 2 threads, 1.5 MB: block1=s0 block2=s0.5-int8\nscenes: suspended"
    )


def test_two_models_of_one_name_are_no_plan() -> None:
    with pytest.raises(ValueError, match="two models have the same name"):
        Plan(models=(FACES, FACES), budget=Budget(), objective=0.0)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema": "legodnn.plan/2"}', '{"schema": "legodnn.plan/1", "models": []}']
)
def test_what_is_no_plan_is_refused_with_the_file_and_the_command(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(WorkloadError, match="make it again with `legodnn plan --json`") as caught:
        Plan.load(path)
    assert str(caught.value).startswith(str(path))


@given(st.integers(1, 1 << 62))
def test_the_memory_that_is_needed_is_shown_as_no_less(needed: int) -> None:
    remedy = Limit(kind="memory", limit=1.0, needed=float(needed)).remedy
    assert float(needed) <= parse_size(remedy) <= needed * 1.0002 + 1


@given(st.floats(1e-6, 1e9))
def test_other_remedies_are_rounded_to_the_side_that_will_do(needed: float) -> None:
    assert float(Limit(kind="latency", model="a", limit=1.0, needed=needed).remedy.removesuffix(" ms")) >= needed
    assert float(Limit(kind="cores", limit=1.0, needed=needed).remedy.removesuffix(" cores")) >= needed
    assert float(Limit(kind="accuracy", model="a", limit=1.0, needed=needed).remedy) <= needed


def test_a_report_says_what_clashes_and_what_would_do() -> None:
    limits = (
        Limit(kind="memory", limit=1e6, needed=1_234_567.0, clashes=True),
        Limit(kind="latency", model="faces", limit=2.0, clashes=True),
        Limit(kind="cores", limit=1.0),
    )
    report = Infeasible(budget=Budget(), limits=limits, suspended=("scenes",))
    assert report.clash == limits[:2]
    assert str(report) == (
        "no plan holds memory at most 1 MB (1000000 B) and latency of faces at most 2 ms even with scenes suspended\n"
        "any one of these would do: memory 1.2346 MB"
    )
