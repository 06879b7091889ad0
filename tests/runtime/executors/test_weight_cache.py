"""Packed weights are made once, verified before use, never mistaken for others, and bounded."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legodnn.runtime.executors import weight_cache
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.cache_folder import entry_bytes
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEGODNN_CACHE", str(folder))
    return folder


def entries(cache: Path) -> list[Path]:
    return sorted(p for p in cache.iterdir())


def answer(store: Store, kind: str | None = None) -> np.ndarray:
    """The output of the smallest options, by a fresh executor."""
    executor = open_executor(store, kind)
    composition = executor.compose(covering_compositions(store)[-1])
    x = {i.name: np.random.default_rng(0).random(i.shape, np.float32) for i in store.manifest.inputs}
    (output,) = composition.run(x).values()
    executor.close()
    return output


def test_an_entry_is_made_once_and_is_the_users_alone(cache: Path, tiny_store: Store) -> None:
    answer(tiny_store)
    (entry,) = entries(cache)
    assert entry == weight_cache.entry_path(tiny_store)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o700
    assert stat.S_IMODE((entry / "weights.packed").stat().st_mode) == 0o400
    made = {p.name: p.stat().st_ino for p in entry.iterdir()}
    answer(tiny_store)
    assert {p.name: p.stat().st_ino for p in entry.iterdir()} == made


def test_stores_with_other_weights_have_other_entries(cache: Path, store_copy: Path, tiny_store: Store) -> None:
    """Same shapes, other weights: the danger of a cache that is not tied to the content."""
    manifest = json.loads((store_copy / "manifest.json").read_text())
    first, second = (manifest["segments"][1]["options"][i] for i in (0, 1))
    for key in ("file", "sha256", "bytes"):
        first[key], second[key] = second[key], first[key]
    (store_copy / "manifest.json").write_text(json.dumps(manifest))
    swapped = Store(store_copy)
    for store in (tiny_store, swapped):
        np.testing.assert_allclose(answer(store), answer(store, "interpreter"), atol=1e-5)
    assert {weight_cache.entry_path(s) for s in (tiny_store, swapped)} <= set(entries(cache))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"something else")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.packed", truncate),
        ("weights.packed", flip),
        ("weights.packed", Path.unlink),
        ("head.tflite", replace),
        ("places.npy", flip),
        ("head.index", flip),
        ("sums.json", truncate),
    ],
)
def test_a_damaged_entry_is_made_again(
    cache: Path, tiny_store2: Store, name: str, damage: Callable[[Path], None]
) -> None:
    expected = answer(tiny_store2)
    (entry,) = entries(cache)
    damage(entry / name)
    np.testing.assert_array_equal(answer(tiny_store2), expected)
    assert entries(cache) == [entry]
    assert sorted(p.name for p in entry.iterdir()) == [
        "head.index",
        "head.tflite",
        "places.npy",
        "sums.json",
        "weights.packed",
    ]


def test_an_entry_that_is_removed_or_replaced_while_it_is_used_changes_nothing(cache: Path, tiny_store: Store) -> None:
    executor = open_executor(tiny_store)
    x = {"image": np.random.default_rng(0).random((12, 12, 1), np.float32)}
    expected = [executor.compose(c).run(x)["head"] for c in covering_compositions(tiny_store)]
    (entry,) = entries(cache)
    replace(entry / "weights.packed")
    shutil.rmtree(entry)
    for threads in (1, 2):
        for choices, wanted in zip(covering_compositions(tiny_store, threads), expected, strict=True):
            composition = executor.compose(choices)
            executor.retain(choices)
            np.testing.assert_allclose(composition.run(x)["head"], wanted, atol=1e-6)
    executor.close()


def test_processes_that_fill_the_cache_at_once_all_succeed(cache: Path, tiny_store2: Store) -> None:
    program = (
        "from legodnn.runtime.executors.select import open_executor; from legodnn.store import Store; "
        f"print(type(open_executor(Store({str(tiny_store2.path)!r}))).__name__)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    assert [p.communicate()[0].strip() for p in processes] == ["CApiExecutor"] * 3
    assert entries(cache) == [weight_cache.entry_path(tiny_store2)]


def test_what_was_not_used_for_longest_goes_first(
    cache: Path, tiny_store: Store, tiny_store2: Store, store_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (store_copy / "manifest.json").read_text()
    (store_copy / "manifest.json").write_text(text.replace('"task": "', '"task": "other '))
    stores = [tiny_store, tiny_store2, Store(store_copy)]
    for age, store in ((300, stores[0]), (200, stores[1])):
        answer(store)
        old = cache.stat().st_mtime - age
        os.utime(weight_cache.entry_path(store), (old, old))
    answer(stores[0])  # used again: now the other is the oldest
    total = sum(map(entry_bytes, entries(cache))) + entry_bytes(
        weight_cache.entry_path(stores[0])
    )  # the third is alike
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", str(total - 1))
    answer(stores[2])
    assert entries(cache) == sorted(weight_cache.entry_path(s) for s in (stores[0], stores[2]))


def test_entries_that_fit_into_a_small_cache_all_stay(
    cache: Path, tiny_store: Store, tiny_store2: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the models of a workload would be tried out and packed anew in every process."""
    monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "20MB")
    for store in (tiny_store, tiny_store2):
        answer(store)
    assert entries(cache) == sorted(map(weight_cache.entry_path, (tiny_store, tiny_store2)))
    assert sum(map(entry_bytes, entries(cache))) < 20e6


MAKING = """
import sys, time
from pathlib import Path
from legodnn.runtime.executors import weight_cache
from legodnn.store import Store
def stop(store, executor, target):
    print(target, flush=True)
    time.sleep(60)
weight_cache.trial.run_trial = stop
weight_cache.open_packed(Store(sys.argv[1]))
"""


def test_an_unfinished_entry_goes_with_the_process_that_makes_it_and_not_before(
    cache: Path, tiny_store: Store, tiny_store2: Store
) -> None:
    """Whatever clocks say: to this process it looks a year old, then a year too new."""
    command = [sys.executable, "-c", MAKING, str(tiny_store2.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        unfinished = Path(maker.stdout.readline().strip())
        now = unfinished.stat().st_mtime
        for age in (365 * 86400, -365 * 86400):
            os.utime(unfinished, (now - age, now - age))
            answer(tiny_store)
            assert unfinished.is_dir()
            shutil.rmtree(weight_cache.entry_path(tiny_store))
        maker.kill()
    answer(tiny_store)
    assert entries(cache) == [weight_cache.entry_path(tiny_store)]


@pytest.mark.parametrize("obstacle", ["limit", "others may write", "a file"])
def test_where_packed_weights_cannot_be_kept_models_run_by_the_interpreter_with_a_warning(
    tmp_path: Path,
    tiny_store: Store,
    obstacle: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("LEGODNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if obstacle == "limit":
        monkeypatch.setenv("LEGODNN_CACHE_LIMIT", "1kB")
    elif obstacle == "a file":
        (tmp_path / "legodnn").write_text("")
    else:
        (tmp_path / "legodnn").mkdir()
        (tmp_path / "legodnn").chmod(0o777)
    executor = open_executor(tiny_store)
    assert isinstance(executor, InterpreterExecutor)
    assert "tiny runs without packed weights, slower to switch" in caplog.text
