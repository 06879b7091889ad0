"""The offline stage gives a whole store that can be made again from its own recipe, or nothing.

Covers also: blocks.source, blocks.training_stage, blocks.evaluation_stage, blocks.manifest, blocks.export.options.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from pydantic import ValidationError

from legodnn import Budget, Runtime
from legodnn.blocks import build, pipeline
from legodnn.blocks import manifest as manifest_module
from legodnn.blocks.accuracy import evaluation as evaluation_module
from legodnn.blocks.accuracy.loss_fit import Fit
from legodnn.blocks.build_state import BuildState, Checkpoint
from legodnn.blocks.export import options as options_module
from legodnn.blocks.export.convert import Runner
from legodnn.blocks.export.options import mark_dominated
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.training import joint as joint_module
from legodnn.blocks.training.distill import _Distillation
from legodnn.blocks.training.original import _OriginalTraining
from legodnn.errors import DataError, ModelError, StoreError
from legodnn.manifest import MANIFEST, Manifest
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.progress import no_progress
from legodnn.recipe import Recipe
from legodnn.store import Store


def recipe_of(store: Store) -> Recipe:
    """The recipe as anyone finds it in the manifest."""
    return Recipe.model_validate_json(json.dumps(store.manifest.built.recipe))


def quick(model: Path | str, **changes: Any) -> Recipe:
    """No training of the original, one epoch of distillation."""
    settings = {"image_size": 12, "distill_epochs": 1, "sparsities": (0.5,), "batch_size": 256, "samples": 6}
    settings |= {"precisions": ("float32",), "joint_epochs": 0}
    return Recipe(model=str(model), name="quick", evaluated_images=20, **{**settings, **changes})


def test_a_keras_file_becomes_a_store_with_all_options(tiny_store: Store, tiny_keras_file: Path) -> None:
    manifest = tiny_store.manifest
    assert [(s.name, s.kind, [o.name for o in s.options]) for s in manifest.segments] == [
        ("block1", "block", ["s0", "s0.5", "s0.75"]),
        ("block2", "block", ["s0", "s0.5", "s0.75"]),
        ("head", "fixed", ["s0"]),
    ]
    assert manifest.model.labels == tuple("0123456789")
    assert manifest.inputs[0].shape == (12, 12, 1)
    assert recipe_of(tiny_store).model == str(tiny_keras_file)
    assert set(manifest.built.versions) == {"legodnn", "python", "keras", "tensorflow", "numpy"}
    files = {str(p.relative_to(tiny_store.path)) for p in tiny_store.path.rglob("*") if p.is_file()}
    assert files == {MANIFEST} | {o.file for s in manifest.segments for o in s.options}


def test_descendants_are_smaller_and_cost_more_accuracy(tiny_store: Store) -> None:
    for block in tiny_store.manifest.blocks:
        original, half, quarter = block.options
        assert original.loss == 0 < half.loss < quarter.loss
        for attribute in ("bytes", "params", "macs"):
            sizes = [getattr(o, attribute) for o in (original, half, quarter)]
            assert sizes == sorted(sizes, reverse=True)
            assert sizes[-1] < sizes[0]


def test_the_stores_files_make_the_accuracy_that_the_manifest_states(tiny_store: Store) -> None:
    manifest, recipe = tiny_store.manifest, recipe_of(tiny_store)
    assert recipe.image_size is not None
    val = load_data(recipe.data, recipe.seed, recipe.image_size).val.first(recipe.evaluated_images)
    x = np.asarray(val.x)
    for segment in manifest.segments:
        [x] = Runner((tiny_store.path / segment.original.file).read_bytes())(x)
    assert manifest.accuracy.original == pytest.approx(float((x.argmax(axis=1) == val.y).mean()), abs=1e-6)
    assert manifest.accuracy.original > 0.6
    assert manifest.accuracy.data == "digits, 120 validation images"
    first, *others = manifest.blocks
    assert first.interaction == ()
    assert all(np.shape(b.interaction) == (len(first.options), len(b.options)) for b in others)
    segments = manifest.segments
    losses = [[o.loss for o in s.options] for s in segments]
    fit = Fit(losses, [[list(row) for row in s.interaction] for s in segments], manifest.accuracy.link)
    for segment, mean in zip(segments, fit.mean_losses, strict=True):
        assert segment.options == mark_dominated(segment.options, mean)


def test_the_recipe_in_the_manifest_makes_the_store_again(tiny_store: Store, tmp_path: Path) -> None:
    again = build(recipe_of(tiny_store), tmp_path / "again").manifest
    first = tiny_store.manifest
    assert again.built.recipe == first.built.recipe
    assert again.accuracy.original == pytest.approx(first.accuracy.original, abs=0.02)
    for mine, other in zip(again.segments, first.segments, strict=True):
        assert (mine.name, mine.inputs, mine.outputs) == (other.name, other.inputs, other.outputs)
        for a, b in zip(mine.options, other.options, strict=True):
            assert (a.name, a.params, a.macs, a.file) == (b.name, b.params, b.macs, b.file)
            assert a.loss == pytest.approx(b.loss, rel=0.05, abs=1e-3)


def test_a_store_is_never_built_over_anything(tiny_keras_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("empty", "file"):
        with pytest.raises(StoreError, match=f"{name} exists; remove it or choose another folder"):
            build(quick(tiny_keras_file), tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def without_date(store: Store) -> dict[str, Any]:
    manifest = store.manifest.model_dump(mode="json")
    del manifest["built"]["created"]
    return manifest


SLOW = [pytest.param(moment, marks=pytest.mark.slow) for moment in ("training", "composing", "measuring")]


@pytest.mark.parametrize("moment", ["distilling", "exporting", "at the end", *SLOW])
def test_an_interrupted_build_goes_on_to_the_same_store(
    tiny_keras_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    calls = 0

    def interrupted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        return call

    settings: Any = {"joint_epochs": 2, "augment": ("shifts",), "precisions": ("float32", "float16")}
    recipe = quick(tiny_keras_file, train_epochs=1, **settings)
    whole = build(recipe, tmp_path / "whole", allow_chance=True)
    place, name = {
        "training": (_OriginalTraining, "step"),
        "distilling": (_Distillation, "step"),
        "exporting": (options_module._Wanted, "write"),
        "composing": (joint_module, "draw_paths"),
        "measuring": (evaluation_module, "MeasuredComposition"),
        "at the end": (pipeline, "write_atomic"),
    }[moment]
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "due", True)
        patched.setattr(place, name, interrupted(getattr(place, name)))
        with pytest.raises(KeyboardInterrupt):
            build(recipe, tmp_path / "store", allow_chance=True)
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "store.work"}
    again = build(recipe, tmp_path / "store", allow_chance=True)
    assert without_date(again) == without_date(whole)
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "store"}


def test_the_unfinished_build_of_another_recipe_is_not_gone_on_with(tiny_keras_file: Path, tmp_path: Path) -> None:
    BuildState(tmp_path / "store", quick(tiny_keras_file))
    with pytest.raises(StoreError, match=r"unfinished build of another recipe \(\"distill_epochs\": 1,\); finish it"):
        build(quick(tiny_keras_file, distill_epochs=2), tmp_path / "store", allow_chance=True)


def test_the_unfinished_build_of_a_model_that_was_replaced_is_not_gone_on_with(
    tiny_keras_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(tiny_keras_file.read_bytes())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "train_or_restore_descendants", killed)
        with pytest.raises(KeyboardInterrupt):
            build(quick(file), tmp_path / "store", allow_chance=True)
    model = keras.saving.load_model(file)
    model.set_weights([1.5 * weight for weight in model.get_weights()])
    model.save(file)
    with pytest.raises(StoreError, match="holds an unfinished build of another model under the same name"):
        build(quick(file), tmp_path / "store", allow_chance=True)


def test_two_builds_of_one_store_at_a_time_are_refused(tiny_keras_file: Path, tmp_path: Path) -> None:
    recipe = quick(tiny_keras_file)
    with (
        BuildState(tmp_path / "store", recipe),
        pytest.raises(StoreError, match="another process is building this store"),
    ):
        build(recipe, tmp_path / "store", allow_chance=True)


def test_what_appears_at_the_path_meanwhile_stays(
    tiny_keras_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*args: Any) -> Manifest:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "mine").write_text("mine")
        return made(*args)

    made = manifest_module.store_manifest
    monkeypatch.setattr(pipeline, "store_manifest", meanwhile)
    with pytest.raises(StoreError, match="has appeared in the meantime"):
        build(quick(tiny_keras_file), tmp_path / "store", allow_chance=True)
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["mine"]


def test_a_store_that_another_build_finished_meanwhile_is_not_trained_again(
    tiny_keras_file: Path, tmp_path: Path
) -> None:
    shown: list[str] = []

    def meanwhile(label: str, total: int, done: int = 0) -> Any:
        shown.append(label)
        if label == "checking":
            (tmp_path / "store").mkdir()
        return no_progress(label, total, done)

    with pytest.raises(StoreError, match="store has appeared in the meantime; remove it and run"):
        build(quick(tiny_keras_file), tmp_path / "store", allow_chance=True, progress=meanwhile)
    assert shown[-1] == "checking"
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits", image_size=12)


@pytest.mark.filterwarnings("ignore:.*model that has not yet been built")
@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "no config", "unbuilt", "lambda"])
def test_a_keras_file_that_cannot_be_used_is_refused(
    tiny_keras_file: Path, tmp_path: Path, digits: Dataset, kind: str
) -> None:
    path = tmp_path / "m.keras"
    if kind == "text":
        path.write_text("not a model")
    elif kind == "truncated":
        path.write_bytes(tiny_keras_file.read_bytes()[:-100])
    elif kind == "no config":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", "{}")
    elif kind == "unbuilt":
        keras.Sequential([layers.Dense(3)]).save(path)
    elif kind == "lambda":
        inputs = keras.Input((12, 12, 1))  # Python code in the file
        keras.Model(inputs, layers.Lambda(lambda x: x * 2)(inputs)).save(path)
    with pytest.raises(ModelError) as caught:
        model_of(quick(path), digits)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value) or kind == "unbuilt"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"model": "vgg19"},
            ModelError,
            "unknown model 'vgg19'; use a .keras, .h5, .tflite or .onnx file, the folder of a SavedModel",
        ),
        ({"model": "resnet20"}, ModelError, "resnet20 has no weights: give a weights file; a build may also train it"),
        ({"model": "vgg16", "train_epochs": 1}, ModelError, "needs at least 32x32 pixels"),
        ({"model": "resnet20", "weights": "missing.npz"}, ModelError, "cannot read missing.npz: No such file"),
    ],
)
def test_a_model_that_is_not_there_is_refused(
    digits: Dataset, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model_of(quick(**{"model": "x", **changes}), digits)


def test_images_of_another_shape_than_the_model_takes_are_refused(tiny_keras_file: Path) -> None:
    with pytest.raises(
        DataError, match=r"takes images of shape \(12, 12, 1\), digits has \(16, 16, 1\); leave out image_size"
    ):
        model_of(quick(tiny_keras_file), load_data("digits", image_size=16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsities": ()}, "sparsities must increase and be at least one"),
        ({"sparsities": (0.5, 0.25)}, "sparsities must increase"),
        ({"sparsities": (0.5, 0.5)}, "sparsities must increase"),
        ({"sparsities": (0.5, 0.5000000001)}, "sparsities must differ in their first six digits"),
        ({"sparsities": (0.0, 0.5)}, "greater than 0"),
        ({"sparsities": (0.5, 1.0)}, "less than 1"),
        ({"distill_epochs": 0}, "distill_epochs"),
        ({"samples": 5}, "samples"),
        ({"name": "../escape"}, "name"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate({"model": "vgg16", "name": "x", **changes})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_the_zoo_becomes_stores_with_the_papers_blocks(name: str, tmp_path: Path) -> None:
    recipe = quick(name, width=0.05, image_size=32, train_epochs=1, max_blocks=16)
    store = build(recipe, tmp_path / name, allow_chance=True)
    assert len(store.manifest.blocks) == {"vgg16": 5, "resnet18": 8}[name]
    for segment in store.manifest.segments:
        x = np.zeros((1, *store.manifest.specs[segment.inputs[0]].shape), np.float32)
        for option in segment.options:
            [result] = Runner(store.verified_file(option).read_bytes())(x)
            assert result.shape[1:] == store.manifest.specs[segment.name].shape


def run_files(store: Store, options: dict[str, str], images: np.ndarray) -> np.ndarray:
    """The model's output from the store's files: the options named, the original for other segments."""
    tensors = {store.manifest.inputs[0].name: images}
    for segment in store.manifest.segments:
        file = segment.option(options.get(segment.name, "s0")).file
        outputs = Runner((store.path / file).read_bytes())(*(tensors[name] for name in segment.inputs))
        tensors.update(zip(segment.outputs, outputs, strict=True))
    return tensors[store.manifest.outputs[0]]


def test_a_model_of_pixels_in_mixed_precision_becomes_a_store_of_the_same_function(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (80, 12, 12, 3), dtype=np.uint8)
    norm = layers.Normalization(dtype="float32")
    norm.adapt(x)
    image = keras.Input((12, 12, 3), dtype="uint8", name="picture")
    y = layers.RandomRotation(0.2)(norm(image))
    for width in (8, 8):
        y = layers.Dropout(0.2)(layers.Conv2D(width, 3, activation="relu", dtype="mixed_float16")(y))
    y = layers.GlobalAveragePooling2D(dtype="mixed_float16")(y)
    model = keras.Model(image, {"kind": layers.Dense(3)(y), "box": layers.Dense(4)(y)})
    model.save(tmp_path / "mixed.keras")
    np.savez(tmp_path / "pixels.npz", x=x)
    data = f"npz:{tmp_path / 'pixels.npz'}"
    recipe = quick(tmp_path / "mixed.keras", data=data, image_size=None, joint_epochs=1, batch_size=16)
    store = build(recipe, tmp_path / "mixed")
    assert store.manifest.outputs == ("kind", "box")
    assert store.manifest.inputs[0].range == (0.0, 255.0)
    found = run_files(store, {}, x[:5].astype(np.float32))
    np.testing.assert_allclose(found, model(x[:5], training=False)["kind"], rtol=0.02, atol=0.02)


def test_a_model_whose_skips_cross_blocks_becomes_a_store_that_composes(tmp_path: Path) -> None:
    def conv(width: int, x: Any) -> Any:
        return layers.Conv2D(width, 3, padding="same", activation="relu")(x)

    keras.utils.set_random_seed(0)  # or else its scores may be the same for all images, and the metric be refused
    x = image = keras.Input((16, 16, 1), name="picture")
    skips = []
    for width in (4, 6):
        x = conv(width, conv(width, x))
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = conv(6, conv(8, x))
    for width in (6, 4):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skips.pop()])
        x = conv(width, conv(width, x))
    model = keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    model.save(tmp_path / "skips.keras")
    recipe = quick(tmp_path / "skips.keras", image_size=16, min_share=0.0)
    store = build(recipe, tmp_path / "skips", allow_chance=True)
    assert any(len(s.outputs) == 2 for s in store.manifest.segments)
    assert any(len(s.inputs) == 2 for s in store.manifest.segments)
    profile_store(store, Effort(seconds=0.2, processes=1, plans=0)).save(default_path(store.path))
    with Runtime.open([store.path]) as runtime:
        images = load_data("digits", image_size=16).test.x[:3]
        np.testing.assert_allclose(run_files(store, {}, images), model(images), atol=1e-5)
        for budget in (Budget(), Budget(memory_bytes=runtime.plan.memory_bytes)):
            runtime.budget = budget
            found = [np.asarray(runtime.infer("skips", image)) for image in images]
            np.testing.assert_allclose(found, run_files(store, runtime.plan["skips"].options, images), atol=1e-6)
