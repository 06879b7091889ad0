"""`legodnn doctor`: say what this device has, what is missing, and the command that adds it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from legodnn.console import say
from legodnn.errors import ConfigError, DependencyError, LegoError, PackingError
from legodnn.units import size

_BITS = struct.calcsize("P") * 8  # of an address in this Python; the kernel may have more
_MARKS = {"ok": "ok  ", "note": "note", "missing": "MISS"}
# Optional packages: module, what it is for, and the extra that installs it.
_OPTIONAL = (
    ("tensorflow", "building stores (not needed on a device)", "train"),
    ("onnx", "models in ONNX (not needed on a device)", "onnx"),
    ("litert_torch", "models in PyTorch (not needed on a device)", "torch"),
    ("matplotlib", "reports and plots", "plot"),
    ("PIL", "folders of images and cameras as input", "images"),
    ("cv2", "cameras and video files as input", "camera"),
    ("rich", "progress bars and `legodnn run --live`", "live"),
    ("starlette", "`legodnn serve`", "serve"),
    ("uvicorn", "`legodnn serve`", "serve"),
    ("prometheus_client", "figures for Prometheus", "metrics"),
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: the name of what was checked, such as "Python" or "memory".
        state: "ok" if it is in order, "note" if it could be better, "missing" if models cannot run here without it.
        found: what the check found.
        remedy: what the user can do about it; empty if there is nothing to do.
    """

    what: str
    state: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help=summary,
        description="Check what is needed to run and profile models: Python, executors, processor, memory and its "
        "limits, the cache of packed weights, heat and clock, power meters, optional packages, a GPU for training. The "
        "exit status is 1 if models cannot run here.",
        epilog="example:\n  legodnn doctor",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything, and print one line for each finding."""
    findings = list(examine())
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        width = max(len(finding.what) for finding in findings)
        for f in findings:
            say(f"{_MARKS[f.state]}  {f.what:<{width}}  {f.found}")
            if f.remedy:
                say(f"      {'':<{width}}  -> {f.remedy}")
    return int(any(finding.state == "missing" for finding in findings))


def examine(root: Path = Path("/")) -> Iterator[Finding]:
    """Yield all findings.

    Args:
        root: the folder that holds `proc`, `sys`, `dev` and `boot`.
    """
    yield _python(platform.python_version())
    yield from _executors()
    yield from _processor(root)
    yield from _memory(root)
    yield _cache()
    yield from _meters(root)
    for module, purpose, extra in _OPTIONAL:
        there = importlib.util.find_spec(module) is not None
        remedy = "" if there else f"pip install 'legodnn[{extra}]'"
        yield Finding(module, "ok" if there else "note", f"{'for' if there else 'missing, for'} {purpose}", remedy)
        if module == "tensorflow" and there:
            yield _gpu(root)


def _python(version: str) -> Finding:
    """Return what can be done with a version of Python."""
    found = version + (f", {_BITS} bits" if _BITS != 64 else "")
    minor = tuple(map(int, version.split(".")[:2]))
    if minor == (3, 14):
        return Finding("Python", "ok", f"{found}: for devices; stores are built with 3.10 to 3.13")
    if (3, 10) <= minor <= (3, 13):
        return Finding("Python", "ok", found)
    return Finding("Python", "note", found, "3.10 to 3.14 are tested")


def _gpu(root: Path, used: Callable[[], Sequence[str]] | None = None) -> Finding:
    """Return whether training can use a GPU.

    Args:
        root: the folder that holds `proc` and `dev`.
        used: returns the names of the GPUs that TensorFlow sees; by default it is asked, where there is a GPU, in a
            process of its own, since it takes seconds to load.
    """
    if not any((root / "proc/driver/nvidia/gpus").glob("*")) and not (root / "dev/dxg").exists():
        return Finding("GPU", "ok", "none: training runs on the processor, and --mixed-precision is refused")
    if names := (used or _gpus_of_tensorflow)():
        return Finding("GPU", "ok", f"TensorFlow trains on {', '.join(names)}; --mixed-precision may make it faster")
    remedy = "pip install 'tensorflow[and-cuda]'"
    return Finding(
        "GPU", "note", "there is one, but TensorFlow does not see it: training runs on the processor", remedy
    )


def _gpus_of_tensorflow() -> list[str]:
    code = "import tensorflow as tf; print(*(d.name for d in tf.config.list_physical_devices('GPU')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.split()


def _runtime(bits: int, version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return how to get a TensorFlow Lite runtime for a Python of this many bits and this version."""
    if bits == 64:
        return "pip install ai-edge-litert"
    if version <= (3, 11):
        return f"sh {Path(__file__).parents[1] / 'profiler' / 'install_on_device.sh'} WHEEL"
    return "there is none for 32 bits and this Python: use a 64-bit system, or Python 3.11"


def _executors() -> Iterator[Finding]:
    from legodnn.runtime.executors import interpreter, litert_capi, select

    try:
        yield Finding("Interpreter", "ok", interpreter.interpreter_name())
    except DependencyError as e:
        lacking, _, remedy = str(e).rpartition("; ")
        absent = str(e).startswith("no TensorFlow Lite runtime")
        yield Finding("Interpreter", "missing", lacking, _runtime(_BITS) if absent else remedy)
        return
    if problem := litert_capi.capi_problem():
        remedy = "pip install -U 'ai-edge-litert>=2.2,<3'" if _BITS == 64 else ""
        yield Finding("LiteRT C API", "note", f"not usable, switches take longer: {problem}", remedy)
    else:
        yield Finding("LiteRT C API", "ok", litert_capi.capi_name())
    if asked := os.environ.get(select.EXECUTOR_VARIABLE):
        try:
            select.executor_kind()
        except (ConfigError, DependencyError) as e:  # as every command says that opens a store
            lacking, _, remedy = str(e).removeprefix(f"{select.EXECUTOR_VARIABLE}: ").partition("; ")
            yield Finding(select.EXECUTOR_VARIABLE, "missing", lacking, remedy)
        else:
            yield Finding(select.EXECUTOR_VARIABLE, "note", asked, "unset it for the best there is")


def _processor(root: Path) -> Iterator[Finding]:
    from legodnn.profiler.conditions import conditions, cpu_features, moment
    from legodnn.runtime.device.cgroup import read_group
    from legodnn.runtime.device.processor import cpu_name, usable_cores

    features = " ".join(cpu_features(root)) or "none that matter"
    yield Finding("processor", "ok", f"{cpu_name(root)} ({platform.machine()}); {features}")
    share = read_group(root).cores
    limited = f", of which the control group allows {share:g}" if share is not None else ""
    yield Finding("cores", "ok", f"{usable_cores()}{limited}")
    now = moment(root)
    clock = f"{now.mhz:.0f} MHz" if now.mhz else "the system tells no clock"
    found = conditions(now, now, root=root)
    warnings = "; ".join(found.warnings)
    governor = f", governor {found.governor}" if found.governor else ""
    yield Finding("clock and heat", "note" if warnings else "ok", clock + governor, warnings)


def _memory(root: Path) -> Iterator[Finding]:
    import psutil

    from legodnn.runtime.device.cgroup import pressure, read_group
    from legodnn.runtime.device.kernel_files import text

    group = read_group(root)
    try:
        memory = psutil.virtual_memory()
        found = f"{size(memory.total)}, available {size(memory.available)}"
    except (OSError, ValueError, LookupError) as e:
        found = f"the system does not tell ({e})"
    if group.memory_limit_bytes is not None:
        found += f"; the control group allows {size(group.memory_limit_bytes)}"
    yield Finding("memory", "ok" if found[0].isdigit() else "note", found)
    pss = text(root / "proc/self/smaps") != ""
    yield Finding(
        "measuring memory",
        "ok" if pss else "note",
        "proportional set size" if pss else "resident size only: the kernel does not tell proportional set size",
    )
    if group.memory_pressure is None and pressure(root / "proc/pressure/memory") is None:
        yield Finding("memory pressure", "note", "the kernel does not tell it (PSI)", _pressure_remedy(root))


def _pressure_remedy(root: Path) -> str:
    """Return how to switch on PSI, with which the kernel tells how long processes wait for memory.

    Raspberry Pis keep the kernel's parameters in a file.
    """
    files = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")
    line = next((root / name for name in files if (root / name).is_file()), None)
    where = f"add psi=1 to the line in {line}" if line else "add psi=1 to the kernel's parameters"
    return f"{where}, and boot again; without it available memory alone decides"


def _cache() -> Finding:
    from legodnn.runtime.executors.cache_folder import cache_folder, cache_limit

    try:
        path = cache_folder()
        cache_limit()
    except ConfigError as e:  # what the user has set is never passed over: no store is opened
        return Finding("packed weights", "missing", f"cannot be kept: {e}")
    except PackingError as e:
        return Finding("packed weights", "note", f"cannot be kept: {e}")
    free = shutil.disk_usage(path).free
    return Finding("packed weights", "ok", f"{path}, {size(free)} free")


def _meters(root: Path) -> Iterator[Finding]:
    from legodnn.profiler.meters import METERS, open_meter

    for name in (name for name, meter in METERS.items() if not meter.argument):
        try:
            open_meter(name, root)
        except LegoError as e:
            yield Finding(f"energy: {name}", "note", str(e))
        else:
            yield Finding(f"energy: {name}", "ok", f"legodnn profile STORE --energy {name}")
