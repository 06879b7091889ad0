"""A batch takes several compositions at once, and each computes what it computes alone."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.cutting.extract import compose_pieces, extract, output_names
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.composer import Composer, slot_options
from legodnn.blocks.training.joint import draw_paths
from tests.blocks.training.composed import EVEN, UNEVEN, cut, network


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load_data("digits", image_size=8)
    return replace(data, train=data.train.first(400), val=data.val.first(100))


@given(slots=st.integers(1, 12), options=st.integers(1, 12))
def test_slots_are_shared_out_among_all_options_in_turn(slots: int, options: int) -> None:
    options = min(options, slots)
    counts = np.bincount(slot_options(slots, options), minlength=options)
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("sparsities", [EVEN, UNEVEN])
def test_a_path_computes_what_its_composition_computes(
    digits: Dataset, sparsities: tuple[tuple[float, ...], ...]
) -> None:
    pieces, students = cut(network().get_weights(), sparsities)
    composer = Composer(pieces, students)
    images = digits.val.x[: 3 * composer.options]
    paths = draw_paths(2, composer.slots, 0.0, np.random.default_rng(1))
    found = composer.compose({pieces[0].inputs[0]: images}, paths)[1][pieces[-1].outputs[0]]
    x = np.tile(images, (composer.slots // composer.options, 1, 1, 1))
    assert len(found) == len(x) > len(images)  # every image takes several paths
    for chunk in range(composer.slots):
        models: dict[str, keras.Model] = {}
        for (name, descendants), path in zip(students.items(), paths, strict=True):
            option = slot_options(composer.slots, 1 + len(descendants))[int(np.flatnonzero(path == chunk)[0])]
            models |= {name: descendants[option - 1]} if option else {}
        part = x[3 * chunk : 3 * chunk + 3]
        expected = compose_pieces(pieces, {pieces[0].inputs[0]: part}, models)[pieces[-1].outputs[0]]
        np.testing.assert_allclose(found[3 * chunk : 3 * chunk + 3], expected, rtol=1e-4, atol=1e-4)


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
    paths = np.tile(np.arange(composer.slots), (len(students), 1)).astype(np.int32)
    inputs = {pieces[0].inputs[0]: digits.val.x[:8]}
    wanted, found, features = composer.compose(inputs, paths)
    twice = {
        name: np.concatenate([wanted[name]] * (composer.slots // composer.options)) for name in output_names(pieces)
    }
    last = [relative_error([found[name]], [twice[name]], composer.slots) for name in output_names(pieces)]
    np.testing.assert_allclose(composer((inputs, paths)), sum(features) / len(features) + 4 * sum(last) / 2, rtol=1e-5)
