"""What is compared is measured at one speed of the machine."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.scripts import load


def test_what_was_measured_while_the_machine_was_slow_is_measured_again(tmp_path: Path) -> None:
    times = iter([1.0, 1.05, 1.3, 1.02, 1.5, 0.99, 1.0])
    steady = load("support.steady").Steady(lambda: next(times), tmp_path / "speed", pause_seconds=0)
    found = iter(range(9))
    assert steady.measured(lambda: next(found)) == 0  # 1.0 before, 1.05 after
    assert steady.measured(lambda: next(found)) == 2  # 1.3: wait; 1.02, and 1.5 after: again; .99, 1.0
    assert float((tmp_path / "speed").read_text()) == 0.99
    assert list(times) == []


def test_the_least_time_is_kept_for_the_next_run(tmp_path: Path) -> None:
    make = load("support.steady").Steady
    assert make(lambda: 1.0, tmp_path / "speed").at_full_speed()
    assert not make(lambda: 1.2, tmp_path / "speed").at_full_speed()


def test_a_machine_that_never_is_fast_again_is_measured_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "speed").write_text("1.0")
    module = load("support.steady")
    steady, count = module.Steady(lambda: 2.0, tmp_path / "speed", pause_seconds=0), iter(range(99))
    assert steady.measured(lambda: next(count)) == next(count) - 1


def test_a_quick_run_does_not_wait(tmp_path: Path) -> None:
    steady = load("support.steady").Steady(lambda: 1 / 0, tmp_path / "speed", waits=False)
    assert steady.measured(lambda: 7) == 7


def test_how_long_inferences_took_is_the_median_of_those_that_kept_their_limit() -> None:
    rows = [
        {"accuracy": accuracy, "median_ms": took, "predicted_ms": 2.0}
        for accuracy, took in ((0.9, 2.0), (None, 90.0), (0.8, 3.0), (0.0, 90.0), (0.7, 8.0))
    ]
    times = load("support.steady").times_predicted
    assert times(rows) == 1.5
    assert times(rows[1:2]) == 1.0
