"""Settings of another kind than their defaults are refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from legodnn.errors import ConfigError
from legodnn.settings import check_kinds


@dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    count: int = 1
    share: float = 0.5
    on: bool = False
    counts: tuple[int, ...] = (1,)
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    "right",
    [{"count": np.int64(3)}, {"share": 2}, {"share": np.float32(0.25)}, {"on": True}, {"counts": [1, np.int32(2)]}],
)
def test_numbers_of_any_library_are_right(right: dict[str, Any]) -> None:
    check_kinds(Outer(**right))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 1.0}, "count must be a whole number, not 1.0"),
        ({"count": True}, "count must be a whole number, not True"),
        ({"share": "0.5"}, "share must be a number, not '0.5'"),
        ({"share": False}, "share must be a number, not False"),
        ({"on": 1}, "on must be True or False, not 1"),
        ({"counts": 2}, "counts must be a tuple of whole numbers, not 2"),
        ({"counts": "12"}, "counts must be a tuple of whole numbers, not '12'"),
        ({"counts": (1, 2.5)}, r"counts must be a tuple of whole numbers, not \(1, 2.5\)"),
        ({"inner": None}, "inner must be of type Inner, not None"),
    ],
)
def test_other_kinds_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_kinds(Outer(**wrong))
