"""A quantised file and its float graph are rated on the same images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks import quantised_source
from legodnn.blocks.compressed_store import compress_to_store
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.jobs.job import Job
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.quantised_source import log_dequantisation, running
from legodnn.blocks.source import open_source
from legodnn.compression import compression_recipe
from legodnn.errors import ModelError
from legodnn.recipe import Recipe
from tests.blocks.importing.tflite.compared import converted


class Here:
    """Does jobs in this process, as a team and as what has one; `outcome` takes the place of their results."""

    def __init__(self, outcome: Any = None) -> None:
        self.outcome = outcome

    def team(self, work: Any) -> Here:
        return self

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *ended: Any) -> None:
        pass

    def run(self, jobs: list[Job]) -> Any:
        return ((job, self.outcome or running({})(job.arguments, None)) for job in jobs)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A network that tells digits of 12x12 pixels well enough."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, layers.Dense(10)(layers.Flatten()(x)))
    train = load_data("digits", image_size=12).train
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(train.x, train.y, epochs=4, verbose=0)
    return model


@pytest.mark.parametrize("how", ["int8", "uint8 in and out"])
def test_file_and_graph_are_rated(
    trained: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(trained, how=how))
    recipe = Recipe(model=str(path), name="net", data="digits")
    source = open_source(recipe)
    with caplog.at_level(logging.INFO):
        caplog.clear()
        log_dequantisation(recipe, source, Here())  # type: ignore[arg-type]
    told: Any = caplog.records[0].args
    name, metric, of_file, of_graph, *_ = told
    assert (name, metric) == (str(path), "top1")
    assert of_graph == pytest.approx(source.rate().original, abs=0.05)
    assert of_file > 0.5
    assert of_file == pytest.approx(of_graph, abs=0.1)


@pytest.mark.parametrize("ending", ["squeezed", "one number"])
def test_a_file_whose_output_has_no_dimension_of_images_is_rated_too(
    trained: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    def function(x: Any) -> Any:
        scores = trained(x, training=False)
        return tf.squeeze(scores, 0) if ending == "squeezed" else tf.reduce_max(scores)

    x = load_data("digits", image_size=12).train.x[:100]
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(function, (1, 12, 12, 1), "int8", np.split(x, len(x))))
    np.savez(tmp_path / "digits.npz", x=x)
    recipe = Recipe(model=str(path), name="net", data=f"npz:{tmp_path / 'digits.npz'}")
    source = open_source(recipe)
    with caplog.at_level(logging.INFO):
        caplog.clear()
        log_dequantisation(recipe, source, Here())  # type: ignore[arg-type]
    told: Any = caplog.records[0].args
    assert told[2] > 0.9  # without labels: it agrees with the graph


def test_nothing_is_said_of_a_file_of_floats(trained: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(trained))
    nothing: Any = None  # is needed
    log_dequantisation(Recipe(model=str(path), name="net"), nothing, nothing)


def test_a_file_that_ends_its_process_is_told(
    trained: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(trained, how="int8"))
    recipe = Recipe(model=str(path), name="net", data="digits")
    log_dequantisation(recipe, open_source(recipe), Here(ModelError("it ended")))  # type: ignore[arg-type]
    assert "itself cannot be rated beside its float graph: it ended" in caplog.text


def test_a_file_that_the_interpreter_refuses_is_an_error() -> None:
    with pytest.raises(ModelError):
        running({})({"file": np.zeros(64, np.uint8), "x": np.zeros((1, 2), np.float32)}, None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_file_runs_in_a_process_of_its_own(
    trained: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(trained, how="int8"))
    recipe = Recipe(model=str(path), name="net", data="digits")
    with caplog.at_level(logging.INFO):
        log_dequantisation(recipe, open_source(recipe), LocalProcesses(1))
    assert "is quantised: its top1" in caplog.text
    assert quantised_source.FILE_RUNS.may_crash


@pytest.mark.slow
def test_it_is_told_where_a_store_of_whole_models_is_made_too(
    trained: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(trained, how="int8"))
    recipe = compression_recipe(model=str(path), name="net", shares=(0.5,), strategy="l1", distill_epochs=0)
    with caplog.at_level(logging.INFO):
        compress_to_store(recipe, tmp_path / "store")
    assert "is quantised: its top1" in caplog.text
