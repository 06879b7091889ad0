"""On 32-bit systems NumPy makes arrays of 32 bits of Python's numbers; plans are the same there."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InfeasibleError
from legodnn.plan import Infeasible, Plan
from legodnn.runtime.planning import solver
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import SwitchCharge
from tests.runtime.planning.random_cases import Case, random_case


class NumPyOf32Bits:
    """NumPy, but that arrays made of Python's whole numbers have 32 bits where these fit, as on 32-bit systems."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def array(self, values: Any, dtype: Any = None) -> Any:
        return narrowed(values) if dtype is None else np.array(values, dtype=dtype)

    def full(self, shape: Any, value: Any) -> Any:
        return np.full(shape, value, dtype=narrowed(value).dtype)

    def repeat(self, values: Any, *more: Any, **named: Any) -> Any:
        return np.repeat(narrowed(values), *more, **named)

    def where(self, condition: Any, *values: Any) -> Any:
        return np.where(condition, *map(narrowed, values))


def narrowed(values: Any) -> Any:
    found = np.array(values)
    ours = found.dtype == np.int64 and not isinstance(values, np.ndarray | np.generic)
    return found.astype(np.int32) if ours and np.abs(found).max(initial=0) < 1 << 31 else found


def answer(case: Case) -> Plan | Infeasible:
    try:
        return Scheduler(case.tables, case.charge).plan(case.budget, case.running, case.slowdown, tail=case.tail)
    except InfeasibleError as e:
        return e.report


@pytest.mark.parametrize("charged", [False, True])
def test_plans_are_those_of_64_bits(charged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what runs is charged, sums of losses and charges were cut to 32 bits: other plans, or a ValueError."""
    rng, cases = np.random.default_rng(32), list[Case]()
    while len(cases) < 30:
        case = random_case(rng, models=2, blocks=4, options=4)
        if charged == (case.running is not None and case.charge != SwitchCharge()):
            cases.append(case)
    wide = [answer(case) for case in cases]
    for module in pkgutil.iter_modules(solver.__path__, solver.__name__ + "."):
        monkeypatch.setattr(importlib.import_module(module.name), "np", NumPyOf32Bits(), raising=False)
    assert [answer(case) for case in cases] == wide
