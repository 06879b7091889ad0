"""A path holds the old content or the new, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legodnn.errors import WriteError
from legodnn.files import check_folder, check_writable, new_folder, sha256_bytes, sha256_file, write_atomic


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_file_is_written_with_its_folders_and_readable_by_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "note.txt"
    write_atomic(target, "grüße")
    assert target.read_text(encoding="utf-8") == "grüße"
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_file_is_replaced_whole_and_no_temporary_stays(tmp_path: Path) -> None:
    target = tmp_path / "data"
    write_atomic(target, b"x" * 1000)
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("step", ["fsync", "fdopen"])
def test_ctrl_c_while_writing_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "data"
    write_atomic(target, b"old")
    monkeypatch.setattr(os, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["data"]


def test_a_file_is_not_put_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*folder: Is a directory"):
        write_atomic(tmp_path / "folder", b"new")
    assert names(tmp_path) == ["folder"]


def test_a_killed_writer_leaves_one_whole_content(tmp_path: Path) -> None:
    target = tmp_path / "data"
    program = (
        "import sys, pathlib\nfrom legodnn.files import write_atomic\n"
        "target, i = pathlib.Path(sys.argv[1]), 0\n"
        "while True:\n    write_atomic(target, b'ab'[i % 2 : i % 2 + 1] * 3_000_000)\n    i += 1\n"
    )
    for delay in (0.0, 0.013, 0.029):
        target.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", program, str(target)])
        while not target.exists():
            assert writer.poll() is None
            time.sleep(0.001)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = target.read_bytes()
        assert len(content) == 3_000_000
        assert set(content) in ({ord("a")}, {ord("b")})


def test_a_new_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "store"
    with new_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("content")
        assert not target.exists()
    assert (target / "sub" / "file").read_text() == "content"
    assert target.stat().st_mode & 0o777 == 0o755
    assert names(target.parent) == ["store"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_folder_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "store") as folder:
            (folder / "half").write_text("written")
            raise error

    with pytest.raises(error):
        fill()
    assert names(tmp_path) == []


def test_ctrl_c_while_syncing_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "store") as folder:
            (folder / "file").write_text("written")
            monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_new_folder_never_replaces_what_is_there(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "store"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("mine")

    def fill() -> None:
        with new_folder(target) as folder:
            (folder / "file").write_text("other")

    with pytest.raises(FileExistsError, match="store exists"):
        fill()
    assert (target if kind == "file" else target / "mine").read_text() == "mine"
    assert names(tmp_path) == ["store"]


def test_both_hashes_are_sha256(tmp_path: Path) -> None:
    content = b"abc" * (1 << 20)  # longer than one read
    (tmp_path / "file").write_bytes(content)
    assert sha256_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "file") == sha256_bytes(content)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file/x.svg", "Not a directory"),
        ("file/more/x.svg", "Not a directory"),
        ("folder", "Is a directory"),
        ("pipe", "it is a pipe or a device, not a file"),
        ("n" * 300, "File name too long"),
        ("x\0y", "embedded null byte"),
        ("gone/x.svg", "No such file or directory"),
    ],
)
def test_where_no_file_can_be_written_is_told_before_the_work(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    before = names(tmp_path)
    with pytest.raises(WriteError, match=f"cannot write .*: {reason}; name another place with --out"):
        check_writable(tmp_path / place, "--out")
    if place != "pipe":  # every other place is one that writing itself finds out too
        with pytest.raises(WriteError):
            write_atomic(tmp_path / place, b"new")
    assert names(tmp_path) == before


def test_where_a_file_can_be_written_nothing_is_left_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old").write_text("old")
    for place in ("new", "old", "some/more/new", tmp_path / "new"):
        check_writable(Path(place), "--out")
    assert names(tmp_path) == ["old"]
    assert Path("old").read_text() == "old"


def test_room_is_looked_for_in_a_folder_and_in_the_nearest_one_around_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    check_folder(tmp_path, "--draw")
    check_folder(tmp_path / "a" / "b", "--draw")
    assert names(tmp_path) == ["file"]
    for place in ("file", "file/a/b"):
        with pytest.raises(WriteError, match=r"cannot write .*: Not a directory; name another place with --draw"):
            check_folder(tmp_path / place, "--draw")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_to_write_has_no_room(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="Permission denied"):
        check_writable(tmp_path / "new", "--out")
