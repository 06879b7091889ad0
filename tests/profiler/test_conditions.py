"""Conditions are told as the kernel does, and what may have disturbed the measurements is a warning."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import psutil
import pytest

from legodnn.profiler.conditions import (
    Moment,
    busy_elsewhere,
    conditions,
    cpu_features,
    moment,
    with_earlier_warnings,
)
from legodnn.profiler.profiling_state import ProfilingState
from tests.runtime.device.boards import write

CALM = Moment(1500.0, "")


def test_a_moment_has_the_clock_of_the_fastest_core_and_what_holds_it_back(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1_500_000,
            "sys/devices/system/cpu/cpu11/cpufreq/scaling_cur_freq": 2_400_000,
            "sys/devices/system/cpu/cpuidle/cpufreq/scaling_cur_freq": 9_900_000,
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
        },
    )
    assert moment(root) == Moment(2400.0, "under-voltage, throttled")


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert moment(tmp_path) == Moment(None, "")
    found = conditions(moment(tmp_path), moment(tmp_path), root=tmp_path)
    assert found.kernel == platform.release()
    assert (found.cpu_features, found.governor, found.mhz, found.warnings) == ((), None, (None, None), ())


@pytest.mark.parametrize(
    ("before", "after", "busy", "governor", "warning"),
    [
        (CALM, Moment(1200.0, ""), 0.0, "schedutil", "the clock went from 1500 to 1200 MHz while measuring"),
        (CALM, Moment(1500.0, "throttled"), 0.0, "performance", "the processor was held back: throttled"),
        (Moment(1500.0, "clock capped"), CALM, 0.0, "performance", "the processor was held back: clock capped"),
        (CALM, CALM, 0.6, "performance", "other processes kept 60% of the processor busy when measuring began"),
        (CALM, CALM, 0.0, "ondemand", "the clock's governor is 'ondemand'; `cpupower frequency-set -g performance`"),
    ],
)
def test_what_may_have_disturbed_is_a_warning(
    tmp_path: Path, before: Moment, after: Moment, busy: float, governor: str, warning: str
) -> None:
    root = write(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": governor})
    found = conditions(before, after, busy, root)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(warning)
    assert found.governor == governor
    assert found.mhz == (before.mhz, after.mhz)
    assert found.throttled == (before.throttled, after.throttled)


def clusters(root: Path, *found: tuple[str, int, int]) -> Path:
    """Cores with a governor, what it may give at the most, and what the hardware can, in kHz; the first has none."""
    files: dict[str, object] = {"sys/devices/system/cpu/cpu0/online": 1}
    for core, (governor, limit, most) in enumerate(found, 1):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        files |= {f"{folder}/scaling_governor": governor, f"{folder}/scaling_max_freq": limit}
        files[f"{folder}/cpuinfo_max_freq"] = most
    return write(root, files)


def test_the_governors_of_all_cores_count(tmp_path: Path) -> None:
    board = clusters(tmp_path / "a", ("schedutil", 1_800_000, 1_800_000), ("powersave", 2_400_000, 2_400_000))
    found = conditions(CALM, CALM, root=board)
    assert found.governor == "schedutil, powersave"
    (warning,) = found.warnings
    assert warning.startswith("the clock's governor is 'schedutil, powersave'")
    same = clusters(tmp_path / "b", ("schedutil", 1_800_000, 1_800_000), ("performance", 2_400_000, 2_400_000))
    assert conditions(CALM, CALM, root=same).warnings == ()


def test_a_clock_that_is_held_below_what_the_hardware_can_is_a_warning(tmp_path: Path) -> None:
    board = clusters(tmp_path, *[("schedutil", 918_000, 1_479_000)] * 4, ("schedutil", 2_400_000, 2_400_000))
    assert conditions(CALM, CALM, root=board).warnings == ("the clock is limited to 918 of 1479 MHz",)


def test_where_others_cannot_be_watched_nothing_is_said_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert busy_elsewhere(0.01) == 0.0


def test_small_changes_are_none(tmp_path: Path) -> None:
    assert conditions(CALM, Moment(1450.0, ""), 0.2, tmp_path).warnings == ()
    assert conditions(Moment(None, ""), CALM, 0.0, tmp_path).warnings == ()


def test_features_are_those_that_matter_by_whole_words(tmp_path: Path) -> None:
    x86 = write(
        tmp_path / "x", {"proc/cpuinfo": "model name\t: avx512f chip\nflags\t\t: fpu sse4_1 avx avx2 avx512_fp16"}
    )
    assert cpu_features(x86) == ("sse4_1", "avx", "avx2")
    arm = write(tmp_path / "a", {"proc/cpuinfo": "Features\t: fp asimd asimdhp asimddp\nFeatures\t: fp asimd\nCPU : 8"})
    assert cpu_features(arm) == ("asimd", "asimdhp", "asimddp")


def test_watching_for_others_is_a_share_and_waits_as_long_as_it_says() -> None:
    start = time.monotonic()
    assert 0 <= busy_elsewhere(0.1) <= 1
    assert time.monotonic() - start >= 0.1


def test_warnings_of_before_an_interruption_are_kept_and_told_once(tmp_path: Path) -> None:
    kept = []
    for after in (Moment(1200.0, ""), CALM, Moment(1200.0, "throttled")):  # each part is measured by another process
        stage = ProfilingState(tmp_path / "p.work", {}).stage("conditions")
        kept.append(with_earlier_warnings(conditions(CALM, after, root=tmp_path / "board"), stage).warnings)
    assert kept[0] == kept[1] == ("the clock went from 1500 to 1200 MHz while measuring",)
    assert kept[2] == (*kept[0], "the processor was held back: throttled")
