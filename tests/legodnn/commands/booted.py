"""A real systemd as the first process of namespaces of its own: nothing that it does is seen outside.

It has units of its own in /etc/systemd/system, and in /srv this Python with its packages, the project, and what a test
puts there. Only root can do that, on Linux with systemd installed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SYSTEMD = Path("/usr/lib/systemd/systemd")
_USER = "games"  # who is there on every Debian

# What the machine's own disks hold can be read in there and not be written: everything that is written is in memory.
# Arguments: a Python, its version, the packages that tests use, the project's folder, the test's folder.
_BOOT = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir -p /srv/packages /srv/project /srv/venv/bin /srv/venv/lib/python$2/site-packages
mount --bind "$3" /srv/packages
mount --bind "$4" /srv/project
cp -r "$5" /srv/test
ln -s "$1" /srv/venv/bin/python
printf 'home = %%s\\n' "$(dirname "$1")" > /srv/venv/pyvenv.cfg
printf '/srv/project\\nimport site; site.addsitedir("/srv/packages")\\n' > /srv/venv/lib/python$2/site-packages/test.pth
for folder in /srv/packages /srv/project; do mount -o remount,bind,ro $folder; done
for folder in /run /tmp /var /root /etc/systemd/system; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /run/lock /run/systemd/system /var/cache /var/lib /var/log /var/tmp
chmod 1777 /tmp /var/tmp
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mkdir /run/units
cp /usr/lib/systemd/system/systemd-journald.service /usr/lib/systemd/system/systemd-journald.socket /run/units
# Only the units that are needed: those of the machine would clean up, load modules and start services.
mount -t tmpfs tmpfs /usr/lib/systemd/system
for target in sysinit basic shutdown network multi-user; do
    printf '[Unit]\\nDefaultDependencies=no\\n' > /usr/lib/systemd/system/$target.target
done
cp /run/units/* /usr/lib/systemd/system
mount -o remount,bind,ro /
if touch /usr/booted-test 2> /dev/null; then exit 9; fi
exec env -i PATH="$PATH" container=test %s --system --unit=basic.target --log-target=null --show-status=0
"""


_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def _python() -> str:
    """Return a Python of this version outside of homes, which services do not see; empty if there is none."""
    own = Path(sys.base_prefix, "bin", f"python{_VERSION}")
    candidates = [path for path in (own, Path(f"/usr/bin/python{_VERSION}")) if path.exists()]
    return next((str(path) for path in candidates if path.parts[1] not in ("root", "home")), "")


def problem() -> str:
    """Return why systemd cannot be started here; empty if it can."""
    if os.geteuid() != 0:
        return "only root can start systemd in namespaces of its own"
    if not SYSTEMD.exists() or not all(map(shutil.which, ("unshare", "nsenter", "setpriv", "systemctl"))):
        return "systemd is not installed"
    if not _python():
        return f"there is no Python {_VERSION} outside of homes"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--cgroup", "--fork", "true"], check=False)
    if tried.returncode or " cgroup2 " not in Path("/proc/self/mounts").read_text():
        return "namespaces or control groups cannot be made here"
    return ""


@dataclass(frozen=True)
class Machine:
    """What runs under that systemd.

    Attributes:
        pid: systemd.
        prefix: words before every command.
    """

    pid: int
    prefix: tuple[str, ...] = ()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in there."""
        there = ["nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-C"]
        done = subprocess.run(
            [*there, *self.prefix, *command], capture_output=True, text=True, check=False, timeout=120
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def legodnn(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run this project's command in there."""
        return self.run("/srv/venv/bin/python", "-m", "legodnn", *words, check=check)

    def of_user(self) -> Machine:
        """Start the systemd of a user whose home is /srv/home, and return what runs commands as that user."""
        name, number = _USER, pwd.getpwnam(_USER).pw_uid
        place = f"/run/user/{number}"
        self.run("mkdir", "-p", place, "/srv/home", "/run/credentials", "/run/systemd/unit-root")
        self.run("chown", name, place, "/srv/home")
        variables = [f"XDG_RUNTIME_DIR={place}", "HOME=/srv/home"]
        run = ["systemd-run", "--property=Delegate=yes", f"--uid={name}", *(f"--setenv={each}" for each in variables)]
        self.run(*run, str(SYSTEMD), "--user")
        user = Machine(self.pid, ("setpriv", f"--reuid={name}", "--clear-groups", "env", *variables))
        ended = time.monotonic() + 60
        while user.run("systemctl", "--user", "is-system-running", check=False).stdout.strip() != "running":
            assert time.monotonic() < ended, "the user's systemd does not start"
            time.sleep(0.2)
        return user

    def shown(self, unit: str, key: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={key}", "--value").stdout.strip()


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Start systemd, with a copy of a folder as /srv/test, until the `with` statement ends."""
    groups = _control_groups() / f"legodnn-test-{os.getpid()}"
    groups.mkdir()
    namespaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "--mount-proc"]
    words = [_python(), _VERSION, site.getsitepackages()[0], str(ROOT), str(folder)]
    start = f'echo $$ > {groups}/cgroup.procs; exec unshare {" ".join(namespaces)} bash -c "$0" boot "$@"'
    process = subprocess.Popen(["bash", "-c", start, _BOOT % SYSTEMD, *words], stdin=subprocess.DEVNULL)
    try:
        yield _running(process)
    finally:
        process.kill()  # which ends everything in there
        process.wait()
        while "populated 1" in (groups / "cgroup.events").read_text():  # until the last of them is gone
            time.sleep(0.05)
        for group in sorted((path for path in groups.rglob("*") if path.is_dir()), reverse=True):
            group.rmdir()
        groups.rmdir()


def _running(process: subprocess.Popen[bytes]) -> Machine:
    """Wait until systemd runs."""
    ended, state = time.monotonic() + 60, "no process"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < ended:
        assert process.poll() is None, "systemd has ended"
        if found := children.read_text().split():
            machine = Machine(int(found[0]))
            state = machine.run("systemctl", "is-system-running", check=False).stdout.strip()
            if state in ("running", "degraded"):
                machine.run("systemctl", "start", "systemd-journald.socket", "systemd-journald.service")
                return machine
        time.sleep(0.2)
    raise AssertionError(f"systemd does not start: {state}")


def _control_groups() -> Path:
    """Return where control groups of version 2 are."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return Path(next(words[1] for words in mounts if words[2] == "cgroup2"))
