"""A service whose workload is replaced while clients ask, as a process that is told by signals and tells systemd.

Covers also: runtime.serving.notify, runtime.serving.watchdog, runtime.serving.served_runtime.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from prometheus_client import generate_latest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ClosedError, ExecutionError, StoreError, SuspendedError
from legodnn.profile import default_path
from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.serving.notify import tell_systemd, watchdog_s
from legodnn.runtime.serving.reloading import ReloadableApplication
from legodnn.runtime.serving.service import ServiceSettings, application
from legodnn.runtime.serving.watchdog import feed_watchdog, prove_alive
from legodnn.workload import Workload
from tests.ports import free_port
from tests.runtime.opened import workload
from tests.runtime.serving.served import served

ONE = '[[models]]\nname = "tiny"\nstore = "tiny"\n'
TWO = ONE + '[[models]]\nname = "other"\nstore = "tiny2"\n'


@pytest.fixture
def folder(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> Path:
    """A folder with a workload of one model, and the store of another one."""
    for store in (tiny_store, tiny_store2):
        shutil.copytree(store.path, tmp_path / store.path.name)
        shutil.copy(default_path(store.path), default_path(tmp_path / store.path.name))
    (tmp_path / "workload.toml").write_text(ONE)
    return tmp_path


@contextmanager
def systemd_socket(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + path[1:] if path.startswith("@") else path)
        listening.settimeout(60)
        yield listening


@pytest.mark.parametrize("abstract", [True, False])
def test_systemd_is_told_by_a_socket(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"@legodnn-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not tell_systemd("READY=1"), "nobody is there"
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert not tell_systemd("READY=1"), "nobody listens: a warning, and no error"
    with systemd_socket(place) as told:
        assert tell_systemd("READY=1", "STATUS=two\nlines")
        assert told.recv(1000) == b"READY=1\nSTATUS=two lines"


@pytest.mark.parametrize(
    ("pid", "microseconds", "seconds"),
    [("", "2000000", 2.0), ("own", "1500000", 1.5), ("1", "2000000", None), ("", "", None), ("", "0", None)],
)
def test_the_watchdogs_time_is_for_the_process_that_it_names(
    pid: str, microseconds: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert watchdog_s() == seconds


def test_only_a_real_inference_proves_that_a_model_lives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "workload.toml").write_text(TWO + "critical = false\n")

    async def prove() -> None:
        with Runtime.open([folder / "workload.toml"]) as runtime:
            served = application(runtime, ServiceSettings(governed=False)).state.served
            assert await prove_alive(served, {}) == {"tiny": 1, "other": 1}
            runtime.run("tiny", np.zeros((12, 12, 1), np.float32))
            assert await prove_alive(served, {"tiny": 0, "other": 1}) == {"tiny": 1, "other": 2}
            assert await prove_alive(served, {"tiny": 7, "other": 0}) == {"tiny": 2, "other": 2}, "opened anew since"
            runtime.budget = Budget(memory_bytes=runtime.plan["tiny"].memory_bytes)
            assert runtime.plan["other"].suspended
            assert (await prove_alive(served, {"tiny": 2, "other": 2}))["tiny"] == 3

            def fails(*_: object, **__: object) -> None:
                raise ExecutionError("no memory")

            monkeypatch.setattr(runtime, "run", fails)
            with pytest.raises(ExecutionError):
                await prove_alive(served, {"tiny": 3, "other": 2})
            for queue in served.queues.values():
                queue.close()

    asyncio.run(prove())


def test_a_watchdogs_inferences_tell_nothing_of_latency(folder: Path) -> None:
    async def prove() -> None:
        with Runtime.open([folder / "workload.toml"]) as runtime:
            told: list[float] = []
            runtime.on_inference = lambda plan, latency_ms: told.append(latency_ms)
            served = application(runtime, ServiceSettings(governed=False)).state.served
            assert await prove_alive(served, {}) == {"tiny": 1}
            assert not told
            assert not served.queues["tiny"].latencies_ms
            served.queues["tiny"].close()

    asyncio.run(prove())


def test_the_watchdog_is_fed_again_after_whatever_went_wrong(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def feed() -> None:
        with Runtime.open([folder / "workload.toml"]) as runtime:
            old, new = (application(runtime, ServiceSettings(governed=False)).state.served for _ in range(2))
            now = [old]
            old.queues["tiny"].close()  # as at the end of the models of before
            feeding = asyncio.create_task(feed_watchdog(lambda: now[0], 0.03))
            while "'tiny' is served no longer" not in caplog.text:
                await asyncio.sleep(0.01)
                assert not feeding.done()
            now[0] = new
            while not new.queues["tiny"].served:
                await asyncio.sleep(0.01)
                assert not feeding.done()
            feeding.cancel()
            new.queues["tiny"].close()

    asyncio.run(feed())


def test_a_model_that_was_lost_is_neither_ready_nor_alive(tiny_store: Store, tmp_path: Path) -> None:
    (model,) = workload(tiny_store, "interpreter", tmp_path).models
    copies = {name: str(shutil.copytree(tiny_store.path, tmp_path / name)) for name in "ab"}
    models = [model.model_copy(update={"name": name, "store": path}) for name, path in copies.items()]
    block = tiny_store.manifest.blocks[0]
    with Runtime(Workload(models=tuple(models)), executor="interpreter") as runtime:
        after = [m.model_copy(update={"options": dict.fromkeys(m.options, "s0.5")}) for m in runtime.plan.models]
        for name, option in (("a", block.original), ("b", block.option("s0.5"))):
            (tmp_path / name / option.file).write_bytes(b"not a model")
        with pytest.raises(StoreError):
            runtime.plan = runtime.plan.model_copy(update={"models": tuple(after)})
        with served(runtime, ServiceSettings(governed=False)) as client:
            ready = client.get("/readyz")
            assert (ready.status, ready.json) == (503, {"ready": False, "suspended": ["a"]})
            assert [client.get(f"/v2/models/{name}/ready").status for name in "ab"] == [503, 200]
            assert client.get("/v1/models").json["a"]["suspended"]
        state = application(runtime, ServiceSettings(governed=False)).state.served
        with pytest.raises(SuspendedError, match="'a' cannot be loaded any more"):
            asyncio.run(prove_alive(state, {}))
        for queue in state.queues.values():
            queue.close()


def test_memory_is_counted_from_before_the_first_models(folder: Path) -> None:
    async def reload() -> None:
        opened = [Runtime.open([folder / "workload.toml"]) for _ in range(2)]
        base = opened[0].base_memory_bytes
        app = ReloadableApplication(opened[0], lambda: opened[1], ServiceSettings())
        assert await app.reload()
        assert app.served.runtime is opened[1]
        assert opened[1].base_memory_bytes == base
        with pytest.raises(ClosedError):
            opened[0].plan  # noqa: B018
        await asyncio.to_thread(opened[1].close)

    asyncio.run(reload())


def test_counters_go_on_after_a_reload_and_gauges_are_of_the_new_models(folder: Path) -> None:
    def reopen() -> Runtime:
        return Runtime.open([folder / "workload.toml"])

    async def reload() -> None:
        app = ReloadableApplication(reopen(), reopen, ServiceSettings())
        before, plan = app.served.metrics, app.served.runtime.plan
        before.inferred(plan["tiny"], 3.0)
        before.runs(plan, {})
        (folder / "workload.toml").write_text(ONE.replace('"tiny"', '"new"', 1))
        assert await app.reload()
        before.inferred(plan["tiny"], 3.0)  # of a request that came before
        found = generate_latest(app.served.metrics.registry).decode()
        assert 'legodnn_inference_seconds_count{model="tiny"} 2.0' in found
        assert 'legodnn_accuracy{model="tiny"}' not in found
        app.served.runtime.close()

    asyncio.run(reload())


def test_nothing_of_the_models_of_before_is_held_after_a_reload(folder: Path) -> None:
    def reopen() -> Runtime:
        return Runtime.open([folder / "workload.toml"])

    async def reload() -> None:
        app = ReloadableApplication(reopen(), reopen, ServiceSettings())
        runtime = app.served.runtime
        await app.served.queues["tiny"].infer({"image": np.zeros((12, 12, 1), np.float32)})
        held = [weakref.ref(each) for each in (runtime, runtime.scheduler, app.served.history)]
        del runtime
        assert await app.reload()
        assert [ref() for ref in held] == [None, None, None]
        app.served.runtime.close()

    gc.collect()
    gc.disable()  # a collection that comes by itself would be luck
    try:
        asyncio.run(reload())
    finally:
        gc.enable()


def test_models_that_cannot_be_served_are_closed_and_those_of_before_run_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_start(_: Governor) -> None:
        raise RuntimeError("can't start new thread")

    async def reload() -> None:
        opened = [Runtime.open([folder / "workload.toml"]) for _ in range(2)]
        app = ReloadableApplication(opened[0], lambda: opened[1], ServiceSettings())
        monkeypatch.setattr(Governor, "start", cannot_start)
        assert not await app.reload()
        assert app.served.runtime is opened[0]
        assert opened[0].plan
        with pytest.raises(ClosedError):
            opened[1].plan  # noqa: B018
        await asyncio.to_thread(opened[0].close)

    asyncio.run(reload())


def test_no_error_of_a_reload_is_the_last_reload(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    def short() -> Runtime:
        asked.append("to open anew")
        raise MemoryError

    async def reload() -> None:
        with Runtime.open([folder / "workload.toml"]) as runtime:
            app = ReloadableApplication(runtime, short, ServiceSettings())
            reloading = asyncio.create_task(app._keep_reloading())
            for count in (1, 2):
                app.ask_reload()
                while len(asked) < count or app._asked.is_set():
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert not reloading.done()
            reloading.cancel()

    asyncio.run(asyncio.wait_for(reload(), 60))
    assert caplog.text.count("the models were not opened anew") == 2


@dataclass
class Service:
    """A `legodnn serve` as systemd would start it."""

    process: subprocess.Popen[bytes]
    port: int
    told: socket.socket
    log: Path

    def wait_for(self, line: str) -> dict[str, str]:
        """Read what systemd is told until it holds a line."""
        while True:
            found = dict(entry.partition("=")[::2] for entry in self.told.recv(4096).decode().split("\n"))
            if line.partition("=")[0] in found:
                return found

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with_type = {"Content-Type": "application/octet-stream"}
        connection.request(method, path, body, with_type)
        response = connection.getresponse()
        return response.status, response.read()


@contextmanager
def started(folder: Path) -> Iterator[Service]:
    port, place, log = free_port(), folder / "notify", folder / "log"
    with systemd_socket(str(place)) as told, log.open("w") as out:
        environment = {**os.environ, "NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "900000"}
        words = ["serve", str(folder / "workload.toml"), "--port", str(port), "--json"]
        command = [sys.executable, "-m", "legodnn", *words]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment) as process:
            try:
                yield Service(process, port, told, log)
            finally:
                process.kill()


def test_a_reload_loses_no_request_and_a_broken_file_changes_nothing(folder: Path) -> None:
    image, ended = np.zeros((12, 12, 1), np.float32).tobytes(), threading.Event()
    statuses: list[int] = []
    with started(folder) as service:
        assert service.wait_for("READY=1")["STATUS"].startswith("tiny; ")
        service.wait_for("WATCHDOG=1")
        served = int(json.loads(service.ask("GET", "/v1/models")[1])["tiny"]["served"])
        assert served >= 1, "the watchdog was fed by an inference"
        stream = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        stream.request("GET", "/v1/events")
        watching = stream.getresponse()

        def keep_asking() -> None:
            while not ended.is_set():
                statuses.append(service.ask("POST", "/v1/models/tiny/infer", image)[0])

        clients = [threading.Thread(target=keep_asking) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for text, models in ((TWO, ["tiny", "other"]), ("broken", ["tiny", "other"]), (ONE, ["tiny"])):
                (folder / "workload.toml").write_text(text)
                service.process.send_signal(signal.SIGHUP)
                assert int(service.wait_for("RELOADING=1")["MONOTONIC_USEC"]) > 0
                status = service.wait_for("READY=1")["STATUS"]
                assert ("not reloaded" in status) == (text == "broken")
                seen = len(statuses)
                while len(statuses) < seen + 7 and any(client.is_alive() for client in clients):
                    time.sleep(0.005)
                assert list(json.loads(service.ask("GET", "/v1/models")[1])) == models
        finally:
            ended.set()
            for client in clients:
                client.join()
        assert set(statuses) == {200}
        assert len(statuses) > 20
        watching.read()  # the stream has ended, and a page would open it again
        assert json.loads(service.ask("GET", "/v1/plan")[1])["models"][0]["name"] == "tiny"

        stream.request("GET", "/v1/events")  # a page that is open does not hold up the end
        with suppress(OSError):
            stream.getresponse()
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("STOPPING=1")
        assert service.process.wait(30) == 128 + signal.SIGTERM
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    # Requests that had to be cut off at the end would be another error.
    (wrong,) = [line for line in lines if line["level"] == "error"]
    assert "those of before run on" in wrong["message"]
    assert "workload.toml" in wrong["message"]
    assert lines[-1]["message"] == "the service has ended"
