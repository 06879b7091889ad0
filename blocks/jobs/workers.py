"""Which workers a build has: processes on this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from legodnn.blocks.jobs.job import Workers
from legodnn.blocks.jobs.local_processes import LocalProcesses


@contextmanager
def workers_of(jobs: int | None = None, cluster: str | None = None) -> Iterator[Workers]:
    """Yield the workers of a build.

    Args:
        jobs: jobs that are done at a time; None: 1 on this machine; on a cluster at least as many as it has machines.
        cluster: the address of a Ray cluster, or 'auto'; None: this machine.

    Raises:
        WorkerError: the cluster cannot be reached or used.
        DependencyError: Ray is not installed.
    """
    if cluster is None:
        yield LocalProcesses(jobs or 1)
        return
    from legodnn.blocks.jobs.ray_cluster import RayCluster  # loads Ray

    with RayCluster(cluster, jobs) as connected:
        yield connected
