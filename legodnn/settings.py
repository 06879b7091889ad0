"""The check that settings of applications are of the right kind, before one of them fails in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from numbers import Integral, Real
from typing import Any

from legodnn.errors import ConfigError
from legodnn.printable import shown


def check_kinds(settings: Any) -> None:
    """Check that every field of a dataclass of settings is of the kind of its default.

    Args:
        settings: an object of a dataclass whose fields all have defaults: numbers, whole numbers, truth values, tuples
            of whole numbers, or other such objects. Whole numbers stand for numbers, truth values for neither.

    Raises:
        ConfigError: a field is of another kind; the message begins with its name.
    """
    for field in fields(settings):
        default, value = _default(field), getattr(settings, field.name)
        if isinstance(default, bool):
            right, kind = isinstance(value, bool), "True or False"
        elif isinstance(default, int):
            right, kind = _is_number(value, Integral), "a whole number"
        elif isinstance(default, float):
            right, kind = _is_number(value, Real), "a number"
        elif isinstance(default, tuple):
            right = isinstance(value, Sequence) and all(_is_number(each, Integral) for each in value)
            kind = "a tuple of whole numbers"
        else:
            right, kind = isinstance(value, type(default)), f"of type {type(default).__name__}"
        if not right:
            raise ConfigError(f"{field.name} must be {kind}, not {shown(value)}")


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
