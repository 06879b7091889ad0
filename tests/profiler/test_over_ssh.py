"""The script that profiles on another device: what it refuses, and a real device reached by a real SSH server."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from legodnn.profile import Profile
from legodnn.store import Store
from tests.ports import free_port

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
    assert "over_ssh.sh pi@raspberrypi.local stores/faces stores/scenes -- --threads 1,2,4" in done.stdout
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
        (["STORE", "--", "--ou", "x.json"], "--ou cannot be used over SSH"),  # argparse takes abbreviations
        (["STORE", "--", "--plo=x.svg"], "--plo=x.svg cannot be used over SSH"),
    ],
)
def test_what_cannot_work_is_refused_before_the_host_is_asked(
    strange: dict[str, Path], arguments: list[str], message: str
) -> None:
    done = run("host.invalid", *(strange.get(a, a) for a in arguments))
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- hostile names, and a device of which only the shell is real ------------------------------------------------------

SSH = """#!/bin/bash
# As ssh: options, a host, and the rest as one line for the login shell there, which is as plain as shells get.
printf '%s\\0' "$@" >> "$FAKE/asked"
[[ $1 == -* ]] && { touch "$FAKE/option"; exit 255; }
shift
cd "$FAKE/home" && HOME="$FAKE/home" exec {shell} -c "$*"
"""
LEGODNN = """#!{python}
import json, pathlib, sys
if sys.argv[1:] != ["--version"]:
    pathlib.Path({said!r}).write_text(json.dumps(sys.argv[1:]))
    for store in (a for a in sys.argv[2:] if a.startswith(".legodnn/stores/")):
        pathlib.Path(store + ".profile.json").write_text("{{}}")
"""


class Fake:
    """A host whose ssh is a shell in a folder, and what came to be there."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.folder, self.said = folder, folder / "said.json"
        legodnn = folder / "home/.legodnn/venv/bin/legodnn"
        for file, content in (
            (folder / "bin/ssh", SSH.replace("{shell}", shell)),
            (legodnn, LEGODNN.format(python=sys.executable, said=str(self.said))),
        ):
            file.parent.mkdir(parents=True)
            file.write_text(content)
            file.chmod(0o755)
        self.legodnn = legodnn

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return run(*arguments, PATH=path, FAKE=str(self.folder), **more)

    @property
    def was_asked(self) -> bool:
        return (self.folder / "asked").exists()


@pytest.fixture(params=["dash", "bash"])
def fake(request: pytest.FixtureRequest, tmp_path: Path) -> Fake:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    return Fake(tmp_path / "fake", request.param)


@pytest.mark.parametrize(
    "host",
    [
        *("-oProxyCommand=touch hacked", "-V", "user@-oProxyCommand=x", "", " ", "a b", "a;touch hacked", "$(x)"),
        *("`x`", "a'b", "a\nb", "a|b", "ä"),
    ],
)
def test_what_is_no_host_is_refused_before_ssh_runs(fake: Fake, store_copy: Path, host: str) -> None:
    done = fake.run(host, store_copy)
    assert done.returncode == 1
    assert "is no host: give USER@HOST" in done.stderr
    assert not fake.was_asked


@pytest.mark.parametrize("host", ["pi@raspberrypi.local", "10.0.0.7", "u@fe80::1%eth0", "ssh://pi@board:2222", "a_b-c"])
def test_hosts_are_hosts(fake: Fake, store_copy: Path, host: str) -> None:
    done = fake.run(host, store_copy)
    assert done.returncode == 0, done.stderr
    assert (store_copy.parent / "copy.profile.json").read_text() == "{}"


@pytest.mark.parametrize(
    "name", ["a'; touch hacked; '.whl", 'a"$(touch hacked)".whl', "-rf.whl", "a b.whl", "ä.whl", "a.txt", "a\n.whl"]
)
def test_what_is_not_called_as_a_wheel_is_refused(fake: Fake, store_copy: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    done = fake.run("board", store_copy, LEGODNN_WHEEL=str(tmp_path / name))
    assert done.returncode == 1
    assert "is not called as a wheel is" in done.stderr
    assert not fake.was_asked
    assert "is no file" in fake.run("board", store_copy, LEGODNN_WHEEL=str(tmp_path / "none.whl")).stderr


def test_a_store_whose_path_looks_like_an_option_is_a_store(fake: Fake, store_copy: Path, tmp_path: Path) -> None:
    shutil.copytree(store_copy, tmp_path / "-t x" / "tiny")
    done = subprocess.run(
        ["bash", str(SCRIPT), "board", "-t x/tiny"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{fake.folder / 'bin'}:{os.environ['PATH']}", "FAKE": str(fake.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "-t x" / "tiny.profile.json").read_text() == "{}"


def test_arguments_arrive_as_they_were_given_whatever_the_shell_there(fake: Fake, store_copy: Path) -> None:
    given = ["--energy", "csv:a\tb ü'\"$HOME `touch hacked`\\n&*?~", "", "two\nlines", "'", "''", "\\", "&", "!x"]
    done = fake.run("board", store_copy, "--", *given)
    assert done.returncode == 0, done.stderr
    assert json.loads(fake.said.read_text()) == ["profile", ".legodnn/stores/copy", *given]
    assert not list(fake.folder.rglob("hacked"))


def test_a_device_without_legodnn_gets_it_by_the_installing_script(
    fake: Fake, store_copy: Path, tmp_path: Path
) -> None:
    ready = fake.legodnn.read_text()
    fake.legodnn.unlink()
    # The device's python3 makes an environment whose pip is this script.
    pip = '#!/bin/sh\necho "$@" >> "$HOME/pip"\n'
    python = (
        "#!/bin/bash\nif [[ $1 == -c ]]; then echo 64; exit; fi\n"
        '[[ $2 == venv ]] && cp "$FAKE/legodnn" "$3/bin/legodnn" && cp "$FAKE/pip" "$3/bin/python"\n'
    )
    for name, content in (("legodnn", ready), ("pip", pip), ("bin/python3", python)):
        (fake.folder / name).write_text(content)
        (fake.folder / name).chmod(0o755)
    wheel = tmp_path / "legodnn-0.1.0-py3-none-any.whl"
    wheel.write_text("a wheel")
    done = fake.run("board", store_copy, LEGODNN_WHEEL=str(wheel))
    assert done.returncode == 0, done.stderr
    home = fake.folder / "home"
    assert (home / ".legodnn" / wheel.name).read_text() == "a wheel"
    assert (home / "pip").read_text() == f"-m pip install --quiet -- .legodnn/{wheel.name}\n"


def test_nothing_of_that_name_is_taken_from_the_package_index(fake: Fake, store_copy: Path) -> None:
    fake.legodnn.unlink()
    done = fake.run("board", store_copy)
    assert done.returncode == 1
    assert done.stderr == "board has no legodnn: say LEGODNN_WHEEL=dist/legodnn-....whl (`make dist` makes it)\n"


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
    port = free_port()
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
    done = flags(*folders, "--", "--quick", "--seconds", "0.5", "--threads", "1,2")
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
