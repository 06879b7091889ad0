"""Which workers a build has: processes on this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from legodnn.blocks.jobs.job import Workers
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.errors import ConfigError
from legodnn.printable import shown

# Each holds TensorFlow, some hundred MB, and shares the processors with the others. A cluster does no more than it has
# room for.
_MOST_JOBS = 256


@contextmanager
def workers_of(jobs: int | None = None, cluster: str | None = None) -> Iterator[Workers]:
    """Yield the workers of a build.

    Args:
        jobs: jobs that are done at a time; None: 1 on this machine; on a cluster at least as many as it has machines.
        cluster: the address of a Ray cluster, or 'auto'; None: this machine.

    Raises:
        ConfigError: that is no number of jobs.
        WorkerError: the cluster cannot be reached or used.
        DependencyError: Ray is not installed.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"jobs must be a whole number of at least 1, not {shown(jobs)}")
    if cluster is None:
        if jobs is not None and jobs > _MOST_JOBS:
            raise ConfigError(f"this machine does at most {_MOST_JOBS} jobs at a time, each in a process, not {jobs:,}")
        yield LocalProcesses(jobs or 1)
        return
    from legodnn.blocks.jobs.ray_cluster import RayCluster  # loads Ray

    with RayCluster(cluster, jobs) as connected:
        yield connected
