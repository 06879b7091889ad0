"""`legodnn serve` as a process: it listens, answers, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn.cli import main
from legodnn.commands.parser import CommandParser
from legodnn.commands.serve import add_serving_arguments, service_settings
from legodnn.errors import ConfigError
from legodnn.store import Store


class UnixConnection(http.client.HTTPConnection):
    """A connection over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


def test_it_serves_at_a_unix_socket_and_ends_cleanly(tiny_store: Store, tmp_path: Path) -> None:
    place, log = tmp_path / "service", tmp_path / "log"
    command = [sys.executable, "-m", "legodnn", "serve", str(tiny_store.path), "--socket", str(place)]
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors) as process:
        try:
            ended = time.monotonic() + 120
            connection = UnixConnection(place)
            while connection.sock is None:
                try:
                    connection.connect()
                except (FileNotFoundError, ConnectionRefusedError):  # it is there before it takes connections
                    connection.close()
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < ended, log.read_text()
                    time.sleep(0.05)
            shape = tiny_store.manifest.inputs[0].shape
            kind = {"Content-Type": "application/octet-stream"}
            connection.request("POST", "/v1/models/tiny/infer", np.zeros(shape, np.float32).tobytes(), kind)
            assert connection.getresponse().status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert "serving tiny at unix socket" in log.read_text()
    assert "requests that ran were answered" in log.read_text()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--host", "0.0.0.0"], "lets other machines ask"),
        (["--port", "0"], "--port must be 1 to 65535"),
        (["--queue", "0"], "--queue must be at least 1"),
        (["--timeout", "-1"], "--timeout must be a positive number"),
        (["--max-body", "much"], "--max-body"),
        (["--max-body", "0B"], "--max-body must be at least 1 byte, not 0B"),
        (["--max-body", "0"], "--max-body must be at least 1 byte, not 0"),
        (["--socket", "s", "--port", "9000"], "--socket and --port do not go together"),
        (["--socket", "s", "--host", "127.0.0.1", "--port", "8080"], "--socket and --host do not go together"),
        (["--socket", "s" * 108], "has 108 bytes, that of a socket at most 107"),
        (["--socket", __file__], "it is a file, not a socket"),
        (["--socket", "nowhere/s"], "there is no folder nowhere"),
        (["--token-file", "nowhere"], "nowhere"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_opens(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEGODNN_TOKEN", raising=False)
    assert main(["serve", "nowhere", *flags]) == 1
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("token", [b"two\nlines", "straße".encode(), b"\xff", b"bell\x07"])
@pytest.mark.parametrize("flags", [[], ["--token-file", "token"]])
def test_a_token_that_no_client_could_send_is_told_before_anything_opens(
    token: bytes, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEGODNN_TOKEN", raising=False)
    if flags:
        Path("token").write_bytes(token)
    else:
        monkeypatch.setenv("LEGODNN_TOKEN", os.fsdecode(token))
    assert main(["serve", "nowhere", *flags]) == 1
    place = "token" if flags else "LEGODNN_TOKEN"
    assert f"{place} holds more than plain letters and digits; a header cannot" in capsys.readouterr().err


def test_space_around_a_token_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = CommandParser()
    add_serving_arguments(parser)
    monkeypatch.setenv("LEGODNN_TOKEN", " s3cret\n")
    assert service_settings(parser.parse_args(["nowhere"])).token == "s3cret"
    monkeypatch.setenv("LEGODNN_TOKEN", " \n")
    with pytest.raises(ConfigError, match="LEGODNN_TOKEN is empty"):
        service_settings(parser.parse_args(["nowhere"]))


def test_an_address_that_is_taken_is_told_before_anything_opens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "nowhere", "--port", port]) == 1
    assert f"cannot listen at 127.0.0.1:{port}: something else listens there" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "two..dots"])  # an address for examples alone (RFC 5737); no name
def test_an_address_that_is_not_this_machines_is_told_before_anything_opens(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGODNN_TOKEN", "token")
    assert main(["serve", "nowhere", "--host", host]) == 1
    assert f"cannot listen at {host}:8080: " in capsys.readouterr().err


def test_a_place_where_what_is_learned_cannot_be_written_is_told_before_anything_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store.learned.json").mkdir()
    command = ["serve", str(tmp_path / "store"), "--keep-learned", "--socket", str(tmp_path / "service")]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "store.learned.json: Is a directory" in told
    assert "leave --keep-learned out" in told


def test_a_socket_that_cannot_be_is_told_as_json_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "nowhere", "--socket", __file__, "--json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["level"] for line in told] == ["error", "info"]
    assert "it is a file, not a socket" in told[0]["message"]
