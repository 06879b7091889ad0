"""Lists are written alike in every command: commas or the flag again, anywhere, and they take no other word."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from legodnn.cli import command_line, main
from legodnn.commands.run import _sources
from legodnn.workload import Workload, WorkloadModel

# For each flag that takes a list: a command with what it needs, three items, and what becomes of them.
LISTS = {
    "--threads": (["profile", "STORE"], ["1", "2", "4"], [1, 2, 4]),
    "--sparsities": (["build", "vgg16", "--out", "x"], [".25", "0.5", ".75"], [0.25, 0.5, 0.75]),
    "--precisions": (["build", "vgg16", "--out", "x"], ["float32", "float16", "int8"], ["float32", "float16", "int8"]),
    "--latency": (["plan", "STORE"], ["a=5", "b=.5", "c=7"], ["a=5", "b=.5", "c=7"]),
    "--input": (["run", "STORE"], ["a=x.npz", "b=y,z.npz", "c=1"], ["a=x.npz", "b=y,z.npz", "c=1"]),
}


@pytest.mark.parametrize("flag", LISTS)
def test_commas_and_repeated_flags_mean_the_same_anywhere_on_the_line(flag: str) -> None:
    (command, *needed), items, wanted = LISTS[flag]
    ways = (
        [flag, ",".join(items)],
        [f"{flag}={','.join(items)}"],
        [word for item in items for word in (flag, item)],
        [flag, ",".join(items[:2]), flag, items[2]],
    )
    for way in ways:
        for line in ([command, *needed, *way], [command, *way, *needed]):
            found = vars(command_line().parse_args(line))
            assert found[flag[2:]] == wanted
            assert found.get("model", "vgg16") == "vgg16"
            assert found.get("stores", found.get("workload", ["STORE"])) == ["STORE"]


def test_a_flag_of_one_value_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["--memory", "5MB", "--memory", "9MB"], ["--memory=5MB", "STORE", "--memory=9MB"]):
        with pytest.raises(SystemExit) as ended:
            main(["plan", *line])
        assert ended.value.code == 2
        assert "argument --memory: given twice, 5MB and 9MB; leave one out" in capsys.readouterr().err
    parser = command_line()
    for _ in range(2):
        assert parser.parse_args(["plan", "STORE", "--memory", "5MB"]).memory == "5MB"


@pytest.mark.parametrize(
    "words",
    [
        ["plan", ""],
        ["plan", "a", "--memory", "5MB", ""],
        ["run", ""],
        ["profile", ""],
        ["inspect", ""],
        ["build", ""],
        ["pack", "", "--out", "x"],
        ["pack", "a.tflite", "--out", ""],
        ["plan", "a", "--output", ""],
        ["run", "a", "--input", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line().parse_args(words)
    assert "it is empty; name a file or a folder" in capsys.readouterr().err


def test_a_home_is_found_where_shells_leave_it_to_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    args = command_line().parse_args(["pack", "~/a.tflite", "--out=~/stores/a", "--name=~", "--data=~/val.npz"])
    assert (args.files, args.out, args.name) == (["/home/pi/a.tflite"], "/home/pi/stores/a", "~")
    assert args.data == "/home/pi/val.npz"
    assert command_line().parse_args(["plan", "a", "--memory", "5MB", "~/b"]).workload == ["a", "/home/pi/b"]
    workload = Workload(models=(WorkloadModel(name="a", store="a"), WorkloadModel(name="b", store="b")))
    assert _sources(["a=~/photos", "b=/x/~/y"], workload) == {"a": "/home/pi/photos", "b": "/x/~/y"}


def test_an_empty_name_is_no_empty_path() -> None:
    assert command_line().parse_args(["pack", "a.tflite", "--out", "x", "--name", ""]).name == ""


@pytest.mark.parametrize("flag", LISTS)
def test_a_list_with_spaces_is_refused_with_the_way_to_write_it(
    flag: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (command, *needed), items, _ = LISTS[flag]
    for line in ([command, *needed, flag, *items], [command, flag, *items, *needed]):
        with pytest.raises(SystemExit) as caught:
            main(line)
        assert caught.value.code == 2
        message = capsys.readouterr().err.splitlines()[-1]
        first = f"{float(items[0]):g}" if flag == "--sparsities" else items[0]
        assert f"argument {flag}: a list is one word without spaces; write {flag} {first},{items[1]}" in message
        assert command in message


def test_a_word_behind_an_unknown_flag_is_not_taken_for_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", "vgg16", "--out", "store", "--sparsities", ".5", "--images", "30"])
    assert "unrecognized arguments: --images 30" in capsys.readouterr().err


def test_positional_arguments_may_stand_between_flags() -> None:
    groups = [["a", "b"], ["c"], ["--threads", "2"], ["--quick"]]
    for order in permutations(groups):
        found = command_line().parse_args(["profile", *(word for group in order for word in group)])
        assert sorted(found.stores) == ["a", "b", "c"]
        assert (found.threads, found.quick) == ([2], True)


def test_a_folder_that_is_called_like_an_item_is_taken_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("2").mkdir()
    found = command_line().parse_args(["profile", "--threads", "1", "2"])
    assert (found.threads, found.stores) == ([1], ["2"])


def test_unknown_flags_are_named_with_what_follows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "a", "--memry", "5MB", "b"])
    assert "unrecognized arguments: --memry 5MB b" in capsys.readouterr().err
