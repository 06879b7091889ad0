"""The vectors that Python and Java share: today's code gives the answers that they hold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vectors import frames, governing, in_use, learned, tails, vectors, workloads

TOLERANCE = 1e-9


def same(found: Any, wanted: Any) -> bool:
    """Equal, but for the last bits of numbers."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict) and found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float) and isinstance(found, int | float):
        return bool(found == pytest.approx(wanted, rel=TOLERANCE, abs=0))
    return bool(found == wanted)


def differing(name: str, answer: Any, field: str = "answer") -> list[str]:
    """The names of the cases that are answered otherwise."""
    cases = vectors.read(name)["cases"]
    assert len({case["name"] for case in cases}) == len(cases), "a name is used twice"
    return [case["name"] for case in cases if not same(answer(case), case[field])]


def test_there_are_plenty_and_they_are_small() -> None:
    steps = sum(len(case["steps"]) for case in vectors.read("plans")["cases"])
    assert steps > 600
    assert sum(len(vectors.read(name)["cases"]) for name in vectors.FILES) > 1000
    assert sum((vectors.FOLDER / f"{name}.json").stat().st_size for name in vectors.FILES) < 3_400_000


def test_every_kind_of_answer_occurs_often() -> None:
    answers = [a for case in vectors.read("plans")["cases"] for a in case["answers"]]
    kinds = ["plan" if "plan" in a else a["error"] for a in answers]
    assert kinds.count("plan") > 300
    assert kinds.count("InfeasibleError") > 100
    assert kinds.count("WorkloadError") > 20
    assert sum("plan" in a and any(m.get("suspended") for m in a["plan"]["models"]) for a in answers) > 30
    assert sum("plan" in a and a["plan"]["switch_charge"] > 0 for a in answers) > 30
    refused = [case["answer"].get("error") for case in vectors.read("stores")["cases"]]
    assert refused.count("StoreError") > 300
    assert refused.count(None) > 100


def test_plans() -> None:
    workloads = vectors.read("plans")["workloads"]
    assert differing("plans", lambda case: vectors.answered(case, workloads), "answers") == []


def test_tables() -> None:
    assert differing("tables", vectors.table_answer) == []


def test_budgets() -> None:
    assert differing("budgets", vectors.budget_answer) == []


def test_stores() -> None:
    bases = vectors.read("stores")["bases"]
    assert differing("stores", lambda case: vectors.store_answer(case, bases)) == []


def test_profiles() -> None:
    bases = vectors.read("profiles")["bases"]
    assert differing("profiles", lambda case: vectors.profile_answer(case, bases)) == []


def test_plans_of_stores_and_profiles() -> None:
    bases = vectors.read("measured")["bases"]
    assert differing("measured", lambda case: vectors.measured_answer(case, bases[case["base"]])) == []


def test_hysteresis() -> None:
    assert differing("hysteresis", vectors.hysteresis_answer) == []


def test_pictures() -> None:
    pytest.importorskip("PIL")
    assert differing("pictures", vectors.picture_answer) == []


def test_frames_of_cameras() -> None:
    pytest.importorskip("PIL")
    assert differing("frames", frames.frame_answer) == []


def test_governors() -> None:
    assert differing("policies", governing.policy_answer) == []
    assert differing("observed", governing.observed_answer) == []


def test_models_beside_one_another() -> None:
    bases = vectors.read("beside")["bases"]
    assert differing("beside", lambda case: governing.beside_answer(case, bases)) == []


def test_what_was_learned_in_use() -> None:
    bases = vectors.read("learned")["bases"]
    assert differing("learned", lambda case: learned.learned_answer(case, bases)) == []


def test_what_options_take_in_use() -> None:
    assert differing("in_use", in_use.in_use_answer) == []
    factors = [case["answer"]["factor"] for case in vectors.read("in_use")["cases"]]
    constants = [case["answer"]["constant_ms"] for case in vectors.read("in_use")["cases"]]
    assert {0.1, 2.0} < set(factors), "limits of slopes occur"
    assert min(sum(c > 0.01 for c in constants), sum(c < -0.01 for c in constants)) > 10, "constants of both signs"


def test_tails_of_measured_times() -> None:
    assert differing("tails", tails.tail_of_answer) == []
    answers = [case["answer"] for case in vectors.read("tails")["cases"]]
    assert [tails.tail_of_answer(case) for case in vectors.read("tails")["cases"]] == answers, "to the bit"
    assert {len(answer[4]) for answer in answers} == set(range(1, 9)), "each quantile is the last known one somewhere"
    stretches = {stretch for answer in answers for stretch in answer[5]}
    assert {min(stretches), max(stretches)} == {1e-3, 1e6}, "limits of stretches occur"


def test_workloads() -> None:
    bases = vectors.read("workloads")["bases"]
    assert differing("workloads", lambda case: workloads.workload_answer(case, bases)) == []
    kinds = ["error" in case["answer"] for case in vectors.read("workloads")["cases"]]
    assert min(kinds.count(True), kinds.count(False)) > 80


@pytest.mark.parametrize("toml", [True, False], ids=["of the file", "of the bundle"])
def test_plans_of_workloads(toml: bool) -> None:
    assert differing("bundles", lambda case: workloads.plan_answers(case, toml), "answers") == []
