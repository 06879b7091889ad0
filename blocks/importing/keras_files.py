"""Reading Keras files: whole models and weights, with the reason and the remedy where Keras cannot read them."""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from legodnn.blocks import zoo
from legodnn.errors import ModelError
from legodnn.user_function import user_module

_MOST_CHARACTERS = 300  # of what Keras says, in a message
_HDF5 = b"\x89HDF\r\n\x1a\n"  # the beginning of such files


def load_model_file(path: str, custom: Sequence[str] = ()) -> keras.Model:
    """Load a whole model from a `.keras`, `.h5` or `.hdf5` file; code in it is not run.

    Args:
        path: the file.
        custom: modules of the user's own, which are imported; the file may name the classes and functions in them.

    Raises:
        ModelError: Keras cannot read the file, it holds something else than a model, or there is no such module.
    """
    old: dict[str, Any] = {cls.__name__: _of_keras_2(cls) for cls in _CHANGED_SINCE_KERAS_2}
    own = own_objects(custom)
    try:
        with keras.saving.custom_object_scope({**old, **own}):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:  # a damaged or foreign file can make Keras raise any
        raise ModelError(f"cannot load {path}: {_reason(path, e)}") from e
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path} holds {type(model).__name__}, not a Keras model")
    return model


def own_objects(custom: Sequence[str]) -> dict[str, Any]:
    """Return the classes and functions in modules of the user's own by name, as Keras takes them when it reads a file.

    What a module has imported from Keras is none of them: Keras knows it, and reads files of Keras 2 by stand-ins.

    Args:
        custom: the modules, which are imported.

    Raises:
        ModelError: there is no such module, or it cannot be imported.
    """
    modules = [vars(user_module(name, ModelError)) for name in custom]
    return {
        key: value
        for found in modules
        for key, value in found.items()
        if callable(value) and key[0] != "_" and not str(getattr(value, "__module__", "")).startswith("keras.")
    }


# Layers whose configuration in files of Keras 2 has entries that Keras 3 refuses. None of these changes a result.
_CHANGED_SINCE_KERAS_2 = (
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)
_ONLY_IN_KERAS_2 = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")


def _of_keras_2(layer: Any) -> Any:
    """Return a stand-in for a class of layers that reads configurations of Keras 2 too."""
    known = inspect.signature(layer.__init__).parameters

    class FromKeras2(layer):  # type: ignore[misc]
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            old = [key for key in _ONLY_IN_KERAS_2 if key not in known and (key != "groups" or config.get(key) == 1)]
            return layer.from_config({key: value for key, value in config.items() if key not in old})

    return FromKeras2


def _reason(path: str, error: Exception) -> str:
    """Return why Keras cannot load a file, and what helps."""
    if path.endswith(".keras") and (told := _other_content(path)):
        return told  # Keras says that there is no such file
    if "Lambda" in str(error):
        return (
            "it has a Lambda layer, which is Python code, and code in a file is not run; put the function that makes "
            "the model, or loads it, into a module and give it as module:function"
        )
    version, remedy = _saved_by(path), ""
    if version.startswith("2."):
        remedy = f"; Keras {version} saved it: load it there, or in tf_keras, save it as .h5, and give that"
    elif "custom" in str(error) or "registered" in str(error):
        remedy = "; name the module of your own layers with --custom, or build the model in a function, module:function"
    return brief(error) + remedy


def _other_content(path: str) -> str:
    """Return what a `.keras` file holds in place of a zip archive, and what helps; an empty text if it holds one."""
    try:
        if zipfile.is_zipfile(path):
            return ""
        with Path(path).open("rb") as f:
            begins = f.read(len(_HDF5))
    except OSError:
        return ""
    if begins == _HDF5:
        return "it is an HDF5 file: rename it, so that its name ends in .h5"
    return "it is no .keras file, or it is damaged or cut short: save or copy it again"


def _saved_by(path: str) -> str:
    """Return the version of Keras that saved a .keras file; an empty text if the file does not tell."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as f:
            return str(json.loads(f.read(1 << 16))["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


def load_weights(model: keras.Model, path: str, spec: str) -> None:
    """Load weights into a model.

    Args:
        model: the model.
        path: a `.weights.h5` file; or an `.npz` of published weights, for models of `zoo`.
        spec: what the user called the model.

    Raises:
        ModelError: the file cannot be read, or does not fit the model.
    """
    if path.endswith(".npz"):
        load = zoo.load_vgg16_weights if spec == "vgg16" else zoo.load_cifar_resnet_weights
        load(model, path)
        return
    if not path.endswith(".weights.h5"):
        raise ModelError(f"cannot read weights from {path}: give an .npz or a .weights.h5 file")
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"cannot load {path} into {spec}: {brief(e)}") from None


def brief(error: BaseException) -> str:
    """Return the beginning of an error of Keras, which may go on with whole configurations, tables and tracebacks."""
    # What Keras met inside a model, such as the class that it does not know, comes behind the model's configuration.
    found = str(error).rpartition("Exception encountered: ")[2]
    line = found.strip().partition("\n")[0].partition("Full object config")[0].strip()
    return (line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}...") or type(error).__name__
