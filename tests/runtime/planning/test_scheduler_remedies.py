"""What a report says would do does, typed in as it is printed."""

from __future__ import annotations

import re

import pytest

from legodnn.errors import InfeasibleError
from legodnn.manifest import Link
from legodnn.plan import Limit
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.units import parse_size
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import model, option
from tests.runtime.planning.test_scheduler_oracle import infeasible_cases, relaxed_case, scheduled


def typed(text: str, kind: str) -> float:
    """The number in a remedy as it is printed."""
    if kind == "memory":
        return parse_size(text)
    return float(re.sub(r" (ms|cores)$", "", text))


def test_what_is_printed_would_do() -> None:
    tried = set()
    for case, report in infeasible_cases(90_000, count=90, models=3, blocks=3, options=4):
        printed = str(report).rpartition("would do: ")[2].split("; ")
        remedies = [limit for limit in report.limits if limit.needed is not None]
        assert len(printed) == max(1, len(remedies))
        for limit, text in zip(remedies, printed, strict=bool(remedies)):
            value = typed(text.removeprefix(limit.title + " "), limit.kind)
            assert isinstance(scheduled(relaxed_case(case, limit.kind, limit.model, value)), float), text
            tried.add(limit.kind)
    assert tried == {"memory", "cores", "latency", "accuracy"}


def test_remedies_are_short_and_on_the_safe_side() -> None:
    def remedy(kind: str, needed: float) -> str:
        return Limit(kind=kind, limit=1.0, needed=needed).remedy  # type: ignore[arg-type]

    assert remedy("latency", 0.13818000000000003) == "0.138181 ms"
    assert remedy("latency", 2.0) == "2 ms"
    assert remedy("memory", 20_000_123.0) == "20.001 MB"
    assert remedy("memory", 20.0) == "20 B"
    assert remedy("cores", 0.1234560001) == "0.123457 cores"
    assert remedy("accuracy", 0.9199999999) == "0.919999"
    assert remedy("accuracy", -0.25) == "-0.25"


def test_the_limit_of_latency_that_would_do_is_that_of_the_fastest_number_of_threads() -> None:
    with pytest.raises(InfeasibleError) as refused:
        Scheduler([model("m", [option("o", 10, {1: 9.0, 2: 5.0, 4: 7.0})])]).plan(Budget(latency_ms=1.0))
    (limit,) = refused.value.report.limits
    assert (limit.clashes, limit.needed) == (True, 5.0)


@pytest.mark.parametrize(("least", "excess"), [(0.0, 5e8), (-0.25, 1.0), (0.5, 2.0)])
def test_a_least_accuracy_of_nothing_or_less_is_a_limit_too(least: float, excess: float) -> None:
    table = model("m", [option("o", 10, 1.0, 0.75)], link=Link(x=(0.0, 1.0), y=(1.0, -1.0)), min_accuracy=least)
    with pytest.raises(InfeasibleError) as refused:
        Scheduler([table]).plan(Budget())
    report = refused.value.report
    (limit,) = report.limits
    assert (limit.kind, limit.limit, limit.needed) == ("accuracy", least, -0.5)
    assert report.nearest is not None
    assert report.nearest["m"].accuracy == -0.5
    assert report.excess == pytest.approx(excess, rel=1e-4)  # of nothing, parts are of a billionth
