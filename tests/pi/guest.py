"""What runs in the emulated machine: the checks, one after another, each reported on the console as it ends."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.pi.console import reported

STORES = [Path("stores/tiny"), Path("stores/tiny2")]
TESTS = (
    "tests/runtime/device",
    "tests/runtime/executors/test_address_space.py",
    "tests/runtime/executors/test_litert_capi.py",
    "tests/runtime/executors/test_select.py",
    "tests/runtime/planning/test_scheduler_numbers.py",
    "tests/runtime/planning/test_scheduler_refusals.py",
    "tests/runtime/planning/test_workload_tables.py",
    "tests/runtime/test_switch.py",
    "tests/legodnn/test_store.py",
    "tests/legodnn/test_profile.py",
)


def main() -> None:
    """Run one check, or all that the kernel was started with, each in a process of its own: one may be killed."""
    if len(sys.argv) > 1:
        start = time.monotonic()
        found = CHECKS[sys.argv[1]]()
        print("\n" + reported(sys.argv[1], True, found, time.monotonic() - start), flush=True)
        return
    (chosen,) = (word[7:] for word in Path("/proc/cmdline").read_text().split() if word.startswith("checks="))
    for name in chosen.split(","):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "tests.pi.guest", name], stderr=subprocess.PIPE, text=True)
        print(done.stderr, flush=True)
        if done.returncode != 0:
            why = f"ended with {done.returncode}: {done.stderr.strip().rpartition(chr(10))[2]}"
            print("\n" + reported(name, False, why, time.monotonic() - start), flush=True)


def system() -> str:
    """The machine is what it should be."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    pressure = "with" if Path("/proc/pressure/memory").exists() else "without"
    page = os.sysconf("SC_PAGESIZE") // 1024
    return (
        f"Linux {platform.release()} {platform.machine()}, pages of {page} KiB, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors, {memory.split()[1]} kB, {pressure} PSI"
    )


def install() -> str:
    """The wheel is installed without a network; pip finds everything that it asks for."""
    (wheel,) = Path().glob("*.whl")
    command(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check", wheel)
    return wheel.name


def doctor() -> str:
    """LiteRT's C API passes its self-test, so that nothing falls back to the Interpreter."""
    found = {f["what"]: f for f in json.loads(command("legodnn", "doctor", "--json"))}
    assert all(f["state"] != "missing" for f in found.values()), found
    assert found["LiteRT C API"]["state"] == "ok", found["LiteRT C API"]
    return f"{found['processor']['found']}; {found['LiteRT C API']['found']}; {found['memory']['found']}"


def outputs() -> str:
    """All compositions give what they give on the other machine."""
    import numpy as np

    from tests.pi.compositions import TOLERANCE, load_outputs
    from tests.pi.compositions import outputs as outputs_here

    found, worst = 0, 0.0
    for store in STORES:
        expected = load_outputs(store)
        for kind in ("capi", "interpreter"):
            for name, output in outputs_here(store, kind).items():
                difference = float(np.abs(output - expected[name]).max())
                assert difference <= TOLERANCE, f"{store.name} {name} by {kind} differs by {difference:.2g}"
                assert output.argmax() == expected[name].argmax(), f"{store.name} {name} by {kind}"
                found, worst = found + 1, max(worst, difference)
    return f"{found} outputs within {worst:.1g} of the other machine's"


def profile() -> str:
    """Two small stores are profiled, and a plan is made with the profiles."""
    start = time.monotonic()
    command("legodnn", "profile", *STORES, "--quick")
    seconds = time.monotonic() - start
    measured = [json.loads(Path(f"{store}.profile.json").read_text())["device"] for store in STORES]
    assert all(device["machine"] == "aarch64" and device["executor"].endswith("C API") for device in measured), measured
    return f"in {seconds:.0f} s\n{command('legodnn', 'plan', *STORES)}"


def governed() -> str:
    """The governor makes models smaller where memory is short or processes wait for it, and greater again later."""
    from legodnn.profile import Profile, default_path
    from legodnn.store import Store
    from tests.data.tiny_stores import with_memory_of_files
    from tests.pi import pressure
    from tests.pi.compositions import TOLERANCE

    kills = pressure.oom_kills()
    for store in STORES:
        path = default_path(store)
        with_memory_of_files(Profile.load(path), Store(store)).save(path)
    start = time.monotonic()
    with pressure.Watched(STORES) as watched:
        watched.until("inferences", lambda line: bool(line["inferences"] > 100), start)
        first = watched.told[-1][1]
        assert first["options"] != first["smallest"], first
        found = [f"at rest, longest wait for an inference {watched.longest_wait_s(start):.2f} s"]
        found.append(pressure.shrinks_and_grows(watched, left_mb=15))
        print("\n".join(found), flush=True)
        found.append(pressure.pressure_alone(watched, left_mb=300, file_mb=450))
    last = watched.told[-1][1]
    assert last["difference"] <= TOLERANCE, last["difference"]
    assert pressure.oom_kills() == kills, "the kernel ended a process for lack of memory"
    found.append(f"{last['inferences']} inferences, within {last['difference']:.1g} of the other machine's outputs")
    return "\n".join(found)


def tests() -> str:
    """The tests pass that are chosen for this machine."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", *TESTS])
    assert done.returncode == 0, f"pytest ended with {done.returncode}"
    return "passed"


def command(*words: object) -> str:
    """Run a command, and return what it prints."""
    return subprocess.run([str(w) for w in words], check=True, text=True, stdout=subprocess.PIPE).stdout


CHECKS: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (system, install, doctor, outputs, profile, governed, tests)
}

if __name__ == "__main__":
    main()
