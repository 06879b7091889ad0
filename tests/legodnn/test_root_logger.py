"""The root logger has the handlers that an application gave it, and no others."""

from __future__ import annotations

import logging

import pytest

from legodnn.root_logger import same_root_logger


def test_handlers_that_are_added_meanwhile_go_again(monkeypatch: pytest.MonkeyPatch) -> None:
    own = logging.NullHandler()
    monkeypatch.setattr(logging.root, "handlers", [own])
    with same_root_logger():
        logging.root.addHandler(logging.NullHandler())
    assert logging.root.handlers == [own]
