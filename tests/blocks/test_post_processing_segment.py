"""A store ends with the post-processing of the file that it was built of, and gives what the file gives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from legodnn import Runtime
from legodnn.blocks import build, inspect
from legodnn.blocks.importing.tflite.post_processing import PostProcessing, post_processing_of
from legodnn.blocks.post_processing_segment import check_reads, cut_before, with_post_processing
from legodnn.errors import ModelError
from legodnn.manifest import MANIFEST
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.recipe import Recipe
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.schema import to_json
from legodnn.store import Store
from tests.blocks.importing.tflite.compared import by_interpreter, converted
from tests.runtime.opened import executor_of


def classes(of: keras.Model) -> Any:
    """A network that gives its scores, and the class of the largest."""

    def function(x: Any) -> Any:
        scores = of(x, training=False)
        return tf.argmax(scores, -1, output_type=tf.int32)[:, None], scores

    return function


@pytest.fixture
def file(tiny_keras_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "classes.tflite"
    path.write_bytes(converted(classes(keras.saving.load_model(tiny_keras_file)), (1, 12, 12, 1)))
    return path


def post_of(file: Path) -> PostProcessing:
    post = post_processing_of(file.read_bytes())
    assert post is not None
    return post


def test_the_segment_reads_what_the_others_give(tiny_store: Store, file: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_store.path, tmp_path / "store")
    manifest = with_post_processing(tiny_store.manifest, post_of(file), tmp_path / "store")
    (tmp_path / "store" / MANIFEST).write_text(to_json(manifest))
    store = Store(tmp_path / "store")
    assert store.manifest.segments[-1].kind == "fixed"
    assert store.manifest.outputs[1:] == tiny_store.manifest.outputs
    x = np.random.default_rng(0).random((12, 12, 1), np.float32)
    composition = covering_compositions(store)[0]
    opened = executor_of(store, "capi")
    given = opened.compose(composition).run({"image": x})
    number, scores = (np.asarray(given[name]) for name in store.manifest.outputs)
    opened.close()
    assert (number.dtype, number.tolist()) == (np.int32, [int(scores.argmax())])


def test_a_recipe_is_cut_before_it_and_inspect_names_it(file: Path) -> None:
    recipe = Recipe(model=str(file), name="classes")
    cut, post = cut_before(recipe)
    assert post is not None
    assert cut.cut_at == post.cut_at
    assert "runs as it is in the file: ARG_MAX" in str(inspect(file))
    for other in (recipe.model_copy(update={"cut_at": post.cut_at}), recipe.model_copy(update={"model": "vgg16"})):
        assert cut_before(other) == (other, None)
    assert inspect(file, cut_at=post.cut_at).post_processing == ()


def test_other_shapes_than_it_reads_are_refused(tiny_keras_file: Path, file: Path) -> None:
    post, model = post_of(file), keras.saving.load_model(tiny_keras_file)
    check_reads(post, model)
    with pytest.raises(
        ModelError, match=r"ARG_MAX.* reads \(\(11,\),\), and its model gives \(\(10,\),\); say --cut-at"
    ):
        check_reads(replace(post, reads=((11,),)), model)


@pytest.mark.slow
def test_a_store_built_of_the_file_gives_what_the_file_gives(file: Path, tmp_path: Path) -> None:
    recipe = Recipe(model=str(file), name="classes", sparsities=(0.5,), distill_epochs=1, joint_epochs=0, samples=6)
    store = build(recipe, tmp_path / "store", allow_chance=True)
    profile_store(store, Effort(seconds=0.3, processes=1, plans=0)).save(default_path(store.path))
    x = np.random.default_rng(0).random((3, 12, 12, 1), np.float32)
    np.save(tmp_path / "x.npy", x)
    inputs = read_inputs(tmp_path / "x.npy", store.manifest.inputs)
    with Runtime.open([store.path]) as runtime:
        for i in range(3):
            given = runtime.infer("store", inputs.x[i])
            number, scores = (given[name] for name in store.manifest.outputs)
            wanted = by_interpreter(file.read_bytes(), [x[i : i + 1]])
            assert number == wanted[0][0]
            np.testing.assert_allclose(scores, wanted[1][0], atol=1e-4)
