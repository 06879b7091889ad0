"""The script that profiles on another device: what it refuses, and a real device reached by a real SSH server."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from legodnn.profile import Profile
from legodnn.store import Store

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "profiler" / "over_ssh.sh"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def test_help_says_how_it_is_used() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "over_ssh.sh pi@raspberrypi.local stores/faces stores/scenes -- --threads 1 2 4" in done.stdout
    assert "LEGODNN_WHEEL" in done.stdout
    assert "set -e" not in done.stdout


@pytest.mark.parametrize("arguments", [[], ["host"], ["host", "--"], ["host", "--", "--quick"]])
def test_without_a_host_and_a_store_it_shows_its_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "over_ssh.sh pi@" in done.stdout


@pytest.fixture
def strange(store_copy: Path) -> dict[str, Path]:
    odd = shutil.copytree(store_copy, store_copy.parent / "a b")
    twin = shutil.copytree(store_copy, store_copy.parent / "other" / "copy")
    return {"STORE": store_copy, "ODD": odd, "TWIN": twin}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a store: it has no manifest.json"),
        (["ODD"], "its name may have letters, digits"),
        (["STORE", "TWIN"], "two stores are called copy"),
        (["STORE", "--", "--out", "x.json"], "--out cannot be used over SSH"),
        (["STORE", "--", "--quick", "--plot=x.svg"], "--plot=x.svg cannot be used over SSH"),
        (["STORE", "--", "--merge", "a", "b"], "--merge cannot be used over SSH"),
    ],
)
def test_what_cannot_work_is_refused_before_the_host_is_asked(
    strange: dict[str, Path], arguments: list[str], message: str
) -> None:
    done = run("host.invalid", *(strange.get(a, a) for a in arguments))
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- a device --------------------------------------------------------------------------------------------------------


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """A private SSH server of this machine: whom to reach, options for ssh, and the home that one is in there."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no sshd here")
    home, keys = tmp_path / "home", tmp_path / "keys"
    home.mkdir()
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    enter = keys / "enter"
    enter.write_text(
        f'#!/bin/bash\nexport HOME="{home}" PATH="{Path(sys.executable).parent}:$PATH"\n'
        'unset PYTHONPATH\ncd "$HOME" && exec bash -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    enter.chmod(0o755)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (keys / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\nPidFile none\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nForceCommand {enter}\n"
    )
    if os.geteuid() == 0:  # where sshd leaves its privileges
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (keys / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(keys / "config")], stderr=log)
    options = f"-p {port} -i {keys}/user -o IdentitiesOnly=yes -o UserKnownHostsFile={keys}/known -o LogLevel=ERROR"
    options += " -o StrictHostKeyChecking=no -o BatchMode=yes -F none"
    host = f"{getpass.getuser()}@127.0.0.1"
    try:
        for _ in range(50):
            asked = subprocess.run(["ssh", *options.split(), host, "true"], check=False, stdin=subprocess.DEVNULL)
            if asked.returncode == 0 or server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            pytest.skip(f"the private sshd lets nobody in: {(keys / 'log').read_text()[-300:]}")
        if server.poll() is not None:
            pytest.skip(f"sshd does not start: {(keys / 'log').read_text()[-300:]}")
        yield host, options, home
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_stores_are_sent_profiled_there_and_the_profiles_fetched(
    device: tuple[str, str, Path],
    wheel: Path,
    tiny_store: Store,
    tiny_store2: Store,
    tmp_path: Path,
) -> None:
    host, options, home = device
    folders = [shutil.copytree(s.path, tmp_path / "stores" / s.name) for s in (tiny_store, tiny_store2)]
    flags: Callable[..., subprocess.CompletedProcess[str]] = lambda *a: run(  # noqa: E731
        host, *a, SSH_OPTIONS=options, LEGODNN_WHEEL=str(wheel)
    )
    done = flags(*folders, "--", "--quick", "--seconds", "0.5", "--threads", "1", "2")
    assert done.returncode == 0, done.stderr
    assert "installing legodnn" in done.stderr
    assert "wrote .legodnn/stores/tiny.profile.json" in done.stdout
    for folder in folders:
        profile = Profile.load(folder.with_name(folder.name + ".profile.json"))
        profile.check_store(Store(folder))
        assert [e.threads for e in profile.options[0].latency] == [1, 2]
        assert len(profile.contention) == 1
    assert sorted(p.name for p in (home / ".legodnn" / "stores").iterdir()) == [
        *("tiny", "tiny.profile.json", "tiny2", "tiny2.profile.json"),
    ]

    # A second time nothing is installed or sent again but what has changed; and no arguments are needed.
    manifest = folders[1] / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    (home / ".legodnn" / "stores" / "tiny2" / "left over").write_text("")
    before = folders[1].with_name("tiny2.profile.json").read_text()
    done = flags(folders[1], "--", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert "installing" not in done.stderr
    assert f"sending {folders[1]}" in done.stderr
    assert not (home / ".legodnn" / "stores" / "tiny2" / "left over").exists()
    assert folders[1].with_name("tiny2.profile.json").read_text() != before
    done = flags(folders[1])
    assert done.returncode == 0, done.stderr
    assert "sending" not in done.stderr
    assert not list((tmp_path / "stores").glob("*.tmp"))

    # What fails there fails here, and leaves the profile that there was.
    before = folders[1].with_name("tiny2.profile.json").read_text()
    done = flags(folders[1], "--", "--threads", "0")
    assert done.returncode != 0
    assert "--threads must be different positive counts, not 0" in done.stderr
    assert folders[1].with_name("tiny2.profile.json").read_text() == before
