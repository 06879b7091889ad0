"""A service on a free port of this machine, and a client that sees status, headers and body."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from legodnn import Runtime
from legodnn.arrays import Array
from legodnn.runtime.serving.server import PunctualProtocol
from legodnn.runtime.serving.service import ServiceSettings, application


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def infer(self, model: str, body: bytes, kind: str, query: str = "", **headers: str) -> Answer:
        return self.ask("POST", f"/v1/models/{model}/infer{query}", body, {"Content-Type": kind, **headers})


def own_answer(runtime: Runtime, x: Array) -> Array:
    """What the runtime itself answers for the model `tiny`, which has one output."""
    answer = runtime.infer("tiny", x)
    assert not isinstance(answer, dict)
    return answer


@contextlib.contextmanager
def served(runtime: Runtime, settings: ServiceSettings | None = None) -> Iterator[Client]:
    """Serve a runtime from a thread while the `with` statement runs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            application(runtime, settings), http=PunctualProtocol, log_config=None, timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
