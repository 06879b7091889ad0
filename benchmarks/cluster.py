"""A build on two nodes of a Ray cluster, against the same build on one; each node's workers are pinned to one core.

    python benchmarks/cluster.py --json > benchmarks/results/cluster.json
    python benchmarks/cluster.py --quick

The nodes are on this machine (`ray.cluster_utils`). Builds on one node and on two take turns. A small VGG16 is built on
scikit-learn's digits, block by block (`joint_epochs` 0): training in compositions is done by the process that was
started, however many nodes there are.

Times are told twice. Wall time is what a user waits, on a machine that does nothing else. Processor time does not
depend on what else runs: for each stage it is that of the node that worked longest, as the others wait for it, plus
that of the process that was started, which hardly works while the nodes do. A speed-up is one node's time over two
nodes' time. It is given for the stages that jobs do, which has a bar, and for the whole build.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from legodnn.blocks import Recipe, build
from legodnn.progress import ProgressTask
from support.report import Bars, Figures, bar, run

SPREAD = ("distilling", "exporting", "measuring")  # how the labels of stages that jobs do begin
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


class Stages:
    """Progress that measures every stage instead of showing it."""

    def __init__(self, processors: Processors) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self._processors = processors

    def step(self, note: str = "") -> None:
        """Show nothing."""

    def at(self, done: float, note: str = "") -> None:
        """Show nothing."""

    @contextmanager
    def __call__(self, label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        """Measure a stage."""
        start, (here, nodes) = time.perf_counter(), self._processors.sample()
        yield self
        here_after, nodes_after = self._processors.sample()
        used = max(after - before for before, after in zip(nodes, nodes_after, strict=True)) + here_after - here
        self.wall[label] = self.wall.get(label, 0.0) + time.perf_counter() - start
        self.processor[label] = self.processor.get(label, 0.0) + used


def measured_build(nodes: int, recipe: Recipe, folder: Path) -> Figures:
    """Build on a fresh cluster of so many nodes; return seconds of its stages and of all."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        machines = [cluster.head_node, *(cluster.add_node(**NODE) for _ in range(nodes - 1))]
        processors = Processors(machines)
        stages = Stages(processors)
        with stages("whole", 1):
            build(recipe, folder / "store", allow_chance=True, cluster=cluster.address, progress=stages)
        processors.end()
    finally:
        cluster.shutdown()
    spread = [label for label in stages.wall if label.startswith(SPREAD)]
    seconds = {n: {"wall_s": stages.wall[n], "processor_s": stages.processor[n]} for n in stages.wall}
    jobs = {kind: sum(seconds[n][kind] for n in spread) for kind in ("wall_s", "processor_s")}
    return {"jobs": jobs, "whole": seconds.pop("whole"), "stages": seconds}


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Build in turn on one node and on two."""
    recipe = Recipe(
        model="vgg16",
        width=0.1 if args.quick else 0.25,
        name="vgg16",
        train_epochs=1,
        distill_epochs=1 if args.quick else args.epochs,
        patience=100,
        joint_epochs=0,
        sparsities=(0.5,) if args.quick else (0.25, 0.5, 0.75),
        precisions=("float32",) if args.quick else ("float32", "float16", "int8"),
        samples=6 if args.quick else 60,
    )
    found: dict[int, list[Figures]] = {1: [], 2: []}
    for _ in range(1 if args.quick else args.rounds):
        for nodes in found:
            with tempfile.TemporaryDirectory() as folder:
                found[nodes].append(measured_build(nodes, recipe, Path(folder)))
    figures: Figures = {f"nodes_{n}": runs for n, runs in found.items()}
    for part in ("jobs", "whole"):
        for kind in ("wall_s", "processor_s"):
            one, two = (statistics.median(run[part][kind] for run in found[n]) for n in (1, 2))
            figures[f"speedup_{part}_{kind.removesuffix('_s')}"] = one / two
    bars = [
        bar(f"two nodes over one, jobs, {kind} time, times as fast", figures[f"speedup_jobs_{kind}"], 1.6, "higher")
        for kind in ("processor", "wall")
    ]
    return figures, bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how long the build trains, and how often."""
    parser.add_argument("--epochs", type=int, default=10, help="epochs of block-wise distillation (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="builds on one node and on two (default: 3)")


if __name__ == "__main__":
    run("cluster", __doc__, measure, packages=("ray", "tensorflow", "keras"), add_arguments=add_arguments)
