"""A job depends on the work folder alone, and is a program too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import compose_pieces, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.response_criteria import reconstruction
from legodnn.blocks.training import job
from legodnn.recipe import Recipe
from tests.blocks.training.dropping import jobs_recipe, ninety_six_digits, trained


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ninety_six_digits()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return jobs_recipe(tmp_path_factory.mktemp("jobs"))


def test_reconstruction_looks_at_the_features_that_each_block_reads(
    recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    changed = recipe.model_copy(update={"strategy": "reconstruction", "distill_epochs": 1})
    _, found = trained(tmp_path, changed, digits, [["block1", "block2"]])
    pieces = extract(model_of(recipe, digits))
    tensors = compose_pieces(pieces, {pieces[0].inputs[0]: digits.train.x[:500]})
    for piece in pieces:
        if piece.kind == "block":
            channels = analyse(piece.model)
            x = [np.asarray(tensors[name]) for name in piece.inputs]
            expected = choose(piece.model, channels, Target("sparsity", 0.5), reconstruction, x=x)
            np.testing.assert_array_equal(found[piece.name]["descendants"][0]["removed"], expected)


def digits_file(folder: Path, data: Dataset) -> str:
    """The digits as a file that another process can read."""
    parts = {f"{kind}_{name}": getattr(getattr(data, name), kind) for name in ("train", "val", "test") for kind in "xy"}
    np.savez(folder / "digits.npz", **parts)
    return f"npz:{folder}/digits.npz"


def test_the_program_trains_the_blocks_of_its_job_and_prints_a_line_a_step(
    recipe: Recipe, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = recipe.model_copy(update={"data": digits_file(tmp_path, digits)})
    work = BuildState(tmp_path / "store", changed)
    (work.path / "jobs.json").write_text('[["block2"], ["block1"]]')
    assert job.job_program([str(work.path), "1"]) == 0
    assert capsys.readouterr().out == "step\n" * 6  # two epochs of three batches
    assert work.read("block2") is None
    found = work.read("block1")
    assert found is not None
    _, expected = trained(tmp_path / "other", changed, digits, [["block1", "block2"]])
    np.testing.assert_allclose(found["errors"], expected["block1"]["errors"], rtol=1e-5)


@pytest.mark.parametrize(
    ("number", "files", "problem"),
    [
        ("0", {}, r"cannot read .*recipe\.json: No such file or directory; give the work folder of a build"),
        ("0", {"recipe.json": "{"}, r"recipe\.json is damaged; remove .*w\.work and build again"),
        ("2", {"jobs.json": '[["block1"], ["block2"]]'}, r"jobs\.json has jobs 0 to 1, not 2"),
        ("0", {"jobs.json": '[["block1"]]'}, r"jobs\.json does not name every block once"),
    ],
)
def test_a_job_that_is_not_there_is_told(
    recipe: Recipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: str,
    files: dict[str, str],
    problem: str,
) -> None:
    folder = tmp_path / "w.work"
    if "jobs.json" in files:
        BuildState(tmp_path / "w", recipe)
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    assert job.job_program([str(folder), number]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(problem, line), line


@pytest.mark.slow
def test_a_job_is_also_a_program_without_a_build_beside_it(recipe: Recipe, tmp_path: Path) -> None:
    """As docs/build.md has it run by hand: no standard input, no folder for logs."""
    work = BuildState(tmp_path / "store", recipe.model_copy(update={"data": f"npz:{tmp_path}/gone.npz"}))
    (work.path / "jobs.json").write_text('[["block1"], ["block2"]]')
    command = [sys.executable, "-m", "legodnn.blocks.training.job", str(work.path), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("cannot read ")
