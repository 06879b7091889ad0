"""Whether a service can listen at the path of a Unix socket, before its models are opened."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

from legodnn.errors import ConfigError

_MOST_BYTES = 107  # of a path, beside the zero that ends it in Linux's sockaddr_un
_ANSWER_S = 5.0


def check_length(path: Path) -> None:
    """Check that a path is no longer than those of sockets can be.

    Raises:
        ConfigError: it is.
    """
    if (count := len(os.fsencode(path))) > _MOST_BYTES:
        raise ConfigError(
            f"the path of --socket has {count} bytes, that of a socket at most {_MOST_BYTES}; name a shorter one"
        )


def check_socket(path: Path) -> None:
    """Check that a service can listen at a path: there is nothing, or a socket that nobody listens at any more.

    Raises:
        ConfigError: there is something else, another service listens there, or its folder cannot be used.
    """
    check_length(path)
    folder = path.parent
    try:
        if not folder.is_dir():
            raise ConfigError(
                f"cannot listen at {path}: there is no folder {folder}; make it, or name another --socket"
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"cannot listen at {path}: its folder cannot be written to; name another --socket")
        mode = path.stat().st_mode if os.path.lexists(path) else None
    except OSError as e:
        raise ConfigError(f"cannot listen at {path}: {e.strerror or e}; name another --socket") from None
    if mode is None:
        return
    if not stat.S_ISSOCK(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a file"
        raise ConfigError(f"cannot listen at {path}: it is {kind}, not a socket; name another --socket, or remove it")
    with closing(socket.socket(socket.AF_UNIX)) as asking:
        asking.settimeout(_ANSWER_S)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:  # a service that was killed has left it, and listening anew replaces it
            return
        except PermissionError:
            raise ConfigError(
                f"cannot listen at {path}: this user may not ask whether a service listens there; name another "
                "--socket, or remove it"
            ) from None
        except OSError:  # no stream, or too many wait: somebody is there
            pass
    raise ConfigError(f"cannot listen at {path}: another service listens there; end it, or name another --socket")
