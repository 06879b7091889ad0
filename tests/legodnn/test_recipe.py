"""A recipe comes from a TOML file and flags, says in a line what is wrong with it, and stays whole in the manifest.

Covers also: toml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ModelError
from legodnn.recipe import Recipe, resolve
from legodnn.schema import to_json

EVERYTHING = """
model = "MobileNetV2"
name = "mobile"
data = "images:photos"
width = 1
cut_at = ["logits"]
input_shape = [96, 96, 3]
custom = ["layers_of_mine"]
image_size = 96
input_range = [-1, 1.0]
input_mean = [0.1, 0.2, 0.3]
input_std = [1]
input_fit = "letterbox"
input_fill = 114
weights = "imagenet"
train_epochs = 30
sparsities = [0.25, 0.5, 0.75]
precisions = ["float32", "int8"]
strategy = "reconstruction"
round_to = {conv = [16, 32], depthwise = [8]}
distill_epochs = 4
joint_epochs = 6
augment = ["flips"]
patience = 2
learning_rate = 1e-2
mixed_precision = true
batch_size = 16
max_blocks = 5
min_share = 0.0
samples = 12
metric = "r2"
reading = {kind = "anchor_boxes", anchors = [[[10, 13.5], [16, 30]], [[33, 23]]]}
evaluated_images = 100
calibration_images = 64
seed = 7
"""


def test_a_file_may_set_every_field_and_a_recipe_holds_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(EVERYTHING)
    recipe = resolve(file, "default")
    assert set(recipe.model_fields_set) == set(Recipe.model_fields)
    assert recipe.name == "mobile"
    assert recipe.input_range == (-1, 1)
    assert recipe.input_mean == (0.1, 0.2, 0.3)
    assert recipe.sparsities == (0.25, 0.5, 0.75)
    assert recipe.precisions == ("float32", "int8")
    assert recipe.augment == ("flips",)
    assert recipe.mixed_precision is True


def test_what_is_given_wins_over_the_file_and_the_file_over_the_default_name(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('model = "vgg16"\nname = "mine"\nseed = 3\nsparsities = [0.5]\n')
    assert resolve(file, "default").name == "mine"
    assert resolve(file, "default", name="flag").name == "flag"
    recipe = resolve(str(file), "default", model="resnet20", sparsities=[0.25, 0.75])
    assert (recipe.model, recipe.seed, recipe.sparsities) == ("resnet20", 3, (0.25, 0.75))


def test_without_a_file_the_flags_and_defaults_make_the_recipe() -> None:
    recipe = resolve(None, "folder", model="vgg16")
    assert recipe == Recipe(model="vgg16", name="folder")
    with pytest.raises(ModelError, match=r"^no model is named: give MODEL, or `model` in a recipe$"):
        resolve(None, "folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {file}: No such file or directory"),
        (b"model = ", "{file} is not TOML: Invalid value (at end of document)"),
        (b"[model\n", "{file} is not TOML: "),
        (b"model = '\xff'", "{file} is not UTF-8 text; "),
        (b"", "{file}: no model is named: give MODEL, or `model` in a recipe"),
        (
            b"model = 'vgg16'\njoint_epochs = 0\naugment = ['flips']",
            "{file}: the recipe makes no sense: augment is for training in compositions",
        ),
        (
            b"model = 'vgg16'\naugment = ['flips', 'flips']",
            "{file}: the recipe makes no sense: augment: augment must name each variation once",
        ),
        (b"model = 'vgg16'\nepochs = 3", "{file}: the recipe makes no sense: epochs: unknown field, got 3"),
        (
            b"model = 'vgg16'\nsparsity = 3",
            "{file}: the recipe makes no sense: sparsity: unknown field, got 3 (near to it: sp",
        ),
        (b"model = 3", "{file}: the recipe makes no sense: model: must be a valid string, got 3"),
        (b"model = 'vgg16'\nseed = '3'", "{file}: the recipe makes no sense: seed: must be a valid integer"),
        (b"model = 'vgg16'\nseed = 2020-01-01", "{file}: the recipe makes no sense: seed: "),
        (b"model = 'vgg16'\nmixed_precision = 1", "{file}: the recipe makes no sense: mixed_precision: "),
        (b"model = 'vgg16'\nlearning_rate = nan", "{file}: the recipe makes no sense: learning_rate: "),
        (b"model = 'vgg16'\ninput_range = [1, 0]", "{file}: the recipe makes no sense: input_range must inc"),
        (
            b"model = 'vgg16'\ninput_fill = 114",
            "{file}: the recipe makes no sense: only a letterbox has margins to fill with 114; say input_fit",
        ),
        (b"model = 'vgg16'\ninput_std = [0.0]", "{file}: the recipe makes no sense: input_std.0: "),
        (b"model = 'vgg16'\nsparsities = 0.5", "{file}: the recipe makes no sense: sparsities: "),
        (b"model = 'vgg16'\nsparsities = ['a', 'b']", "{file}: the recipe makes no sense: sparsities.0: "),
        (
            b"model = 'vgg16'\nprecisions = ['int8']",
            "{file}: the recipe makes no sense: precisions: precisions must ",
        ),
        (b"model = 'vgg16'\nprecisions = ['int4']", "{file}: the recipe makes no sense: precisions.0: "),
        (
            b"model = 'vgg16'\nstrategy = 'l3'",
            "{file}: the recipe makes no sense: strategy: must be 'random', ",
        ),
        (b"[model]\nname = 'vgg16'", "{file}: the recipe makes no sense: model: must be a valid string"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_line_with_its_name(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "recipe.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        resolve(file, "default")
    assert str(caught.value).startswith(message.format(file=file))
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_in_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*: it is a folder, not a file"):
        resolve(tmp_path, "default")


def test_a_folders_name_that_is_no_models_name_is_refused() -> None:
    with pytest.raises(ModelError, match=r"name: a name has at most 64 letters, digits, .*, got 'my store'"):
        resolve(None, "my store", model="vgg16")


def test_the_strategies_that_a_recipe_may_name_are_those_there_are() -> None:
    pytest.importorskip("keras")
    from legodnn.blocks.pruning.strategies import STRATEGIES

    for name in STRATEGIES:
        assert resolve(None, "x", model="vgg16", strategy=name).strategy == name
    with pytest.raises(ModelError, match=", ".join(f"'{name}'" for name in list(STRATEGIES)[:-1])):
        resolve(None, "x", model="vgg16", strategy="l0")


shares = st.lists(st.floats(0.01, 0.99).map(lambda s: round(s, 4)), min_size=1, max_size=6, unique=True).map(sorted)
fields = st.fixed_dictionaries(
    {},
    optional={
        "data": st.text(),
        "width": st.floats(0.01, 4),
        "input_range": st.tuples(st.floats(-3, -1), st.floats(0, 3)),
        "input_mean": st.none() | st.lists(st.floats(-1, 1), max_size=3).map(tuple),
        "weights": st.none() | st.text(),
        "sparsities": shares.map(tuple),
        "precisions": st.permutations(["float16", "int8"]).map(lambda others: ("float32", *others)),
        "learning_rate": st.floats(1e-6, 1),
        "mixed_precision": st.booleans(),
        "min_share": st.floats(0, 0.9),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@given(fields)
def test_a_recipe_survives_the_json_of_the_manifest(given_fields: dict[str, Any]) -> None:
    recipe = Recipe(model="a model:of mine", name="x", **given_fields)
    assert Recipe.model_validate_json(to_json(recipe)) == recipe
