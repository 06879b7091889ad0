"""What is installed: ordinary packages in wheel and sdist, and a device that needs the base dependencies alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from legodnn.profile import Profile, default_path
from legodnn.store import Store
from tests.pythons import SUPPORTED, interpreters

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "legodnn/blocks/__init__.py",
    "legodnn/profiler/__init__.py",
    "legodnn/runtime/__init__.py",
    "legodnn/commands/__init__.py",
    "legodnn/py.typed",
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist; the wheel is made from the sdist, as for an upload."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True)
    return out


def test_the_wheel_holds_the_rooms_as_ordinary_packages(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert set(names) >= ROOMS
    top = {name.split("/")[0] for name in names if "dist-info" not in name}
    (data,) = {folder for folder in top if folder.endswith(".data")}
    assert top - {data} == {"legodnn"}, "nothing with a generic name may land in site-packages"
    assert [name for name in names if name.startswith(data)] == [f"{data}/data/share/man/man1/legodnn.1"]


def test_the_sdist_holds_the_rooms_as_files_not_links(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        members = {m.name.split("/", 1)[1]: m for m in sdist.getmembers() if "/" in m.name}
    assert set(members) >= ROOMS
    assert not any(m.issym() for m in members.values())


_ON_THE_DEVICE = """
import sys
import numpy as np
from legodnn import Budget, Runtime, Store
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store

store = Store(sys.argv[1])
profile_store(store, Effort(seconds=0.2, processes=1, plans=0)).save(default_path(store.path))
with Runtime.open([store.path]) as runtime:
    y = runtime.infer(store.path.name, np.load(sys.argv[2]))
    runtime.budget = Budget(memory_bytes=runtime.plan.memory_bytes)
np.save(sys.argv[3], y)
for name in ("tensorflow", "keras", "sklearn", "matplotlib"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} is installed: this is not a device")
"""


def test_the_base_dependencies_suffice_to_open_profile_plan_and_infer(
    dist: Path, tiny_store: Store, store_copy: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    wheel = next(dist.glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True, cwd=tmp_path)
    x = np.random.default_rng(0).random(tiny_store.manifest.inputs[0].shape, np.float32)
    np.save(tmp_path / "x.npy", x)
    script = tmp_path / "device.py"
    script.write_text(_ON_THE_DEVICE)
    files = [str(store_copy), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([python, str(script), *files], check=True, cwd=tmp_path)

    from legodnn import Runtime

    with Runtime.open([tiny_store.path]) as runtime:
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), np.asarray(runtime.infer("tiny", x)), atol=1e-5)
    assert subprocess.run([tmp_path / "venv" / "bin" / "legodnn", "--version"], check=True).returncode == 0


def _profiled(python: Path, store: Path) -> Profile:
    """Profile a store by `python -m legodnn profile`, in an environment without training libraries."""
    command = [
        str(python),
        "-m",
        "legodnn",
        "profile",
        str(store),
        "--quick",
        "--seconds",
        "0.5",
        "--threads",
        "1,2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=store.parent, env=_plain())
    assert done.returncode == 0, done.stderr
    heavy = "import importlib.util as u; print([m for m in ('tensorflow', 'keras', 'sklearn') if u.find_spec(m)])"
    asked = subprocess.run([str(python), "-c", heavy], capture_output=True, text=True, check=True, env=_plain())
    assert asked.stdout.strip() == "[]"
    profile = Profile.load(default_path(store))
    profile.check_store(Store(store))
    assert [e.threads for e in profile.options[0].latency] == [1, 2]
    return profile


def _plain() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LEGODNN_EXECUTOR")}


def _pip(python: Path, *arguments: object) -> None:
    command = [str(python), "-m", "pip", "install", "-q", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_plain())
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", SUPPORTED)
def test_the_profiler_needs_the_base_dependencies_alone_on_every_python(
    version: str, dist: Path, store_copy: Path, tmp_path: Path
) -> None:
    if version not in interpreters():
        pytest.skip(f"no Python {version} here")
    subprocess.run([interpreters()[version], "-m", "venv", str(tmp_path / "venv")], check=True, env=_plain())
    python = tmp_path / "venv" / "bin" / "python"
    _pip(python, next(dist.glob("*.whl")))
    assert "ai-edge-litert" in _profiled(python, store_copy).device.executor


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_profiler_works_with_the_older_runtime(dist: Path, store_copy: Path, tmp_path: Path) -> None:
    if "3.11" not in interpreters():
        pytest.skip("no Python 3.11 here")
    subprocess.run([interpreters()["3.11"], "-m", "venv", str(tmp_path / "venv")], check=True, env=_plain())
    python = tmp_path / "venv" / "bin" / "python"
    _pip(python, "tflite-runtime>=2.14,<3", "numpy>=1.24,<2", "psutil>=5.9,<8", "pydantic>=2.9,<3")
    _pip(python, "--no-deps", next(dist.glob("*.whl")))
    assert "tflite-runtime" in _profiled(python, store_copy).device.executor
