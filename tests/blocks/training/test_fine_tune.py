"""A pruned model is fine-tuned on images that are varied, and goes on where it was after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.recipe import Variation
from tests.blocks.training.interrupted import Interrupted, InterruptedCheckpoint

HEADS = [Head("classes", "top1", "linear")]


def tuned(
    model_file: Path, data: Dataset, augment: tuple[Variation, ...] = (), checkpoint: Checkpoint | None = None
) -> list[np.ndarray]:
    """Return the weights of the model without half of its channels after two epochs."""
    model = keras.saving.load_model(model_file)
    student = descendant(model, 0.5)
    fine_tune(model, student, data, 2, 32, heads=HEADS, augment=augment, checkpoint=checkpoint)
    return [np.asarray(w) for w in student.get_weights()]


def test_images_are_varied_where_that_is_asked_for(model_file: Path, few: Dataset) -> None:
    ways: tuple[tuple[Variation, ...], ...] = ((), ("flips",), ("shifts",))
    plain, flipped, shifted = (np.concatenate([w.ravel() for w in tuned(model_file, few, how)]) for how in ways)
    for one, other in ((plain, flipped), (plain, shifted), (flipped, shifted)):
        assert np.abs(one - other).max() > 1e-5


def test_labels_whose_form_no_head_says_do_not_count(model_file: Path, few: Dataset) -> None:
    model = keras.saving.load_model(model_file)
    heads = [Head("numbers", "r2", "linear")]
    unlabelled = replace(few, train=Split(few.train.x, None), val=Split(few.val.x, None))
    found = []
    for data, labelled in ((few, False), (unlabelled, True)):
        student = descendant(model, 0.5)
        fine_tune(model, student, data, 1, 32, heads=heads, labelled=labelled)
        found.append(student.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_that_may_be_places_do_not_count_where_images_are_varied(model_file: Path, few: Dataset) -> None:
    model, heads = keras.saving.load_model(model_file), [Head("numbers", "r2", "linear")]
    rng = np.random.default_rng(0)
    parts: Any = {name: Split(s.x, rng.random((len(s), 10))) for name in ("train", "val") for s in [getattr(few, name)]}
    numbers = replace(few, **parts)

    def student_of(labelled: bool, augment: tuple[Variation, ...]) -> np.ndarray:
        student = descendant(model, 0.5)
        fine_tune(model, student, numbers, 1, 32, heads=heads, labelled=labelled, augment=augment)
        return np.concatenate([w.ravel() for w in student.get_weights()])

    np.testing.assert_array_equal(student_of(True, ("flips",)), student_of(False, ("flips",)))
    assert np.abs(student_of(True, ()) - student_of(False, ())).max() > 1e-5


@pytest.mark.parametrize("steps", [3, 5])
def test_resuming_gives_what_training_without_a_break_gives(
    model_file: Path, few: Dataset, tmp_path: Path, steps: int
) -> None:
    whole = tuned(model_file, few, ("flips", "shifts"))
    with pytest.raises(Interrupted):
        tuned(model_file, few, ("flips", "shifts"), InterruptedCheckpoint(tmp_path / "state.npz", steps))
    again = tuned(model_file, few, ("flips", "shifts"), Checkpoint(tmp_path / "state.npz"))
    for a, b in zip(again, whole, strict=True):
        np.testing.assert_array_equal(a, b)
