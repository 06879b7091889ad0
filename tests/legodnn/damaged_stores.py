"""What tests of stores and manifests share: changing a store's manifest, and the message with which it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from legodnn.errors import StoreError
from legodnn.manifest import MANIFEST
from legodnn.store import Store

Document = dict[str, Any]


def edit(folder: Path, change: Callable[[Document], object]) -> None:
    file = folder / MANIFEST
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")


def refusal(folder: Path) -> str:
    """The message with which a store is refused."""
    with pytest.raises(StoreError) as caught:
        Store(folder)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    assert str(folder) in message
    return message


def segment(number: int = 0) -> Callable[[Document], Document]:
    return lambda document: document["segments"][number]


def option(number: int = 0) -> Callable[[Document], Document]:
    return lambda document: document["segments"][0]["options"][number]
