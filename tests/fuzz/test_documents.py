"""Whatever a file holds, reading it ends well or by a LegoError of a line or two, within a second and 200 MB.

`make test` runs a few hundred cases, `make test-all` as many as LEGODNN_FUZZ_CASES says (default 10,000). What was
found so far is in the ordinary tests, made small.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from tests.fuzz import cases, hostile
from tests.fuzz.run import fuzz


def test_a_few_cases_of_every_kind() -> None:
    figures = fuzz(15 * len(cases.KINDS), 0, list(cases.KINDS))
    assert figures["problems"] == {}
    assert figures["cases"] == 15 * len(cases.KINDS)
    accepted = {kind: found["outcomes"].get("accepted", 0) for kind, found in figures["kinds"].items()}
    assert sum(accepted.values()) > 5, "cases that are all refused at once test nothing behind the door"


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_many_cases_of_every_kind() -> None:
    figures = fuzz(int(os.environ.get("LEGODNN_FUZZ_CASES", "10000")), 1_000_000, list(cases.KINDS))
    print(json.dumps(figures))
    assert figures["problems"] == {}


def test_undamaged_files_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "mutated", lambda document, _: document)
    monkeypatch.setattr(hostile, "damaged", lambda content, _: content)
    monkeypatch.setattr(cases, "_budget", lambda _: cases.Budget())
    ground = cases.Ground(tmp_path)
    for kind in ("manifest", "profile", "plan", "trace", "workload", "bundle"):
        for number in range(100):  # one whose text is not damaged by its writer
            if random.Random(number).random() > 0.2:
                cases.KINDS[kind](ground, random.Random(number))
                break


def test_a_case_is_the_same_every_time() -> None:
    def made(number: int) -> str:
        return hostile.to_json(hostile.mutated(cases.manifest(), random.Random(number)), random.Random(number))

    assert [made(n) for n in range(20)] == [made(n) for n in range(20)]
    assert len({made(n) for n in range(20)}) > 15
