"""`legodnn service`: what it refuses, the unit that it writes, and under a real systemd what comes of that."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn.cli import main
from legodnn.commands.parser import CommandParser
from legodnn.commands.serve import add_serving_arguments
from legodnn.commands.unit import MARK
from legodnn.profile import Profile, default_path
from legodnn.store import Store
from legodnn.streamed import StreamedModel, StreamedOption
from tests.legodnn.commands import booted


@pytest.fixture
def workload(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> Path:
    """The folder of a workload with one model; the store of another one is there."""
    folder = tmp_path / "test"
    for store in (tiny_store, tiny_store2):
        shutil.copytree(store.path, folder / store.path.name)
        shutil.copy(default_path(store.path), default_path(folder / store.path.name))
    (folder / "workload.toml").write_text('[[models]]\nname = "tiny"\nstore = "tiny"\n')
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def know_streaming(store: Path) -> None:
    """Have a store's profile say what its options take streamed, without measuring it."""
    profile = Profile.load(default_path(store))
    threads = tuple(timing.threads for timing in profile.options[0].latency)
    options = [
        StreamedOption(segment=o.segment, option=o.option, weights_bytes=1000, median_ms=(1.0,) * len(threads))
        for o in profile.options
    ]
    streamed = StreamedModel(threads=threads, floor_bytes=1000, options=tuple(options))
    profile.model_copy(update={"streamed": streamed}).save(default_path(store))


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["service", "install", *words, "--print"]) == 0
    return capsys.readouterr().out


def test_the_unit_serves_what_was_asked_for(
    workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workload / "workload.toml"
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "100MB")
    text = printed(capsys, str(file), "--memory", "20MB", "--latency", "tiny=5", "--isolated", "--port", "81")
    assert text.startswith(MARK)
    assert f'"serve" "{file}" "--memory" "20MB" "--latency" "tiny=5"' in text
    assert '"--isolated" "--json"' in text
    assert '"--port" "81"' in text
    assert "\nIPAddressAllow=localhost" in text
    assert '\nEnvironment="LEGODNN_CACHE_LIMIT=100MB"' in text


def test_every_flag_of_serve_goes_into_the_unit(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, serving = str(workload / "workload.toml"), CommandParser()
    add_serving_arguments(serving)
    with Path(file).open("a") as models:
        models.write("rate_hz = 1\n")  # without which --cores means nothing
    know_streaming(workload / "tiny")
    budget = ["--memory", "20MB", "--latency", "tiny=50", "--quantile", "tiny=0.9", "--cores", "1.5"]
    limits = ["--host", "::1", "--port", "81", "--queue", "3", "--timeout", "2.5", "--max-body", "1MB"]
    flags = [*budget, *limits, "--ungoverned", "--isolated", "--streaming"]
    words = shlex.split(printed(capsys, file, *flags).partition('"serve"')[2].splitlines()[0])
    words.remove("--json")
    asked, by_default = vars(serving.parse_args([file, *flags])), vars(serving.parse_args([file]))
    assert vars(serving.parse_args(words)) == asked
    unchanged = {name for name in asked if asked[name] == by_default[name]}
    assert unchanged - {"debug"} == {"workload", "token_file", "socket"}, "a flag that this test leaves out"


def test_what_others_send_and_the_models_bound_the_memory(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def limit(*flags: str) -> int:
        text = printed(capsys, str(workload / "workload.toml"), *flags)
        return int(text.partition("MemoryMax=")[2].split()[0])

    assert limit("--max-body", "1MB") < limit() < limit("--isolated")
    assert limit("--max-body", "1MB") > 250e6


def test_tokens_reach_the_service_and_nobody_else(
    workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = workload / "token"
    token.write_text("secret")
    flags = (str(workload / "workload.toml"), "--host", "0.0.0.0", "--token-file", str(token))
    system, own = printed(capsys, *flags), printed(capsys, *flags, "--user")
    assert f"LoadCredential=token:{token}" in system
    assert "--token-file %d/token" in system
    assert f'--token-file "{token}"' in own
    assert "secret" not in system + own
    assert "IPAddressDeny" not in system, "other machines may ask"
    monkeypatch.setenv("LEGODNN_TOKEN", "secret")
    assert main(["service", "install", str(workload), "--print"]) == 1
    assert "a service has no LEGODNN_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--name", "a/b"], "no name of a service"),
        (["--name", "root"], "--name root is a user of this machine, as whom the service would run"),
        (["--port", "0"], "--port must be"),
        (["--socket", "/tmp/here"], "--socket /run/legodnn/here"),
        (["--host", "0.0.0.0"], "lets other machines ask: give --token-file FILE, or stay"),
        (["--memory", "1kB"], "no plan holds"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_written(
    workload: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert main(["service", "install", str(workload / "workload.toml"), *flags, "--print"]) == 1
    assert says in capsys.readouterr().err


def test_help_names_no_place_for_a_token_that_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, named in ((["serve"], True), (["service", "install"], False)):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert ("LEGODNN_TOKEN" in capsys.readouterr().out) == named


def test_services_of_packages_are_not_replaced(
    workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legodnn.commands.unit._UNIT_FOLDERS", (workload,))
    for kind, flags in (("system", []), ("user", ["--user"])):
        (workload / kind).mkdir()
        unit = workload / kind / "secure-shell.service"
        unit.touch()
        install = ["service", "install", str(workload / "workload.toml"), "--print", *flags]
        assert main([*install, "--name", "secure-shell"]) == 1
        assert f"--name secure-shell is another service's, {unit}, in whose place" in capsys.readouterr().err
        assert main([*install, "--name", "secure-shell2"]) == 0


def test_units_of_others_are_left_alone(
    workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workload))
    assert main(["service", "remove", "--user"]) == 1
    assert "nothing to remove" in capsys.readouterr().err
    unit = workload / "systemd" / "user" / "legodnn.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    for words in (["install", str(workload / "workload.toml")], ["remove"]):
        assert main(["service", *words, "--user"]) == 1
        assert "was not written by `legodnn service install`" in capsys.readouterr().err
    assert unit.read_text() == "[Service]\n"


@pytest.mark.slow
@pytest.mark.skipif(bool(booted.problem()), reason=booted.problem())
def test_under_a_real_systemd(workload: Path) -> None:
    """Installed, asked, reloaded, hung, killed, replaced, broken and removed."""
    with booted.booted(workload) as machine:

        def models() -> list[str]:
            asked = machine.run("curl", "-s", "--unix-socket", "/run/legodnn/socket", "http://localhost/v1/models")
            return list(json.loads(asked.stdout))

        def again(pid: str) -> str:
            ended = time.monotonic() + 60
            while (found := machine.shown("legodnn", "MainPID")) in ("0", pid) or not running():
                assert time.monotonic() < ended, "it is not started again"
                time.sleep(0.2)
            return found

        def running() -> bool:
            return machine.legodnn("service", "status", check=False).returncode == 0

        install = ("service", "install", "/srv/test/workload.toml", "--socket", "/run/legodnn/socket")
        assert not running()
        machine.legodnn(*install)
        assert running()
        assert models() == ["tiny"]
        status = json.loads(machine.legodnn("service", "status", "--json").stdout)
        assert (status["state"], status["enabled"]) == ("active", "enabled")
        assert status["status"].startswith("tiny; ")
        user = Path(f"/proc/{machine.pid}/root/proc/{status['pid']}/status").read_text()
        assert "\nNoNewPrivs:\t1" in user
        assert "\nCapEff:\t0000000000000000" in user
        assert int(user.partition("Uid:")[2].split()[0]) > 1000, "a user of its own"

        two = '[[models]]\nname = "other"\nstore = "tiny2"\n'
        machine.run("bash", "-c", f"echo '{two}' >> /srv/test/workload.toml")
        machine.run("systemctl", "reload", "legodnn")
        ended = time.monotonic() + 30
        while models() != ["tiny", "other"]:
            assert time.monotonic() < ended
            time.sleep(0.1)
        assert machine.shown("legodnn", "MainPID") == str(status["pid"])

        def journal(*flags: str) -> list[str]:
            asked = machine.run("journalctl", "-u", "legodnn", "-o", "cat", "--no-pager", *flags)
            return [str(json.loads(line)["message"]) for line in asked.stdout.splitlines()]

        whole = machine.run("cat", "/srv/test/workload.toml").stdout
        machine.run("bash", "-c", "echo broken > /srv/test/workload.toml")
        machine.run("systemctl", "reload", "legodnn")
        while not (errors := journal("-p", "err")):
            assert time.monotonic() < ended + 30
            time.sleep(0.1)
        assert "those of before run on" in errors[0]
        assert models() == ["tiny", "other"]
        assert journal()[0].startswith("serving tiny at")
        machine.run("bash", "-c", f"printf %s '{whole}' > /srv/test/workload.toml")

        machine.run("systemctl", "kill", "--signal=KILL", "legodnn")
        pid = again(str(status["pid"]))
        assert models() == ["tiny", "other"]
        drop_in = "/run/systemd/system/legodnn.service.d"
        machine.run("mkdir", "-p", drop_in)
        machine.run("bash", "-c", f"printf '[Service]\\nWatchdogSec=2\\n' > {drop_in}/soon.conf")
        machine.legodnn(*install, "--memory", "1MB")
        pid = machine.shown("legodnn", "MainPID")
        machine.run("systemctl", "kill", "--signal=STOP", "legodnn")  # hangs, and does not feed the watchdog
        again(pid)

        unit = (booted.ROOT / "examples" / "systemd" / "legodnn-profile.service").read_text()
        unit = unit.replace("/srv/legodnn/venv/bin/legodnn", "/srv/venv/bin/python -m legodnn").replace(
            "> 0.5", "> 999"
        )
        unit = unit.replace("profile /srv/legodnn/faces", "profile /srv/test/tiny --quick --seconds 1")
        unit = unit.replace("/srv/legodnn", "/srv/test")
        machine.run("bash", "-c", f"cat > /run/systemd/system/night.service <<'END'\n{unit}\nEND")
        measured = machine.run("stat", "-c", "%i", "/srv/test/tiny.profile.json").stdout
        pid = machine.shown("legodnn", "MainPID")
        machine.run("systemctl", "start", "night")
        assert machine.run("stat", "-c", "%i", "/srv/test/tiny.profile.json").stdout != measured, "a new profile"
        assert running()
        assert machine.shown("legodnn", "MainPID") != pid
        machine.run("systemctl", "stop", "legodnn")
        measured = machine.run("stat", "-c", "%i", "/srv/test/tiny.profile.json").stdout
        machine.run("systemctl", "start", "night")
        assert machine.run("stat", "-c", "%i", "/srv/test/tiny.profile.json").stdout != measured, "a new profile"
        assert machine.shown("legodnn", "ActiveState") == "inactive", "what was stopped by hand stays so"
        machine.run("systemctl", "start", "legodnn")
        assert running()

        before = machine.run("cat", "/etc/systemd/system/legodnn.service").stdout
        refused = machine.legodnn("service", "install", "/srv/test/workload.toml", "--port", "80", check=False)
        assert refused.returncode == 1
        assert "legodnn does not start, and nothing was changed: cannot listen at 127.0.0.1:80" in refused.stderr
        assert running()
        assert machine.run("cat", "/etc/systemd/system/legodnn.service").stdout == before

        machine.legodnn("service", "remove")
        assert not running()
        assert machine.run("ls", "/etc/systemd/system/legodnn.service", check=False).returncode != 0


@pytest.mark.slow
@pytest.mark.skipif(bool(booted.problem()), reason=booted.problem())
def test_under_a_users_own_systemd(workload: Path) -> None:
    """Stores may be in a home, and the same confinement works without root."""
    with booted.booted(workload) as machine:
        user = machine.of_user()
        machine.run(
            "bash", "-c", "cp -r /srv/test/* /srv/home; chmod 700 /srv/home; chown -R --reference=/srv/home /srv/home"
        )
        user.legodnn("service", "install", "/srv/home/workload.toml", "--user", "--port", "8081")
        status = json.loads(user.legodnn("service", "status", "--user", "--json").stdout)
        assert (status["state"], status["enabled"]) == ("active", "enabled")
        assert json.loads(user.run("curl", "-s", "localhost:8081/healthz").stdout) == {"live": True}
        process = Path(f"/proc/{machine.pid}/root/proc/{status['pid']}/status").read_text()
        assert "\nNoNewPrivs:\t1" in process
        user.legodnn("service", "remove", "--user")
        assert user.legodnn("service", "status", "--user", check=False).returncode == 3


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("flags", [[], ["--user"], ["--host", "0.0.0.0"]])
def test_systemd_takes_the_unit_and_finds_it_shut_in(
    workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(workload))  # or else systemd-analyze --user does not start
    token = workload / "to ken%"
    token.write_text("secret")
    unit = workload / "legodnn.service"
    unit.write_text(printed(capsys, str(workload / "workload.toml"), "--token-file", str(token), *flags))
    user = ["--user"] if "--user" in flags else []
    done = subprocess.run(["systemd-analyze", *user, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    # 5.0 of 10 is where "OK" ends.
    level = ["systemd-analyze", "security", "--offline=yes", "--threshold=50", str(unit)]
    done = subprocess.run(level, capture_output=True, text=True, check=False)
    assert user or done.returncode == 0, done.stdout


def test_a_socket_is_passed_on_alone(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(workload / "workload.toml")
    text = printed(capsys, file, "--socket", "/run/legodnn/socket")
    assert '"--socket" "/run/legodnn/socket"' in text
    assert "--host" not in text, "the service would refuse it"
    assert "--port" not in text
    assert main(["service", "install", file, "--print", "--socket", "/run/legodnn/socket", "--port", "81"]) == 1
    assert "--socket and --port do not go together" in capsys.readouterr().err
