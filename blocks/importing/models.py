"""Where models come from: our zoo, keras.applications, a `.keras` file, or a function of the user's own."""

from __future__ import annotations

import inspect
import json
import zipfile
from typing import Any

import keras
import numpy as np

from legodnn.arrays import ImageShape
from legodnn.blocks.importing import zoo
from legodnn.blocks.importing.data import Dataset, data_of
from legodnn.blocks.importing.opening import functional, in_float32, is_whole
from legodnn.blocks.importing.user_function import call_user, user_function
from legodnn.errors import DataError, ModelError
from legodnn.model_names import FILES, check_model_name, unknown_model
from legodnn.pixels import Pixels
from legodnn.recipe import Recipe

PIXELS = (0.0, 255.0)  # what an input of whole numbers takes

_MOST_CHARACTERS = 300


def open_model(
    spec: str,
    image_shape: ImageShape | None = None,
    classes: int = 10,
    width: float = 1.0,
    weights: str | None = None,
) -> keras.Model:
    """A model as one Functional graph.

    Args:
        spec: one of
            - `vgg16`, `resnet18`, `resnet20`, `resnet56`: ours (`legodnn.blocks.importing.zoo`);
            - a name in keras.applications, such as `MobileNetV2`;
            - the path of a `.keras`, `.h5` or `.hdf5` file of a whole model; code in it is not run;
            - `module:function`: called without arguments, gives a Keras model. The module is looked for in the current
              folder too. This is the way for models with layers of your own.
        image_shape: height, width and channels for models that are made here; None: each one's own default.
        classes: number of outputs of models that are made here.
        width: channel multiplier of our zoo's models.
        weights: `.npz` of published CIFAR weights (ours; see `zoo`), `imagenet` (keras.applications, with its own image
            shape and classes), or a `.weights.h5` file.

    Raises:
        ModelError: not found, not readable, or nothing that `legodnn.blocks.importing.opening.functional` takes.
    """
    return functional(_own_model(spec, image_shape, classes, width, weights))


def _own_model(
    spec: str, image_shape: ImageShape | None, classes: int, width: float = 1.0, weights: str | None = None
) -> keras.Model:
    """The model as it is made or saved, with its weights."""
    check_model_name(spec)
    if spec in zoo.MODELS:
        model = zoo.MODELS[spec](width, image_shape or (32, 32, 3), classes)
    elif spec.endswith(FILES):
        model = _keras_file(spec)
    elif ":" in spec:
        model = _function(spec)
    elif spec in applications():
        model = _application(spec, image_shape, classes, weights)
    else:
        raise unknown_model(spec)
    if weights and not (spec in applications() and weights == "imagenet"):
        _load_weights(model, weights, spec)
    return model


def data_and_model(recipe: Recipe) -> tuple[Dataset, keras.Model]:
    """The data set and the model that a recipe asks for: whichever is there first decides on the other's shape.

    A model that comes with weights, or is the user's own, decides on size and channels of images; one that is made here
    is made for the data. A model whose input holds whole numbers gets pixels as they are (0 to 255), if the recipe says
    nothing of them.

    Raises:
        ModelError: as `model_of`.
        DataError: as `data_of` and `model_of`.
    """
    if _made_here(recipe):
        data = data_of(recipe)
        return data, model_of(recipe, data)
    own = _own_model_of(recipe, None, 10)
    model = _opened(recipe, own)
    if _takes_pixels(own) and not (recipe.input_range or recipe.input_mean or recipe.input_std):
        recipe = recipe.model_copy(update={"input_range": PIXELS})
    data = data_of(recipe, model.input_shape[1:])
    _check_images(recipe, data, own, model)
    return data, model


def model_of(recipe: Recipe, data: Dataset) -> keras.Model:
    """The model that a recipe asks for; what is made here gets the data's image shape and number of classes.

    Raises:
        ModelError: as `open_model`, or several inputs, or no weights and no training.
        DataError: it takes other images than the data has.
    """
    own = _own_model_of(recipe, data.image_shape, _classes(data))
    model = _opened(recipe, own)
    _check_images(recipe, data, own, model)
    return model


def _made_here(recipe: Recipe) -> bool:
    return recipe.model in zoo.MODELS or (recipe.model in applications() and recipe.weights != "imagenet")


def _own_model_of(recipe: Recipe, shape: ImageShape | None, classes: int) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    spec = recipe.model
    if (spec in zoo.MODELS or spec in applications()) and not recipe.weights and not recipe.train_epochs:
        raise ModelError(f"{spec} has no weights: give a weights file or some train_epochs")
    return _own_model(spec, shape, classes, recipe.width, recipe.weights)


def _opened(recipe: Recipe, own: keras.Model) -> keras.Model:
    """A user's model, opened; ModelError unless it takes one image."""
    model = functional(own)
    inputs = [tuple(t.shape[1:]) for t in model.inputs]
    if len(inputs) != 1:
        raise ModelError(
            f"{recipe.model} has inputs of shape {inputs}; a store is built of a model that takes one image"
        )
    return model


def makes_classifier(spec: str) -> bool:
    """Whether a model is made here, and so gives scores of classes."""
    return spec in zoo.MODELS or spec in applications()


def _classes(data: Dataset) -> int:
    """How many the data has, by names or by numbers; 10 where it tells neither."""
    y = data.train.y
    numbered = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iu"
    return len(data.labels) or (max(int(np.max(y)) + 1, 2) if y is not None and numbered else 10)


def _check_images(recipe: Recipe, data: Dataset, own: keras.Model, model: keras.Model) -> None:
    """Raise DataError unless the data's images are what the user's model takes."""
    takes = tuple(model.inputs[0].shape[1:])
    if takes != data.image_shape:
        raise DataError(f"{recipe.model} takes images of shape {takes}, {data.name} has {data.image_shape}")
    if _takes_pixels(own):
        _check_pixels(f"{recipe.model} takes {own.inputs[0].dtype} images", data)


def _takes_pixels(own: keras.Model) -> bool:
    """Whether a user's model has an input of whole numbers."""
    return own.built and any(is_whole(t.dtype) for t in getattr(own, "inputs", None) or ())


def _check_pixels(who: str, data: Dataset) -> None:
    """Raise DataError unless images are pixels as they are."""
    scaling = data.scaling
    if scaling.range != PIXELS or scaling.mean or scaling.std:
        made = f"scaled to {scaling.range[0]:g}..{scaling.range[1]:g}"
        made += (", less a mean" if scaling.mean else "") + (", over a std" if scaling.std else "")
        raise DataError(
            f"{who}, pixels from 0 to 255, but those of {data.name} are {made}: leave out input_range, input_mean and "
            "input_std, or give the Dataset that your function makes scaling=Scaling((0, 255))"
        )
    if isinstance(data.train.x, Pixels):
        return
    low, high = float(data.train.x.min()), float(data.train.x.max())
    if low < 0 or high > 255 or high <= 1:
        raise DataError(f"{who}, pixels from 0 to 255, but those of {data.name} run from {low:g} to {high:g}")


def applications() -> list[str]:
    """The names of the models in keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def _keras_file(path: str) -> keras.Model:
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:  # a damaged or foreign file can make Keras raise any
        raise ModelError(f"cannot load {path}: {_reason(path, e)}") from e
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path} holds {type(model).__name__}, not a Keras model")
    return model


def _reason(path: str, error: Exception) -> str:
    """Why Keras cannot load a file, and what helps."""
    if "Lambda" in str(error):
        return (
            "it has a Lambda layer, which is Python code, and code in a file is not run; put the function that makes "
            "the model, or loads it, into a module and give it as module:function"
        )
    version, remedy = _saved_by(path), ""
    if version.startswith("2."):
        remedy = f"; Keras {version} saved it: load it there, or in tf_keras, save it as .h5, and give that"
    elif "custom" in str(error) or "registered" in str(error):
        remedy = "; for layers of your own build the model in a function, module:function"
    return _brief(error) + remedy


def _saved_by(path: str) -> str:
    """The version of Keras that saved a .keras file; empty if that cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as f:
            return str(json.loads(f.read(1 << 16))["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


def _function(spec: str) -> keras.Model:
    with in_float32():  # what the function sets for layers of its own is not to last
        model = call_user(spec, user_function(spec, ModelError), ModelError)
    if not isinstance(model, keras.Model):
        raise ModelError(f"{spec} gave {type(model).__name__}, not a Keras model")
    return model


def _application(name: str, image_shape: ImageShape | None, classes: int, weights: str | None) -> keras.Model:
    make = getattr(keras.applications, name)
    arguments: dict[str, Any] = {"weights": None, "input_shape": image_shape, "classes": classes}
    if weights == "imagenet":
        arguments = {"weights": "imagenet"}
    if "classifier_activation" in inspect.signature(make).parameters:
        arguments["classifier_activation"] = None
    try:
        return make(**arguments)
    except (ValueError, OSError) as e:  # OSError: the weights could not be downloaded
        raise ModelError(f"keras.applications.{name} cannot be made: {_brief(e)}") from None
    except Exception as e:
        # Keras reports a failed download of weights as a bare Exception.
        if weights != "imagenet" or type(e) is not Exception:
            raise
        raise ModelError(f"cannot download the weights of {name}: {_brief(e)}") from None


def _load_weights(model: keras.Model, path: str, spec: str) -> None:
    if path.endswith(".npz"):
        load = zoo.load_vgg16_weights if spec == "vgg16" else zoo.load_cifar_resnet_weights
        load(model, path)
        return
    if not path.endswith(".weights.h5"):
        raise ModelError(f"cannot read weights from {path}: give an .npz or a .weights.h5 file")
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"cannot load {path} into {spec}: {_brief(e)}") from None


def _brief(error: BaseException) -> str:
    """The beginning of what Keras says: it goes on with whole configurations, tables and tracebacks."""
    line = str(error).strip().partition("\n")[0].partition("Full object config")[0].strip()
    return (line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}...") or type(error).__name__
