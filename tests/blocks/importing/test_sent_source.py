"""What is sent to workers is the same model and the same images there.

Covers also: blocks.evaluation_job.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.accuracy.evaluation import evaluate
from legodnn.blocks.accuracy.option_chain import OptionChain, OptionNumbers, Stage
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.evaluation_job import evaluate_by, evaluating, evaluation_work
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.export.options import Exported
from legodnn.blocks.importing.data import Dataset, SeveralInputs, Split
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.importing.keras_files import own_objects
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.importing.sent_source import images_of, model_of_tree, sent_images, sent_model
from legodnn.blocks.jobs.job import Attempt, Job
from legodnn.blocks.jobs.packed import packed, unpacked
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.source import BuildSource
from legodnn.errors import ModelError
from legodnn.pixels import Pixels, Scaling
from legodnn.recipe import Recipe
from tests.blocks.accuracy.named_metrics import top1
from tests.blocks.training.dropping import dropping

X = np.random.default_rng(0).random((30, 12, 12, 1), np.float32)
MADE = "tests.blocks.training.dropping"


def arrived(tree: ArrayTree) -> dict[str, Any]:
    return unpacked(np.concatenate(packed(tree)))


def test_a_model_arrives_with_its_weights_and_all_other_state() -> None:
    norm = layers.Normalization()
    norm.adapt(X)
    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(4, 3)(layers.Conv2D(6, 3)(layers.Conv2D(4, 3)(norm(image))))
    shared = layers.Conv2D(4, 3, padding="same")
    x = keras.ops.relu(layers.BatchNormalization()(shared(shared(x))) * 2)
    y = layers.GlobalAveragePooling2D()(x)
    model = functional(keras.Model(image, {"kind": layers.Dense(3)(y), "box": layers.Dense(4)(y)}))
    found = model_of_tree(arrived(sent_model(Recipe(model="my.keras", name="sent"), model)))
    assert found.output_names == model.output_names
    for given, wanted in zip(found(X, training=False), model(X, training=False), strict=True):
        np.testing.assert_array_equal(given, wanted)
    names = [[(p.name, p.outputs) for p in extract(m)] for m in (found, model)]
    assert names[0] == names[1]


def test_a_model_of_a_function_is_made_anew_with_the_weights_that_it_has_now() -> None:
    model = functional(dropping())
    tree = arrived(sent_model(Recipe(model=f"{MADE}:dropping", name="sent"), model))
    found = model_of_tree(tree)
    np.testing.assert_array_equal(found(X, training=False), model(X, training=False))
    with pytest.raises(ModelError, match="makes a model with other weights here than where the build runs"):
        model_of_tree({**tree, "weights": tree["weights"][1:]})


def test_a_function_is_called_there_as_the_recipe_has_it_called_here() -> None:
    split = Split(X, np.arange(30) % 10)
    recipe = Recipe(model=f"{MADE}:of_any_size", name="sent", input_shape=(12, 12, 1), train_epochs=1)
    model = model_of(recipe, Dataset("made up", (), split, split, split))
    found = model_of_tree(arrived(sent_model(recipe, model)))
    assert found.input_shape == (None, 12, 12, 1)
    kinds = [[call.kind for call in calls(m)] for m in (found, model)]
    assert kinds[0] == kinds[1]
    assert "RandomFlip" in kinds[0], "it stays where a model is trained on labels"
    np.testing.assert_array_equal(found(X, training=False), model(X, training=False))


def test_layers_of_ones_own_are_found_where_the_model_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has not imported their module, and does not look in the current folder for Keras."""
    (tmp_path / "layers_to_send.py").write_text(
        "import keras\n\nclass Halved(keras.layers.Layer):\n    def call(self, x):\n        return x / 2\n"
    )
    monkeypatch.chdir(tmp_path)
    elsewhere = list(sys.path)
    inputs = keras.Input((12, 12, 1))
    halved = own_objects(["layers_to_send"])["Halved"]
    model = keras.Model(inputs, halved()(layers.Conv2D(2, 3)(inputs)))
    recipe = Recipe(model="my.keras", name="sent", custom=("layers_to_send",))
    tree = arrived(sent_model(recipe, model))
    monkeypatch.delitem(sys.modules, "layers_to_send")
    monkeypatch.setattr(sys, "path", elsewhere)
    np.testing.assert_array_equal(model_of_tree(tree)(X, training=False), model(X, training=False))


def test_images_arrive_as_the_same_arrays_and_pixels_stay_small() -> None:
    np.testing.assert_array_equal(images_of(arrived(sent_images(X))), X)
    raw = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    pixels = Pixels(raw, Scaling((-1, 1), (0.1,), (0.5, 0.6, 0.7)), np.array([4, 0, 8]))
    tree = sent_images(pixels)
    assert tree["raw"].nbytes == 3 * 48
    found = images_of(arrived(tree))
    assert isinstance(found, Pixels)
    np.testing.assert_array_equal(found[:], pixels[:])
    several = images_of(arrived(sent_images(SeveralInputs({"b": pixels, "a": X[:3]}))))
    assert list(several.arrays) == ["b", "a"]
    np.testing.assert_array_equal(several.take(np.array([2]))[:]["b"], pixels[2:])


class HereAtOnce:
    """A team that does jobs in this process, with what arrived."""

    def __init__(self, shared: ArrayTree) -> None:
        self._does = evaluating(arrived(shared))

    def run(self, jobs: Any, task: Any = None) -> Any:
        for job in jobs:
            assert isinstance(job, Job)
            attempt = Attempt(lambda steps: None, lambda *scalar: None, job.checkpoint)
            yield job, arrived(self._does(arrived(job.arguments), attempt))


@pytest.mark.parametrize("labelled", [True, False])
def test_compositions_are_measured_by_jobs_as_they_are_here(tmp_path: Path, labelled: bool) -> None:
    keras.utils.set_random_seed(1)
    pieces = extract(functional(dropping()))
    options: dict[str, list[Exported]] = {}
    for piece in pieces:
        options[piece.name] = []
        for sparsity in (0.0, 0.5) if piece.kind == "block" else (0.0,):
            many = tmp_path / f"{piece.name}{sparsity}.tflite"
            many.write_bytes(convert(descendant(piece.model, sparsity), 4))
            runner = Runner(many.read_bytes())
            options[piece.name].append(Exported(sparsity, "float32", 1, 1, many, many, runner))
    split = Split(X, np.arange(30) % 10 if labelled else None)
    data = Dataset("made up", (), split, split, split)
    source = BuildSource(data, None, top1, [Head("classes", "top1", "linear")], None, split, "made up")
    chain = OptionChain([Stage(p.inputs, p.outputs, [o.runner for o in options[p.name]]) for p in pieces])
    asked: list[OptionNumbers] = [c for c in np.ndindex(*chain.sizes)]
    work = evaluation_work(source, None, pieces, options, 2)
    team = HereAtOnce(work.shared)
    for at_once in (1, 3):
        assert dict(evaluate_by(team, at_once, asked, "measuring")) == dict(evaluate(chain, asked, split, top1))
    assert list(evaluate_by(team, 2, [], "measuring")) == []
