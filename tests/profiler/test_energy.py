"""The energy of options and switches is what a meter tells beyond what the idle device takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from legodnn.profiler import energy
from legodnn.profiler.bench import Bench
from legodnn.profiler.energy import measure_energy
from legodnn.profiler.meters import CpuSeconds
from legodnn.store import Store


@pytest.fixture
def bench(tiny_store: Store) -> Iterator[Bench]:
    opened = Bench(tiny_store, (1,))
    yield opened
    opened.close()


def test_every_option_and_a_switch_take_energy(bench: Bench, tiny_store: Store) -> None:
    meter = CpuSeconds(10.0)
    meter.window_s = 0.05
    found, how = measure_energy(bench, meter)
    assert set(found) == {(s.name, o.name) for s in tiny_store.manifest.segments for o in s.options}
    assert min(found.values()) > 0
    assert how.meter == "CPU seconds x 10 W"
    assert how.estimate
    assert how.idle_w == 0
    assert how.switch_mj > 0


class Working:
    """A device that takes 5 W, and 7 W while models run, by a clock that each look at it moves by 20 ms."""

    name, window_s = "working", 4.0

    def __init__(self, estimate: bool) -> None:
        self.now, self.estimate, self.slept = 0.0, estimate, 0.0

    def monotonic(self) -> float:
        self.now += 0.02
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now, self.slept = self.now + seconds, self.slept + seconds

    def joules(self, work: Callable[[], None]) -> float:
        start, slept = self.now, self.slept
        work()
        return 7 * (self.now - start) - 2 * (self.slept - slept)


@pytest.mark.parametrize(("estimate", "idle_w", "watts"), [(False, 5, 2), (True, 0, 7)])
def test_what_the_idle_device_takes_is_no_options_energy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, estimate: bool, idle_w: float, watts: float
) -> None:
    """An estimate is of what this process does alone, so nothing is taken off there."""
    meter = Working(estimate)
    monkeypatch.setattr(energy, "time", meter)
    found, how = measure_energy(bench, meter)
    assert how.idle_w == pytest.approx(idle_w)
    assert list(found.values()) == [pytest.approx(20 * watts, rel=0.05)] * len(found)  # millijoules of 20 ms
    assert how.switch_mj == pytest.approx(0, abs=0.1), "by this clock it takes no time of its own"
