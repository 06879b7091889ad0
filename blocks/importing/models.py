"""Where models come from: the zoo, keras.applications, a Keras file, or a function of the user's own.

A recipe's model and data set are opened together, since each may decide on the shape of the other.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from legodnn.arrays import ImageShape, Shape
from legodnn.blocks import zoo
from legodnn.blocks.from_torch.module import is_torch, keep_triton_out
from legodnn.blocks.importing.checks import check_sizes
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import data_of, is_own_data, recipe_scales
from legodnn.blocks.importing.input_size import with_input_shape
from legodnn.blocks.importing.keras_files import brief, load_model_file, load_weights
from legodnn.blocks.importing.model_inputs import (
    PIXELS,
    fitting,
    log_front,
    pixel_range,
    scales_images,
    shapes_of,
    warn_of_default_range,
)
from legodnn.blocks.importing.onnx.graph import load_onnx
from legodnn.blocks.importing.opening import functional, in_float32
from legodnn.blocks.importing.own_layers import called
from legodnn.blocks.importing.saved_model import load_saved_model
from legodnn.blocks.importing.tflite.graph import load_tflite
from legodnn.blocks.importing.torch_models import torch_graph
from legodnn.errors import ModelError
from legodnn.model_names import FILES, ONNX, TFLITE, check_model_name, is_function, is_saved_model, unknown_model
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Recipe
from legodnn.user_function import call_user, user_function


def open_model(
    spec: str,
    image_shape: ImageShape | None = None,
    classes: int = 10,
    width: float = 1.0,
    weights: str | None = None,
    cut_at: Sequence[str] = (),
    input_shape: Shape | None = None,
    custom: Sequence[str] = (),
) -> keras.Model:
    """Open a model by its name, as one Functional graph in float32.

    Args:
        spec: one of
            - `vgg16`, `resnet18`, `resnet20`, `resnet56`: models of `legodnn.blocks.zoo`;
            - a name in keras.applications, such as `MobileNetV2`;
            - the path of a `.keras`, `.h5` or `.hdf5` file of a whole model; code in it is not run;
            - the path of a `.tflite` file, whose operators become layers (`legodnn.blocks.importing.tflite`);
            - the path of an `.onnx` file, whose nodes become layers (`legodnn.blocks.importing.onnx`);
            - the folder of a TensorFlow SavedModel, which is converted to a `.tflite` file first;
            - `module:function`: a function that is called without arguments and returns a Keras model, or a PyTorch
              module (`legodnn.blocks.importing.torch_models`). Its module is looked for in the current folder too. This
              is the way for models with layers of your own.
        image_shape: height, width and channels for models of the zoo and of keras.applications; None: their defaults.
        classes: the number of outputs of these models.
        width: a factor for the channels of models of the zoo.
        weights: an `.npz` file of published CIFAR weights for models of the zoo; `imagenet` for keras.applications,
            with the image shape and classes of those weights; or a `.weights.h5` file.
        cut_at: for `.tflite` and ONNX files, SavedModels and PyTorch modules: names of tensors that become the outputs;
            what follows is left out.
        input_shape: for files and functions: the shape of the input, without the number of images, where it is not
            fixed; that of a PyTorch module or an ONNX file with channels first.
        custom: for Keras files: modules, which are imported, with the layers and functions that the file names.

    Raises:
        ModelError: the model is not found, cannot be read, or is refused by
            `legodnn.blocks.importing.opening.functional`.
    """
    return functional(_own_model(spec, image_shape, classes, width, weights, cut_at, input_shape, custom))


def _own_model(
    spec: str,
    image_shape: ImageShape | None,
    classes: int,
    width: float = 1.0,
    weights: str | None = None,
    cut_at: Sequence[str] = (),
    input_shape: Shape | None = None,
    custom: Sequence[str] = (),
) -> keras.Model:
    """Return a model as it is made or saved, with its weights; `open_model` describes the arguments."""
    check_model_name(spec)
    foreign = spec.endswith((TFLITE, ONNX)) or is_saved_model(spec)
    if cut_at and not foreign and not is_function(spec):
        raise _not_foreign(spec)
    if input_shape and (spec in zoo.MODELS or spec in applications()):
        raise ModelError(f"input_shape is for files and functions; {spec} is made for its data, or for image_size")
    if width != 1 and spec not in zoo.MODELS:
        raise ModelError(
            f"width makes {', '.join(zoo.MODELS)} narrower or wider, and {spec} is none of them: leave it out"
        )
    if custom and not spec.endswith(FILES):
        raise ModelError(f"custom names modules with the layers of a Keras file, and {spec} is none")
    if spec in zoo.MODELS:
        model = zoo.MODELS[spec](width, image_shape or (32, 32, 3), classes)
    elif spec.endswith(FILES):
        model = _sized(load_model_file(spec, custom), input_shape)
    elif spec.endswith(TFLITE):
        model = load_tflite(spec, cut_at, input_shape)
    elif spec.endswith(ONNX):
        model = load_onnx(spec, cut_at, input_shape)
    elif foreign:
        model = load_saved_model(spec, cut_at, input_shape)
    elif is_function(spec):
        model = _function(spec, cut_at, input_shape)
    elif spec in applications():
        model = _application(spec, image_shape, classes, weights)
    else:
        raise unknown_model(spec)
    if weights and not (spec in applications() and weights == "imagenet"):
        load_weights(model, weights, spec)
    return model


def data_and_model(recipe: Recipe, progress: Progress = no_progress) -> tuple[Dataset, keras.Model]:
    """Open the data set and the model that a recipe asks for, made to fit each other.

    A model of the zoo, or of keras.applications without ImageNet weights, is made for the data. Any other model decides
    on what the data must be: the size and channels of images, or the inputs that it has. A model whose images hold
    integers, or that begins by scaling pixels (`front`), gets pixels as they are (0 to 255), and a file that says what
    its images of int8 stand for gets that, unless the recipe scales them. A model of keras.applications with ImageNet
    weights begins by what Keras has for these (`preprocess_input`), unless the recipe scales pixels or data are arrays.

    Args:
        recipe: what to open.
        progress: shows how far a large folder of images has been read.

    Raises:
        ModelError: see `model_of`.
        DataError: see `data_of` and `model_of`.
    """
    if _made_here(recipe):
        data = data_of(recipe, progress=progress)
        model = model_of(recipe, data)
        if not scales_images(recipe, model, model):
            return data, model
        if not recipe_scales(recipe) and not is_own_data(recipe.data):
            data = data_of(recipe.model_copy(update={"input_range": PIXELS}), progress=progress)
        log_front(recipe.model, data)
        return data, model
    own = _own_model_of(recipe, None, 10)
    model = functional(own, augmented=recipe.train_epochs > 0)
    check_sizes(model)
    scales = scales_images(recipe, own, model)
    found = None if recipe_scales(recipe) else pixel_range(recipe, own, scales)
    scaled = recipe.model_copy(update={"input_range": found}) if found else recipe
    data = fitting(scaled, data_of(scaled, shapes_of(model), progress), own, model)
    if scales:
        log_front(recipe.model, data)
    elif not recipe_scales(scaled) and not recipe.train_epochs:
        warn_of_default_range(recipe, data)
    return data, model


def model_of(recipe: Recipe, data: Dataset) -> keras.Model:
    """Open the model that a recipe asks for, with the data's image shape and number of classes if it is made here.

    Raises:
        ModelError: see `open_model`; or the model has neither weights nor training.
        DataError: the model takes other inputs than the data has.
    """
    own = _own_model_of(recipe, data.image_shape, _classes(data))
    model = functional(own, augmented=recipe.train_epochs > 0)
    fitting(recipe, data, own, model)
    return model


def model_made_again(recipe: Recipe) -> keras.Model:
    """Return the model of a recipe whose model is a function, as `data_and_model` opens it, but for given weights.

    The function is called; a file of weights is not looked for.

    Raises:
        ModelError: see `open_model`.
    """
    own = _own_model_of(recipe.model_copy(update={"weights": None}), None, 10)
    return functional(own, augmented=recipe.train_epochs > 0)


def _made_here(recipe: Recipe) -> bool:
    """Whether the model is made for the data: one of the zoo, or of keras.applications without ImageNet weights."""
    return recipe.model in zoo.MODELS or (recipe.model in applications() and recipe.weights != "imagenet")


def _own_model_of(recipe: Recipe, shape: ImageShape | None, classes: int) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    spec = recipe.model
    if (spec in zoo.MODELS or spec in applications()) and not recipe.weights and not recipe.train_epochs:
        raise ModelError(f"{spec} has no weights: give a weights file; a build may also train it (train_epochs)")
    taken = recipe.cut_at, recipe.input_shape, recipe.custom
    model = _own_model(spec, shape, classes, recipe.width, recipe.weights, *taken)
    as_they_are = recipe_scales(recipe) or is_own_data(recipe.data) or recipe.data.startswith("npz:")
    if spec in applications() and recipe.weights == "imagenet" and not as_they_are:
        return _preprocessing(model, spec)
    return model


def makes_classifier(spec: str) -> bool:
    """Whether a model is one of the zoo or of keras.applications, and so gives scores of classes."""
    return spec in zoo.MODELS or spec in applications()


def _classes(data: Dataset) -> int:
    """Return how many outputs a model that is made for data gets: as many as classes have names, or as labels tell.

    Labels are class numbers, of which the largest in any part counts, or have a column for each output, as one-hot ones
    have. 10 where labels are of another form, and without any.
    """
    labels = [split.y for split in (data.train, data.val, data.test) if split.y is not None]
    given = [y for y in labels if isinstance(y, np.ndarray) and y.dtype.kind in "biuf"]
    if data.labels or not given or len(given) < len(labels):
        return len(data.labels) or 10
    if all(y.ndim == 2 and y.shape[1] > 1 for y in given):
        return int(given[0].shape[1])
    numbers = all(y.size == len(y) and y.dtype.kind != "f" for y in given)
    return max(2, *(int(y.max()) + 1 for y in given)) if numbers else 10


def applications() -> list[str]:
    """Return the names of the models in keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def _not_foreign(spec: str) -> ModelError:
    return ModelError(f"cut_at is for .tflite and .onnx files, SavedModels and PyTorch modules, not for {spec}")


def _sized(model: keras.Model, input_shape: Shape | None) -> keras.Model:
    model = called(model, input_shape)
    return model if input_shape is None else with_input_shape(model, input_shape)


def _function(spec: str, cut_at: Sequence[str], input_shape: Shape | None) -> keras.Model:
    """Return the model that a function of the user's own makes."""
    keep_triton_out()  # before the user's module, which may import what loads it
    function = user_function(spec, ModelError)
    if torch := sys.modules.get("torch"):  # weights that it draws follow from the recipe's seed, as Keras' do
        torch.manual_seed(random.getrandbits(32))
    with in_float32():  # A policy that the function sets for its own layers must not last.
        made = call_user(spec, function, ModelError)
    if isinstance(made, keras.Model):
        if cut_at:
            raise _not_foreign(spec)
        return _sized(made, input_shape)
    if is_torch(made):
        return torch_graph(made, spec, cut_at, input_shape)
    raise ModelError(f"{spec} gave {type(made).__name__}, not a Keras model or a PyTorch module")


def _preprocessing(model: keras.Model, name: str) -> keras.Model:
    """Return a model of keras.applications that takes pixels: what Keras has for its ImageNet weights comes first."""
    family = sys.modules[getattr(keras.applications, name).__module__]
    image = keras.Input(model.inputs[0].shape[1:], name=model.inputs[0].name)
    prepared = family.preprocess_input(image)
    return model if prepared is image else keras.Model(image, model(prepared), name=model.name)


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
        raise ModelError(f"keras.applications.{name} cannot be made: {brief(e)}") from None
    except Exception as e:
        # Keras reports a failed download of weights by the class Exception itself.
        if weights != "imagenet" or type(e) is not Exception:
            raise
        raise ModelError(f"cannot download the weights of {name}: {brief(e)}") from None
