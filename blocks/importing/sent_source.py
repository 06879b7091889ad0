"""Originals and images as trees of arrays, in which they travel to the workers of a build, and back again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.importing.data import ModelInputs, SeveralInputs
from legodnn.blocks.importing.keras_files import own_objects
from legodnn.blocks.importing.models import model_made_again
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.importing.torch_models import is_from_torch
from legodnn.errors import ModelError
from legodnn.model_names import is_function
from legodnn.pixels import Pixels, Scaling
from legodnn.recipe import Recipe
from legodnn.schema import to_json


def sent_model(recipe: Recipe, model: keras.Model) -> dict[str, Any]:
    """Return a model as a tree that `model_of_tree` makes the same model of, without the file that it came from.

    The graph is sent as a `.keras` file. A model that a function of the user's own makes may hold code, which such a
    file cannot hold: then the recipe is sent, which has the function's name and how its model is opened, and the
    weights.

    Args:
        recipe: what the model was opened by.
        model: the model as `data_and_model` opened it, with the weights that it has now.
    """
    spec = recipe.model
    if is_function(spec) and not is_from_torch(model):
        return {"recipe": to_json(recipe), "weights": [keras.ops.convert_to_numpy(w) for w in model.weights]}
    with tempfile.TemporaryDirectory(prefix="legodnn-") as folder:
        file = Path(folder) / "model.keras"
        try:
            model.save(file)
        except (TypeError, ValueError, NotImplementedError) as e:
            raise ModelError(f"{spec} cannot be sent to workers: {str(e).partition(chr(10))[0]}") from e
        # A file names outputs after layers, where the user may have named them otherwise.
        told = {"outputs": model.output_names, "custom": list(recipe.custom)}
        return {"file": np.frombuffer(file.read_bytes(), np.uint8), "told": json.dumps(told)}


def model_of_tree(tree: Mapping[str, Any]) -> keras.Model:
    """Return the model that `sent_model` was given, as one Functional graph.

    Raises:
        ModelError: a module of the user's own cannot be found here, or its function makes another model here.
    """
    if "file" in tree:
        told = json.loads(str(tree["told"]))
        with tempfile.TemporaryDirectory(prefix="legodnn-") as folder:
            file = Path(folder) / "model.keras"
            file.write_bytes(tree["file"].tobytes())
            # The file comes from the process that runs the build, which has opened the user's with care.
            with keras.saving.custom_object_scope(own_objects(told["custom"])):
                model = functional(keras.saving.load_model(file, compile=False, safe_mode=False))
        model.output_names = told["outputs"]
        return model
    recipe = Recipe.model_validate_json(str(tree["recipe"]))
    spec, model = recipe.model, model_made_again(recipe)
    if [tuple(w.shape) for w in model.weights] != [w.shape for w in tree["weights"]]:
        raise ModelError(f"{spec} makes a model with other weights here than where the build runs")
    for variable, weight in zip(model.weights, tree["weights"], strict=True):
        variable.assign(weight)
    return model


def sent_images(x: ModelInputs) -> dict[str, Any]:
    """Return inputs as a tree that `images_of` reads: pixels stay 8 bits each."""
    if isinstance(x, SeveralInputs):
        return {"names": json.dumps(list(x.arrays)), "inputs": [sent_images(array) for array in x.arrays.values()]}
    if not isinstance(x, Pixels):
        return {"x": np.ascontiguousarray(x)}
    scaling = {"range": x.scaling.range, "mean": x.scaling.mean, "std": x.scaling.std}
    return {"raw": x.raw if x.rows is None else x.raw[x.rows], "scaling": json.dumps(scaling)}


def images_of(tree: Mapping[str, Any]) -> ModelInputs:
    """Return the inputs that `sent_images` was given."""
    if "inputs" in tree:
        arrays: dict[str, Any] = dict(zip(json.loads(str(tree["names"])), map(images_of, tree["inputs"]), strict=True))
        return SeveralInputs(arrays)
    if "x" in tree:
        x: Array = tree["x"]
        return x
    return Pixels(tree["raw"], Scaling(**json.loads(str(tree["scaling"]))))
