"""A training job gives the same descendants wherever it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.blocks.array_tree import flatten
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import compose_pieces, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.importing.sent_source import sent_model
from legodnn.blocks.jobs.job import Attempt
from legodnn.blocks.jobs.packed import packed, unpacked
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.response_criteria import reconstruction
from legodnn.blocks.training.job import distilling, training_work
from legodnn.errors import WorkerError
from legodnn.recipe import Recipe
from legodnn.schema import to_json
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


def test_a_worker_trains_what_this_process_would(recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    """What is sent is all that it needs: no file of the user's."""
    work, expected = trained(tmp_path, recipe, digits, [["block1", "block2"]])
    model = model_of(recipe, digits)
    sent = training_work(recipe, model, extract(model), digits, 1e9)
    assert sent.memory_bytes > 1e9 + digits.train.x[:].nbytes
    lost = {**sent.shared, "recipe": to_json(recipe.model_copy(update={"model": str(tmp_path / "gone.keras")}))}
    steps: list[int] = []
    told: list[str] = []
    checkpoint = work.checkpoint("other")
    attempt = Attempt(steps.append, lambda tag, *_: told.append(tag), checkpoint)
    train = distilling(unpacked(np.concatenate(packed(lost))))
    found = train({"blocks": '["block1", "block2"]'}, attempt)
    assert steps == [0, *range(1, 7)]  # two epochs of three batches
    assert "block1/1/error" in told
    for name, tree in expected.items():
        for key, array in flatten(tree).items():
            np.testing.assert_array_equal(flatten(found[name])[key], array, err_msg=f"{name} {key}")


def test_a_worker_calls_a_function_for_the_input_shape_of_the_recipe(recipe: Recipe, digits: Dataset) -> None:
    spec = "tests.blocks.training.dropping:of_any_size"
    asked = recipe.model_copy(update={"model": spec, "input_shape": (12, 12, 1)})
    model = model_of(asked, digits)
    sent = training_work(asked, model, extract(model), digits, 1e9)
    distilling(unpacked(np.concatenate(packed(sent.shared))))  # it compares segments


def test_a_model_that_is_another_one_at_the_worker_is_refused(recipe: Recipe, digits: Dataset) -> None:
    model = model_of(recipe, digits)
    sent = dict(training_work(recipe, model, extract(model), digits, 1e9).shared)
    weight = next(w for w in model.weights if w.path.endswith("kernel"))
    weight.assign(-weight)
    sent["model"] = sent_model(recipe, model)
    with pytest.raises(WorkerError, match="is another model here than where the build runs"):
        distilling(unpacked(np.concatenate(packed(sent))))
