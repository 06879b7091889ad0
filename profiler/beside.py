"""A model that runs in a thread of its own while another one is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable


class RunningBeside:
    """Runs a model without pause in a thread of its own, from the beginning of a `with` statement to its end.

    If a run fails, the end of the `with` statement raises its error.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._ended = threading.Event()
        self._began = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        try:
            while not self._ended.is_set():
                self._run()
                self._began.set()
        except BaseException as e:
            self._failure = e
            self._began.set()

    def __enter__(self) -> None:
        self._thread.start()
        self._began.wait()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure:
            raise self._failure
