"""The hierarchy of errors is the one that its module draws."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from legodnn import errors
from legodnn.errors import LegoError
from legodnn.plan import Infeasible, Limit
from legodnn.workload import Budget

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, LegoError)]
LIMIT = Limit(kind="memory", limit=1.0, needed=2.0, clashes=True)


def drawn(text: str) -> dict[str, str]:
    """Each class of the drawing and its parent."""
    parents, above = {}, {0: "LegoError"}
    for line in text.splitlines():
        if found := re.match(r"    (?P<branch>[│├└─ ]+)(?P<name>[A-Z]\w+) ", line):
            depth = len(found["branch"]) // 4
            parents[found["name"]] = above[depth - 1]
            above[depth] = found["name"]
    return parents


def test_the_drawing_shows_every_error_under_its_parent() -> None:
    assert drawn(errors.__doc__ or "") == {c.__name__: c.__base__.__name__ for c in CLASSES if c is not LegoError}


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_control_characters_in_a_message_are_shown_as_escapes(error: type[LegoError]) -> None:
    if error is errors.InfeasibleError:
        assert isinstance(inspect.signature(error).parameters["report"].annotation, str), Infeasible
    elif error is errors.OverloadedError:
        assert str(error("a\x1b[31mb", 2)) == r"a\x1b[31mb; try again in 2 s"
    else:
        assert str(error("a\x1b[31mb")) == r"a\x1b[31mb"


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_an_error_goes_from_one_process_to_another(error: type[LegoError]) -> None:
    made = {
        errors.InfeasibleError: lambda: errors.InfeasibleError(
            Infeasible(budget=Budget(memory_bytes=1), limits=(LIMIT,))
        ),
        errors.OverloadedError: lambda: errors.OverloadedError("full", 2),
    }.get(error, lambda: error("a"))()
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is error
    assert (str(again), vars(again)) == (str(made), vars(made))
