"""What the device says of itself: real files in the kernel's formats, and this very machine.

Covers also: runtime.device.cgroup, runtime.device.kernel_files, runtime.device.thermal.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.device.cgroup import ControlGroup, pressure, read_group
from legodnn.runtime.device.monitor import Monitor, Readings
from legodnn.runtime.device.thermal import Thermal, read_thermal
from tests.runtime.device.boards import write

MB = 1_000_000


def psi(some: float) -> str:
    return f"some avg10={some:.2f} avg60=0.00 avg300=0.00 total=12\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=3"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service whose slice is tighter in memory, and which has a quota of time itself."""
    group = "sys/fs/cgroup"
    return write(
        tmp_path,
        {
            "proc/self/cgroup": "1:cpu:/other\n0::/app.slice/vision.service",
            f"{group}/cgroup.controllers": "cpu memory",
            f"{group}/app.slice/memory.max": 500 * MB,
            f"{group}/app.slice/memory.high": 400 * MB,
            f"{group}/app.slice/memory.current": 350 * MB,
            f"{group}/app.slice/memory.stat": f"anon {9 * MB}\ninactive_file {20 * MB}\nactive_file {10 * MB}",
            f"{group}/app.slice/vision.service/memory.max": "max",
            f"{group}/app.slice/vision.service/memory.high": 900 * MB,
            f"{group}/app.slice/vision.service/memory.current": 300 * MB,
            f"{group}/app.slice/vision.service/cpu.max": "150000 100000",
            f"{group}/app.slice/vision.service/memory.pressure": psi(12.5),
        },
    )


def test_the_tightest_of_nested_groups_counts(service: Path) -> None:
    assert read_group(service) == ControlGroup(
        memory_limit_bytes=400 * MB, memory_available_bytes=80 * MB, cores=1.5, memory_pressure=0.125
    )


def test_what_is_used_of_a_quota_is_that_of_the_tightest_group(service: Path) -> None:
    group = "sys/fs/cgroup/app.slice"
    stat = "usage_usec {}\nuser_usec 1\nnr_throttled 3"
    write(
        service,
        {
            f"{group}/cpu.max": "400000 100000",
            f"{group}/cpu.stat": stat.format(9_000_000),
            f"{group}/vision.service/cpu.stat": stat.format(2_500_000),
        },
    )
    assert (read_group(service).cores, read_group(service).used_s) == (1.5, 2.5)
    write(service, {f"{group}/cpu.max": "100000 100000"})
    assert (read_group(service).cores, read_group(service).used_s) == (1.0, 9.0)


@pytest.mark.parametrize(("others", "left"), [(0.0, 1.0), (0.25, 0.75), (0.9, 0.5)])
def test_of_a_groups_quota_others_in_the_group_leave_a_rest_or_a_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, left: float
) -> None:
    """As in a container with one processor, in which another process decodes a video."""
    group = "sys/fs/cgroup"
    files = {"proc/self/cgroup": "0::/", f"{group}/cgroup.controllers": "", f"{group}/cpu.max": "100000 100000"}
    monitor = Monitor(write(tmp_path, files))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def read(used_s: float) -> Readings:
        write(tmp_path, {f"{group}/cpu.stat": f"usage_usec {int(used_s * 1e6)}"})
        return monitor.read()

    assert read(50.0).cores_allowed == 1.0  # nothing is known yet
    clock[0] += 1000.0  # in which this process takes next to nothing
    assert read(50.0 + 1000.0 * others).cores_allowed == pytest.approx(left, abs=0.01)


def test_a_reading_right_after_another_takes_no_tick_for_whole_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an application sets a budget just after the governor's thread has read the device."""
    group = "sys/fs/cgroup"
    files = {"proc/self/cgroup": "0::/", f"{group}/cgroup.controllers": "", f"{group}/cpu.max": "100000 100000"}
    monitor = Monitor(write(tmp_path, files))
    clock, used_s = [100.0], 50.0
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for later_s in (0.0, 1000.0, 0.01, 0.01, 0.01):
        clock[0] += later_s
        used_s += 0.01 * (later_s == 0.01)  # all of it is this process's, which the kernel may not have counted yet
        write(tmp_path, {f"{group}/cpu.stat": f"usage_usec {round(used_s * 1e6)}"})
        readings = monitor.read()
        assert readings.cores_allowed == pytest.approx(1.0, abs=0.01)
    assert readings.own_cores == pytest.approx(0.0, abs=0.01)  # of the thousand seconds, too


def test_a_group_over_its_limit_has_nothing_left(service: Path) -> None:
    write(service, {"sys/fs/cgroup/app.slice/memory.current": 600 * MB})
    assert read_group(service).memory_available_bytes == 0


@pytest.fixture
def old_service(tmp_path: Path) -> Path:
    """The same with groups of version 1; processor time and accounting share a tree, as systemd mounts them."""
    memory, cpu = "sys/fs/cgroup/memory/app.slice", "sys/fs/cgroup/cpu,cpuacct/app.slice"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "9:cpu,cpuacct:/app.slice/vision\n8:memory:/app.slice/vision\n1:name=x:/a:b\n0::/",
            f"{memory}/memory.limit_in_bytes": 400 * MB,
            f"{memory}/memory.usage_in_bytes": 350 * MB,
            f"{memory}/memory.stat": f"inactive_file 1\ntotal_inactive_file {20 * MB}\ntotal_active_file {10 * MB}",
            f"{memory}/vision/memory.limit_in_bytes": 9223372036854771712,
            f"{memory}/vision/memory.usage_in_bytes": 300 * MB,
            f"{cpu}/cpu.cfs_quota_us": 150_000,
            f"{cpu}/cpu.cfs_period_us": 100_000,
            f"{cpu}/vision/cpu.cfs_quota_us": -1,
            f"{cpu}/vision/cpu.cfs_period_us": 100_000,
        },
    )
    (tmp_path / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    return tmp_path


def test_groups_of_version_1_are_limits_too(old_service: Path) -> None:
    assert read_group(old_service) == ControlGroup(
        memory_limit_bytes=400 * MB, memory_available_bytes=80 * MB, cores=1.5
    )


def test_what_is_used_of_a_quota_of_version_1_counts_too(old_service: Path) -> None:
    write(old_service, {"sys/fs/cgroup/cpu,cpuacct/app.slice/cpuacct.usage": 3_000_000_000})
    assert (read_group(old_service).cores, read_group(old_service).used_s) == (1.5, 3.0)


def test_of_groups_of_both_versions_the_tightest_counts(old_service: Path) -> None:
    group = "sys/fs/cgroup/unified"
    write(
        old_service, {f"{group}/cgroup.controllers": "", f"{group}/memory.max": 90 * MB, f"{group}/memory.current": 0}
    )
    found = read_group(old_service)
    assert (found.memory_limit_bytes, found.memory_available_bytes, found.cores) == (90 * MB, 80 * MB, 1.5)


def test_a_container_sees_its_own_group_where_the_outermost_would_be(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "8:memory:/docker/0123456789ab",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": 100 * MB,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": 60 * MB,
    }
    assert read_group(write(tmp_path, files)) == ControlGroup(
        memory_limit_bytes=100 * MB, memory_available_bytes=40 * MB
    )


@given(
    st.lists(st.sampled_from(["max", "-1", "--1", "1 2", "0 0", "x", "", "9" * 5000, "1e3", "\0", "٣", "0::/a", "::"]))
)
def test_files_that_say_anything_at_all_are_no_traceback(
    tmp_path_factory: pytest.TempPathFactory, said: list[str]
) -> None:
    root = tmp_path_factory.mktemp("odd")
    names = ["proc/self/cgroup", "sys/fs/cgroup/cgroup.controllers"]
    names += [f"sys/fs/cgroup/{n}" for n in ("memory.max", "memory.current", "memory.stat", "cpu.max")]
    names += [f"sys/fs/cgroup/memory/memory.{n}_in_bytes" for n in ("limit", "usage")]
    names += [f"sys/fs/cgroup/cpu/cpu.cfs_{n}_us" for n in ("quota", "period")]
    names += [
        f"sys/class/thermal/thermal_zone0/{n}" for n in ("temp", "type", "trip_point_0_type", "trip_point_0_temp")
    ]
    names += [f"sys/devices/system/cpu/cpu0/cpufreq/{n}" for n in ("scaling_cur_freq", "cpuinfo_max_freq")]
    write(root, dict(zip(names, said, strict=False)))
    group = read_group(root)
    assert group.cores is None or group.cores > 0
    read_thermal(root)


def test_no_groups_no_limits(tmp_path: Path) -> None:
    assert read_group(tmp_path) == ControlGroup()
    hybrid = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/unified/cgroup.controllers": "", "sys/fs/cgroup/cpu.max": "x"}
    assert read_group(write(tmp_path, hybrid)) == ControlGroup()


def test_a_path_that_leaves_the_visible_groups_stays_inside(service: Path) -> None:
    write(service, {"proc/self/cgroup": "0::/../../etc", "sys/fs/cgroup/cpu.max": "max 100000"})
    assert read_group(service) == ControlGroup()


@pytest.mark.parametrize("content", ["", "nonsense", "some avg10=x", "full avg10=1.00"])
def test_what_is_no_pressure_file_is_no_pressure(tmp_path: Path, content: str) -> None:
    assert pressure(write(tmp_path, {"memory": content}) / "memory") is None
    assert pressure(tmp_path / "none") is None


def test_a_device_that_tells_nothing_is_not_throttled(tmp_path: Path) -> None:
    assert read_thermal(tmp_path) == Thermal()
    assert read_thermal(tmp_path, vcgencmd=str(tmp_path / "none")) == Thermal()


@pytest.mark.parametrize(
    ("bits", "why"),
    [("50000", ""), ("50005", "under-voltage, throttled"), ("80008", "soft temperature limit"), ("?", "")],
)
def test_a_raspberry_pi_says_why_it_is_held_back(tmp_path: Path, bits: str, why: str) -> None:
    for file in ("soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware", "soc@107c000000:firmware"):
        root = write(tmp_path / file, {f"sys/devices/platform/{file}/get_throttled": bits})
        assert read_thermal(root).throttled == why
    script = tmp_path / "vcgencmd"
    script.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x{bits}\n')
    script.chmod(0o700)
    assert read_thermal(tmp_path / "old", vcgencmd=str(script)).throttled == why


def test_a_zone_beyond_its_passive_trip_point_throttles(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    files: dict[str, object] = {
        f"{zone}/type": "cpu-thermal",
        f"{zone}/temp": 84_900,
        f"{zone}/trip_point_0_type": "critical",
        f"{zone}/trip_point_0_temp": 60_000,
        f"{zone}/trip_point_1_type": "passive",
        f"{zone}/trip_point_1_temp": 85_000,
        "sys/class/thermal/thermal_zone1/temp": -274_000,
    }
    assert read_thermal(write(tmp_path, files)) == Thermal(temperature_c=84.9)
    write(tmp_path, {f"{zone}/temp": 85_000})
    assert read_thermal(tmp_path).throttled == "cpu-thermal at 85 °C"


def test_only_cooling_of_processors_throttles(tmp_path: Path) -> None:
    fan, cpu = (f"sys/class/thermal/cooling_device{i}" for i in range(2))
    write(tmp_path, {f"{fan}/type": "pwm-fan", f"{fan}/cur_state": 3, f"{cpu}/type": "cpufreq-cpu0"})
    assert read_thermal(write(tmp_path, {f"{cpu}/cur_state": 0})).throttled == ""
    assert read_thermal(write(tmp_path, {f"{cpu}/cur_state": 2})).throttled == "cpufreq-cpu0 cooling"


def test_the_clock_is_that_of_the_fastest_core(tmp_path: Path) -> None:
    files: dict[str, object] = {}
    for core, now in enumerate((600_000, 1_200_000)):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        files |= {f"{folder}/scaling_cur_freq": now, f"{folder}/cpuinfo_max_freq": 1_500_000}
    assert read_thermal(write(tmp_path, files)).clock == 0.8


def test_this_machine_is_read(service: Path) -> None:
    write(service, {"proc/pressure/memory": psi(30), "proc/pressure/cpu": psi(1)})
    monitor = Monitor(service)
    first = monitor.read()
    enough = time.process_time() + 0.3
    while time.process_time() < enough:
        pass
    second = monitor.read()
    assert first.own_cores is None
    assert second.own_cores is not None
    assert second.own_cores > 0.1 / (second.time_s - first.time_s)  # this very process was busy
    assert second.time_s > first.time_s
    assert second.memory_total_bytes == 400 * MB
    assert second.memory_available_bytes < 80 * MB  # less what this process has mapped
    assert (second.memory_pressure, second.cpu_pressure) == (0.3, 0.01)
    assert second.cores_allowed <= min(1.5, second.cores_total)


def test_without_groups_the_system_itself_counts(tmp_path: Path) -> None:
    readings = Monitor(tmp_path).read()
    assert readings.memory_total_bytes == psutil.virtual_memory().total
    assert 0 <= readings.memory_available_bytes < readings.memory_total_bytes
    assert readings.memory_pressure is None


SHARING = """
import mmap, os, time
held = mmap.mmap(-1, 64 << 20)  # shared memory, as that between a runtime and its isolated models
held.write(b"x" * (64 << 20))
print("ready", flush=True)
time.sleep(600)
"""


def test_shared_memory_is_not_taken_off_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no file page: what the system counts as available is without it already."""
    counted = psutil.virtual_memory()._replace(available=1 << 40)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: counted)  # other processes take and give back meanwhile
    before = counted.available - Monitor(tmp_path).read().memory_available_bytes
    child = subprocess.Popen([sys.executable, "-c", SHARING], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        shared = psutil.Process(child.pid).memory_info().shared
        taken = counted.available - Monitor(tmp_path).read().memory_available_bytes
    finally:
        child.kill()
        child.wait()
    assert shared >= 64 << 20
    assert taken < before + (32 << 20)


def test_a_system_that_does_not_tell_processor_time_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = Path("/proc/meminfo").read_text().rstrip()
    write(tmp_path / "proc", {"meminfo": meminfo, "zoneinfo": ""})
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    monitor = Monitor(tmp_path)
    monitor.read()
    readings = monitor.read()
    assert (readings.busy_cores, readings.own_cores, readings.competing) == (None, None, ())
    assert readings.memory_total_bytes > 0
