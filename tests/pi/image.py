"""The disk, kernel and first file system of the emulated machine, made of Debian's packages and of wheels.

Nothing of it is run while it is made: packages are unpacked and wheels laid out, since both take many times as long
inside the machine. What was fetched or laid out once is kept, and each step begins where it was interrupted.
"""

from __future__ import annotations

import compileall
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from legodnn.errors import ConfigError
from legodnn.toml import read_toml
from tests.pi.compositions import save_outputs

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "pi"
PYTHON = "3.11"  # of that release
_SUITE = "bookworm"
_PACKAGES = ("python3", "libstdc++6", "busybox-static")
_TOOLS = ("pytest>=8.2", "pytest-timeout>=2.3", "hypothesis>=6.100", "pip")
_MODULES = ("virtio_mmio", "virtio_blk", "crc32c_generic", "ext4")  # ext4 asks for crc32c by a name of its own
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SITE = f"opt/legodnn/lib/python{PYTHON}/site-packages"
_DISK_MB = 1200


@dataclass(frozen=True)
class Kernel:
    """A kernel of Debian's, and the processor that the machine has with it.

    Attributes:
        suite: the release of Debian that has the package.
        package: the package that always leads to its newest version.
        cpu: what QEMU calls the processor.
    """

    suite: str
    package: str
    cpu: str


# By the size of a page: as on a Raspberry Pi 4, and on a Raspberry Pi 5 with its own kernel.
KERNELS = {
    "4k": Kernel(_SUITE, "linux-image-cloud-arm64", "cortex-a72"),
    "16k": Kernel("trixie", "linux-image-arm64-16k", "cortex-a76"),
}


@dataclass(frozen=True)
class Image:
    """What a machine is started with: files of the kernel, of the first file system, and of the disk."""

    kernel: Path
    initrd: Path
    disk: Path
    cpu: str


def make(pages: str, say: Callable[[str], None]) -> Image:
    """Make what a machine with pages of some size is started with.

    Args:
        pages: a key of `KERNELS`.
        say: is told what is being done.

    Raises:
        subprocess.CalledProcessError: a package could not be fetched, or a program failed.
    """
    kernel = KERNELS[pages]
    say("Debian's packages and wheels, unpacked")
    needed = [*read_toml(ROOT / "pyproject.toml", ConfigError, "")["project"]["dependencies"], *_TOOLS]
    system = _kept("system", [*_PACKAGES, *needed], lambda folder: _lay_out(folder, needed))
    files = _kept(f"kernel-{pages}", [kernel.package], lambda folder: _unpack(folder, _kernel_packages(kernel)))
    say("this commit's wheel, and the disk")
    _put_product(system)
    disk = WORK / f"disk-{pages}.img"
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", system, disk, f"{_DISK_MB}M")
    return Image(next(files.glob("boot/vmlinuz-*")), _initrd(pages, files, system), disk, kernel.cpu)


def _kept(name: str, contents: list[str], fill: Callable[[Path], None]) -> Path:
    """Return a folder that is filled once; one that was left half filled, or has other contents, is filled anew."""
    folder, what = WORK / name, WORK / f"{name}.json"
    if not folder.exists() or not what.exists() or json.loads(what.read_text()) != contents:
        shutil.rmtree(folder, ignore_errors=True)
        new = WORK / f"{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        fill(new)
        what.write_text(json.dumps(contents))
        new.rename(folder)
    return folder


def _archive(suite: str) -> list[str]:
    """Return options by which apt knows one release of Debian for arm64, and nothing of this machine's packages."""
    folder = WORK / "apt" / suite
    for each in ("lists/partial", "archives/partial"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        **dict.fromkeys(("Dir::Etc::sourceparts", "Dir::Etc::preferences", "Dir::Etc::preferencesparts"), "/dev/null"),
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        **dict.fromkeys(("APT::Architecture", "APT::Architectures"), "arm64"),
        "APT::Sandbox::User": "",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    if not any((folder / "lists").glob("*_Packages*")):
        _run("apt-get", *options, "update", "-qq")
    return options


def _system_packages() -> list[Path]:
    """Fetch the packages of the system and all that they depend on; return their files."""
    _run("apt-get", *_archive(_SUITE), "install", "-qq", "--no-install-recommends", "--download-only", *_PACKAGES)
    return sorted((WORK / "apt" / _SUITE / "archives").glob("*.deb"))


def _kernel_packages(kernel: Kernel) -> list[Path]:
    """Fetch the newest version of a kernel without the programs that would install it; return its file."""
    archive = _archive(kernel.suite)
    found = re.search(r"Depends: (linux-image-\S+)", _run("apt-cache", *archive, "depends", kernel.package))
    assert found is not None, f"{kernel.package} leads to no kernel"
    folder = WORK / "apt" / "kernels"
    folder.mkdir(exist_ok=True)
    _run("apt-get", *archive, "download", "-qq", found[1], cwd=folder)
    return list(folder.glob(f"{found[1]}_*.deb"))


def _unpack(folder: Path, packages: list[Path]) -> None:
    for package in packages:
        _run("dpkg-deb", "-x", package, folder)


def _lay_out(root: Path, needed: list[str]) -> None:
    """Lay out the system, with an environment for Python that has everything but legodnn itself."""
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "mnt"):
        (root / name).mkdir()
    _unpack(root, _system_packages())
    (root / "bin" / "sh").symlink_to("busybox")
    environment = root / "opt" / "legodnn"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/usr/bin/python3")
    (environment / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    )
    target = ("--target", root / _SITE, "--python-version", PYTHON, "--implementation", "cp", *platforms("aarch64"))
    laid_out = ("--no-compile", "--no-warn-conflicts", "--only-binary=:all:")
    _run(*_PIP, "install", "-q", *laid_out, *target, *needed)
    if sys.version_info[:2] == (3, 11):  # only the same Python compiles for the other; else the machine does, slowly
        for folder in (root / f"usr/lib/python{PYTHON}", root / _SITE):
            compileall.compile_dir(folder, quiet=2, stripdir=str(root))


def _put_product(root: Path) -> None:
    """Put the wheel of this commit beside the system, and the tests with what they read."""
    folder = root / "opt" / "product"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _run(*_PIP, "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    ignored = shutil.ignore_patterns("__pycache__", "blocks", "benchmarks")
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("tiny", "tiny2"):
        shutil.copytree(ROOT / "tests" / "data" / name, folder / "stores" / name)
        save_outputs(folder / "stores" / name)


def _initrd(pages: str, kernel: Path, system: Path) -> Path:
    """Make the first file system, which has what it takes to mount the disk."""
    folder = WORK / f"initrd-{pages}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    shutil.copy(system / "bin" / "busybox", folder / "bin")
    shutil.copy(Path(__file__).with_name("first_init.sh"), folder / "init")
    (folder / "modules").mkdir()
    for number, module in enumerate(modules_in_order(kernel, _MODULES)):
        (folder / "modules" / f"{number:02}-{module.name.removesuffix('.xz')}").write_bytes(_content(module))
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    cpio = ["cpio", "-o", "-H", "newc", "--quiet"]
    packed = subprocess.run(cpio, input=names.encode(), cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    path = WORK / f"initrd-{pages}.img"
    path.write_bytes(packed)
    return path


def platforms(machine: str) -> list[str]:
    """Return options by which pip takes wheels for the C library of Debian 12, and for all older ones."""
    return [f"--platform=manylinux_2_{glibc}_{machine}" for glibc in range(17, 37)]


def modules_in_order(kernel: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of a kernel's modules, and of all that they need, each after those that it needs itself.

    Args:
        kernel: the folder that holds them.
        names: of modules; those that have no file are part of the kernel.
    """
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in kernel.rglob("*.ko*")}
    found: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name)
        if path is None or path in found:
            return
        needs = re.search(rb"\0depends=([^\0]*)\0", _content(path))
        for other in needs[1].decode().split(",") if needs else ():
            add(other.replace("-", "_"))
        found.append(path)

    for name in names:
        add(name)
    return found


def _content(module: Path) -> bytes:
    content = module.read_bytes()
    return lzma.decompress(content) if module.suffix == ".xz" else content


_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program, and return what it prints; what it complains of is shown."""
    environment = {**os.environ, "LC_ALL": "C"}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout
