"""Descendants trained together fit one another better; originals stay as they are; stopping changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from legodnn.blocks.build_state import Arrays, Checkpoint
from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract, output_names
from legodnn.blocks.importing.data import Dataset, load
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.joint import Composer, draw_paths, slot_options, train_jointly
from legodnn.blocks.training.training import train_original
from legodnn.errors import DataError, ModelError

Students = dict[str, list[keras.Model]]


@given(blocks=st.integers(1, 6), slots=st.integers(1, 7), uniform=st.floats(0, 1), seed=st.integers(0, 99))
def test_every_chunk_meets_every_slot_of_every_block_once(blocks: int, slots: int, uniform: float, seed: int) -> None:
    paths = draw_paths(blocks, slots, uniform, np.random.default_rng(seed))
    assert paths.shape == (blocks, slots)
    assert (np.sort(paths, axis=1) == np.arange(slots)).all()


@given(slots=st.integers(1, 12), options=st.integers(1, 12))
def test_slots_are_shared_out_among_all_options_in_turn(slots: int, options: int) -> None:
    options = min(options, slots)
    counts = np.bincount(slot_options(slots, options), minlength=options)
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= 1


def test_uniform_paths_are_the_same_in_all_blocks() -> None:
    paths = draw_paths(4, 5, 1.0, np.random.default_rng(0))
    assert (paths == paths[0]).all()


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load("digits", image_size=8)
    return replace(data, train=data.train.first(400), val=data.val.first(100))


@pytest.fixture(scope="module")
def weights(digits: Dataset) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    model = network()
    train_original(model, digits, epochs=4, batch_size=32)
    found: list[np.ndarray] = model.get_weights()
    return found


def network() -> keras.Model:
    """Two residual blocks."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.Conv2D(6, 3, padding="same")(x))
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
        y = layers.Conv2D(6, 3, padding="same")(layers.ReLU()(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def cut(weights: list[np.ndarray], sparsities: tuple[tuple[float, ...], ...]) -> tuple[list[Piece], Students]:
    model = network()
    model.set_weights(weights)
    pieces = extract(model)
    blocks = [p for p in pieces if p.kind == "block"]
    return pieces, {p.name: [descendant(p.model, s) for s in own] for p, own in zip(blocks, sparsities, strict=True)}


EVEN = ((0.25, 0.75), (0.25, 0.75))
UNEVEN = ((0.25, 0.5, 0.75), (0.5,))


def all_weights(models: list[keras.Model]) -> list[np.ndarray]:
    return [w for model in models for w in model.get_weights()]


def flat(students: Students) -> list[keras.Model]:
    return [model for models in students.values() for model in models]


@pytest.mark.parametrize("sparsities", [EVEN, UNEVEN])
def test_a_path_computes_what_its_composition_computes(
    weights: list[np.ndarray], digits: Dataset, sparsities: tuple[tuple[float, ...], ...]
) -> None:
    pieces, students = cut(weights, sparsities)
    composer = Composer(pieces, students)
    x = digits.val.x[: 3 * composer.slots]
    paths = draw_paths(2, composer.slots, 0.0, np.random.default_rng(1))
    found = composer.compose({pieces[0].inputs[0]: x}, paths)[1][pieces[-1].outputs[0]]
    for chunk in range(composer.slots):
        models: dict[str, keras.Model] = {}
        for (name, descendants), path in zip(students.items(), paths, strict=True):
            option = slot_options(composer.slots, 1 + len(descendants))[int(np.flatnonzero(path == chunk)[0])]
            models |= {name: descendants[option - 1]} if option else {}
        part = x[3 * chunk : 3 * chunk + 3]
        expected = compose_pieces(pieces, {pieces[0].inputs[0]: part}, models)[pieces[-1].outputs[0]]
        np.testing.assert_allclose(found[3 * chunk : 3 * chunk + 3], expected, rtol=1e-4, atol=1e-4)


def error(pieces: list[Piece], students: Students, x: Any) -> float:
    """Mean squared error of the output of random compositions."""
    rng, name = np.random.default_rng(5), pieces[0].inputs[0]
    wanted = compose_pieces(pieces, {name: x})[pieces[-1].outputs[0]]
    errors = []
    for _ in range(8):
        models = {block: models[rng.integers(len(models))] for block, models in students.items()}
        found = compose_pieces(pieces, {name: x}, models)[pieces[-1].outputs[0]]
        errors.append(float(ops.mean(ops.square(found - wanted))))
    return float(np.mean(errors))


@pytest.mark.parametrize("sparsities", [EVEN, UNEVEN])
def test_random_compositions_come_closer_to_the_original_which_stays_untouched(
    weights: list[np.ndarray], digits: Dataset, sparsities: tuple[tuple[float, ...], ...]
) -> None:
    pieces, students = cut(weights, sparsities)
    before = error(pieces, students, digits.val.x)
    train_jointly(pieces, students, digits, epochs=3, batch_size=32, learning_rate=3e-3)
    assert error(pieces, students, digits.val.x) < 0.5 * before
    fresh, _ = cut(weights, sparsities)
    for now, then in zip(all_weights([p.model for p in pieces]), all_weights([p.model for p in fresh]), strict=True):
        np.testing.assert_array_equal(now, then)


class Stopping(Checkpoint):
    """Ctrl-C after the first epoch was saved."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, every_s=0)
        self.epochs: list[int] = []

    def write(self, state: Arrays) -> None:
        super().write(state)
        self.epochs.append(int(state["epoch"]))
        raise KeyboardInterrupt


def test_resuming_gives_what_training_without_a_break_gives(
    weights: list[np.ndarray], digits: Dataset, tmp_path: Path
) -> None:
    pieces, students = cut(weights, EVEN)
    train_jointly(pieces, students, digits, epochs=3, batch_size=32)
    pieces, resumed = cut(weights, EVEN)
    checkpoint = Stopping(tmp_path / "state.npz")
    with pytest.raises(KeyboardInterrupt):
        train_jointly(pieces, resumed, digits, epochs=3, batch_size=32, checkpoint=checkpoint)
    assert checkpoint.epochs == [1]
    pieces, resumed = cut(weights, EVEN)
    train_jointly(pieces, resumed, digits, epochs=3, batch_size=32, checkpoint=Checkpoint(tmp_path / "state.npz"))
    for a, b in zip(all_weights(flat(students)), all_weights(flat(resumed)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_state_of_other_descendants_is_refused(weights: list[np.ndarray], digits: Dataset, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz", every_s=0)
    train_jointly(*cut(weights, EVEN), digits, epochs=1, batch_size=128, checkpoint=checkpoint)
    with pytest.raises(ModelError, match="this state is of other descendants"):
        train_jointly(*cut(weights, UNEVEN), digits, epochs=2, batch_size=128, checkpoint=checkpoint)


def test_every_output_of_the_model_counts_whichever_segment_writes_it(digits: Dataset) -> None:
    keras.utils.set_random_seed(0)
    x = image = keras.Input(digits.image_shape)
    outputs = []
    for width in (4, 6):
        for _ in range(2):
            x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
        outputs.append(x)
    pieces = extract(keras.Model(image, outputs), min_share=0.0)
    assert len(output_names(pieces)) == 2 > len(set(output_names(pieces)) & set(pieces[-1].outputs))
    students = {p.name: [descendant(p.model, 0.5)] for p in pieces if p.kind == "block"}
    composer = Composer(pieces, students)
    inputs, paths = {pieces[0].inputs[0]: digits.val.x[:8]}, np.tile(np.arange(2), (len(students), 1)).astype(np.int32)
    wanted, found, features = composer.compose(inputs, paths)
    last = [composer._relative(found[name], wanted[name]) for name in output_names(pieces)]
    np.testing.assert_allclose(composer((inputs, paths)), sum(features) / len(features) + sum(last) / 2, rtol=1e-5)


def test_fewer_images_than_options_are_refused(weights: list[np.ndarray], digits: Dataset) -> None:
    with pytest.raises(DataError, match="2 training images are fewer than the 3 options of a block"):
        train_jointly(*cut(weights, EVEN), replace(digits, train=digits.train.first(2)), epochs=1)


def test_training_that_diverges_is_refused(weights: list[np.ndarray], digits: Dataset) -> None:
    with pytest.raises(ModelError, match="training of compositions diverged; lower the learning rate"):
        train_jointly(*cut(weights, EVEN), digits, epochs=1, batch_size=32, learning_rate=float("inf"))


def heads_of_kind(kind: str) -> tuple[Head, Any]:
    """How an output is read, and a function that makes it of logits."""
    return {
        "logits of classes": (Head("classes", "top1", "linear"), lambda z: z),
        "probabilities of classes": (Head("classes", "top1", "softmax"), ops.softmax),
        "logit": (Head("binary", "binary_accuracy", "linear"), lambda z: z[:, :1]),
        "probability": (Head("binary", "binary_accuracy", "sigmoid"), lambda z: ops.sigmoid(z[:, :1])),
        "numbers": (Head("numbers", "r2", "linear"), lambda z: z),
    }[kind]


def test_probabilities_are_compared_as_the_logits_that_they_were_made_of() -> None:
    x = image = keras.Input((4, 4, 1))
    for _ in range(2):
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    pieces = extract(model)
    composer = Composer(pieces, {p.name: [descendant(p.model, 0.5)] for p in pieces if p.kind == "block"})
    rng = np.random.default_rng(0)
    y, target = (ops.convert_to_tensor(rng.normal(0, 2, (8, 3)).astype(np.float32)) for _ in range(2))
    errors = {}
    for kind in ("logits of classes", "probabilities of classes", "logit", "probability", "numbers"):
        head, made = heads_of_kind(kind)
        errors[kind] = np.asarray(composer._output_error(head, made(y), made(target)))
        assert (errors[kind] > 0.01).all(), kind
        np.testing.assert_allclose(composer._output_error(head, made(target), made(target)), 0, atol=1e-5)
    np.testing.assert_allclose(errors["logits of classes"], errors["probabilities of classes"], rtol=1e-4)
    np.testing.assert_allclose(errors["logit"], errors["probability"], rtol=1e-3)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_descendants_of_a_model_with_one_answer_learn_from_it(digits: Dataset, activation: str | None) -> None:
    def output_error(heads: list[Head]) -> float:
        keras.utils.set_random_seed(0)
        x = image = keras.Input((8, 8, 1))
        for _ in range(2):
            x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        model = keras.Model(image, layers.Dense(1, activation)(layers.GlobalAveragePooling2D()(x)))
        model.layers[-1].kernel.assign(8 * model.layers[-1].kernel)
        pieces = extract(model)
        students = {p.name: [descendant(p.model, s) for s in (0.5, 0.75)] for p in pieces if p.kind == "block"}
        before = error(pieces, students, digits.val.x)
        train_jointly(pieces, students, digits, 6, 32, learning_rate=3e-3, heads=heads)
        return error(pieces, students, digits.val.x) / before

    head = Head("binary", "binary_accuracy", "sigmoid" if activation else "linear")
    assert output_error([head]) < 0.7
