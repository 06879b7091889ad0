"""The workers of a build are as many as was asked for, or it is said why they are not."""

from __future__ import annotations

from typing import Any

import pytest

from legodnn.blocks.jobs.workers import workers_of
from legodnn.errors import ConfigError


@pytest.mark.parametrize(("jobs", "at_once"), [(None, 1), (1, 1), (3, 3), (256, 256)])
def test_so_many_jobs_at_a_time_as_were_asked_for(jobs: int | None, at_once: int) -> None:
    with workers_of(jobs) as workers:
        assert workers.at_once == at_once


@pytest.mark.parametrize("cluster", [None, "auto"])
@pytest.mark.parametrize("jobs", [0, -1, True, 2.0, "2"])
def test_what_is_no_number_of_jobs_is_refused_before_anything_begins(jobs: Any, cluster: str | None) -> None:
    with pytest.raises(ConfigError, match="jobs must be a whole number of at least 1, not "), workers_of(jobs, cluster):
        pass


@pytest.mark.parametrize("jobs", [257, 1_000_000])
def test_more_jobs_than_a_machine_can_do_are_refused(jobs: int) -> None:
    with pytest.raises(ConfigError, match="this machine does at most 256 jobs at a time"), workers_of(jobs):
        pass
