"""Telling systemd how a service does: ready, reloading, ending, alive. Without systemd nothing happens.

It is the protocol of sd_notify(3): lines `NAME=VALUE` in one datagram to the socket that $NOTIFY_SOCKET names.
"""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger("legodnn.serving")


def tell_systemd(*lines: str) -> bool:
    """Send lines such as `READY=1` or `STATUS=2 models run`, and return whether systemd was there to take them."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):  # @: a name in the abstract namespace
        return False
    text = "\n".join(line.replace("\n", " ") for line in lines)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.connect("\0" + place[1:] if place.startswith("@") else place)
            sending.sendall(text.encode("utf-8", "replace"))
    except OSError as e:
        log.warning("systemd could not be told %s: %s", lines[0], e)
        return False
    return True


def watchdog_s() -> float | None:
    """Return within how many seconds systemd wants to hear again that this process lives; None for no watchdog."""
    pid, microseconds = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6
