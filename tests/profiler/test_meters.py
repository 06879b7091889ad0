"""Meters tell the joules that went by meanwhile: from counters, gauges, commands and files as devices have them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ConfigError, ProfileError
from legodnn.profile import Energy
from legodnn.profiler import meters
from legodnn.profiler.meters import METERS, Battery, CpuSeconds, External, Pmic, Rapl, open_meter
from tests.runtime.device.boards import write


def nothing() -> None:
    """No work."""


# --- RAPL ------------------------------------------------------------------------------------------------------------

RANGE_UJ = 262_143_328_850


def rapl(root: Path, *zones: tuple[str, int]) -> Path:
    """A powercap tree of zones, each with a subzone whose energy is part of it, and the same package through MMIO."""
    for i, (name, microjoules) in enumerate(zones):
        for folder, what in ((f"intel-rapl:{i}", name), (f"intel-rapl:{i}:0", "core"), (f"intel-rapl-mmio:{i}", name)):
            zone = f"sys/class/powercap/{folder}"
            files = {"name": what, "energy_uj": microjoules, "max_energy_range_uj": RANGE_UJ}
            write(root, {f"{zone}/{file}": content for file, content in files.items()})
    return root


def count(root: Path, package: int, microjoules: int) -> None:
    for folder in (f"intel-rapl:{package}", f"intel-rapl:{package}:0", f"intel-rapl-mmio:{package}"):
        write(root, {f"sys/class/powercap/{folder}/energy_uj": microjoules})


def test_rapl_sums_packages_and_nothing_twice(tmp_path: Path) -> None:
    root = rapl(tmp_path, ("package-0", 5_000_000), ("package-1", 7_000_000), ("psys", 90_000_000))

    def work() -> None:
        count(root, 0, 6_500_000)
        count(root, 1, 7_250_000)
        count(root, 2, 99_000_000)

    assert Rapl(root).joules(work) == 1.75


@given(st.integers(0, RANGE_UJ - 1), st.integers(0, RANGE_UJ - 1))
def test_a_counter_that_wrapped_around_counts_on(
    tmp_path_factory: pytest.TempPathFactory, start: int, used: int
) -> None:
    root = rapl(tmp_path_factory.getbasetemp() / "rapl", ("package-0", start))
    found = Rapl(root).joules(lambda: count(root, 0, (start + used) % RANGE_UJ))
    assert found == pytest.approx(used / 1e6, abs=1e-6)


def test_without_counters_rapl_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="shows no RAPL counters"):
        Rapl(tmp_path)


def test_counters_that_cannot_be_read_are_refused_with_the_command(tmp_path: Path) -> None:
    root = rapl(tmp_path, ("package-0", 1))
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    with pytest.raises(ProfileError, match=r"sudo chmod a\+r /sys/class/powercap"):
        Rapl(root)


# --- meters that know watts ------------------------------------------------------------------------------------------


class Clock:
    """The time that meters see: it moves when something sleeps, and then what `waits` holds happens, one by one."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.waits:
            self.waits.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    shown = Clock()
    monkeypatch.setattr(meters, "time", shown)
    monkeypatch.setattr(meters, "_SAMPLE_S", 0.001)  # this alone is waited for by the machine's clock
    return shown


def sampled(meter: Pmic | Battery, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What waits until a meter has read its watts twice more, once from the beginning."""
    counted, watts = threading.Semaphore(0), meter.watts

    def counting() -> float:
        try:
            return watts()
        finally:
            counted.release()

    def wait() -> None:
        while counted.acquire(blocking=False):
            pass
        for _ in range(2):
            assert counted.acquire(timeout=60)

    monkeypatch.setattr(meter, "watts", counting)
    return wait


@pytest.fixture
def pmic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A command that prints a file, as `vcgencmd pmic_read_adc` does. A busy machine may take long over it."""
    monkeypatch.setattr(meters, "_TIMEOUT_S", 60.0)
    script = tmp_path / "vcgencmd"
    script.write_text(f'#!/bin/sh\n[ "$1" = pmic_read_adc ] && cat "{tmp_path}/adc"\n')
    script.chmod(0o755)

    def shows(readings: str) -> Path:
        (tmp_path / "adc").write_text(readings)
        return script

    return shows


ADC = """     3V7_WL_SW_A current(0)=0.50000000A
     DDR_VDDQ_A current(1)=0.25000000A
    VDD_CORE_A current(2)=2.00000000A
     3V7_WL_SW_V volt(8)=4.00000000V
     DDR_VDDQ_V volt(9)=0.60000000V
    VDD_CORE_V volt(10)=0.90000000V
     EXT5V_V volt(24)=5.15290000V
      BATT_V volt(25)=0.00000000V
"""


def test_the_pmic_sums_the_rails_whose_current_it_measures(pmic: Callable[[str], Path], clock: Clock) -> None:
    meter = Pmic((str(pmic(ADC)), "pmic_read_adc"))
    assert meter.watts() == pytest.approx(0.5 * 4 + 0.25 * 0.6 + 2 * 0.9)
    assert meter.joules(lambda: clock.sleep(0.35)) == pytest.approx(3.95 * 0.35)


def test_a_command_that_tells_no_currents_is_no_pmic(pmic: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"tells no currents; is this a Raspberry Pi 5\?"):
        Pmic((str(pmic("EXT5V_V volt(24)=5.1V\n")), "pmic_read_adc"))
    with pytest.raises(ProfileError, match=r"does not answer .* is this a Raspberry Pi 5\?"):
        Pmic((str(tmp_path / "nowhere"),))


def test_a_command_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "_TIMEOUT_S", 0.05)
    with pytest.raises(ProfileError, match="does not answer"):
        Pmic(("sleep", "5"))


def test_readings_that_fail_meanwhile_are_left_out(
    pmic: Callable[[str], Path], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Pmic((str(pmic(ADC)), "pmic_read_adc"))
    until_sampled = sampled(meter, monkeypatch)

    def work() -> None:
        pmic("")
        clock.sleep(0.25)
        until_sampled()
        pmic(ADC)

    assert meter.joules(work) == pytest.approx(3.95 * 0.25)


def battery(root: Path, name: str = "BAT0", **files: object) -> Path:
    shown = {"type": "Battery", "status": "Discharging", **files}
    return write(root, {f"sys/class/power_supply/{name}/{file}": content for file, content in shown.items()})


def test_a_battery_tells_power_or_current_and_voltage(tmp_path: Path) -> None:
    assert Battery(battery(tmp_path / "a", power_now=6_500_000)).watts() == 6.5
    # Some drivers give what leaves a battery a minus sign.
    assert Battery(battery(tmp_path / "b", current_now=-500_000, voltage_now=12_000_000)).watts() == 6.0
    both = battery(battery(tmp_path / "c", power_now=2_000_000), "BAT1", power_now=3_000_000)
    assert Battery(both).watts() == 5.0


def test_joules_follow_a_battery_whose_power_changes(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = battery(tmp_path, power_now=4_000_000)
    meter = Battery(root)
    until_sampled = sampled(meter, monkeypatch)

    def work() -> None:
        clock.sleep(0.75)
        until_sampled()
        battery(root, power_now=12_000_000)
        until_sampled()
        clock.sleep(0.25)

    assert meter.joules(work) == pytest.approx(0.75 * 4 + 0.25 * 12)


@pytest.mark.parametrize(("status", "why"), [("Charging", "BAT0 is being charged"), ("Full", "BAT0 gives no power")])
def test_a_device_on_mains_is_refused(tmp_path: Path, status: str, why: str) -> None:
    with pytest.raises(ProfileError, match=f"{why}; unplug the device"):
        Battery(battery(tmp_path, status=status, power_now=0))


def test_plugging_in_meanwhile_is_an_error(tmp_path: Path) -> None:
    root = battery(tmp_path, power_now=4_000_000)

    def plug_in() -> None:
        battery(root, status="Charging")

    with pytest.raises(ProfileError, match="is being charged"):
        Battery(root).joules(plug_in)


def test_a_second_battery_that_rests_does_not_matter(tmp_path: Path) -> None:
    root = battery(battery(tmp_path, power_now=2_000_000), "BAT1", status="Not charging", power_now=0)
    assert Battery(root).watts() == 2.0


def test_the_battery_of_a_mouse_is_not_the_devices(tmp_path: Path) -> None:
    root = battery(battery(tmp_path, power_now=2_000_000), "mouse", status="Charging", scope="Device", power_now=9)
    assert Battery(root).watts() == 2.0
    write(tmp_path / "desk", {"sys/class/power_supply/AC/type": "Mains"})
    with pytest.raises(ProfileError, match="no battery under"):
        Battery(tmp_path / "desk")


# --- a file that an external meter writes ----------------------------------------------------------------------------


def lines(*readings: tuple[float, float]) -> str:
    return "".join(f"{seconds:.6f},{watts:.3f}\n" for seconds, watts in readings)


def test_joules_of_a_file_that_is_being_appended_to(tmp_path: Path, clock: Clock) -> None:
    path, start = tmp_path / "meter.csv", clock.now
    path.write_text("unix seconds,watts\n" + lines((start - 1, 30)))
    last = lines((start + 1.5, 10))

    def append(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    def work() -> None:
        clock.sleep(0.75)
        append(lines((start + 0.5, 30), (start + 0.75, 10)))
        clock.sleep(0.25)

    meter = External(path)
    clock.waits = [lambda: None, lambda: None, *[lambda piece=piece: append(piece) for piece in (last[:-3], last[-3:])]]
    assert meter.joules(work) == pytest.approx(0.5 * 30 + 0.25 * 20 + 0.25 * 10)
    assert meter.name == "csv:meter.csv"
    assert clock.waits == [], "of half a line the rest is waited for"


def test_between_lines_power_is_interpolated(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(lines((clock.now - 100, 0), (clock.now + 100, 200)))
    assert External(path).joules(lambda: clock.sleep(10)) == pytest.approx(105 * 10)


def test_a_file_whose_name_is_no_utf8_has_a_name_that_a_profile_takes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_text("")
    named = open_meter(f"csv:{path}").name
    assert Energy(meter=named, estimate=False, idle_w=0.0, switch_mj=0.0).meter == r"csv:caf\udce9.csv"


def test_half_a_line_is_no_reading(tmp_path: Path, clock: Clock) -> None:
    path, start = tmp_path / "meter.csv", clock.now
    whole = lines((start - 1, 50.0), (start + 3, 50.0))
    path.write_text(whole[:-5])  # of 50.000
    clock.waits = [lambda: None, lambda: path.write_text(whole)]
    assert External(path).joules(lambda: clock.sleep(2)) == pytest.approx(50 * 2)
    assert clock.waits == []


def test_lines_that_are_no_numbers_are_left_out(tmp_path: Path, clock: Clock) -> None:
    path, start = tmp_path / "meter.csv", clock.now
    path.write_bytes(b"\xff\x00noise\ntime,watts\n\n" + f"{start - 1},7,extra\n{start},nan\n{start + 9},7\n".encode())
    assert External(path).joules(lambda: clock.sleep(2)) == pytest.approx(7 * 2)


def test_a_file_that_begins_too_late_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("")

    def begin_late() -> None:
        path.write_text(lines((clock.now + 5, 1)))

    with pytest.raises(ProfileError, match="start the meter before profiling"):
        External(path).joules(begin_late)


def test_a_meter_that_stopped_writing_is_an_error(tmp_path: Path, clock: Clock) -> None:
    path, start = tmp_path / "meter.csv", clock.now
    path.write_text(lines((start - 5, 1)))
    with pytest.raises(ProfileError, match="is the meter still writing"):
        External(path).joules(nothing)
    assert clock.now >= start + 10 * meters._TIMEOUT_S


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=f"cannot read {tmp_path / 'no.csv'}"):
        open_meter(f"csv:{tmp_path / 'no.csv'}")


# --- an estimate, and names ------------------------------------------------------------------------------------------


def test_cpu_seconds_count_work_and_not_sleep() -> None:
    meter = CpuSeconds(4.0)

    def busy() -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass

    for work, least in ((busy, 0.2), (lambda: time.sleep(0.2), 0.0)):
        before = time.process_time()
        joules = meter.joules(work)
        assert 4 * least <= joules <= 4 * (time.process_time() - before)
    assert meter.estimate
    assert meter.name == "CPU seconds x 4 W"


@pytest.mark.parametrize(
    "name", ["", "sun", "csv:", "watts:", "watts:nan", "watts:-3", "watts:0", "watts:1e3", "watts:5000", "rapl:0"]
)
def test_a_meter_that_makes_no_sense_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_meter(name)
    assert len(str(caught.value).splitlines()) == 1


def test_the_message_about_an_unknown_meter_names_all_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        open_meter("sun")
    assert str(caught.value) == "no meter 'sun'; there are rapl, pmic, battery, csv:FILE and watts:NUMBER"


def test_a_meter_is_added_by_a_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "METERS", {**METERS, "own": meters.MeterKind(lambda _, root: CpuSeconds(7.0))})
    assert open_meter("own").name == "CPU seconds x 7 W"
    with pytest.raises(ConfigError, match=r"battery, csv:FILE, watts:NUMBER and own$"):
        open_meter("own:3")


def test_meters_are_found_by_name(tmp_path: Path) -> None:
    root = battery(rapl(tmp_path, ("package-0", 1)), power_now=1)
    (tmp_path / "m.csv").write_text("")
    names = ("rapl", "battery", f"csv:{tmp_path / 'm.csv'}", "watts:2.5")
    meters = [open_meter(name, root) for name in names]
    assert [m.name for m in meters] == ["rapl", "battery", "csv:m.csv", "CPU seconds x 2.5 W"]
    assert [m.estimate for m in meters] == [False, False, False, True]
