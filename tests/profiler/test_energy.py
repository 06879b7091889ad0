"""The energy of options and switches is what a meter tells beyond what the idle device takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from legodnn.profiler.bench import Bench
from legodnn.profiler.energy import measure_energy
from legodnn.profiler.meters import Battery, CpuSeconds
from legodnn.store import Store
from tests.profiler.test_meters import battery


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
    # These take microseconds of one core: at 10 W less than ten millijoules, and at least a nanojoule.
    assert all(1e-6 < millijoules < 10 for millijoules in found.values())
    assert how.meter == "CPU seconds x 10 W"
    assert how.estimate
    assert how.idle_w == 0
    assert how.switch_mj > 0


def test_what_the_idle_device_takes_is_no_options_energy(tiny_store: Store, tmp_path: Path) -> None:
    """Of a device that takes 5 W whatever it does: nothing remains, unless idling is not taken off."""
    found = {}
    for taken_off in (True, False):
        meter = Battery(battery(tmp_path, power_now=5_000_000))
        meter.window_s, meter.estimate = 0.1, not taken_off
        opened = Bench(tiny_store, (1,))
        found[taken_off], how = measure_energy(opened, meter)
        opened.close()
        assert (how.idle_w > 4.9) == taken_off
    assert sum(found[True].values()) < 0.4 * sum(found[False].values())
