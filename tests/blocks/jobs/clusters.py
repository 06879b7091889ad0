"""Ray clusters on this machine, whose nodes stand for machines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ray = pytest.importorskip("ray")

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100_000_000, "memory": 8_000_000_000}


@contextmanager
def cluster(nodes: int = 1) -> Iterator[Any]:
    """A cluster of nodes with a processor each; the first is its head."""
    from ray.cluster_utils import Cluster

    # A node that is started here handles this process's SIGTERM from then on.
    handler = signal.getsignal(signal.SIGTERM)
    found = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            found.add_node(**NODE)
        yield found
    finally:
        ray.shutdown()
        found.shutdown()
        signal.signal(signal.SIGTERM, handler)
