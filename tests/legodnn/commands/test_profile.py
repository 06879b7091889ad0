"""`legodnn profile` measures, writes, prints and draws; merges; and refuses in a line what makes no sense.

Covers also: commands.profile.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legodnn.cli import main
from legodnn.commands.demo import _next_commands
from legodnn.commands.inspect import show_made
from legodnn.commands.profile import _next_step, profile_summary
from legodnn.errors import ProfileError
from legodnn.manifest import MANIFEST
from legodnn.profile import Contention, Profile, Validation, default_path
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.store import Store
from legodnn.tail import Condition, Tail
from legodnn.workload import load_workload


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def test_a_summary_names_what_ran_before_and_beside(tiny_store: Store) -> None:
    ran: tuple[tuple[int, Condition, str | None], ...]
    ran = ((1, "after", None), (2, "after", "e" * 64), (2, "beside", "e" * 64))
    tails = [
        Tail(threads=threads, condition=condition, other=other, inferences=99, quantiles=(0.5,), stretch=(1.2,))
        for threads, condition, other in ran
    ]
    found = Profile.load(default_path(tiny_store.path)).model_copy(
        update={"tail": tails, "contention": (Contention(store_id="e" * 64, model="scenes", slowdown=1.5),)}
    )
    lines = [line.partition(" take,")[0] for line in profile_summary(found).splitlines() if "inferences" in line]
    assert lines == [
        "inferences after others of its own (1 thread)",
        "inferences after scenes (2 threads)",
        "inferences beside scenes (2 threads)",
    ]


def test_a_command_to_copy_quotes_the_store(
    tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(shutil.copytree(tiny_store.path, tmp_path / "my store"))
    assert _next_step([store], [], [default_path(store.path)]) == f"next: legodnn plan '{store.path}'"
    show_made(store, as_json=False)
    wanted = f"wrote {store.path}\nnext, on the device: legodnn profile '{store.path}'\n"
    assert capsys.readouterr().out.endswith(wanted)
    assert _next_commands([store]).splitlines() == [
        f"next:   legodnn inspect '{store.path}'",
        f"        legodnn plan '{store.path}' --memory 10MB",
    ]


def test_so_do_messages(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> None:
    store = Store(shutil.copytree(tiny_store.path, tmp_path / "my store"))
    command = f"`legodnn profile '{store.path}'`"
    with pytest.raises(ProfileError, match=f"measure the store on this device: {command}"):
        Profile.load(default_path(store.path))
    with pytest.raises(ProfileError, match=f"; run {command}"):
        Profile.load(default_path(tiny_store2.path)).check_store(store)
    with pytest.raises(ProfileError, match=f"{command[:-1]} --streaming --threads 1,2`"):
        ModelTable.from_store(store, Profile.load(default_path(tiny_store.path)), streaming=True)


SHORT = ("--seconds", "0.3", "--quick")


def test_a_profile_is_written_beside_the_store_and_shown(store_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capfd, "profile", store_copy, *SHORT, "--threads", "1,2")
    assert status == 0
    profile = Profile.load(default_path(store_copy))
    profile.check_store(Store(store_copy))
    for words in (
        f"wrote {default_path(store_copy)}",
        "median ms (2t)",
        "a chain of segments takes",
        "predicted against measured latency of 8 random plans, 2 threads: median error",
        "next: legodnn p",  # plan; or, where the machine is busy, profile once more
    ):
        assert words in out
    for line in ("weighing tiny", "timing tiny", "validating tiny"):
        assert line in err
    assert sorted(p.name for p in store_copy.parent.iterdir()) == ["copy", "copy.profile.json"]


def test_the_next_step_after_measurements_that_contradict_themselves_is_to_measure_again(tiny_store: Store) -> None:
    profile = Profile.load(default_path(tiny_store.path))

    def after(error: float) -> str:
        found = Validation(threads=1, plans=20, median_error=error, p95_error=2 * error)
        measured = profile.model_copy(update={"validation": (found,)})
        return _next_step([tiny_store], [measured], [default_path(tiny_store.path)])

    assert after(0.05) == f"next: legodnn plan {tiny_store.path}"
    assert "half of the plans that were tried took 44% more or less than predicted" in after(0.44)
    assert f"next: legodnn profile {tiny_store.path} once more" in after(0.44)


def test_the_next_step_names_a_profile_that_is_not_beside_its_store(tiny_store: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "faces.json"
    shutil.copy(default_path(tiny_store.path), elsewhere)
    said = _next_step([tiny_store], [], [elsewhere])  # without measurements, which a busy machine may spoil
    assert said.startswith(f"next: a workload file that names {elsewhere} as the `profile`")
    (tmp_path / "workload.toml").write_text(
        f"[[models]]\nname = 'a'\nstore = '{tiny_store.path}'\nprofile = 'faces.json'"
    )
    assert load_workload([tmp_path / "workload.toml"]).models[0].profile_path == elsewhere


def test_a_meter_without_a_name_is_refused(store_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capfd, "profile", store_copy, *SHORT, "--energy", "")
    assert (status, err.startswith("legodnn: no meter ''; there are rapl")) == (1, True)


def test_json_is_the_profile_and_nothing_else(
    store_copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "p.json"
    status, printed, _ = run(capfd, "profile", store_copy, *SHORT, "--json", "--out", out, "--energy", "watts:2.5")
    assert status == 0
    (document,) = json.loads(printed)
    assert document == json.loads(out.read_text())
    assert Profile.model_validate_json(json.dumps(document)) == Profile.load(out)
    assert document["energy"]["meter"] == "CPU seconds x 2.5 W"
    assert document["energy"]["estimate"] is True
    assert not default_path(store_copy).exists()
    assert [p.name for p in out.parent.iterdir()] == ["p.json"]


def test_the_fields_are_named_as_tools_for_lite_models_name_them(store_copy: Path, tmp_path: Path) -> None:
    assert main(["profile", str(store_copy), *SHORT, "--out", str(tmp_path / "p.json")]) == 0
    entry = json.loads((tmp_path / "p.json").read_text())["options"][0]["latency"][0]
    assert set(entry) == {"threads", "runs", "first_ms", "min_ms", "median_ms", "p95_ms"}


def test_energy_stands_in_the_table(store_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capfd, "profile", store_copy, *SHORT, "--energy", "watts:3")
    assert status == 0
    assert " mJ " in out
    assert "energy estimated by CPU seconds x 3 W: a switch takes" in out


def test_quick_says_what_it_left_out(store_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((store_copy / MANIFEST).read_text())
    for segment in manifest["segments"][:2]:
        for option in segment["options"][1:]:
            option["dominated"] = True
    (store_copy / MANIFEST).write_text(json.dumps(manifest))
    status, out, _ = run(capfd, "profile", store_copy, *SHORT)
    assert status == 0
    names = "block1/s0.5, block1/s0.75, block2/s0.5, block2/s0.75"
    assert f"left out, and never chosen: {names}: dominated by another option" in out


def test_several_stores_are_also_run_beside_each_other(
    tiny_store: Store, tiny_store2: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = [shutil.copytree(s.path, tmp_path / s.name) for s in (tiny_store, tiny_store2)]
    status, out, _ = run(capfd, "profile", *folders, *SHORT)
    assert status == 0
    profiles = [Profile.load(default_path(folder)) for folder in folders]
    assert [[c.model for c in p.contention] for p in profiles] == [["tiny2"], ["tiny"]]
    assert "beside tiny2 it takes" in out
    assert "beside tiny it takes" in out
    assert not list(tmp_path.glob("*.work"))


def test_a_picture_is_drawn(store_copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    status, out, err = run(capfd, "profile", store_copy, *SHORT, "--plot", tmp_path / "p.svg", "--json")
    assert status == 0
    assert json.loads(out)
    assert f"drew {tmp_path / 'p.svg'}" in err
    assert "<svg" in (tmp_path / "p.svg").read_text()


def test_without_matplotlib_the_message_names_the_command_before_anything_is_measured(store_copy: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from legodnn.cli import main\n"
        f"sys.exit(main(['profile', {str(store_copy)!r}, '--plot', 'p.svg']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "legodnn: --plot needs matplotlib; pip install 'legodnn[plot]'\n"


def test_the_same_command_goes_on_after_an_interruption(store_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    work = store_copy.with_name("copy.profile.json.work")
    command = [sys.executable, "-m", "legodnn", "profile", str(store_copy), "--seconds", "100", "--precision", "1e-9"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (work.exists() and work.stat().st_size > 5000) and time.monotonic() < deadline:  # timings are in it
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert not default_path(store_copy).exists()
    status, _, err = run(capfd, "profile", store_copy, "--seconds", "1")
    assert status == 0
    assert f"going on with what {work} has" in err
    assert default_path(store_copy).exists()
    assert not work.exists()


# --- merging ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def halves(tiny_store: Store, tmp_path: Path) -> list[Path]:
    """The shared profile, taken apart: one thread count in each."""
    whole = Profile.load(default_path(tiny_store.path))
    paths = []
    for n in (1, 2):
        options = tuple(
            o.model_copy(update={"latency": tuple(e for e in o.latency if e.threads == n)}) for o in whole.options
        )
        chain = tuple(c for c in whole.chain if c.threads == n)
        path = tmp_path / f"{n}.json"
        whole.model_copy(update={"options": options, "chain": chain}).save(path)
        paths.append(path)
    return paths


def test_merging_puts_thread_counts_together(
    tiny_store: Store, halves: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capfd, "profile", "--merge", *halves, "--out", tmp_path / "both.json")
    assert status == 0
    assert "median ms (1t)" in out
    assert "median ms (2t)" in out
    assert Profile.load(tmp_path / "both.json") == Profile.load(default_path(tiny_store.path))
    status, printed, _ = run(capfd, "profile", "--merge", *halves, "--out", tmp_path / "both.json", "--json")
    assert status == 0
    assert json.loads(printed) == [json.loads((tmp_path / "both.json").read_text())]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the folders of stores to measure, or --merge and the files"),
        (["--merge", "--out", "OUT"], "give the folders of stores to measure, or --merge and the files"),
        (
            ["STORE", "--merge", "ONE", "--out", "OUT"],
            "is a folder; --merge takes the files of profiles, such as",
        ),
        (["--merge", "ONE", "TWO"], "--merge needs --out"),
        (["--merge", "ONE", "TWO", "--out", "OUT", "--plot", "p.svg"], "measures nothing; leave out --plot, or"),
        (["--merge", "ONE", "--out", "OUT", "--seconds", "1"], "measures nothing; leave out --seconds, or"),
        (["--merge", "ONE", "--out", "OUT", "--precision", ".1"], "measures nothing; leave out --precision, or"),
        (["--merge", "ONE", "--out", "OUT", "--quick"], "measures nothing; leave out --quick, or"),
        (["--merge", "ONE", "--out", "OUT", "--energy", "watts:1"], "measures nothing; leave out --energy, or"),
        (
            ["--merge", "ONE", "--out", "OUT", "--threads", "1", "--quick"],
            "measures nothing; leave out --threads, --quick, or",
        ),
        (["--merge", "ONE", "--out", "OUT", "--seconds", "0"], "measures nothing; leave out --seconds, or"),
        (["--merge", "ONE", "OTHER", "--out", "OUT"], "profiles of different stores cannot be merged"),
        (["--merge", "ONE", "nowhere.json", "--out", "OUT"], "cannot read nowhere.json"),
        (["--merge", "ONE", "TWO", "--out", "FOLDER"], "Is a directory; name another place with --out"),
        (["STORE", "STORE2", "--out", "OUT"], "there are several stores"),
        (["STORE", "STORE2", "--plot", "OUT"], "there are several stores"),
        (["STORE", "--out", "FOLDER"], "Is a directory; name another place with --out"),
        (["STORE", "--out", "ONE/p.json"], "Not a directory; name another place with --out"),
        (["STORE", "--plot", "OUT.gif"], "--plot draws .svg, .png or .pdf, not"),
        (["STORE", "--plot", "ONE/p.svg"], "Not a directory; name another place with --plot"),
        (["STORE", "--threads", "0"], "--threads must be different positive counts, not 0"),
        (["STORE", "--threads", "1,1"], "--threads must be different positive counts, not 1 1"),
        (["STORE", "--threads", "1,100000"], "--threads must be at most 256, not 100000"),
        (["STORE", "--seconds", "-1"], "--seconds must be positive and finite, not -1"),
        (["STORE", "--seconds", "inf"], "--seconds must be positive and finite, not inf"),
        (["STORE", "--seconds", "nan"], "--seconds must be positive and finite, not nan"),
        (["STORE", "--precision", "2"], "--precision must be a fraction between 0 and 1, not 2"),
        (["STORE", "--energy", "sun"], "no meter 'sun'; there are rapl, pmic, battery, csv:FILE and watts:NUMBER"),
        (["STORE", "--energy", "csv:nowhere.csv"], "cannot read nowhere.csv"),
        (["STORE", "--energy", "watts:0"], "make no sense"),
        (["nowhere"], "is not a folder"),
    ],
)
def test_refusals_are_a_line_and_nothing_is_measured_or_written(
    arguments: list[str],
    message: str,
    halves: list[Path],
    tiny_store: Store,
    tiny_store2: Store,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    (tmp_path / "folder").mkdir()
    names = {
        "OTHER": default_path(tiny_store2.path),
        "STORE2": tiny_store2.path,
        "STORE": tiny_store.path,
        "ONE": halves[0],
        "TWO": halves[1],
        "OUT": tmp_path / "out",
        "FOLDER": tmp_path / "folder",
    }
    for placeholder, value in names.items():
        arguments = [a.replace(placeholder, str(value)) for a in arguments]
    before = sorted(p.name for folder in (tmp_path, tiny_store.path.parent) for p in folder.iterdir())
    status, out, err = run(capfd, "profile", *arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("legodnn: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(p.name for folder in (tmp_path, tiny_store.path.parent) for p in folder.iterdir()) == before
