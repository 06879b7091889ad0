"""Processors have names that tell devices apart, whatever their kernels say of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from legodnn.errors import ProfileError
from legodnn.profile import Fingerprint, Latency, OptionProfile, Profile
from legodnn.runtime.device.processor import cpu_name, usable_cores
from tests.runtime.device import boards

ALL = range(64)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (boards.pi3, "Raspberry Pi 3 Model B Rev 1.2; 4 x Cortex-A53 at 1.2 GHz"),
        (boards.pi4, "Raspberry Pi 4 Model B Rev 1.4; 4 x Cortex-A72 at 1.8 GHz"),
        (boards.pi5, "Raspberry Pi 5 Model B Rev 1.0; 4 x Cortex-A76 at 2.4 GHz"),
        (
            boards.rock5b,
            "Radxa ROCK 5B; 4 x Cortex-A55 at 1.8 GHz + 2 x Cortex-A76 at 2.4 GHz + 2 x Cortex-A76 at 2.35 GHz",
        ),
        (boards.jetson_nano, "NVIDIA Jetson Nano Developer Kit; 4 x Cortex-A57 at 1.48 GHz"),
        (boards.x86, "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz"),
    ],
)
def test_devices_have_names(tmp_path: Path, device: Callable[[Path], Path], name: str) -> None:
    assert cpu_name(device(tmp_path), ALL) == name


def test_different_devices_have_different_names_on_every_kernel(tmp_path: Path) -> None:
    """Mainline, the Raspberry Pi's own, a 32-bit one, a container that hides the device tree, or without cpufreq."""
    own = "Hardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: {}"
    names = []
    for kernel in range(5):
        for i, (part, khz) in enumerate(
            [("0x41:0xd03", 1_200_000), ("0x41:0xd08", 1_500_000), ("0x41:0xd0b", 2_400_000)]
        ):
            board = f"Raspberry Pi {i + 3} Model B"
            names.append(
                cpu_name(
                    boards.arm(
                        tmp_path / f"{kernel}-{i}",
                        [(part, 0 if kernel == 4 else khz)] * 4,
                        board="" if kernel == 3 else board,
                        head="model name\t: ARMv7 Processor rev 3 (v7l)\n" if kernel == 2 else "",
                        tail=own.format(board) if kernel == 1 else "",
                    ),
                    ALL,
                )
            )
    for same_kernel in (names[i : i + 3] for i in range(0, 15, 3)):
        assert len(set(same_kernel)) == 3
        assert not any("unknown" in name or "rev 3" in name for name in same_kernel)
    assert names[0:3] == names[3:6] == names[6:9]  # a device is itself on every kernel that shows as much


def test_a_board_that_is_clocked_otherwise_is_another(tmp_path: Path) -> None:
    slow, fast = (
        boards.arm(tmp_path / str(khz), [("0x41:0xd08", khz)] * 4, board="Pi") for khz in (1_500_000, 2_000_000)
    )
    assert cpu_name(slow, ALL) != cpu_name(fast, ALL)


def test_of_big_and_little_cores_those_count_that_the_process_may_use(tmp_path: Path) -> None:
    board = boards.rock5b(tmp_path)
    assert cpu_name(board, {0, 1, 2, 3}) == "Radxa ROCK 5B; 4 x Cortex-A55 at 1.8 GHz"
    assert cpu_name(board, {4, 5}) == "Radxa ROCK 5B; 2 x Cortex-A76 at 2.4 GHz"


def test_cores_that_are_unplugged_are_not_counted(tmp_path: Path) -> None:
    board = boards.pi4(tmp_path)
    text = (board / "proc/cpuinfo").read_text()
    (board / "proc/cpuinfo").write_text("\n\n".join(text.split("\n\n")[:3]))
    assert cpu_name(board, ALL).endswith("; 3 x Cortex-A72 at 1.8 GHz")


def test_an_unknown_core_is_named_by_its_numbers(tmp_path: Path) -> None:
    assert cpu_name(boards.arm(tmp_path, [("0x61:0x028", 0)] * 2), ALL) == "2 x core 0x61:0x028"


def test_an_old_kernel_describes_all_cores_at_once(tmp_path: Path) -> None:
    cpuinfo = (
        "Processor\t: ARMv7 Processor rev 5 (v7l)\nprocessor\t: 0\nBogoMIPS\t: 38.40\n\n"
        "processor\t: 1\nBogoMIPS\t: 38.40\n\n"
        "Features\t: swp half thumb\nCPU implementer\t: 0x41\nCPU architecture: 7\nCPU part\t: 0xc07\n\n"
        "Hardware\t: sun8i"
    )
    assert cpu_name(boards.write(tmp_path, {"proc/cpuinfo": cpuinfo}), ALL) == "sun8i; 2 x Cortex-A7"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (
            {"proc/cpuinfo": "processor\t: 0\nhart\t: 0\nisa\t: rv64imafdc\nmmu\t: sv39\nuarch\t: sifive,u74-mc"},
            "sifive,u74-mc",
        ),
        (
            {"proc/cpuinfo": "system type\t: MT7621\nprocessor\t: 0\ncpu model\t: MIPS 1004Kc V2.15"},
            "MIPS 1004Kc V2.15",
        ),
        ({"proc/cpuinfo": "CPU implementer\t: 0x41"}, "unknown"),
        ({"proc/cpuinfo": "CPU implementer\n\nprocessor: x\n:::\n\0"}, "unknown"),
        ({"proc/cpuinfo": "", "sys/class/dmi/id/product_name": "Ampere Altra Server"}, "Ampere Altra Server"),
    ],
)
def test_whatever_a_kernel_says_there_is_a_name(tmp_path: Path, files: dict[str, object], name: str) -> None:
    assert cpu_name(boards.write(tmp_path, files), ALL) == name


def test_without_any_files_the_processor_has_a_name(tmp_path: Path) -> None:
    assert cpu_name(tmp_path)
    assert cpu_name() == cpu_name(cores=range(os.cpu_count() or 1)) or usable_cores() < (os.cpu_count() or 1)


def test_a_profile_of_another_board_is_refused_and_says_which(tmp_path: Path) -> None:
    devices = (boards.pi3, boards.pi4, boards.pi5, boards.rock5b, boards.jetson_nano)
    prints = [
        Fingerprint(machine="aarch64", cpu=cpu_name(device(tmp_path / str(i)), ALL), cores=4, executor="x 1")
        for i, device in enumerate(devices)
    ]
    old = Fingerprint(machine="aarch64", cpu="unknown", cores=4, executor="x 1")  # as profiles of such boards were
    option = OptionProfile(
        segment="b", option="o", memory_bytes=1, load_ms=1.0,
        latency=(Latency(threads=1, runs=1, min_ms=1.0, median_ms=1.0, p95_ms=1.0),),
    )  # fmt: skip
    for measured, here in itertools.permutations([*prints, old], 2):
        profile = Profile(store_id="s", model="m", device=measured, created="now", options=(option,))
        with pytest.raises(ProfileError, match="measured on another device") as error:
            profile.check_device(here)
        assert repr(measured.cpu) in str(error.value)
        assert repr(here.cpu) in str(error.value)
        assert "run `legodnn profile` here" in str(error.value)
