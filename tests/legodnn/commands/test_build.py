"""`legodnn build`: flags and a file make the recipe, the store is printed, errors come before any work.

Covers also: commands.build.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import legodnn
from legodnn.cli import main
from legodnn.profile import Fingerprint
from legodnn.store import Store
from legodnn.widths_table import LAYER_KINDS, ProbedPrecision, WidthCurve, WidthsTable

pytest.importorskip("keras")

from legodnn.blocks import pipeline
from legodnn.blocks.importing.models import data_and_model
from legodnn.recipe import Recipe
from tests.ports import free_port


@pytest.fixture
def asked(tiny_store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asks to be built; it gets a store that was built before."""
    found: dict[str, Any] = {}

    def build(
        recipe: Recipe,
        path: str,
        jobs: int | None,
        tensorboard: str | None,
        allow_chance: bool,
        cluster: str | None,
        progress: Any,
    ) -> Store:
        found.update(recipe=recipe, path=path, jobs=jobs, tensorboard=tensorboard, allow_chance=allow_chance)
        found["cluster"] = cluster
        return tiny_store

    monkeypatch.setattr(pipeline, "build", build)
    return found


FLAGS: dict[str, tuple[list[str], Any]] = {
    "name": (["other"], "other"),
    "data": (["images:photos"], "images:photos"),
    "image_size": (["96"], 96),
    "weights": (["w.npz"], "w.npz"),
    "width": (["0.5"], 0.5),
    "train_epochs": (["3"], 3),
    "distill_epochs": (["4"], 4),
    "patience": (["2"], 2),
    "batch_size": (["16"], 16),
    "strategy": (["thinet"], "thinet"),
    "max_blocks": (["5"], 5),
    "seed": (["9"], 9),
    "sparsities": ([".25,.5"], (0.25, 0.5)),
    "precisions": (["float32,int8"], ("float32", "int8")),
    "mixed_precision": ([], True),
    "round_to": (["16"], 16),
}


def test_without_flags_the_defaults_are_built_under_the_folders_name(asked: dict[str, Any]) -> None:
    assert main(["build", "vgg16", "--out", "stores/mine"]) == 0
    settings = {"path": "stores/mine", "jobs": None, "tensorboard": None, "allow_chance": False, "cluster": None}
    assert asked == {"recipe": Recipe(model="vgg16", name="mine"), **settings}


def test_every_flag_sets_its_field(asked: dict[str, Any]) -> None:
    line = ["build", "vgg16", "--out", "mine", "--jobs", "2", "--tensorboard", "logs", "--allow-chance"]
    line += ["--cluster", "10.0.0.1:6379"]
    for name, (words, _) in FLAGS.items():
        line += [f"--{name.replace('_', '-')}", *words]
    assert main(line) == 0
    assert asked["recipe"] == Recipe(model="vgg16", **{name: value for name, (_, value) in FLAGS.items()})
    assert (asked["jobs"], asked["tensorboard"], asked["allow_chance"]) == (2, "logs", True)
    assert asked["cluster"] == "10.0.0.1:6379"


def test_a_file_gives_what_no_flag_does(asked: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('model = "MobileNetV2"\nseed = 3\nmin_share = 0.1\nmixed_precision = true\nsparsities = [0.5]\n')
    assert main(["build", "--recipe", str(file), "--out", "mine", "--seed", "0"]) == 0
    expected = Recipe(model="MobileNetV2", name="mine", seed=0, min_share=0.1, mixed_precision=True, sparsities=(0.5,))
    assert asked["recipe"] == expected
    assert main(["build", "vgg16", "--recipe", str(file), "--out", "mine"]) == 0
    assert asked["recipe"] == expected.model_copy(update={"model": "vgg16", "seed": 3})


def test_a_table_of_widths_gives_the_steps_in_the_precisions_of_the_recipe(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles: dict[ProbedPrecision, int] = {"float32": 8, "int8": 16}
    curves = tuple(
        WidthCurve(kind=kind, precision=precision, least_ms=tuple(float(-(-w // tile)) for w in range(1, 65)))
        for kind in LAYER_KINDS
        for precision, tile in tiles.items()
    )
    device = Fingerprint(machine="x", cpu="y", cores=1, executor="z")
    file = tmp_path / "board.widths.json"
    table = WidthsTable(device=device, created="now", threads=1, image_size=16, outer=64, curves=curves)
    table.save(file)
    line = ["build", "vgg16", "--out", "mine", "--widths-table", str(file)]
    assert main([*line, "--precisions", "float32"]) == 0
    assert asked["recipe"].round_to.conv == (8, 16, 24, 32, 40, 48, 56)
    assert main([*line, "--precisions", "float32,int8"]) == 0
    assert asked["recipe"].round_to == table.steps(("float32", "int8"))
    assert Recipe.model_validate_json(asked["recipe"].model_dump_json()) == asked["recipe"]
    file.write_text("{}")
    assert main(line) == 1
    assert "measure again with `legodnn profile --widths`" in capsys.readouterr().err


def test_the_store_is_shown_and_what_to_do_next(
    asked: dict[str, Any], tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "vgg16", "--out", "mine"]) == 0
    text = capsys.readouterr().out
    assert f"wrote {tiny_store.path}\nnext, on the device: legodnn profile {tiny_store.path}\n" in text
    assert "block2" in text
    assert main(["build", "vgg16", "--out", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == tiny_store.id


def test_what_libraries_print_is_no_result(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object) -> Store:
        print("Downloading data from https://storage.googleapis.com")  # as Keras does for imagenet and cifar10
        return tiny_store

    monkeypatch.setattr(pipeline, "build", build)
    assert main(["build", "MobileNetV2", "--weights", "imagenet", "--out", "mine", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["id"] == tiny_store.id
    assert "Downloading" in captured.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--out", "OUT"], "legodnn: no model is named: give MODEL, or `model` in a recipe"),
        (["vgg16", "--out", "OUT", "--recipe", "missing.toml"], "legodnn: cannot read missing.toml: No such file"),
        (["vgg16", "--out", "OUT", "--strategy", "l3"], "legodnn: the recipe makes no sense: strategy: must be"),
        (["net.tflite", "--out", "OUT"], "legodnn: cannot load net.tflite: File not found"),
        (
            ["vgg17", "--out", "OUT"],
            "legodnn: unknown model 'vgg17'; use a .keras, .h5, .tflite or .onnx file, the folder of a",
        ),
        (["vgg16", "--out", "OUT/my store"], "legodnn: the recipe makes no sense: name: a name has"),
        (["vgg16", "--out", "OUT", "--precisions", "int8"], "precisions must start with float32"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line_and_nothing_is_built(
    asked: dict[str, Any], line: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *(word.replace("OUT", str(tmp_path / "out")) for word in line)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not asked
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_cluster_that_cannot_be_used_is_told_before_anything_else(
    there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        pytest.importorskip("ray")
    else:
        monkeypatch.delitem(sys.modules, "legodnn.blocks.jobs.ray_cluster", raising=False)
        monkeypatch.setitem(sys.modules, "ray", None)
    address = f"127.0.0.1:{free_port()}"
    line = ["build", "vgg16", "--train-epochs", "1", "--cluster", address, "--out", str(tmp_path / "out")]
    assert main(line) == 1
    error = capsys.readouterr().err
    assert (f"nobody answers at {address}" if there else "pip install 'legodnn[cluster]'") in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["vgg16"], "the following arguments are required: --out"),
        (["vgg16", "--out", "x", "--seed", "one"], "argument --seed: invalid int value: 'one'"),
        (["vgg16", "--out", "x", "--jobs", "0"], "argument --jobs: must be at least 1"),
        (["vgg16", "--out", "x", "--precisions", "int4"], "'int4' is none of float32, float16, int8"),
        (["vgg16", "--out", "x", "--round-to", "0"], "argument --round-to: must be at least 1"),
        (
            ["vgg16", "--out", "x", "--round-to", "8", "--widths-table", "t.json"],
            "not allowed with argument --round-to",
        ),
        (["vgg16", "--out", "x", "--sparsities", ".5,"], "'' is not a number; write a list like .5,.75"),
    ],
)
def test_a_line_that_is_wrong_is_told_with_the_usage(
    asked: dict[str, Any], line: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["build", *line])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "usage: legodnn build" in error
    assert not asked


@pytest.mark.parametrize("command", ["build", "inspect"])
@pytest.mark.parametrize("model", ["net.tflite", "gone.keras", "vgg17", "net.weights.h5", "net.onnx", "gone.h5"])
def test_what_cannot_be_a_model_is_refused_before_keras_is_imported(
    command: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("keras", "tensorflow")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("legodnn.blocks")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(legodnn, "blocks", None)
    assert main([command, model, *(["--out", "store"] if command == "build" else [])]) == 1
    error = capsys.readouterr().err
    assert error.startswith("legodnn: ")
    assert model in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("build vgg16 --recipe recipe.toml --out store", "recipe.toml: the recipe makes no sense: sparsities"),
        ("build vgg16 --out made", "made exists; remove it or choose another folder"),
        ("compress vgg16 --targets 0.5 --out made", "made exists; remove it or choose another folder"),
        ("compress vgg16 --target macs=.5 --out m.keras --precision int8", "a .keras file holds float32 weights; for"),
    ],
)
def test_what_makes_no_sense_is_refused_before_keras_is_imported(command: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("sparsities = [0.5, 0.25]")
    (tmp_path / "made").mkdir()
    code = f"""
import sys
from legodnn.cli import main
status = main({command.split()})
print(status, sorted({{name.split(".")[0] for name in sys.modules}} & {{"keras", "tensorflow"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
    assert done.stderr.startswith(f"legodnn: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_an_interrupted_build_says_that_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*args: Any) -> Store:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "build", build)
    assert main(["build", "vgg16", "--out", "mine"]) == 130
    assert "interrupted; what is finished is kept, the same command goes on where it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--out", "file/store"], "file: Not a directory; name another place with --out"),
        (["--out", "store", "--tensorboard", "file"], "file: Not a directory; name another place with --tensorboard"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_anything_is_built(
    flags: list[str],
    told: str,
    asked: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["build", "vgg16", *flags]) == 1
    assert capsys.readouterr().err == f"legodnn: cannot write {told}\n"
    assert not asked
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", ["build", "compress"])
def test_help_tells_the_size_of_pictures_for_networks_that_are_made_here(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = re.search(r"what MODEL takes; (\d+) for vgg16", " ".join(capsys.readouterr().out.split()))
    data, model = data_and_model(Recipe(model="resnet20", name="net", width=0.1, train_epochs=1))
    assert told, "their size is no size that MODEL takes"
    assert [data.image_shape[0], model.inputs[0].shape[1]] == [int(told[1])] * 2
