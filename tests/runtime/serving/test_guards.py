"""Who may ask, how much and how slowly: refusals that arrive, and connections that end.

Covers also: runtime.serving.server.
"""

from __future__ import annotations

import contextlib
import gzip
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime
from legodnn.runtime.serving import server
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Client, served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)
RAW = "application/octet-stream"
POST = b"POST /v1/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[Client]:
    with served(runtime, ServiceSettings(governed=False, most_body_bytes=100_000, body_timeout_s=60)) as found:
        yield found


def status_of(client: Client, host: bytes) -> bytes:
    """What is answered to who names that host."""
    with socket.create_connection(("127.0.0.1", client.port), 60) as asking:
        asking.sendall(b"GET /v1/plan HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        return asking.makefile("rb").read().split()[1]


def test_without_a_token_a_page_whose_name_leads_to_this_machine_gets_nothing(client: Client, runtime: Runtime) -> None:
    for own in (b"localhost", b"localhost:8080", b"127.0.0.1:80", b"[::1]:8080", b"LOCALHOST"):
        assert status_of(client, own) == b"200"
    for other in (b"example.org", b"example.org:8080", b"127.0.0.1.example.org", b"192.168.1.2", b"\xff"):
        assert status_of(client, other) == b"403"
    with socket.create_connection(("127.0.0.1", client.port), 60) as asking:
        asking.sendall(b"GET /v1/plan HTTP/1.0\r\n\r\n")  # names none, as no browser does
        assert asking.recv(1000).split()[1] == b"200"
    with served(runtime, ServiceSettings(governed=False, token="t")) as guarded:
        assert status_of(guarded, b"example.org") == b"401"


def test_an_answer_comes_in_one_piece(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), 60) as asking:
        for _ in range(20):
            asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asking.recv(10_000).endswith(b'{"live":true}')


def test_large_answers_and_those_without_a_body_arrive(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client.get("/openapi.json").body
    monkeypatch.setattr(server, "_JOINED_BYTES", len(whole) - 1)
    assert client.get("/openapi.json").body == whole
    with socket.create_connection(("127.0.0.1", client.port), 60) as asking:
        asking.sendall(b"HEAD /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = asking.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


def test_bodies_have_a_limit_of_size_and_time(client: Client, runtime: Runtime) -> None:
    answer = client.infer("tiny", b"0" * 100_001, RAW)
    assert answer.status == 413
    assert "bytes; send less, or raise --max-body" in answer.json["error"]
    assert "100000" in answer.json["error"]
    with served(runtime, ServiceSettings(governed=False, most_body_bytes=100_000, body_timeout_s=0.3)) as hurried:
        for length, status in ((b"Content-Length: 1000000", b"413"), (b"Transfer-Encoding: chunked", b"408")):
            with socket.create_connection(("127.0.0.1", hurried.port), 60) as slow:
                slow.sendall(POST + length + b"\r\n\r\n")
                if status == b"408":
                    slow.sendall(b"5\r\nhello\r\n")
                reply = slow.recv(1000)
                assert reply.split()[1] == status
                assert b"close" in reply.lower()


def test_a_compressed_body_is_refused_as_what_it_is(client: Client) -> None:
    for path in ("/v1/models/tiny/infer", "/v2/models/tiny/infer"):
        answer = client.ask("POST", path, gzip.compress(b"{}"), {"Content-Encoding": "gzip"})
        assert answer.status == 415
        assert answer.json["error"] == "the body is compressed (Content-Encoding: 'gzip'); send it as it is"
    as_it_is = {"Content-Type": RAW, "Content-Encoding": "Identity"}
    assert client.ask("POST", "/v1/models/tiny/infer", X.tobytes(), as_it_is).status == 200


@pytest.mark.parametrize(
    ("head", "part", "status"),
    [
        (POST + b"Content-Length: 20971520\r\n\r\n", bytes(0x40000), b"413"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"40000\r\n" + bytes(0x40000) + b"\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a" * 0x40000, b"400"),
    ],
    ids=["declared", "chunked", "headers"],
)
def test_who_sends_all_before_reading_gets_the_refusal(
    client: Client, head: bytes, part: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_LINGER_S", 60.0)  # so much takes a while where the machine is busy
    with socket.create_connection(("127.0.0.1", client.port), 60) as sending:
        sending.sendall(head + part * 80)
        assert sending.recv(1000).split()[1] == status


def test_who_goes_on_sending_after_the_refusal_loses_the_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_LINGER_S", 0.3)
    with socket.create_connection(("127.0.0.1", client.port), 60) as sending:
        sending.sendall(POST + b"Content-Length: 1000000\r\n\r\n")
        assert sending.recv(1000).split()[1] == b"413"
        until = time.monotonic() + 60
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < until:
                sending.sendall(b"0")
                time.sleep(0.01)
        assert time.monotonic() < until


def test_all_bodies_together_have_a_limit(client: Client) -> None:
    head = POST + b"Content-Length: 100000\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", client.port), 60) for _ in range(5)]
    for sending in held:
        sending.sendall(head + b"0" * 99_000)
    (refused, *others), _, _ = select.select(held, [], [], 60)
    assert not others, "there is room for the others"
    reply = refused.recv(1000)
    assert reply.split()[1] == b"503"
    assert b"retry-after: 1" in reply.lower()
    for sending in held:
        if sending is not refused:
            sending.sendall(b"0" * 1000)
            assert sending.recv(1000).split()[1] == b"400", "it arrived, and is no image"
        sending.close()
    assert client.infer("tiny", X.tobytes(), RAW).status == 200, "there is room again"


def test_headers_that_do_not_arrive_lose_the_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEADERS_S", 0.3)
    for start in (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost"):
        with socket.create_connection(("127.0.0.1", client.port), 60) as slow:
            slow.sendall(start)
            assert slow.recv(100) == b"", "closed by the server"


def test_headers_that_arrived_stop_the_clock(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made, protocols = server.PunctualProtocol.connection_made, list[server.PunctualProtocol]()

    def noted(protocol: server.PunctualProtocol, transport: Any) -> None:
        protocols.append(protocol)
        made(protocol, transport)
        assert protocol._patience is not None

    monkeypatch.setattr(server.PunctualProtocol, "connection_made", noted)
    with socket.create_connection(("127.0.0.1", client.port), 60) as kept:
        for _ in range(2):
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"live" not in answer:
                answer += kept.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200")
            assert [protocol._patience for protocol in protocols] == [None]


def test_who_has_no_token_sees_nothing(runtime: Runtime) -> None:
    with served(runtime, ServiceSettings(token="s3cret", governed=False)) as closed:
        for path in ("/v1/plan", "/v1/models", "/metrics", "/openapi.json", "/v1/events", "/nowhere"):
            assert closed.get(path).status == 401
        assert closed.infer("tiny", X.tobytes(), RAW).status == 401
        assert closed.ask("GET", "/v1/plan", headers={"Authorization": "Bearer s3cre"}).status == 401
        assert closed.ask("GET", "/v1/plan", headers={"Authorization": "Basic s3cret"}).status == 401
        assert closed.ask("GET", "/v1/plan", headers={"Authorization": "bearer s3cret"}).status == 200  # RFC 9110, 11.1
        for path in ("/", "/healthz", "/readyz"):
            assert closed.get(path).status == 200
        opened = Client(closed.port, {"Authorization": "Bearer s3cret"})
        assert opened.get("/v1/plan").status == 200
        assert opened.infer("tiny", X.tobytes(), RAW).status == 200


def test_what_is_open_to_all_takes_no_bodies_of_them(runtime: Runtime) -> None:
    with served(runtime, ServiceSettings(governed=False, token="t", most_body_bytes=1000)) as guarded:
        for path in ("/healthz", "/readyz", "/", "/v2/health/live"):
            assert guarded.get(path).status == 200
            assert guarded.ask("POST", path, b"x" * 500).status == 401
        head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n"
        with contextlib.ExitStack() as open_ones:
            for _ in range(6):
                asking = open_ones.enter_context(socket.create_connection(("127.0.0.1", guarded.port), 60))
                asking.sendall(head + b"x" * 800)
            answer = guarded.ask("POST", "/v1/models/tiny/infer", X.tobytes(), {"Authorization": "Bearer t"})
            assert "other requests" not in answer.json.get("error", "")


@pytest.mark.timeout(120)
def test_who_was_answered_and_never_sends_the_rest_loses_the_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_connection(("127.0.0.1", client.port), 20) as asking:
        asking.sendall(b"GET /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        assert asking.recv(20).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(server, "_HEADERS_S", 0.3)
        asking.sendall(b"x")
        while asking.recv(10_000):
            pass
