"""Block-wise training by two nodes of a Ray cluster, against one; each node's workers are pinned to one core.

    python benchmarks/cluster.py --json > benchmarks/results/cluster.json
    python benchmarks/cluster.py --quick

The nodes are on this machine (`ray.cluster_utils`). One node and two take turns. The descendants of a small VGG16 are
trained on scikit-learn's digits, from the first job to the last one's end: the start of the workers, the import of
TensorFlow and compilation are included. Clusters and the original, which is not trained, are made before.

Times are told twice. Wall time is what a user waits, on a machine that does nothing else. Processor time depends little
on what else runs: it is that of the node that worked longest, for which the other one waits, plus that of this process,
which hardly works while the nodes do. A speed-up is one node's time over two nodes' time.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.jobs.ray_cluster import RayCluster
from legodnn.blocks.training.divided import train_descendants
from legodnn.recipe import Recipe
from support.report import Bars, Figures, bar, run

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 200_000_000, "memory": 6_000_000_000}


class Processors:
    """Processor seconds of this process and of everything that each node has started, sampled while it runs."""

    def __init__(self, nodes: list[Any]) -> None:
        """Pin every node to a core, and begin to sample."""
        cores = sorted(psutil.Process().cpu_affinity())
        self._raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in nodes]
        self._core = {raylet.pid: cores[i % len(cores)] for i, raylet in enumerate(self._raylets)}
        self._seen: list[dict[int, float]] = [{} for _ in nodes]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample_on, daemon=True)
        self.sample()
        self._thread.start()

    def sample(self) -> tuple[float, list[float]]:
        """Return the processor seconds so far of this process, and of each node."""
        for raylet, seen in zip(self._raylets, self._seen, strict=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [raylet, *raylet.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                        process.cpu_affinity([self._core[raylet.pid]])
                        times = process.cpu_times()
                        seen[process.pid] = times.user + times.system
        return time.process_time(), [sum(seen.values()) for seen in self._seen]

    def _sample_on(self) -> None:
        while not self._ended.wait(0.2):
            self.sample()

    def end(self) -> None:
        """Stop to sample."""
        self._ended.set()
        self._thread.join()


def trained(nodes: int, recipe: Recipe, folder: Path) -> Figures:
    """Train on a fresh cluster of so many nodes; return wall and processor seconds."""
    data = load_data(recipe.data, image_size=32)
    model = model_of(recipe, data)
    work = BuildState(folder / "store", recipe)
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        processors = Processors([cluster.head_node, *(cluster.add_node(**NODE) for _ in range(nodes - 1))])
        with RayCluster(cluster.address) as workers:
            start, (here, before) = time.perf_counter(), processors.sample()
            train_descendants(work, model, extract(model), data, workers)
            wall, (here_after, after) = time.perf_counter() - start, processors.sample()
        processors.end()
    finally:
        cluster.shutdown()
    of_nodes = [end - begin for begin, end in zip(before, after, strict=True)]
    mine = here_after - here
    return {"wall_s": wall, "processor_s": mine + max(of_nodes), "this_process_s": mine, "nodes_s": of_nodes}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Train in turn on one node and on two."""
    recipe = Recipe(
        model="vgg16",
        width=0.1 if args.quick else 0.25,
        name="vgg16",
        train_epochs=1,  # says that the model needs no weights; nobody trains it
        distill_epochs=1 if args.quick else args.epochs,
        patience=1000,
        joint_epochs=0,
        sparsities=(0.5,) if args.quick else (0.25, 0.5, 0.75),
    )
    found: dict[int, list[Figures]] = {1: [], 2: []}
    for _ in range(1 if args.quick else args.rounds):
        for nodes, runs in found.items():
            with tempfile.TemporaryDirectory() as folder:
                runs.append(trained(nodes, recipe, Path(folder)))
    figures: Figures = {"epochs": recipe.distill_epochs, **{f"nodes_{n}": runs for n, runs in found.items()}}
    for kind in ("processor", "wall"):
        one, two = (statistics.median(run[f"{kind}_s"] for run in found[n]) for n in (1, 2))
        figures[f"speedup_{kind}"] = one / two
    bars = [
        bar(f"two nodes over one, {kind} time, times as fast", figures[f"speedup_{kind}"], 1.6, "higher")
        for kind in ("processor", "wall")
    ]
    return figures, bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how long the build trains, and how often."""
    parser.add_argument("--epochs", type=int, default=10, help="epochs of block-wise distillation (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="trainings by one node and by two (default: 3)")


if __name__ == "__main__":
    run("cluster", __doc__, measure, packages=("ray", "tensorflow", "keras"), add_arguments=add_arguments)
