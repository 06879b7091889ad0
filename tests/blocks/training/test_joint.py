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
from keras import layers

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.joint import draw_paths, rate_factors, train_jointly
from legodnn.blocks.training.optimizer import relative_rates
from legodnn.blocks.training.original import train_original
from legodnn.blocks.training.scalars import Log
from legodnn.errors import DataError, ModelError
from tests.blocks.training.composed import EVEN, UNEVEN, Students, composition_error, cut, network
from tests.blocks.training.interrupted import Interrupted, InterruptedCheckpoint


@given(blocks=st.integers(1, 6), slots=st.integers(1, 7), uniform=st.floats(0, 1), seed=st.integers(0, 99))
def test_every_chunk_meets_every_slot_of_every_block_once(blocks: int, slots: int, uniform: float, seed: int) -> None:
    paths = draw_paths(blocks, slots, uniform, np.random.default_rng(seed))
    assert paths.shape == (blocks, slots)
    assert (np.sort(paths, axis=1) == np.arange(slots)).all()


def test_uniform_paths_are_the_same_in_all_blocks() -> None:
    paths = draw_paths(4, 5, 1.0, np.random.default_rng(0))
    assert (paths == paths[0]).all()


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load_data("digits", image_size=8)
    return replace(data, train=data.train.first(400), val=data.val.first(100))


@pytest.fixture(scope="module")
def weights(digits: Dataset) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    model = network()
    train_original(model, digits, epochs=4, batch_size=32)
    found: list[np.ndarray] = model.get_weights()
    return found


def all_weights(models: list[keras.Model]) -> list[np.ndarray]:
    return [w for model in models for w in model.get_weights()]


def flat(students: Students) -> list[keras.Model]:
    return [model for models in students.values() for model in models]


@pytest.mark.parametrize("sparsities", [EVEN, UNEVEN])
def test_random_compositions_come_closer_to_the_original_which_stays_untouched(
    weights: list[np.ndarray], digits: Dataset, sparsities: tuple[tuple[float, ...], ...]
) -> None:
    pieces, students = cut(weights, sparsities)
    before = composition_error(pieces, students, digits.val.x)
    assert set(train_jointly(pieces, students, digits, epochs=3, batch_size=32, learning_rate=3e-3)) == {1.0}
    assert composition_error(pieces, students, digits.val.x) < 0.5 * before
    fresh, _ = cut(weights, sparsities)
    for now, then in zip(all_weights([p.model for p in pieces]), all_weights([p.model for p in fresh]), strict=True):
        np.testing.assert_array_equal(now, then)


def test_training_that_does_harm_is_taken_back(weights: list[np.ndarray], digits: Dataset) -> None:
    pieces, students = cut(weights, EVEN)
    train_jointly(pieces, students, digits, epochs=3, batch_size=32)
    before = all_weights(flat(students))
    assert set(train_jointly(pieces, students, digits, epochs=1, batch_size=32, learning_rate=0.1)) == {0.0}
    for now, then in zip(all_weights(flat(students)), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_harm_is_taken_back_where_a_step_takes_more_images_than_are_watched(
    weights: list[np.ndarray], digits: Dataset
) -> None:
    pieces, students = cut(weights, EVEN)
    train_jointly(pieces, students, digits, epochs=3, batch_size=32)
    before = all_weights(flat(students))
    often: Any = {name: getattr(digits, name).take(np.arange(1300) % 100) for name in ("train", "val")}
    many = replace(digits, **often)
    assert set(train_jointly(pieces, students, many, epochs=5, batch_size=2600, learning_rate=0.1)) == {0.0}
    for now, then in zip(all_weights(flat(students)), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_descendants_that_have_lost_more_are_trained_at_higher_rates_within_limits(weights: list[np.ndarray]) -> None:
    pieces, students = cut(weights, ((0.01, 0.5, 0.875), (0.5,)))
    whole = next(p.model for p in pieces if p.name == "block1").count_params()
    models, factors = students["block1"], rate_factors(pieces, students)
    assert set(factors) == {id(v) for model in flat(students) for v in model.trainable_variables}
    wanted = [whole / model.count_params() - 1 for model in models]
    assert wanted[0] < 0.5 < wanted[1] < 2.0 < wanted[2]
    for model, factor in zip(models, np.clip(wanted, 0.5, 2.0), strict=True):
        relative = relative_rates(model)
        for v in model.trainable_variables:
            assert factors[id(v)] == pytest.approx(factor * relative[id(v)])


def test_images_are_varied_where_that_is_asked_for(weights: list[np.ndarray], digits: Dataset) -> None:
    results = []
    for augment in ((), ("flips",), ("shifts",)):
        pieces, students = cut(weights, EVEN)
        train_jointly(pieces, students, digits, epochs=1, batch_size=200, augment=augment)
        results.append(np.concatenate([w.ravel() for w in all_weights(flat(students))]))
    assert all(np.abs(results[i] - results[j]).max() > 1e-5 for i, j in [(0, 1), (0, 2), (1, 2)])


Trained = tuple[list[np.ndarray], list[tuple[str, float, int]]]


def train(weights: list[np.ndarray], data: Dataset, checkpoint: Checkpoint | None = None) -> Trained:
    """Weights after three epochs of twelve steps (of 33 varied images, two paths of each), and what was logged."""
    pieces, students = cut(weights, EVEN)
    logged: list[tuple[str, float, int]] = []
    log: Log = lambda *scalar: logged.append(scalar)  # noqa: E731
    how: Any = {"augment": ("flips", "shifts"), "checkpoint": checkpoint, "log": log}
    train_jointly(pieces, students, data, epochs=3, batch_size=66, **how)
    return all_weights(flat(students)), logged


@pytest.fixture(scope="module")
def uninterrupted(weights: list[np.ndarray], digits: Dataset) -> Trained:
    return train(weights, digits)


def test_the_mean_loss_of_every_epoch_is_logged_and_falls(uninterrupted: Trained) -> None:
    _, logged = uninterrupted
    assert [(tag, step) for tag, _, step in logged] == [("joint/loss", 12), ("joint/loss", 24), ("joint/loss", 36)]
    assert logged[-1][1] < logged[0][1]


@pytest.mark.parametrize("steps", [12, 20])
def test_resuming_gives_what_training_without_a_break_gives(
    weights: list[np.ndarray], digits: Dataset, uninterrupted: Trained, tmp_path: Path, steps: int
) -> None:
    with pytest.raises(Interrupted):
        train(weights, digits, InterruptedCheckpoint(tmp_path / "state.npz", steps))
    found, logged = train(weights, digits, Checkpoint(tmp_path / "state.npz"))
    assert logged == uninterrupted[1][1:]
    for a, b in zip(found, uninterrupted[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_state_of_other_descendants_is_refused(weights: list[np.ndarray], digits: Dataset, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz", every_s=0)
    train_jointly(*cut(weights, EVEN), digits, epochs=1, batch_size=128, checkpoint=checkpoint)
    with pytest.raises(ModelError, match=r"state\.npz holds the state of another training"):
        train_jointly(*cut(weights, UNEVEN), digits, epochs=2, batch_size=128, checkpoint=checkpoint)


def test_fewer_images_than_options_are_refused(weights: list[np.ndarray], digits: Dataset) -> None:
    with pytest.raises(DataError, match="2 training images are fewer than the 3 options of a block; give more"):
        train_jointly(*cut(weights, EVEN), replace(digits, train=digits.train.first(2)), epochs=1)


def test_training_that_diverges_is_refused(weights: list[np.ndarray], digits: Dataset) -> None:
    with pytest.raises(ModelError, match=r"training of compositions diverged; build without it \(joint_epochs = 0\)"):
        train_jointly(*cut(weights, EVEN), digits, epochs=1, batch_size=32, learning_rate=float("inf"))


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
        before = composition_error(pieces, students, digits.val.x)
        train_jointly(pieces, students, digits, 6, 32, learning_rate=3e-3, heads=heads)
        return composition_error(pieces, students, digits.val.x) / before

    head = Head("binary", "binary_accuracy", "sigmoid" if activation else "linear")
    assert output_error([head]) < 0.7
