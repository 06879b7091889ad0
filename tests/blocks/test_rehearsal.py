"""What would fail at the end of a build fails before anything is trained, and leaves nothing behind."""

from __future__ import annotations

import json
import logging
import resource
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks import build, rehearsal, training_stage
from legodnn.blocks.export import options
from legodnn.errors import ConfigError, DataError, LegoError, ModelError, WriteError
from legodnn.progress import ProgressTask, no_progress
from legodnn.recipe import Recipe
from legodnn.store import Store

X = np.random.default_rng(0).random((90, 8, 8, 3), dtype=np.float32)


def conv(x: Any) -> Any:
    return layers.Conv2D(4, 3, padding="same", activation="relu")(x)


def recipe_of(tmp_path: Path, model: keras.Model, y: Any = None, **changes: Any) -> Recipe:
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "data.npz", x=X, **({} if y is None else {"y": y}))
    settings: dict[str, Any] = {
        "distill_epochs": 1,
        "joint_epochs": 0,
        "sparsities": (0.5,),
        "precisions": ("float32",),
        "samples": 6,
        **changes,
    }
    return Recipe(model=str(tmp_path / "net.keras"), name="net", data=f"npz:{tmp_path}/data.npz", **settings)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained."""

    def train(*args: Any) -> None:
        raise AssertionError("trained before everything was tried")

    monkeypatch.setattr(training_stage, "train_descendants", train)


def classifier(columns: int = 3, activation: str | None = "softmax") -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Dense(columns, activation)(layers.Flatten()(conv(conv(image)))), name="net")


def twice() -> keras.Model:
    image = keras.Input((8, 8, 3))
    y = layers.Dense(3)(layers.Flatten()(conv(conv(image))))
    return keras.Model(image, [y, y], name="net")


def dense() -> keras.Model:
    """Every layer reads what all before it make."""
    x = image = keras.Input((8, 8, 3))
    for _ in range(14):
        x = layers.Concatenate()([x, layers.Conv2D(4, 1)(x)])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(conv(x))), name="net")


OWN = """
def constant(outputs, labels):
    return 0.5

def sometimes(outputs, labels):
    return float("nan") if outputs[0].std(axis=0).max() < 1e-6 else 0.5

def broken(outputs, labels):
    return labels.shape
"""


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("model", "labels", "changes", "error", "message"),
    [
        (twice, None, {}, ModelError, "gives the output of .* twice .output 2.; leave one of them out"),
        (
            dense,
            None,
            {"strategy": "exact", "max_blocks": 1},
            ModelError,
            "block1: the costs of 1[45] groups of channels depend on one another in too many ways",
        ),
        (classifier, None, {"input_mean": (0.1, 0.2)}, LegoError, "mean"),
        (classifier, None, {"metric": "OWN:constant"}, DataError, "metric constant is 0.500 whatever the outputs are"),
        (classifier, None, {"metric": "OWN:sometimes"}, DataError, "metric OWN:sometimes gave nan, not a number"),
        (classifier, None, {"metric": "OWN:broken"}, DataError, "OWN:broken failed: AttributeError: 'list' object"),
        (classifier, np.arange(90) % 3, {}, DataError, "net itself is at chance level: its top1 is"),
        (classifier, np.arange(90) % 4, {}, DataError, "labels run from 0 to 3, but net has 3 outputs"),
        (classifier, np.arange(90) % 3, {"metric": "r2"}, DataError, "metric r2 wants labels of the outputs' shape"),
    ],
)
def test_what_would_fail_at_the_end_fails_before_training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: Any,
    labels: Any,
    changes: dict[str, Any],
    error: type[LegoError],
    message: str,
) -> None:
    own = f"metrics{abs(hash(tmp_path)):x}"
    (tmp_path / f"{own}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    changes = {key: value.replace("OWN", own) if isinstance(value, str) else value for key, value in changes.items()}
    recipe = recipe_of(tmp_path, model(), labels, **changes)
    with pytest.raises(error, match=message.replace("OWN", own)):
        build(recipe, tmp_path / "store")
    assert not list(tmp_path.glob("store*"))


def test_the_original_is_rated_before_training_and_chance_is_let_through_where_that_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = list[str]()

    def told() -> list[logging.LogRecord]:
        """What was told so far, but for what libraries say."""
        return [record for record in caplog.records if record.name.startswith("legodnn")]

    def progress(label: str, total: int, done: int = 0) -> AbstractContextManager[ProgressTask]:
        begun.append(f"{label}, {len(told())} records so far")
        return no_progress(label, total, done)

    recipe = recipe_of(tmp_path, classifier(), np.arange(90) % 3)
    build(recipe, tmp_path / "store", allow_chance=True, progress=progress)
    assert told()[0].levelname == "WARNING"
    assert told()[0].getMessage().startswith("net itself is at chance level")
    assert begun[0] == "checking, 0 records so far"
    assert all(not entry.endswith(", 0 records so far") for entry in begun[1:])


@pytest.mark.slow
def test_a_model_that_reads_columns_with_an_lstm_becomes_a_store_in_every_precision(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    x = layers.Reshape((8, 32))(conv(conv(image)))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.LSTM(4, return_sequences=True)(x)))
    store = build(recipe_of(tmp_path, model, precisions=("float32", "int8")), tmp_path / "store")
    [block] = store.manifest.blocks
    assert [o.name for o in block.options] == ["s0", "s0.5", "s0-int8", "s0.5-int8"]
    assert store.manifest.built.left_out == {}


@pytest.mark.slow
def test_options_whose_conversion_crashes_are_left_out_with_a_line_and_the_rest_is_built(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> list[bytes]:  # for real crashes see test_conversion_job
        raise ModelError("converting block1 to int8: its process ended (SIGSEGV)")

    caplog.set_level("INFO", logger="legodnn.blocks")
    for module in (rehearsal, options):
        monkeypatch.setattr(module, "converted_files", crash)
    store = build(recipe_of(tmp_path, classifier(), precisions=("float32", "int8")), tmp_path / "store")
    told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    [block] = store.manifest.blocks
    assert [o.name for o in block.options] == ["s0", "s0.5"]
    assert len(told) == 1
    assert told[0].startswith(f"{block.name}: left out s0-int8, s0.5-int8: converting")
    assert set(store.manifest.built.left_out) == {f"{block.name}/s0-int8", f"{block.name}/s0.5-int8"}
    assert all("SIG" in reason for reason in store.manifest.built.left_out.values())


def test_what_cannot_be_written_is_told_in_a_line_and_the_same_build_goes_on(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, classifier())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))  # as on a full disk, writing fails
    try:
        with pytest.raises(WriteError, match=r"cannot write .*: File too large; make room there, .*, and run the same"):
            build(recipe, tmp_path / "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "store").exists()
    store = build(recipe, tmp_path / "store")
    assert json.loads((tmp_path / "store" / "manifest.json").read_text())["built"]["left_out"] == {}
    assert isinstance(store, Store)


@pytest.mark.usefixtures("untrained")
def test_inputs_that_cannot_be_varied_are_refused_before_training(tmp_path: Path) -> None:
    x = image = keras.Input((12,))
    for _ in range(2):
        x = layers.Dense(16, activation="relu")(x)
    asked = recipe_of(tmp_path, keras.Model(image, layers.Dense(4)(x)), joint_epochs=1, augment=("shifts",))
    np.savez(tmp_path / "data.npz", x=np.ones((90, 12)))
    with pytest.raises(ConfigError, match=r"augment varies images, but inputs here have shape \(12,\): leave it out"):
        build(asked, tmp_path / "store", allow_chance=True)
