"""Notes as JSON lines on stdout, for journals and log collectors, instead of text for people on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

# What is written in front of a line for systemd's journal, which takes it off and keeps it as the line's priority.
_PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


@contextmanager
def notes_as_json(*loggers: str) -> Iterator[None]:
    """Write as JSON lines what some loggers log meanwhile, which have no other handlers then.

    A line has `time` (UTC), `level`, `logger` and `message`, and `traceback` where there is one; of a message that is a
    JSON object itself, such as a governor's decision, it has the fields instead.

    Args:
        loggers: their names, such as "legodnn".
    """
    handler, before = _JsonHandler(), []
    for log in map(logging.getLogger, loggers):
        before.append((log, log.handlers, log.propagate))
        log.handlers, log.propagate = [handler], False
    try:
        yield
    finally:
        for log, handlers, propagate in before:
            log.handlers, log.propagate = handlers, propagate


class _JsonHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._prefixes = _PRIORITIES if _is_journal(1) else {}

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, AttributeError):  # stdout is closed, or nobody reads it any more
            sys.stdout.write(self._prefixes.get(record.levelname.lower(), "") + _line(record) + "\n")
            sys.stdout.flush()


def _line(record: logging.LogRecord) -> str:
    message = record.getMessage()
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        **(_fields(message) or {"message": message}),
    }
    if record.exc_info:
        line["traceback"] = logging.Formatter().formatException(record.exc_info)
    return json.dumps(line)


def _fields(message: str) -> dict[str, Any] | None:
    """Return the fields of a message that is a JSON object; None for any other."""
    if not message.startswith("{"):
        return None
    try:
        found = json.loads(message)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _is_journal(descriptor: int) -> bool:
    """Return whether a file descriptor is systemd's journal, which $JOURNAL_STREAM names by device and inode."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
