"""What the kernels of some devices say of their processors, as files under a folder; for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ARM64 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
ARM64_2 = f"{ARM64.replace(' cpuid', '')} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
ARM32 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32"


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files by their names below a folder, each with a newline at its end, and return the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def arm(root: Path, cores: Sequence[tuple[str, int]], *, board: str = "", head: str = "", tail: str = "") -> Path:
    """An ARM device.

    Args:
        root: where the files are written.
        cores: part ("0x41:0xd08") and greatest clock in kHz of each; 0 where there is no cpufreq.
        board: of the device tree; "" for a kernel or container that shows none.
        head: what the kernel writes of each core before "BogoMIPS".
        tail: its last paragraph.
    """
    features = ARM32 if "v7l" in head else ARM64_2 if any("0xd0b" in part for part, _ in cores) else ARM64
    paragraphs = [
        f"processor\t: {number}\n{head}BogoMIPS\t: 108.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: {part.partition(':')[0]}\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {part.partition(':')[2]}\nCPU revision\t: 3\n"
        for number, (part, _) in enumerate(cores)
    ]
    files: dict[str, object] = {"proc/cpuinfo": "\n".join([*paragraphs, *([tail] if tail else [])])}
    for number, (_, khz) in enumerate(cores):
        if khz:
            files[f"sys/devices/system/cpu/cpu{number}/cpufreq/cpuinfo_max_freq"] = khz
    write(root, files)
    if board:
        (root / "proc/device-tree").mkdir()
        (root / "proc/device-tree/model").write_bytes(board.encode() + b"\0")
    return root


def pi3(root: Path, **more: str) -> Path:
    return arm(root, [("0x41:0xd03", 1_200_000)] * 4, board="Raspberry Pi 3 Model B Rev 1.2", **more)


def pi4(root: Path, **more: str) -> Path:
    return arm(root, [("0x41:0xd08", 1_800_000)] * 4, board="Raspberry Pi 4 Model B Rev 1.4", **more)


def pi5(root: Path, **more: str) -> Path:
    return arm(root, [("0x41:0xd0b", 2_400_000)] * 4, board="Raspberry Pi 5 Model B Rev 1.0", **more)


def rock5b(root: Path) -> Path:
    cores = [("0x41:0xd05", 1_800_000)] * 4 + [("0x41:0xd0b", 2_400_000)] * 2 + [("0x41:0xd0b", 2_352_000)] * 2
    return arm(root, cores, board="Radxa ROCK 5B")


def jetson_nano(root: Path) -> Path:
    """A device whose kernel describes every core, and all alike, as that of the TX1 does."""
    head = "model name\t: ARMv8 Processor rev 1 (v8l)\n"
    return arm(root, [("0x41:0xd07", 1_479_000)] * 4, board="NVIDIA Jetson Nano Developer Kit", head=head)


def x86(root: Path) -> Path:
    paragraph = (
        "processor\t: {}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 142\n"
        "model name\t: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz\nstepping\t: 10\ncpu MHz\t\t: 3400.000\n"
        "cache size\t: 6144 KB\nflags\t\t: fpu sse4_1 avx avx2 fma f16c\nbogomips\t: 3600.00\n"
    )
    write(root, {"proc/cpuinfo": "\n".join(paragraph.format(core) for core in range(8))})
    return write(root, {"sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": 3_400_000})
