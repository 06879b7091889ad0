"""Lines by which what options take one by one becomes what they take in use: points, and what comes of them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from legodnn.profiler.in_use import InUse, line_through
from tests.vectors.vectors import Json

_SEGMENTS = (1, 3, 9)


def in_use_answer(case: Mapping[str, Json]) -> Json:
    """The line through some points, and what options take in use by it."""
    used = InUse(*line_through(case["x"], case["y"]), case["segments"])
    return {
        "factor": used.factor,
        "constant_ms": used.constant_ms,
        "overhead_ms": used.overhead_ms,
        "latency_ms": [used.latency_ms(ms) for ms in case["alone_ms"]],
    }


def lines() -> Json:
    """Lines of all kinds, exact and scattered, with wild points; few points and many, far apart and nearly equal."""
    points = {
        "one point": ([2.0], [1.5]),
        "one slow point": ([2.0], [50.0]),
        "one fast point": ([2.0], [0.01]),
        "two points": ([1.0, 2.0], [1.25, 2.0]),
        "two equal sums": ([2.0, 2.0], [1.0, 2.0]),
        "pairs just half as far as the farthest": ([1.0, 4 / 3, 2.0, 2.0], [1.5, 1.9, 2.6, 3.0]),
        "half of a sum, rounded": ([1.0, 1.0], [0.11, 0.29]),
        "a wild one of four": ([1.0, 2.0, 3.0, 4.0], [1.75, 2.5, 9.0, 4.0]),
        "just apart": ([10.0, 12.0, 11.0], [9.0, 10.0, 9.5]),
        "nearly equal": ([10.0, 11.999, 11.0], [9.0, 10.0, 9.5]),
        "nearly equal, an even number": ([10.0, 11.0, 11.5, 10.5], [9.0, 9.0, 8.0, 13.0]),
        "too steep": ([1.0, 2.0, 4.0], [1.0, 6.0, 16.0]),
        "too flat": ([1.0, 2.0, 4.0], [3.0, 3.0, 3.0]),
        "falling": ([1.0, 2.0, 4.0], [3.0, 2.5, 1.5]),
        "of a clock that tells nothing": ([1e-6] * 3 + [0.3], [1e-6] * 4),
        "more points than count": _scattered("many", 320, 0.8, 0.4, 0.02),
        "other points before": _changed_after(100, 310),
    }
    for slope in (0.75, 1.0, 1.25):
        for constant in (-0.3, 0.0, 0.5):
            for count in (7, 20, 41):
                for noise in (0.0, 0.03):
                    name = f"{slope} x + {constant}, {count} points, scattered by {noise}"
                    points[name] = _scattered(name, count, slope, constant, noise)
    cases: list[Json] = []
    for number, (name, (x, y)) in enumerate(points.items()):
        alone = [0.0, 0.01, round(min(x) / 3, 6), max(x)]
        segments = _SEGMENTS[number % len(_SEGMENTS)]
        cases.append({"name": name, "x": x, "y": y, "segments": segments, "alone_ms": alone})
    return {"cases": [{**case, "answer": in_use_answer(case)} for case in cases]}


def _scattered(seed: str, count: int, slope: float, constant: float, noise: float) -> tuple[list[float], list[float]]:
    """Points about a line, of which every fifth is far off where they are scattered."""
    rng = random.Random(seed)
    x = [round(rng.uniform(1, 8), 4) for _ in range(count)]
    y = [(slope * v + constant) * rng.uniform(1 - noise, 1 + noise) for v in x]
    return x, [round(v * rng.uniform(1, 9) if noise and i % 5 == 0 else v, 6) for i, v in enumerate(y)]


def _changed_after(before: int, after: int) -> tuple[list[float], list[float]]:
    """Points about one line, and then enough about another one that these alone count."""
    first, then = _scattered("first", before, 2.0, 5.0, 0.02), _scattered("then", after, 0.7, 0.2, 0.02)
    return first[0] + then[0], first[1] + then[1]
