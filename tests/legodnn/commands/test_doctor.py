"""`legodnn doctor` says what a device has, what is missing, and the command that adds it.

Covers also: commands.doctor.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import legodnn
from legodnn.cli import main
from legodnn.commands.doctor import Finding, _gpu, _python, _runtime, examine
from legodnn.runtime.executors import litert_capi
from tests.runtime.device.boards import write

INSTALL = Path(legodnn.__file__).parent / "profiler" / "install_on_device.sh"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board in a container, on battery, too hot, with a governor that hesitates."""
    cpu, group = "sys/devices/system/cpu/cpu0/cpufreq", "sys/fs/cgroup"
    return write(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer: 0x41\nCPU part: 0xd0b",
            "proc/device-tree/model": "Raspberry Pi 5 Model B",
            "proc/self/cgroup": "0::/",
            "proc/self/smaps": "",
            f"{group}/cgroup.controllers": "cpu memory",
            f"{group}/cpu.max": "150000 100000",
            f"{group}/memory.max": 300_000_000,
            f"{group}/memory.current": 100_000_000,
            f"{group}/memory.pressure": "some avg10=1.00 avg60=0.00 avg300=0.00 total=12",
            f"{cpu}/scaling_cur_freq": 1_800_000,
            f"{cpu}/scaling_governor": "ondemand",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "4",
            "sys/class/power_supply/BAT0/type": "Battery",
            "sys/class/power_supply/BAT0/status": "Discharging",
            "sys/class/power_supply/BAT0/power_now": 4_000_000,
        },
    )


def by_name(root: Path) -> dict[str, Finding]:
    found = list(examine(root))
    assert len({f.what for f in found}) == len(found)
    return {f.what: f for f in found}


def test_a_device_is_described_as_its_kernel_does(board: Path) -> None:
    found = by_name(board)
    assert found["Python"].state == "ok"
    assert found["processor"].found.startswith("Raspberry Pi 5 Model B; 1 x Cortex-A76 (")
    assert found["processor"].found.endswith("; asimd asimddp")
    assert found["cores"].found.endswith(", of which the control group allows 1.5")
    assert found["clock and heat"].found == "1800 MHz, governor ondemand"
    assert found["clock and heat"].state == "note"
    assert "held back: throttled" in found["clock and heat"].remedy
    assert "cpupower frequency-set -g performance" in found["clock and heat"].remedy
    assert found["memory"].found.endswith("; the control group allows 300 MB")
    assert found["measuring memory"].state == "ok"
    assert "memory pressure" not in found
    assert found["energy: battery"] == Finding("energy: battery", "ok", "legodnn profile STORE --energy battery")
    assert found["energy: rapl"].state == "note"
    assert "no RAPL counters" in found["energy: rapl"].found


def test_a_device_that_tells_nothing_is_described_too(tmp_path: Path) -> None:
    found = by_name(tmp_path)
    assert found["clock and heat"] == Finding("clock and heat", "ok", "the system tells no clock")
    assert found["measuring memory"].state == "note"
    assert found["memory pressure"].remedy.startswith("add psi=1 to the kernel's parameters, and boot again")
    assert found["energy: battery"].state == "note"


@pytest.mark.parametrize("name", ["boot/firmware/cmdline.txt", "boot/cmdline.txt"])
def test_a_raspberry_pi_is_told_where_its_kernels_parameters_are(tmp_path: Path, name: str) -> None:
    found = by_name(write(tmp_path, {name: "console=serial0,115200 root=PARTUUID=1-2 rootwait"}))["memory pressure"]
    assert found.state == "note"
    assert found.remedy.startswith(f"add psi=1 to the line in {tmp_path / name}, and boot again")


def test_pressure_that_is_there_but_switched_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "proc/pressure/memory").mkdir(parents=True)  # exists, and cannot be read
    assert "psi=1" in by_name(tmp_path)["memory pressure"].remedy
    write(tmp_path / "on", {"proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"})
    assert "memory pressure" not in by_name(tmp_path / "on")


def test_a_system_that_does_not_tell_its_memory_is_described_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "none"))
    found = by_name(tmp_path)
    assert found["memory"].state == "note"
    assert found["memory"].found.startswith("the system does not tell (")


@pytest.mark.parametrize(
    ("bits", "version", "remedy"),
    [
        (64, (3, 13), "pip install ai-edge-litert"),
        (32, (3, 11), f"sh {INSTALL} WHEEL"),
        (32, (3, 12), "there is none for 32 bits and this Python"),
    ],
)
def test_which_runtime_there_is_depends_on_the_size_of_a_pointer(
    bits: int, version: tuple[int, int], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's name is that of the kernel: aarch64 also for a 32-bit system."""
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert _runtime(bits, version).startswith(remedy)


def test_this_device_can_run_models_and_every_remedy_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    for f in examine():
        assert f.what in out
        assert f.remedy in out
    assert "MISS" not in out


@pytest.mark.parametrize(
    ("version", "state", "told"),
    [("3.9.2", "note", ""), ("3.10.1", "ok", ""), ("3.14.0", "ok", "for devices; stores are built with 3.10 to 3.13")],
)
def test_devices_may_have_a_newer_python_than_workstations(version: str, state: str, told: str) -> None:
    found = _python(version)
    assert found.state == state
    assert told in found.found
    assert bool(found.remedy) == (state == "note")


def test_what_the_service_needs_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = by_name(tmp_path)
    for name in ("starlette", "uvicorn"):
        assert found[name] == Finding(name, "note", "missing, for `legodnn serve`", "pip install 'legodnn[serve]'")


def test_json_is_a_list_of_findings(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capfd.readouterr().out)
    assert {tuple(f) for f in findings} == {("what", "state", "found", "remedy")}
    assert {f["state"] for f in findings} <= {"ok", "note"}
    assert {"Python", "Interpreter", "processor", "memory", "packed weights"} <= {f["what"] for f in findings}


def doctor_without(
    *modules: str, flags: tuple[str, ...] = (), path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        f"hidden = {modules!r}\n"
        "class Hiding(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name.split('.')[0] in hidden else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding\n"
        "from legodnn.cli import main\n"
        f"sys.exit(main(['doctor', *{flags!r}]))"
    )
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_without_a_runtime_models_cannot_run_and_the_command_that_adds_it_is_named() -> None:
    done = doctor_without("ai_edge_litert", "tflite_runtime", "tensorflow", flags=("--json",))
    assert done.returncode == 1, done.stderr
    missing = [f for f in json.loads(done.stdout) if f["state"] == "missing"]
    assert [(f["what"], f["found"]) for f in missing] == [("Interpreter", "no TensorFlow Lite runtime is installed")]
    assert missing[0]["remedy"] == _runtime(8 * struct.calcsize("P"))


def test_a_runtime_that_is_there_and_cannot_be_imported_is_described(tmp_path: Path) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime/__init__.py").write_text("")
    why = "libstdc++.so.6: cannot open shared object file: No such file or directory"
    (tmp_path / "tflite_runtime/interpreter.py").write_text(f"raise ImportError({why!r})\n")
    done = doctor_without("ai_edge_litert", "tensorflow", flags=("--json",), path=tmp_path)
    assert done.returncode == 1, done.stderr
    (missing,) = (f for f in json.loads(done.stdout) if f["state"] == "missing")
    assert missing["found"] == f"tflite-runtime is installed but cannot be loaded: {why}"
    assert "pip install" not in missing["remedy"]


def test_what_is_optional_is_no_fault() -> None:
    done = doctor_without("matplotlib", "rich", "prometheus_client", "PIL")
    assert done.returncode == 0, done.stderr
    assert "missing, for reports and plots" in done.stdout
    assert "-> pip install 'legodnn[plot]'" in done.stdout


def test_a_forced_executor_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGODNN_EXECUTOR", "interpreter")
    assert by_name(Path("/"))["LEGODNN_EXECUTOR"].found == "interpreter"


def test_a_default_cache_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("LEGODNN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    finding = by_name(Path("/"))["packed weights"]
    assert finding.state == "note"
    assert "cannot be kept" in finding.found


@pytest.mark.parametrize(
    ("variable", "value", "what", "found"),
    [
        ("LEGODNN_EXECUTOR", "typo", "LEGODNN_EXECUTOR", "no executor 'typo'"),
        ("LEGODNN_CACHE", "FILE/cache", "packed weights", "cannot use the cache folder"),
        ("LEGODNN_CACHE_LIMIT", "lots", "packed weights", "LEGODNN_CACHE_LIMIT: "),
    ],
)
def test_a_setting_with_which_no_store_is_opened_is_a_fault(
    variable: str,
    value: str,
    what: str,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, value.replace("FILE", str(tmp_path / "file")))
    assert main(["doctor", "--json"]) == 1
    (missing,) = (f for f in json.loads(capfd.readouterr().out) if f["state"] == "missing")
    assert missing["what"] == what
    assert found in missing["found"]


def test_the_c_api_where_it_cannot_be_used_is_a_fault_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_capi, "capi_problem", lambda: "too old")
    monkeypatch.setenv("LEGODNN_EXECUTOR", "capi")
    finding = by_name(Path("/"))["LEGODNN_EXECUTOR"]
    assert finding == Finding(
        "LEGODNN_EXECUTOR",
        "missing",
        "LiteRT's C API cannot be used: too old",
        "unset LEGODNN_EXECUTOR to run without it",
    )


def test_a_gpu_that_tensorflow_does_not_see_is_told_with_what_to_install(tmp_path: Path) -> None:
    assert _gpu(tmp_path).state == "ok"
    assert _gpu(tmp_path).found.startswith("none: training runs on the processor")
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    assert _gpu(tmp_path, lambda: ["/physical_device:GPU:0"]).found.startswith(
        "TensorFlow trains on /physical_device:GPU:0"
    )
    assert _gpu(tmp_path, lambda: []) == Finding(
        "GPU",
        "note",
        "there is one, but TensorFlow does not see it: training runs on the processor",
        "pip install 'tensorflow[and-cuda]'",
    )


@pytest.mark.slow
def test_tensorflow_itself_is_asked_for_gpus(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    seen = bool(tf.config.list_physical_devices("GPU"))
    assert (_gpu(tmp_path).state == "ok") == seen
