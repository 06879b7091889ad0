"""Numbers that a budget gives for every model, or for some models by name: limits of latency, and quantiles.

Left to pydantic, the errors would list every type that such a field may have.
"""

from __future__ import annotations

from collections.abc import Callable

from legodnn.printable import shown
from legodnn.schema import LEAST_QUANTILE, MOST_MODELS, MOST_NAME, MOST_SUM


def checked_limit(value: object) -> float:
    """Check a limit of latency. (Left to pydantic, the error would list every type that the field may have.)"""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_SUM:
        raise ValueError(f"must be a number of milliseconds greater than 0 and at most {MOST_SUM:g}")
    return float(value)


def checked_quantile(value: object) -> float:
    """Check a quantile."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST_QUANTILE <= value < 1:
        raise ValueError(f"must be a share of inferences: a number from {LEAST_QUANTILE} (the median) to below 1")
    return float(value)


def for_all_or_by_name(check: Callable[[object], float]) -> Callable[[object], float | dict[str, float] | None]:
    """Return a function that checks one number for every model, or numbers by the models' names."""

    def checked(value: object) -> float | dict[str, float] | None:
        if value is None or not isinstance(value, dict):
            return value if value is None else check(value)
        numbers: dict[str, float] = {}
        if len(value) > MOST_MODELS:
            raise ValueError(f"names at most {MOST_MODELS} models")
        for name, number in value.items():
            if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
                raise ValueError(f"names must have 1 to {MOST_NAME} characters")
            try:
                numbers[name] = check(number)
            except ValueError as e:
                raise ValueError(f"that of {name!r} {e}, got {shown(number)}") from None
        return numbers

    return checked


def given_to(model: str, given: float | dict[str, float] | None) -> float | None:
    """Return what a budget gives one model, in a number for every model or by name; None for nothing."""
    return given.get(model) if isinstance(given, dict) else given
