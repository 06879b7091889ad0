"""Tails of latency: measured over predicted times by composition, and what comes of them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from legodnn.schema import MOST_SLOWDOWN
from legodnn.tail import tail_of
from tests.vectors.learned import tail_answer
from tests.vectors.vectors import Json

_CONDITIONS = ("alone", "after")


def tail_of_answer(case: Mapping[str, Json]) -> Json:
    """The tail of some ratios."""
    return tail_answer(tail_of(case["ratios"], case["threads"], case["condition"]))


def tails() -> Json:
    """Of few and many inferences, as many of each composition or not; zeros, equal ones, such as no tail may have."""
    ratios: dict[str, list[list[float]]] = {
        "one inference": [[1.25]],
        "two": [[1.5, 1.25]],
        "three of two": [[1.5, 1.25], [1.375]],
        "one of each": [[1.0 + i / 16] for i in range(20)],
        "one of each, in falling order": [[2.0 - i / 16] for i in range(9)],
        "18, of which no 0.95 is known": [_scattered("18", 18)],
        "19, of which it is": [_scattered("19", 19)],
        "19 in all": [_scattered("7", 7), _scattered("12", 12)],
        "98 of one": [_scattered("98", 98)],
        "99 of one": [_scattered("99", 99)],
        "100 of one": [_scattered("100", 100)],
        "49 and 51 of two": [_scattered("49", 49), _scattered("51", 51)],
        "198": [_scattered("198", 198)],
        "199": [_scattered("199", 199)],
        "999: all are known": [[round(v, 1) for v in _scattered(f"999 {i}", 333)] for i in range(3)],
        "9 and 10: the greatest, the median": [_scattered("nine", 9), _scattered("ten", 10)],
        "zeros": [[0.0] * 30, [0.0] * 30],
        "zeros for the most part": [[0.0] * 25 + [1.5] * 2 for _ in range(3)],
        "zeros of one composition": [[0.0] * 12, _scattered("beside zeros", 12)],
        "zeros of most compositions": [[0.0] * 6] * 9 + [_scattered(f"last {i}", 6) for i in range(2)],
        "all equal": [[1.125] * 24 for _ in range(4)],
        "two values": [[1.0, 1.5] * 12 for _ in range(5)],
        "of a clock that ticks": [[round(v * 4) / 4 for v in _scattered(f"ticks {i}", 24)] for i in range(7)],
        "beyond what a tail may hold": [[MOST_SLOWDOWN * 3] * 24, [MOST_SLOWDOWN / 3, MOST_SLOWDOWN * 9] * 12],
        "beyond it far out alone": [[1.0] * 23 + [1e9] for _ in range(5)],
        "below what a tail may hold": [[1e-4] * 23 + [2e-4] for _ in range(5)],
        "below it but for the slowest": [[1e-5] * 23 + [0.5] for _ in range(5)],
        "one wild composition of ten": [_scattered(f"tame {i}", 12) for i in range(9)] + [[9.5] * 12],
        "two wild compositions of ten": [_scattered(f"tame {i}", 12) for i in range(8)] + [[9.5] * 12, [7.25] * 12],
        "one wild composition of nineteen": [_scattered(f"calm {i}", 6) for i in range(18)] + [[9.5] * 6],
    }
    for compositions, count in ((20, 6), (20, 24), (8, 6), (3, 50), (3, 51)):
        name = f"{count} of each of {compositions} compositions"
        ratios[name] = [_scattered(f"{name}: {i}", count) for i in range(compositions)]
    for seed in range(6):
        rng = random.Random(f"uneven {seed}")
        counts = [rng.randint(1, rng.choice([4, 20, 60])) for _ in range(rng.randint(2, 12))]
        ratios[f"uneven counts {seed}"] = [_scattered(f"uneven {seed}: {i}", n) for i, n in enumerate(counts)]
    cases: list[Json] = []
    for number, (name, of) in enumerate(ratios.items()):
        how = {"threads": 1 + number % 3, "condition": _CONDITIONS[number % 2]}
        cases.append({"name": name, **how, "ratios": of})
    return {"cases": [{**case, "answer": tail_of_answer(case)} for case in cases]}


def _scattered(seed: str, count: int) -> list[float]:
    """Ratios of a composition that is predicted a little wrong, of whose inferences some take much longer."""
    rng = random.Random(seed)
    error, varies = rng.gauss(1, 0.05), rng.uniform(0.01, 0.1)
    return [round(error * _drawn(rng, varies), 4) for _ in range(count)]


def _drawn(rng: random.Random, varies: float) -> float:
    return 1 + abs(rng.gauss(0, varies)) + (rng.random() < 0.05) * rng.expovariate(0.5)
