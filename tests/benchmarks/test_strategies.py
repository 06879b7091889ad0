"""What benchmarks/strategies.py keeps and compares."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("keras")

from tests.benchmarks import scripts

BENCHMARK: ModuleType = scripts.load("strategies")


def row(strategy: str, error: float, seed: int = 0, images: int = 64) -> dict[str, Any]:
    episodes = 9 if strategy in BENCHMARK.LEARNED else None
    case = {"network": "vgg16_half", "share": 0.3, "strategy": strategy, "seed": seed, "images": images}
    return {**case, "episodes": episodes, "error": error, "tuned": []}


def bars(*rows: dict[str, Any]) -> dict[str, bool]:
    found = BENCHMARK.bars_of({"rows": list(rows), "blocks": [], "originals": {}})
    return {bar["name"].split()[6]: bar["holds"] for bar in found}


def test_an_agent_has_to_beat_uniform_widths_with_every_seed() -> None:
    both = [row("l1", 0.4), row("l1", 0.5, seed=1), row("amc", 0.3), row("agmc", 0.3)]
    assert bars(*both, row("amc", 0.45, seed=1), row("agmc", 0.5, seed=1)) == {"amc": True, "agmc": False}


def test_an_agent_is_compared_with_what_saw_the_same_images() -> None:
    assert bars(row("l1", 0.1, images=128), row("amc", 0.3)) == {}
    assert bars(row("l1", 0.1, images=128), row("l1", 0.4), row("amc", 0.3)) == {"amc": True}


def test_a_report_tells_all_that_a_folder_holds_in_the_order_of_strategies(tmp_path: Path) -> None:
    for each in (row("amc", 0.3), row("l1", 0.4), row("amc", 0.2, seed=1)):
        case = BENCHMARK.case_of(each)
        case.file(tmp_path, ".tflite").write_bytes(b"")
        case.file(tmp_path, ".json").write_text(json.dumps(each))
        if each["seed"]:
            for minutes in (10, 2):
                case.file(tmp_path, f"-tuned-{minutes}.json").write_text(json.dumps({"minutes": minutes}))
    kept = BENCHMARK.kept_rows(tmp_path)
    assert [(r["strategy"], r["seed"], r["tuned"]) for r in kept] == [
        ("l1", 0, []),
        ("amc", 0, []),
        ("amc", 1, [{"minutes": 2}, {"minutes": 10}]),
    ]


def test_agents_walk_for_as_long_as_is_said() -> None:
    search = BENCHMARK.strategy_for(BENCHMARK.case_of(row("agmc", 0.3))).allocator.keywords["search_for"]
    assert search.keywords == {"episodes": 9}
    assert BENCHMARK.strategy_for(BENCHMARK.case_of(row("taylor", 0.3))) is BENCHMARK.STRATEGIES["taylor"]
