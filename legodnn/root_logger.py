"""Notes are printed as an application has set it up, whatever TensorFlow's converter adds to the root logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_root_logger() -> Iterator[None]:
    """Remove the handlers that are added to the root logger meanwhile.

    The converter logs by absl, which adds one to a root logger without any, so that all later notes would be printed by
    that handler too.
    """
    before = logging.root.handlers[:]
    try:
        yield
    finally:
        for handler in logging.root.handlers[:]:
            if handler not in before:
                logging.root.removeHandler(handler)
