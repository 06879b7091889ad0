"""What is kept of several governors' and models' tails."""

from __future__ import annotations

from legodnn.runtime.governing.keep_learned import _merged
from legodnn.tail import Tail

LONG = (0.5, 0.95, 0.99)


def used(*stretch: float, inferences: int = 200, threads: int = 1) -> Tail:
    return Tail(
        threads=threads, condition="use", inferences=inferences, quantiles=LONG[: len(stretch)], stretch=stretch
    )


def test_a_few_inferences_do_not_hide_what_many_told() -> None:
    before, few, many = used(1.0, 2.0, 3.0), used(5.0, inferences=3), used(1.1, 1.2, 1.3)
    assert _merged([before], [few]) == (before,)
    assert _merged([before], [many]) == (many,)
    assert _merged([], [few]) == (few,)
    other = used(1.0, threads=4)
    assert _merged([before, other], [many]) == (many, other)


def test_models_of_one_profile_are_promised_what_the_slowest_takes() -> None:
    busy, idle = used(4.9, 5.1, 5.2), used(0.99, inferences=2)
    assert _merged([], [busy, idle]) == _merged([], [idle, busy]) == (used(4.9, 5.1, 5.2, inferences=202),)
    assert _merged([], [used(1.0, 2.0, 3.0), used(2.5)])[0].stretch == (2.5, 2.5, 3.0)
