"""Inspecting a model tells what a build would cut it into, and what can be removed from each block."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest
from keras import layers

from legodnn.blocks import extract, inspect
from legodnn.errors import ModelError


def test_segments_are_those_that_a_build_cuts(tiny_keras_file: Path) -> None:
    found = inspect(tiny_keras_file)
    assert found == inspect(str(tiny_keras_file)) == inspect(keras.saving.load_model(tiny_keras_file))
    assert [(s.name, s.kind) for s in found.segments] == [("block1", "block"), ("block2", "block"), ("head", "fixed")]
    whole = keras.saving.load_model(tiny_keras_file)
    assert [(p.name, p.calls) for p in extract(whole)] == [(p.name, p.calls) for p in found.pieces]
    assert sum(s.params for s in found.segments) == whole.count_params()
    first, second, head = found.segments
    assert first.reads == ("image",)
    assert second.reads == ("block1",)
    assert first.outputs == ((6, 6, 8),)
    assert head.outputs == ((10,),)
    assert first.prunable
    assert second.prunable
    assert not head.prunable


def test_the_text_tells_each_segment_the_total_and_why_layers_keep_their_channels() -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(image)
    x = keras.ops.flip(x, axis=-1)
    x = layers.Conv2D(4, 3, padding="same", name="second")(layers.Conv2D(6, 3, padding="same", name="inner")(x))
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)), name="net")
    found = inspect(model, min_share=0.0)
    text = str(found)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["segment", "kind", "layers"]
    assert [line.split()[0] for line in lines[2 : 2 + len(found.segments)]] == [s.name for s in found.segments]
    assert f"of {model.count_params():,} parameters" in text
    kept = [(s.name, call, why) for s in found.segments for call, why in s.kept_whole.items()]
    assert kept
    for name, call, why in kept:
        assert f"{name}: {call} keeps its channels: {why}" in lines


def test_a_hidden_dense_layer_of_a_head_that_stays_is_named_with_why() -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="second")(layers.Conv2D(6, 3, padding="same", name="inner")(image))
    hidden = layers.Dense(5, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(hidden), name="net")
    assert inspect(model).segments[-1].kind == "block"
    assert not inspect(model).segments[-1].kept_whole
    found = inspect(model, min_share=0.2)
    head = found.segments[-1]
    assert (head.name, head.kind) == ("head", "fixed")
    assert re.search(r"5 channels made by hidden", head.fixed_because)
    assert "the model's end, from the last tensor with height and width on, holds too few" in head.fixed_because
    assert f"head: {head.fixed_because}" in str(found).splitlines()
    assert not any(s.fixed_because for s in found.segments[:-1])


def test_what_cannot_be_cut_is_refused_as_by_a_build(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot load .*gone.keras: File not found"):
        inspect(tmp_path / "gone.keras")
    image = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="has no block whose inner channels could be removed"):
        inspect(keras.Model(image, layers.Flatten()(image)))
