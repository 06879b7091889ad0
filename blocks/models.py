"""Where models come from: our zoo, keras.applications, a `.keras` file, or a function of the user's own."""

from __future__ import annotations

import inspect
import zipfile
from typing import Any

import keras

from legodnn.blocks import zoo
from legodnn.blocks.data import Dataset, data_of
from legodnn.blocks.opening import functional, in_float32, is_whole
from legodnn.blocks.recipe import Recipe
from legodnn.blocks.users import user_function
from legodnn.errors import DataError, ModelError

Shape = tuple[int, int, int]
PIXELS = (0.0, 255.0)  # what an input of whole numbers takes


def open_model(
    spec: str,
    image_shape: Shape | None = None,
    classes: int = 10,
    width: float = 1.0,
    weights: str | None = None,
) -> keras.Model:
    """A model as one Functional graph.

    Args:
        spec: one of
            - `vgg16`, `resnet18`, `resnet20`, `resnet56`: ours (`legodnn.blocks.zoo`);
            - a name in keras.applications, such as `MobileNetV2`;
            - the path of a `.keras` file; code in it is not run;
            - `module:function`: called without arguments, gives a Keras model. The module is looked for in the current
              folder too. This is the way for models with layers of your own.
        image_shape: height, width and channels for models that are made here; None: each one's own default.
        classes: number of outputs of models that are made here.
        width: channel multiplier of our zoo's models.
        weights: `.npz` of published CIFAR weights (ours; see `zoo`), `imagenet` (keras.applications, with its own image
            shape and classes), or a `.weights.h5` file.

    Raises:
        ModelError: not found, not readable, or nothing that `legodnn.blocks.opening.functional` takes.
    """
    return functional(_own_model(spec, image_shape, classes, width, weights))


def _own_model(
    spec: str, image_shape: Shape | None, classes: int, width: float = 1.0, weights: str | None = None
) -> keras.Model:
    """The model as it is made or saved, with its weights."""
    if spec in zoo.MODELS:
        model = zoo.MODELS[spec](width, image_shape or (32, 32, 3), classes)
    elif spec.endswith(".keras"):
        model = _keras_file(spec)
    elif ":" in spec:
        model = _function(spec)
    elif spec in applications():
        model = _application(spec, image_shape, classes, weights)
    else:
        ours = ", ".join(zoo.MODELS)
        raise ModelError(
            f"unknown model {spec!r}; use a .keras file, module:function, one of {ours}, or a name in "
            "keras.applications"
        )
    if weights and not (spec in applications() and weights == "imagenet"):
        _load_weights(model, weights, spec)
    return model


def data_and_model(recipe: Recipe) -> tuple[Dataset, keras.Model]:
    """The data set and the model that a recipe asks for.

    A model whose input holds whole numbers gets pixels as they are (0 to 255), if the recipe says nothing of them.

    Raises:
        LegoError: as `legodnn.blocks.data.data_of` and `model_of`.
    """
    data = data_of(recipe)
    own = _own_model_of(recipe, data)
    if _takes_pixels(own) and not (recipe.input_range or recipe.input_mean or recipe.input_std):
        data = data_of(recipe.model_copy(update={"input_range": PIXELS}))
    return data, _checked(recipe, data, own)


def model_of(recipe: Recipe, data: Dataset) -> keras.Model:
    """The model that a recipe asks for; what is made here gets the data's image shape and number of classes.

    Raises:
        ModelError: as `open_model`, or several inputs, or no weights and no training.
        DataError: it takes other images than the data has.
    """
    return _checked(recipe, data, _own_model_of(recipe, data))


def _own_model_of(recipe: Recipe, data: Dataset) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    spec = recipe.model
    if (spec in zoo.MODELS or spec in applications()) and not recipe.weights and not recipe.train_epochs:
        raise ModelError(f"{spec} has no weights: give a weights file or some train_epochs")
    return _own_model(spec, data.image_shape, len(data.labels) or 10, recipe.width, recipe.weights)


def _takes_pixels(own: keras.Model) -> bool:
    """Whether a user's model has an input of whole numbers."""
    return own.built and any(is_whole(t.dtype) for t in getattr(own, "inputs", None) or ())


def _checked(recipe: Recipe, data: Dataset, own: keras.Model) -> keras.Model:
    """A user's model, opened, if it takes the images of the data."""
    spec, model = recipe.model, functional(own)
    inputs = [tuple(t.shape[1:]) for t in model.inputs]
    if len(inputs) != 1:
        raise ModelError(f"{spec} has inputs of shape {inputs}; a store is built of a model that takes one image")
    if inputs[0] != data.image_shape:
        raise DataError(f"{spec} takes images of shape {inputs[0]}, {data.name} has {data.image_shape}")
    if _takes_pixels(own):
        _check_pixels(f"{spec} takes {own.inputs[0].dtype} images", data)
    return model


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
    low, high = float(data.train.x.min()), float(data.train.x.max())
    if low < 0 or high > 255 or high <= 1:
        raise DataError(f"{who}, pixels from 0 to 255, but those of {data.name} run from {low:g} to {high:g}")


def applications() -> list[str]:
    """The names of the models in keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def _keras_file(path: str) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as e:
        code = "Lambda" in str(e)
        remedy = (
            "it has a Lambda layer, which is Python code, and code in a file is not run; put the function that makes "
            "the model, or loads it, into a module and give it as module:function"
        )
        raise ModelError(f"cannot load {path}: {remedy if code else _first_line(e)}") from None


def _function(spec: str) -> keras.Model:
    with in_float32():  # what the function sets for layers of its own is not to last
        model = user_function(spec, ModelError)()
    if not isinstance(model, keras.Model):
        raise ModelError(f"{spec} gave {type(model).__name__}, not a Keras model")
    return model


def _application(name: str, image_shape: Shape | None, classes: int, weights: str | None) -> keras.Model:
    make = getattr(keras.applications, name)
    arguments: dict[str, Any] = {"weights": None, "input_shape": image_shape, "classes": classes}
    if weights == "imagenet":
        arguments = {"weights": "imagenet"}
    if "classifier_activation" in inspect.signature(make).parameters:
        arguments["classifier_activation"] = None
    try:
        return make(**arguments)
    except (ValueError, OSError) as e:  # OSError: the weights could not be downloaded
        raise ModelError(f"keras.applications.{name} cannot be made: {_first_line(e)}") from None
    except Exception as e:
        # Keras reports a failed download of weights as a bare Exception.
        if weights != "imagenet" or type(e) is not Exception:
            raise
        raise ModelError(f"cannot download the weights of {name}: {_first_line(e)}") from None


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
        raise ModelError(f"cannot load {path} into {spec}: {_first_line(e)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
