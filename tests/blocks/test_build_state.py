"""The work folder of a build: of one recipe, held by one process, every file in it whole or absent."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.array_tree import flatten
from legodnn.blocks.build_state import BuildState, Checkpoint
from legodnn.errors import StoreError
from legodnn.recipe import Recipe

RECIPE = Recipe(model="vgg16", name="x", train_epochs=1)


@pytest.fixture
def work(tmp_path: Path) -> BuildState:
    return BuildState(tmp_path / "store", RECIPE)


def test_the_folder_lies_beside_the_store_and_names_the_recipe(work: BuildState, tmp_path: Path) -> None:
    assert work.path == tmp_path / "store.work"
    assert [p.name for p in work.path.iterdir()] == ["recipe.json"]
    again = BuildState.of(work.path)
    assert (again.path, again.recipe) == (work.path, RECIPE)


def test_the_folder_is_found_from_within(work: BuildState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.path)
    assert BuildState.of(Path()).path == work.path


def test_another_folder_is_not_taken_for_a_work_folder(work: BuildState, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recipe.json").write_bytes((work.path / "recipe.json").read_bytes())
    with pytest.raises(StoreError, match=r"other is not the work folder of a build, which is called STORE\.work"):
        BuildState.of(tmp_path / "other")
    with pytest.raises(StoreError, match=r"cannot read .*none\.work/recipe\.json: No such file or directory; give the"):
        BuildState.of(tmp_path / "none.work")
    (work.path / "recipe.json").write_text("{")
    with pytest.raises(StoreError, match=r"recipe\.json is damaged; remove .*store\.work and build again"):
        BuildState.of(work.path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"seed": 1}, '"seed": 0'), ({"sparsities": (0.5,)}, "0.2,"), ({"model": "resnet20"}, '"model": "vgg16",')],
)
def test_another_recipe_is_refused_by_what_differs_and_nothing_is_changed(
    work: BuildState, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    work.write("block1", {"x": np.zeros(3)})
    before = {p.name: p.read_bytes() for p in work.path.iterdir()}
    with pytest.raises(StoreError) as caught:
        BuildState(tmp_path / "store", RECIPE.model_copy(update=changes))
    assert f"unfinished build of another recipe ({told}); finish it with that recipe, or remove" in str(caught.value)
    assert {p.name: p.read_bytes() for p in work.path.iterdir()} == before


@pytest.mark.parametrize("damaged", [b"", b'{"model": "vg', b"\xff\xfe\xc8 no text", bytes(200)])
def test_a_damaged_recipe_is_refused_with_what_to_do(work: BuildState, tmp_path: Path, damaged: bytes) -> None:
    (work.path / "recipe.json").write_bytes(damaged)
    with pytest.raises(StoreError, match=r"recipe\.json is damaged; remove .*store\.work and build again"):
        BuildState(tmp_path / "store", RECIPE)


def test_one_process_at_a_time_holds_the_folder(work: BuildState, tmp_path: Path) -> None:
    with work, pytest.raises(StoreError, match=r"store.work: another process is building this store; wait for it"):
        BuildState(tmp_path / "store", RECIPE).__enter__()
    with work:
        pass


def test_what_another_process_has_finished_is_not_begun_again(work: BuildState, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(StoreError, match="store has appeared in the meantime; remove it and run the same command"):
        work.__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("finished", [False, True])
def test_what_ends_before_anything_is_finished_leaves_no_folder(
    work: BuildState, tmp_path: Path, finished: bool
) -> None:
    """As when a target cannot be reached: the next command may ask for another one."""
    with work:
        work.check_source({"model": "1"})
        if finished:
            work.leave_out({"block1/s0.9": "it removes no channel"})
    assert work.path.exists() == finished
    if not finished:
        BuildState(tmp_path / "store", RECIPE.model_copy(update={"seed": 1}))


def test_a_process_that_is_killed_lets_go_of_the_folder(work: BuildState) -> None:
    code = (
        f"import fcntl, time; f = open({str(work.path / 'lock')!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="another process"):
            work.__enter__()
        process.kill()
    with work:
        pass


def test_arrays_come_back_as_they_were_saved(work: BuildState) -> None:
    arrays = {"0/removed": np.arange(3), "b": np.float32(0.1) * np.ones((2, 0, 3), np.float32), "step": np.array(7)}
    assert work.read("block1") is None
    work.write("block1", arrays)
    found = work.read("block1")
    assert found is not None
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


class Stopped(BaseException):
    """As if the process had been killed."""


def test_a_write_that_is_cut_short_leaves_what_was_there(work: BuildState, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise Stopped

    work.write("job0.state", {"step": np.array(1)})
    for moment in ("os.fsync", "pathlib.Path.replace"):
        with monkeypatch.context() as patched:
            patched.setattr(moment, stop)
            for name in ("job0.state", "block1"):
                with pytest.raises(Stopped):
                    work.write(name, {"step": np.array(2)})
    assert work.read("job0.state") == {"step": np.array(1)}
    assert work.read("block1") is None


def content() -> bytes:
    file = io.BytesIO()
    np.savez(file, **flatten({"step": np.array(3), "w": np.arange(4, dtype=np.float32)}))  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("damaged", [b"", b"text", content()[:100], content()[:-1], content().replace(b"F", b"T")])
def test_a_damaged_state_is_refused_with_what_to_do(work: BuildState, damaged: bytes) -> None:
    (work.path / "job0.state.npz").write_bytes(damaged)
    with pytest.raises(StoreError, match=r"cannot read .*job0.state.npz: .+; remove it and run the same"):
        work.checkpoint("job0").read()


@given(at=st.integers(0, len(content()) - 1), removed=st.integers(0, 3), added=st.binary(max_size=3))
def test_a_state_damaged_anywhere_is_read_or_refused(
    at: int, removed: int, added: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = BuildState(tmp_path_factory.getbasetemp() / "damaged", RECIPE)
    (work.path / "job0.state.npz").write_bytes(content()[:at] + added + content()[at + removed :])
    with contextlib.suppress(StoreError):  # anything else fails
        assert work.checkpoint("job0").read() is not None


def test_a_checkpoint_is_due_after_its_time_and_not_again_before(
    work: BuildState, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint = Checkpoint(work.path / "job0.state.npz", every_s=60)
    assert not checkpoint.due
    now = 160.0
    assert checkpoint.due
    checkpoint.write({"step": np.array(4)})
    assert not checkpoint.due
    now = 220.0
    assert checkpoint.due
    assert work.checkpoint("job0").read() == {"step": np.array(4)}
    assert work.checkpoint("job1").read() is None
    checkpoint.discard()
    assert work.checkpoint("job0").read() is None


def test_a_checkpoint_without_a_folder_keeps_nothing() -> None:
    checkpoint = Checkpoint(every_s=0)
    assert not checkpoint.due
    checkpoint.write({"step": np.array(4)})
    assert checkpoint.read() is None
    checkpoint.discard()


def test_another_model_under_the_same_name_is_refused(work: BuildState, tmp_path: Path) -> None:
    work.check_source({"model": "a", "data": "b"})
    work.check_source({"model": "a", "data": "b"})
    again = BuildState(tmp_path / "store", RECIPE)
    with pytest.raises(StoreError, match=r"store\.work holds an unfinished build of another model under the same name"):
        again.check_source({"model": "c", "data": "b"})
    with pytest.raises(StoreError, match="build of another model and data under"):
        again.check_source({"model": "c", "data": "d"})
    (work.path / "source.json").write_text("{")
    with pytest.raises(StoreError, match=r"source\.json is damaged; remove"):
        again.check_source({"model": "a", "data": "b"})
