"""A build on a Ray cluster makes the store that it makes here; what is wrong with a cluster is told at once.

Covers also: blocks.jobs.ray_worker, blocks.jobs.versions, blocks.jobs.sent_modules.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.blocks import build
from legodnn.blocks.array_tree import flatten
from legodnn.blocks.build_state import BuildState, Checkpoint
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.jobs.job import Job, Work
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.jobs.sent_modules import modules_to_send, take_modules
from legodnn.blocks.jobs.versions import difference, versions_here
from legodnn.blocks.training.divided import train_descendants
from legodnn.errors import ModelError, WorkerError
from legodnn.recipe import Recipe
from legodnn.store import Store
from tests.blocks.jobs.clusters import NODE, cluster, ray
from tests.blocks.jobs.test_local_processes import Steps
from tests.blocks.training.dropping import jobs_recipe, ninety_six_digits, trained
from tests.ports import free_port

from legodnn.blocks.jobs.ray_cluster import Machine, RayCluster, able, processors_of_a_job  # isort: skip (where there is no Ray, all is skipped)

TRYING = "tests.blocks.jobs.trying"


@pytest.fixture(scope="module")
def one_node() -> Iterator[str]:
    with cluster() as found:
        yield found.address


@pytest.fixture(scope="module")
def workers(one_node: str) -> Iterator[RayCluster]:
    """One connection for several tests, since each takes seconds."""
    handler = signal.getsignal(signal.SIGTERM)
    with RayCluster(one_node) as found:
        assert signal.getsignal(signal.SIGTERM) == handler
        yield found
    assert not ray.is_initialized()


def test_a_machine_of_a_cluster_does_jobs_as_a_process_here_does(workers: RayCluster) -> None:
    scalars: list[tuple[str, float, int]] = []
    steps = Steps()
    with workers.team(Work(f"{TRYING}:doubling", {"factor": 3})) as team:
        jobs = [Job(str(i), {"x": np.full(i, i)}, log=lambda *scalar: scalars.append(scalar)) for i in range(3)]
        found: dict[str, Any] = {job.name: outcome for job, outcome in team.run(jobs, steps)}
    assert {name: outcome["x"].tolist() for name, outcome in found.items()} == {"0": [], "1": [3], "2": [6, 6]}
    assert len({int(outcome["process"]) for outcome in found.values()}) == 1
    with workers.team(Work(f"{TRYING}:failing")) as team:
        found = {job.name: outcome for job, outcome in team.run([Job("a", {"own": 1}), Job("b", {"own": 0})])}
    assert isinstance(found["a"], ModelError)
    assert "b: ZeroDivisionError: by nothing" in str(found["b"])


def test_a_job_whose_worker_dies_goes_on_from_its_checkpoint(
    workers: RayCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with workers.team(Work(f"{TRYING}:dying")) as team:
        dying = {"deaths": 1, "signal": int(signal.SIGKILL)}
        [(_, outcome)] = team.run([Job("dying", dying, Checkpoint(tmp_path / "state.npz"))])
    assert isinstance(outcome, dict)
    assert outcome["began"] == 1
    assert "dying: its worker has ended (" in caplog.text


def test_a_mailbox_that_is_killed_ends_nothing(workers: RayCluster) -> None:
    ray.kill(workers._mailbox, no_restart=False)
    with workers.team(Work(f"{TRYING}:doubling", {"factor": 3})) as team:
        [(_, outcome)] = team.run([Job("one", {"x": np.ones(1)})])
    assert isinstance(outcome, dict)
    assert outcome["x"] == 3


def test_what_a_cluster_cannot_do_is_told(workers: RayCluster, one_node: str) -> None:
    assert (workers.at_once, workers.threads, workers.divides) == (1, 1, True)
    assert workers.memory_bytes == NODE["memory"]
    with pytest.raises(WorkerError, match=r"needs 9\.0 GB of memory, and no machine of the .* than 8"):
        workers.team(Work("any", memory_bytes=9_000_000_000)).__enter__()
    with pytest.raises(WorkerError, match="connected to a Ray cluster already"):
        RayCluster(one_node).__enter__()


def test_descendants_trained_on_a_cluster_are_those_trained_here(workers: RayCluster, tmp_path: Path) -> None:
    recipe, digits = jobs_recipe(tmp_path), ninety_six_digits()
    work = BuildState(tmp_path / "store", recipe.model_copy(update={"model": "gone.keras"}))
    model = model_of(recipe, digits)
    train_descendants(work, model, extract(model), digits, workers)
    _, expected = trained(tmp_path / "here", recipe, digits, [["block1", "block2"]])
    assert not list(work.path.glob("*.state.npz"))
    for name, tree in expected.items():
        found = work.read(name)
        assert found is not None
        for key, array in flatten(tree).items():
            np.testing.assert_allclose(flatten(found)[key], array, rtol=1e-4, atol=1e-5, err_msg=f"{name} {key}")


def recipe_of(folder: Path) -> Recipe:
    """A recipe of a model of two tiny blocks, which a function of the user's own makes."""
    settings: dict[str, Any] = {"sparsities": (0.5,), "precisions": ("float32", "int8"), "samples": 6}
    return Recipe(
        model="tests.blocks.training.dropping:dropping",
        name="tiny",
        image_size=12,
        distill_epochs=1,
        joint_epochs=0,
        evaluated_images=20,
        **settings,
    )


def described(store: Store) -> dict[str, Any]:
    found = store.manifest.model_dump(mode="json")
    del found["built"]["created"]
    return found


@pytest.mark.slow
def test_a_cluster_makes_the_store_that_processes_here_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path)
    ray.shutdown()  # what other tests are connected to
    with cluster() as found:
        elsewhere = build(recipe, tmp_path / "elsewhere", allow_chance=True, cluster=found.address)
    # Sums depend on the number of threads in their last bits: each of the two has one.
    monkeypatch.setattr(LocalProcesses, "threads", 1)
    monkeypatch.setattr(LocalProcesses, "divides", True)
    here = build(recipe, tmp_path / "here", allow_chance=True)
    assert described(elsewhere) == described(here)


@pytest.mark.slow
def test_a_machine_that_is_lost_costs_its_job_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ray.shutdown()  # what other tests are connected to
    with cluster(2) as found:
        lost = next(iter(found.worker_nodes))
        with RayCluster(found.address) as workers, workers.team(Work(f"{TRYING}:slowly_counting")) as team:
            assert workers.at_once == 2
            jobs = [Job(str(i), {"numbers": 20}, Checkpoint(tmp_path / f"{i}.npz")) for i in range(2)]
            files = [job.checkpoint.path for job in jobs]

            def lose() -> None:
                """Remove a node as soon as both jobs have kept some numbers."""
                while not all(file is not None and file.exists() for file in files):
                    time.sleep(0.1)
                found.remove_node(lost, allow_graceful=False)

            loser = threading.Thread(target=lose, daemon=True)
            loser.start()
            outcomes = {job.name: outcome for job, outcome in team.run(jobs)}
            loser.join()
        began = sorted(int(outcome["began"]) for outcome in outcomes.values())  # type: ignore[index]
        assert began[0] == 0
        assert 0 < began[1] < 20
        assert caplog.text.count("the job is done anew") == 1
    assert "raylet" not in capfd.readouterr().out  # Ray's own report of it


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1:FREE", r"nobody answers at 127.0.0.1:\d+ \(.*refused\): start it there with `ray start --head`"),
        ("no..where:6379", r"nobody answers at no\.\.where:6379 \("),  # no name, so no resolver is asked
        ("127.0.0.1", "'127.0.0.1' is no address of a Ray cluster: give HOST:PORT, or auto"),
        ("ray://127.0.0.1:10001", "'ray://127.0.0.1:10001' is no address of a Ray cluster"),
        ("127.0.0.1:99999", r"nobody answers at 127\.0\.0\.1:99999"),
    ],
)
def test_an_address_that_is_none_is_told_within_seconds(address: str, problem: str) -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match=problem):
        RayCluster(address.replace("FREE", str(free_port()))).__enter__()
    assert time.monotonic() - start < 60


def test_machines_that_differ_are_told_apart() -> None:
    ours = versions_here()
    assert difference("a", ours, ours) is None
    assert "a has no legodnn: install the same wheel there" in str(difference("a", None, ours))
    assert "a has tensorflow none, and" in str(difference("a", {**ours, "tensorflow": "none"}, ours))
    changed = {**ours, "legodnn": "0.1.0 (00000000)"}
    assert f"a has legodnn 0.1.0 (00000000), and {ours['legodnn']} is here" in str(difference("a", changed, ours))


SITE = """
import importlib.metadata, sys
if {lacks!r}:
    class Lacking:
        def find_spec(self, name, *_):
            if name.split(".")[0] == "legodnn":
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    sys.meta_path.insert(0, Lacking())
version = importlib.metadata.version
importlib.metadata.version = lambda name: "2.0.1" if name == "tensorflow" else version(name)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lacks", "problem"),
    [(True, " has no legodnn: install the same wheel"), (False, r" has tensorflow 2\.0\.1, and 2\.")],
)
def test_a_machine_with_other_packages_is_refused(tmp_path: Path, lacks: bool, problem: str) -> None:
    ray.shutdown()  # what other tests are connected to
    (tmp_path / "sitecustomize.py").write_text(SITE.format(lacks=lacks))
    with cluster() as found:
        found.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path)})
        with pytest.raises(WorkerError, match=problem):
            RayCluster(found.address).__enter__()
        assert not ray.is_initialized()


def test_a_job_has_as_many_processors_as_leave_all_jobs_room() -> None:
    assert processors_of_a_job([8], 1) == 8
    assert processors_of_a_job([8, 8], 2) == 8
    assert processors_of_a_job([8, 8], 3) == 4
    assert processors_of_a_job([4, 16, 16], 3) == 8
    assert processors_of_a_job([1, 1], 5) == 1


SMALL, LARGE = Machine("a", "10.0.0.1", 4, 64_000_000_000), Machine("b", "10.0.0.2", 16, 8_000_000_000)


def test_a_machine_can_do_a_job_if_it_has_both_its_processors_and_its_memory() -> None:
    both = [SMALL, LARGE]
    assert able(both, Work("any", memory_bytes=8_000_000_000), 8) == [LARGE]
    assert able(both, Work("any", memory_bytes=9_000_000_000), 8) == []
    assert able(both, Work("any", memory_bytes=9_000_000_000, one_cpu=True), 8) == [SMALL]
    assert able([SMALL], Work("any"), 8) == []


def test_a_job_that_no_machine_has_both_processors_and_memory_for_is_refused(
    workers: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_machines", [SMALL, LARGE])
    monkeypatch.setattr(workers, "_threads", 8)
    with pytest.raises(WorkerError, match=r"needs 9\.0 GB .* with the 8 processors that it gets has more than 8\.0 "):
        workers.team(Work("any", memory_bytes=9_000_000_000)).__enter__()


def test_modules_of_the_current_folder_are_sent_and_imported_where_they_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sent_package").mkdir()
    (tmp_path / "sent_package" / "__init__.py").write_text("A = 1")
    (tmp_path / "sent_package" / "inner.py").write_text("from sent_package import A\nB = A + 1")
    import sent_package.inner  # type: ignore[import-not-found]

    sent = modules_to_send()
    assert "legodnn" not in sent
    assert "numpy" not in sent
    for name in ("sent_package", "sent_package.inner"):
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "sent_package" / "inner.py").unlink()
    (tmp_path / "sent_package" / "__init__.py").unlink()
    (tmp_path / "sent_package").rmdir()
    finders = list(sys.meta_path)
    try:
        take_modules(sent)
        take_modules(sent)
        assert len(sys.meta_path) == len(finders) + 1
        import sent_package.inner

        assert sent_package.inner.B == 2
    finally:
        sys.meta_path[:] = finders


def test_auto_without_a_cluster_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(WorkerError, match=f"nobody answers at {address} "):
        RayCluster("auto").__enter__()
    assert os.environ["RAY_ADDRESS"] == address
