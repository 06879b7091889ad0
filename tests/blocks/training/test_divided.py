"""Training is divided without changing its result; what is finished is not done again; a failing job ends all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.blocks import build
from legodnn.blocks.array_tree import flatten
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.training import divided
from legodnn.blocks.training.divided import train_descendants
from legodnn.errors import ModelError
from legodnn.recipe import Recipe
from legodnn.store import Store
from tests.blocks.training.dropping import jobs_recipe, ninety_six_digits, trained


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ninety_six_digits()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return jobs_recipe(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def together(
    recipe: Recipe, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BuildState, dict[str, Any]]:
    return trained(tmp_path_factory.mktemp("together"), recipe, digits, [["block1", "block2"]])


def test_blocks_trained_apart_are_those_trained_together(
    recipe: Recipe, digits: Dataset, tmp_path: Path, together: tuple[BuildState, dict[str, Any]]
) -> None:
    _, apart = trained(tmp_path, recipe, digits, [["block2"], ["block1"]])
    for name, saved in together[1].items():
        flat, other = flatten(saved), flatten(apart[name])
        assert list(flat) == list(other)
        for key, array in flat.items():
            np.testing.assert_allclose(other[key], array, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")


def test_what_is_finished_is_read_not_trained_again(
    recipe: Recipe, digits: Dataset, together: tuple[BuildState, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(divided, "train_blocks", never)
    work, saved = together
    assert not list(work.path.glob("*.state.npz"))
    model = model_of(recipe, digits)
    students = train_descendants(work, model, extract(model), digits, LocalProcesses(1))
    for name, [student] in students.items():
        [descendant] = saved[name]["descendants"]
        for found, weight in zip(student.get_weights(), descendant["weights"], strict=True):
            np.testing.assert_array_equal(found, weight)


def manifest(store: Store) -> dict[str, Any]:
    found = store.manifest.model_dump(mode="json")
    del found["built"]["created"]
    return found


@pytest.mark.slow
def test_processes_make_the_store_that_one_process_makes(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_too = recipe.model_copy(update={"train_epochs": 1})
    one = build(trained_too, tmp_path / "one", allow_chance=True)
    # Sums depend on the number of threads in their last bits: each of the two gets as many as the one had.
    monkeypatch.setattr(LocalProcesses, "threads", os.cpu_count())
    two = build(trained_too, tmp_path / "two", jobs=2, allow_chance=True)
    assert manifest(two) == manifest(one)


@pytest.mark.slow
def test_a_job_that_fails_says_why(recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    model = model_of(recipe, digits)
    damaged = replace(digits, train=Split(np.full_like(digits.train.x[:], np.nan), None))
    work = BuildState(tmp_path / "store", recipe)
    with pytest.raises(ModelError, match=r"a training job failed: .*; what is finished is kept, the same command goes"):
        train_descendants(work, model, extract(model), damaged, LocalProcesses(2))
