"""The cache folder is the user's alone and bounded, and a setting that makes no sense is never ignored."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ConfigError, PackingError
from legodnn.runtime.executors import trial
from legodnn.runtime.executors.cache_folder import (
    cache_folder,
    cache_limit,
    entry_name,
    evict,
    mark_used,
    unfinished_entry,
)
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store


def spoil(folder: Path, how: str) -> None:
    """Put something in the place of a cache folder that cannot be one."""
    if how == "a file":
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("")
    elif how == "below a file":
        folder.parent.write_text("")
    else:
        folder.mkdir(parents=True)
        folder.chmod(0o777)


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache folder is if nobody chose one."""
    monkeypatch.delenv("LEGODNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "legodnn"


def test_it_is_made_where_it_is_wanted_for_its_user_alone(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == default
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("LEGODNN_CACHE", "")
    assert cache_folder() == default


@pytest.mark.parametrize("variable", ["LEGODNN_CACHE", "XDG_CACHE_HOME"])
def test_a_home_that_no_shell_has_written_out_is_no_folder_called_tilde(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEGODNN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(variable, "~/cache")
    monkeypatch.chdir(tmp_path)
    assert cache_folder().is_relative_to(tmp_path / "home" / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("how", ["a file", "below a file", "others may write"])
def test_a_chosen_folder_that_cannot_be_one_is_a_config_error(
    how: str, tmp_path: Path, tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every process that would use it, with every executor."""
    monkeypatch.setattr(trial, "_tried", set())
    folder = tmp_path / "parent" / "cache"
    spoil(folder, how)
    monkeypatch.setenv("LEGODNN_CACHE", str(folder))
    with pytest.raises(ConfigError, match=r"set LEGODNN_CACHE( to one of yours)?$") as error:
        cache_folder()
    assert str(folder) in str(error.value)
    assert how == "others may write" or "Not a directory" in str(error.value)
    for kind in (None, "interpreter"):
        with pytest.raises(ConfigError, match="LEGODNN_CACHE"):
            open_executor(tiny_store, kind)
        with pytest.raises(ConfigError, match="LEGODNN_CACHE"):
            IsolatedExecutor(tiny_store, kind)


@pytest.mark.parametrize("how", ["a file", "below a file", "others may write"])
def test_the_default_folder_that_cannot_be_one_is_a_packing_error(how: str, default: Path) -> None:
    spoil(default, how)
    with pytest.raises(PackingError, match="set LEGODNN_CACHE"):
        cache_folder()


def test_a_user_without_a_home_is_told_to_name_a_folder() -> None:
    """As in a container that runs under a number that no user has."""
    program = (
        "import os, pwd\nfrom legodnn.runtime.executors.cache_folder import PackingError, cache_folder\n"
        "pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'LEGODNN_CACHE'): os.environ.pop(name, None)\n"
        "try: cache_folder()\nexcept PackingError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "home directory" in done.stdout
    assert "set LEGODNN_CACHE" in done.stdout


def test_a_limit_is_read_as_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, count in (("500MB", 500_000_000), ("", 2_000_000_000), ("1.5 GiB", 3 << 29)):
        monkeypatch.setenv("LEGODNN_CACHE_LIMIT", text)
        assert cache_limit() == count


@pytest.mark.parametrize("kind", [pytest.param("capi", marks=pytest.mark.capi), "interpreter"])
def test_a_limit_that_is_no_size_is_a_config_error_even_where_nothing_has_to_be_made(
    kind: str, tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `legodnn doctor` says, with either executor; the Interpreter keeps nothing that would take room."""
    open_executor(tiny_store, kind).close()
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "plenty")
    for opened in (open_executor, IsolatedExecutor):
        with pytest.raises(ConfigError, match=r"^LEGODNN_CACHE_LIMIT: 'plenty' is not a size; write it like 20MB"):
            opened(tiny_store, kind)


def test_names_differ_by_store_and_executor(tiny_store: Store, tiny_store2: Store) -> None:
    names = {entry_name(store, executor) for store in (tiny_store, tiny_store2) for executor in ("a 1", "a 2")}
    assert len(names) == 4
    assert entry_name(Store(tiny_store.path), "a 1") in names


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 200), st.data())
def test_what_was_not_used_for_the_longest_time_goes_first_and_no_more_than_must(
    sizes: list[int], limit: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(sizes))), label="by time of use")
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        entries = [cache / f"{i:040}" for i in range(len(sizes))]
        for entry, size in zip(entries, sizes, strict=True):
            entry.mkdir()
            (entry / "file").write_bytes(b"x" * size)
        for age, i in enumerate(order):
            os.utime(entries[i], (1e9 - age, 1e9 - age))
        (cache / "of somebody else").mkdir()
        evict(cache, limit, keep="")
        kept = {path.name for path in cache.iterdir()} - {"of somebody else"}
        total, expected = 0, []
        for i in order:  # the last used first
            total += sizes[i]
            if total > limit:
                break
            expected.append(entries[i].name)
        assert kept == set(expected)
        assert (cache / "of somebody else").is_dir()


def test_what_is_kept_is_neither_counted_nor_removed(tmp_path: Path) -> None:
    kept, other = (tmp_path / (letter * 40) for letter in "ab")
    for entry in (kept, other):
        entry.mkdir()
        (entry / "file").write_bytes(b"x" * 10)
    evict(tmp_path, 10, keep=kept.name)
    assert sorted(tmp_path.iterdir()) == [kept, other]
    evict(tmp_path, 9, keep=kept.name)
    assert sorted(tmp_path.iterdir()) == [kept]


def test_an_entry_that_is_being_made_stays_and_goes_when_it_is_left(tmp_path: Path) -> None:
    with unfinished_entry(tmp_path) as folder:
        (folder / "file").write_text("half")
        evict(tmp_path, 0, keep="")
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())
    with unfinished_entry(tmp_path) as folder:
        folder.rename(tmp_path / "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]


def test_a_use_that_cannot_be_recorded_is_no_error(tmp_path: Path) -> None:
    mark_used(tmp_path / "nothing")


def test_a_kernel_with_larger_pages_has_entries_of_its_own(tiny_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name = entry_name(tiny_store, "a 1")
    monkeypatch.setattr(mmap, "PAGESIZE", 4 * mmap.PAGESIZE)
    assert entry_name(tiny_store, "a 1") != name
