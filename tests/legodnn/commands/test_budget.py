"""The flags of a budget: what they replace in a workload's own, and what they refuse with their name."""

from __future__ import annotations

import pytest

from legodnn.commands.budget import add_budget_flags, budget_flags, budget_from
from legodnn.commands.parser import CommandParser
from legodnn.errors import WorkloadError
from legodnn.workload import Budget, Workload, WorkloadModel

GIVEN = Budget(memory_bytes=1000, latency_ms={"a": 5.0}, cores=2.0)


def budget(*line: str, given: Budget = GIVEN) -> Budget:
    parser = CommandParser()
    add_budget_flags(parser)
    models = (WorkloadModel(name=name, store=name, rate_hz=1.0) for name in ("a", "b", "x=y"))
    return budget_from(parser.parse_args(line), Workload(models=tuple(models), budget=given))


def test_without_flags_the_workloads_own_budget_holds() -> None:
    assert budget() == GIVEN


def test_flags_take_the_place_of_the_limits_that_they_name() -> None:
    assert budget("--memory", "20MB", "--cores", "1.5") == Budget(
        memory_bytes=20_000_000, latency_ms={"a": 5.0}, cores=1.5
    )
    assert budget("--latency", "7").latency_ms == 7.0
    assert budget("--latency", "b=7").latency_ms == {"a": 5.0, "b": 7.0}
    assert budget("--latency", "a=1,b=7", "--latency", "x=y=2").latency_ms == {"a": 1.0, "b": 7.0, "x=y": 2.0}


def test_quantiles_are_given_like_limits() -> None:
    assert budget("--quantile", "0.99").quantile == 0.99
    given = GIVEN.model_copy(update={"quantile": {"a": 0.9}})
    assert budget("--quantile", "b=0.5", given=given).quantile == {"a": 0.9, "b": 0.5}
    assert budget(given=given).quantile == {"a": 0.9}


def test_a_limit_by_name_leaves_the_workloads_own_to_other_models() -> None:
    given = Budget(latency_ms=3.0, quantile=0.9)
    assert budget("--latency", "a=5", given=given) == Budget(latency_ms={"a": 5.0, "b": 3.0, "x=y": 3.0}, quantile=0.9)
    assert budget("--quantile", "b=0.5", given=given).quantile == {"a": 0.9, "b": 0.5, "x=y": 0.9}


def test_the_flags_that_were_given_are_named() -> None:
    parser = CommandParser()
    add_budget_flags(parser)
    assert budget_flags(parser.parse_args(["--latency", "5", "--memory", "5MB"])) == ["--memory", "--latency"]
    assert budget_flags(parser.parse_args([])) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--memory", "lots"], "--memory: 'lots' is not a size; write it like 20MB, 1.5GiB or 300000"),
        (["--memory", "20"], "--memory: '20' without a unit is 20 bytes; write 20MB for megabytes, or 20B"),
        (["--memory", "20.5"], "--memory: '20.5' without a unit is 20 bytes; write 20.5MB for megabytes, or 20B"),
        (["--latency", "soon"], "--latency soon: 'soon' is not a number of milliseconds; write 5 or NAME=5"),
        (["--latency", "a=5,"], "--latency : '' is not a number of milliseconds; write 5 or NAME=5"),
        (["--latency", "5", "--latency", "a=5"], "do not go together; name each model"),
        (["--latency", "2,5"], "--latency has 2 and 5 for every model; give one (a fraction is written 2.5)"),
        (["--latency", "a=5,b=1", "--latency", "a=6"], "--latency has 5 and 6 for a; give one"),
        (["--quantile", ".95,.5"], "--quantile has 0.95 and 0.5 for every model"),
        (["--latency", "=5"], "Budget: latency_ms: names must have 1 to 200 characters"),
        (["--quantile", "most"], "--quantile most: 'most' is not a share of inferences; write 0.95 or NAME=0.95"),
        (["--quantile", "95"], "Budget: quantile: must be a share of inferences: a number from 0.5 (the median) to"),
        (["--quantile", "a=1"], "Budget: quantile: that of 'a' must be a share of inferences"),
        (["--quantile", "0.9", "--quantile", "a=0.5"], "do not go together; name each model"),
        (["--cores", "-1"], "Budget: cores: must be greater than 0"),
        (["--memory", "0MB"], "Budget: memory_bytes: must be greater than 0, got 0"),
    ],
)
def test_what_is_no_limit_is_refused_with_the_flags_name(line: list[str], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        budget(*line)
    assert message in str(caught.value)
