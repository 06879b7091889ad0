"""Jobs on the machines of a Ray cluster, which this machine is part of.

A task of Ray gets the function's name and bytes, and returns bytes, so the machines share no disk. Each needs this
package, in the same version.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from legodnn.blocks.jobs import ray_worker
from legodnn.blocks.jobs.job import RETRIES, Heard, Job, Kind, Work, log, outcome_of, state_of
from legodnn.blocks.jobs.packed import packed
from legodnn.blocks.jobs.sent_modules import modules_to_send
from legodnn.blocks.jobs.versions import difference, versions_here
from legodnn.errors import DependencyError, LegoError, WorkerError
from legodnn.progress import ProgressTask

try:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as _error:
    raise DependencyError(f"a cluster needs Ray ({_error}); pip install 'legodnn[cluster]'") from None

_ANSWER_S = 5.0  # time that the head has to accept a connection
_PROBE_S = 120.0  # time that a machine has to start a process and tell its versions
_POLL_S = 0.5
_NO_MACHINE_S = 120.0  # time without any machine that could work, after which a build ends
_ENVIRONMENT = ("TF_", "KERAS_", "XLA_")  # beginnings of variables that change what is computed
_GOES_ON = "what is finished is kept, the same command goes on"
_START = "start it there with `ray start --head`, and here with `ray start --address=HOST:PORT`"


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster that is alive and has processors: its address, processors, and memory in bytes."""

    node: str
    address: str
    cpus: int
    memory_bytes: int


def processors_of_a_job(cpus: Sequence[int], jobs: int) -> int:
    """Return the most processors that a job can have if so many jobs are to run at a time on machines with `cpus`."""
    return next((n for n in range(max(cpus), 1, -1) if sum(c // n for c in cpus) >= jobs), 1)


def able(machines: Sequence[Machine], work: Work, threads: int) -> list[Machine]:
    """Return the machines that have both the processors and the memory of a job; Ray would wait for one for ever.

    Args:
        machines: those that are alive.
        work: what the job is of.
        threads: processors of a job that uses several.
    """
    cpus = work.processors(threads)
    return [m for m in machines if m.cpus >= cpus and m.memory_bytes >= work.memory_bytes]


class RayCluster:
    """The machines of a Ray cluster as `Workers`: a context manager, which is connected within its `with` statement."""

    def __init__(self, address: str, jobs: int | None = None) -> None:
        """Remember what to connect to.

        Args:
            address: HOST:PORT of the head, or 'auto' for the cluster that this machine is part of.
            jobs: jobs at a time; None: as many as there are machines, or more where large ones have room for several.
        """
        self._address, self._jobs = address, jobs

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            WorkerError: nobody answers, Ray or Python have another version there, or a machine has other packages.
        """
        _connect(self._address)
        try:
            self._machines = machines = _machines()
            if not machines:
                raise WorkerError(f"the Ray cluster {self._address} has no machine with a processor to work on")
            _check_versions(machines)
            wanted = self._jobs or len(machines)
            self._threads = processors_of_a_job([m.cpus for m in machines], wanted)
            room = sum(m.cpus // self._threads for m in machines)
            self._at_once = min(self._jobs or room, room)
            log.info(
                f"Ray cluster: {len(machines)} machine{'s' * (len(machines) > 1)}, {self._at_once} jobs at a time with "
                f"{self._threads} processor{'s' * (self._threads > 1)} each"
            )
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._mailbox = (
                ray.remote(ray_worker.Mailbox).options(num_cpus=0, scheduling_strategy=here, max_restarts=-1).remote()
            )
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    @property
    def at_once(self) -> int:
        """Jobs that are done at a time."""
        return self._at_once

    @property
    def threads(self) -> int:
        """Processors that each job uses."""
        return self._threads

    @property
    def memory_bytes(self) -> int:
        """Memory that each job has, on the machine that has least for each."""
        able = [m for m in self._machines if m.cpus >= self._threads]
        return min(m.memory_bytes // (m.cpus // self._threads) for m in able)

    @property
    def divides(self) -> bool:
        """Always: the machine that the build runs on may be a small one."""
        return True

    @contextmanager
    def team(self, work: Work) -> Iterator[_RayTeam]:
        """Return what does the jobs of one kind; see `Workers.team`."""
        if not able(self._machines, work, self._threads):
            cpus = work.processors(self._threads)
            most = max(m.memory_bytes for m in self._machines if m.cpus >= cpus)
            raise WorkerError(
                f"a job of this build needs {work.memory_bytes / 1e9:.1f} GB of memory, and no machine of the cluster "
                f"with the {cpus} processor{'s' * (cpus > 1)} that it gets has more than {most / 1e9:.1f} (`ray start "
                "--memory` says how much one has; with more --jobs each gets fewer processors)"
            )
        yield _RayTeam(work, self._at_once, self._threads, self._mailbox)


class _RayTeam:
    """Tasks of Ray that do jobs of one kind: a `Team`."""

    def __init__(self, work: Work, at_once: int, threads: int, mailbox: Any) -> None:
        self._work, self._most, self._mailbox, self._name = work, 2 * at_once, mailbox, uuid.uuid4().hex
        self._threads = threads
        self._shared = ray.put(np.concatenate(packed(work.shared)))
        self._common = ray.put(versions_here()), ray.put(modules_to_send())
        passed = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}
        counts = {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads)}
        self._task = ray.remote(ray_worker.run_job).options(
            num_cpus=work.processors(threads),
            memory=work.memory_bytes,
            max_retries=0,
            runtime_env={"env_vars": {**passed, **counts}},
        )

    def run(
        self, jobs: Iterable[Job], task: ProgressTask | None = None
    ) -> Iterator[tuple[Job, dict[str, Any] | LegoError]]:
        """Do jobs; see `Team.run`."""
        waiting, heard, deaths = iter(jobs), Heard(task), Counter[str]()
        running: dict[Any, Job] = {}
        last_seen = time.monotonic()
        try:
            while True:
                # Twice as many as can run are given to Ray, so that no machine waits, and one that joins has work.
                while len(running) < self._most and (job := next(waiting, None)) is not None:
                    running[self._submit(job, 0)] = job
                if not running:
                    return
                done, _ = ray.wait(list(running), timeout=_POLL_S)
                names = {job.name: job for job in running.values()}
                for name, attempt, kind, content in self._messages():
                    if name in names and attempt == deaths[name]:
                        heard.take(names[name], kind, content)
                if done or able(_machines(), self._work, self._threads):
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > _NO_MACHINE_S:
                    raise WorkerError(f"no machine of the cluster is left that can do the jobs; {_GOES_ON}")
                for ref in done:
                    job = running.pop(ref)
                    outcome = _outcome(job, ref)
                    if isinstance(outcome, _Death):
                        deaths[job.name] += 1
                        if deaths[job.name] <= RETRIES:
                            log.warning(f"{job.name}: its worker has ended ({outcome.reason}); the job is done anew")
                            running[self._submit(job, deaths[job.name])] = job
                            continue
                        times = deaths[job.name]
                        outcome = WorkerError(f"{job.name}: its worker has ended {times} times ({outcome.reason})")
                    yield job, outcome
        finally:
            for ref in running:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(ref, force=True)

    def _messages(self) -> list[tuple[str, int, Kind, bytes]]:
        """Return what jobs have told; a mailbox that was killed, for want of memory say, is restarted empty."""
        try:
            found: list[tuple[str, int, Kind, bytes]] = ray.get(self._mailbox.take.remote())
        except ray.exceptions.RayError:
            return []
        return found

    def _submit(self, job: Job, attempt: int) -> Any:
        arguments = ray.put(np.concatenate(packed(job.arguments)))
        work, state = self._work, state_of(job)
        given = (self._name, work.function, work.may_crash, job.name, attempt, self._shared, arguments, state)
        return self._task.remote(*given, self._mailbox, *self._common)


@dataclass(frozen=True)
class _Death:
    """The end of a worker, or of its machine, in the middle of a job."""

    reason: str


def _outcome(job: Job, ref: Any) -> dict[str, Any] | LegoError | _Death:
    """Return how a job ended."""
    try:
        return outcome_of(job, *ray.get(ref))
    except ray.exceptions.RayTaskError as e:  # it could not even begin
        return WorkerError(f"{job.name}: {str(e).strip().splitlines()[-1]:.300}")
    except ray.exceptions.RayError as e:
        return _Death(_first_line(e) or type(e).__name__)


def _connect(address: str) -> None:
    """Connect this process to the cluster; raise WorkerError if that cannot be done."""
    known = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if known and known != "auto":
        _check_answer(known)
    if ray.is_initialized():
        raise WorkerError("this process is connected to a Ray cluster already; call ray.shutdown() first")
    before = signal.getsignal(signal.SIGTERM)
    # Ray prints dozens of lines on stdout when a machine is lost, without a setting against it. Stdout is the caller's.
    ray._private.worker.print_to_stdstream = _told_by_ray
    try:
        ray.init(address, logging_level="ERROR", log_to_driver=False, configure_logging=False)
    except ConnectionError as e:
        ray.shutdown()
        what = (
            "no Ray cluster runs on this machine" if address == "auto" else f"cannot join {address} ({_first_line(e)})"
        )
        raise WorkerError(f"{what}: {_START}") from None
    except (RuntimeError, ValueError, ray.exceptions.RayError) as e:
        ray.shutdown()
        raise WorkerError(f"cannot use the Ray cluster {address}: {' '.join(str(e).split()):.300}") from None
    finally:
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
            signal.signal(signal.SIGTERM, before)  # Ray sets one of its own, which would hide how a command ends


def _check_answer(address: str) -> None:
    """Raise WorkerError unless somebody accepts connections at HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or "//" in host:
        raise WorkerError(f"{address!r} is no address of a Ray cluster: give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, OverflowError, UnicodeError) as e:  # of a name that can be none
        raise WorkerError(f"nobody answers at {address} ({e}): {_START}") from None


def _told_by_ray(data: Mapping[str, Any], *_: Any, **__: Any) -> None:
    """Keep what Ray would print for those who debug."""
    for line in data.get("lines", ()):
        log.debug(f"Ray: {line}")


def _first_line(error: BaseException) -> str:
    return f"{str(error).strip().partition(chr(10))[0].rstrip('.'):.200}"


def _machines() -> list[Machine]:
    found = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]
    return [
        Machine(n["NodeID"], n["NodeManagerAddress"], int(n["Resources"]["CPU"]), int(n["Resources"].get("memory", 0)))
        for n in found
    ]


def _check_versions(machines: Sequence[Machine]) -> None:
    """Raise WorkerError unless all machines have the packages that this one has."""

    def probe() -> Any:  # Ray sends a function inside a function as a whole, so it runs without this package too
        try:
            from legodnn.blocks.jobs.versions import versions_here
        except ImportError:
            return None
        return versions_here()

    task = ray.remote(num_cpus=0)(probe)
    asked = {
        m: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(m.node, soft=False)).remote()
        for m in machines
    }
    for machine, ref in asked.items():
        try:
            found = ray.get(ref, timeout=_PROBE_S)
        except ray.exceptions.RayError as e:
            raise WorkerError(f"{machine.address} cannot work: {_first_line(e) or type(e).__name__}") from None
        if problem := difference(machine.address, found, versions_here()):
            raise WorkerError(problem)
