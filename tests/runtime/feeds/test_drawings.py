"""`legodnn run --draw` writes a picture of every input, by model and budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn import Store
from legodnn.errors import InputError, StoreError
from legodnn.profile import Profile, default_path
from legodnn.runtime.feeds.drawings import Drawings
from legodnn.runtime.feeds.inputs import Inputs
from tests.legodnn.damaged_stores import edit

Image = pytest.importorskip("PIL.Image")


def read_as(path: Path, reading: dict[str, object] | None) -> Store:
    """Change the reading of a store."""
    edit(path, lambda document: document["model"].update(reading=reading))
    return Store(path)


def test_run_draws_a_picture_of_every_input(
    store_copy: Path, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from legodnn.cli import main

    store = read_as(store_copy, {"kind": "class_scores"})
    profile = Profile.load(default_path(tiny_store.path)).model_copy(update={"store_id": store.id})
    profile.save(default_path(store.path))
    for name in ("a.png", "b.jpg"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((24, 24), 200, np.uint8)).save(tmp_path / "photos" / name)
    out = tmp_path / "found"
    command = ["run", str(store.path), "--input", str(tmp_path / "photos"), "--draw", str(out)]
    assert main(command) == 0
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.png")) == ["copy/0001_a.png", "copy/0002_b.png"]
    with Image.open(out / "copy" / "0001_a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (324, 324, 3)  # 12 x 12, enlarged
    assert (pixels[-1] == 200).all()
    assert (pixels[:16, :8] == 0).any()
    (tmp_path / "trace.json").write_text("[{}, {}]")
    assert main([*command, "--trace", str(tmp_path / "trace.json")]) == 0
    assert (out / "2" / "copy" / "0002_b.png").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "copy").write_text("where the model's pictures would be")
    assert main([*command[:-1], str(tmp_path / "mine")]) == 1
    assert "0001_a.png: Not a directory" in capsys.readouterr().err


def test_what_cannot_be_drawn_is_refused_before_anything_runs(store_copy: Path, tmp_path: Path) -> None:
    store, inputs = read_as(store_copy, None), {"tiny": Inputs(np.zeros((1, 12, 12, 1), np.float32))}
    with pytest.raises(StoreError, match="does not say how its outputs are read"):
        Drawings(tmp_path, {"tiny": store}, inputs, several=False)
    edit(store.path, lambda document: document["inputs"][0].update(layout="plain"))
    store = read_as(store.path, {"kind": "class_scores"})
    with pytest.raises(InputError, match="tiny does not take one picture"):
        Drawings(tmp_path, {"tiny": store}, inputs, several=False)


def test_long_names_of_files_are_cut(store_copy: Path, tmp_path: Path) -> None:
    store, x = read_as(store_copy, {"kind": "class_scores"}), np.zeros((1, 12, 12, 1), np.float32)
    drawings = Drawings(
        tmp_path, {"m": store}, {"m": Inputs(x, names=("x/" + "\u00e9" * 125 + ".png",))}, several=False
    )
    drawings.keep(0, "m", 0, x[0], {"head": np.zeros(10, np.float32)})
    assert [file.name for file in (tmp_path / "m").iterdir()] == ["0001_" + "\u00e9" * 100 + ".png"]


@pytest.mark.parametrize("name", ["../../outside", "/outside", "nul\0", ".."])
def test_no_picture_is_written_outside_the_folder(store_copy: Path, tmp_path: Path, name: str) -> None:
    store, x = read_as(store_copy, {"kind": "class_scores"}), np.zeros((1, 12, 12, 1), np.float32)
    out = tmp_path / "a" / "b"
    name = name.replace("/outside", f"{tmp_path}/outside") if name.startswith("/") else name
    drawings = Drawings(out, {name: store, "m": store}, dict.fromkeys((name, "m"), Inputs(x)), several=False)
    for model in (name, "m"):
        drawings.keep(0, model, 0, x[0], {"head": np.zeros(10, np.float32)})
    assert len(list(out.glob("*/0001.png"))) == len(list(tmp_path.rglob("*.png"))) == 2
