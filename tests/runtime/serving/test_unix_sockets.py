"""Whether a socket's path can be listened at is told in a line, before and while the service starts."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.errors import ConfigError
from legodnn.runtime.serving.reloading import ReloadableApplication
from legodnn.runtime.serving.server import run_server
from legodnn.runtime.serving.service import ServiceSettings
from legodnn.runtime.serving.unix_sockets import check_length, check_socket


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: paths of sockets are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_of_107_bytes_is_the_longest(here: Path) -> None:
    longest = Path("s" * 107)
    check_socket(longest)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(longest))
    for path in (Path("s" * 108), Path("ü" * 54)):
        with pytest.raises(ConfigError, match="108 bytes, that of a socket at most 107; name a shorter one"):
            check_length(path)
        with pytest.raises(OSError, match="too long"), socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("file", "it is a file, not a socket; name another --socket, or remove it"),
        ("folder", "it is a folder, not a socket"),
        ("nowhere/s", "there is no folder nowhere; make it, or name another --socket"),
        ("file/s", "there is no folder file"),
        ("gone", "No such file or directory; name another --socket"),
    ],
)
def test_what_is_no_place_for_a_socket_is_told(here: Path, path: str, says: str) -> None:
    Path("file").write_text("kept")
    Path("folder").mkdir()
    Path("gone").symlink_to("nowhere at all")
    with pytest.raises(ConfigError, match=f"cannot listen at .*{says}"):
        check_socket(Path(path))
    assert Path("file").read_text() == "kept"


def test_where_another_service_listens_is_told_and_what_one_left_is_free(here: Path) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        place = Path(f"s{kind:d}")
        with socket.socket(socket.AF_UNIX, kind) as listening:
            listening.bind(str(place))
            if kind == socket.SOCK_STREAM:
                listening.listen()
            with pytest.raises(ConfigError, match="another service listens there; end it, or name another --socket"):
                check_socket(place)
    check_socket(Path(f"s{socket.SOCK_STREAM:d}"))  # nobody listens at it any more


def test_a_socket_that_cannot_be_made_ends_the_application_and_is_told_once(
    here: Path, tiny_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    Path("file").write_text("kept")
    with Runtime.open([tiny_store.path]) as runtime, caplog.at_level(logging.INFO):
        app = ReloadableApplication(runtime, lambda: runtime, ServiceSettings())
        with pytest.raises(ConfigError, match="cannot listen at file: "):
            run_server(app, "127.0.0.1", 8080, Path("file"))
    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert Path("file").read_text() == "kept"
